#define _XOPEN_SOURCE 700 /* sigaltstack */
#include "core/signals.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stop_signal, is_urgent;

static const int stop_signals[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
enum { N_STOP_SIGNALS = sizeof stop_signals / sizeof *stop_signals };

/* Products of oneDNN 2.6 keep numbers below the stack pointer, where a handler would overwrite
 * them: a signal during training crashed it or changed its result. So handlers have a stack of
 * their own.
 */
enum { HANDLER_STACK_BYTES = 1 << 16 };
static char handler_stack[HANDLER_STACK_BYTES];

static void on_signal(int sig)
{
    if (sig == SIGTERM || sig == SIGINT) {
        if (is_urgent) {
            signal(sig, SIG_DFL);
            raise(sig); /* delivered when this handler returns */
        }
        is_urgent = 1;
    }
    stop_signal = sig;
}

int mim_signals_install(void)
{
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    const stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    if (sigaltstack(&stack, NULL) != 0)
        return mim_fail(MIM_EIO, "stack of signal handlers: %s", strerror(errno));
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < N_STOP_SIGNALS; i++) {
        int sig = stop_signals[i];
        if (sigaction(sig, NULL, &before) == 0 && sig == SIGHUP && before.sa_handler == SIG_IGN)
            continue;
        if (sigaction(sig, &action, NULL) != 0)
            return mim_fail(MIM_EIO, "signal handler: %s", strerror(errno));
    }
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error with a sentence, */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file beyond the size limit */
    return MIM_OK;
}

int mim_signals_stop(void) { return stop_signal; }

static sigset_t stop_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < N_STOP_SIGNALS; i++)
        sigaddset(&set, stop_signals[i]);
    return set;
}

void mim_signals_block(void)
{
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void mim_signals_unblock(void)
{
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* A blocked signal is kept even when it is ignored (nohup), and would be found here. */
static sigset_t heard_set(void)
{
    sigset_t set = stop_set();
    for (size_t i = 0; i < N_STOP_SIGNALS; i++) {
        struct sigaction action;
        if (sigaction(stop_signals[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            sigdelset(&set, stop_signals[i]);
    }
    return set;
}

int mim_signals_wait(double timeout_s)
{
    const sigset_t set = heard_set();
    const double whole_s = floor(fmax(timeout_s, 0.0));
    const struct timespec timeout = {.tv_sec = (time_t)whole_s,
                                     .tv_nsec = (long)((fmax(timeout_s, 0.0) - whole_s) * 1e9)};
    const int sig = sigtimedwait(&set, NULL, &timeout);
    if ((sig == SIGTERM || sig == SIGINT) && is_urgent) {
        signal(sig, SIG_DFL);
        mim_signals_unblock();
        raise(sig);
    }
    if (sig == SIGTERM || sig == SIGINT)
        is_urgent = 1;
    return sig > 0 ? sig : 0;
}

void mim_signals_ask_stop(void)
{
    mim_signals_unblock();
    raise(SIGUSR1);
}
