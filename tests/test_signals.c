#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/signals.h"

/* Runs `act` in a child; its exit status, or minus the signal that ended it. */
static int in_child(int (*act)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a hang is a failure */
        _exit(act());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int nothing_asked(void)
{
    return mim_signals_install() == MIM_OK && mim_signals_stop() == 0 ? 0 : 1;
}

static int one_of(int sig)
{
    if (mim_signals_install() != MIM_OK)
        return 1;
    raise(sig);
    return mim_signals_stop() == sig ? 0 : 2;
}
static int by_usr1(void) { return one_of(SIGUSR1); }
static int by_term(void) { return one_of(SIGTERM); }
static int by_int(void) { return one_of(SIGINT); }
static int by_hup(void) { return one_of(SIGHUP); }

static void test_each_asks_to_stop(void **state)
{
    (void)state;
    assert_int_equal(in_child(nothing_asked), 0);
    assert_int_equal(in_child(by_usr1), 0);
    assert_int_equal(in_child(by_term), 0);
    assert_int_equal(in_child(by_int), 0);
    assert_int_equal(in_child(by_hup), 0);
}

static int term_twice(void)
{
    mim_signals_install();
    raise(SIGTERM);
    raise(SIGTERM);
    return 0;
}

static int int_after_term(void)
{
    mim_signals_install();
    raise(SIGTERM);
    raise(SIGINT);
    return 0;
}

static void test_second_one_ends_at_once(void **state)
{
    (void)state;
    assert_int_equal(in_child(term_twice), -SIGTERM);
    assert_int_equal(in_child(int_after_term), -SIGINT);
}

/* What Slurm sends with --signal=USR1@300: an early SIGUSR1, SIGTERM at the limit. */
static int usr1_usr1_hup_term(void)
{
    mim_signals_install();
    raise(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGHUP);
    raise(SIGTERM);
    return mim_signals_stop() == SIGTERM ? 0 : 1;
}

static void test_sigterm_after_sigusr1_still_saves(void **state)
{
    (void)state;
    assert_int_equal(in_child(usr1_usr1_hup_term), 0);
}

static int under_nohup(void)
{
    signal(SIGHUP, SIG_IGN);
    mim_signals_install();
    raise(SIGHUP);
    return mim_signals_stop() == 0 ? 0 : 1;
}

static void test_nohup_is_respected(void **state)
{
    (void)state;
    assert_int_equal(in_child(under_nohup), 0);
}

static int closed_pipe(void)
{
    int ends[2];
    mim_signals_install();
    if (pipe(ends) != 0)
        return 1;
    close(ends[0]);
    return write(ends[1], "x", 1) == -1 ? 0 : 2;
}

static void test_closed_pipe_is_a_write_error(void **state)
{
    (void)state;
    assert_int_equal(in_child(closed_pipe), 0);
}

static volatile int is_worker_done;

static void *work(void *unused)
{
    (void)unused;
    mim_signals_block();
    for (int i = 0; i < 5; i++) { /* would end early if the signal came here */
        struct timespec rest = {0, 40000000}, left = {0, 0};
        if (nanosleep(&rest, &left) != 0)
            return "interrupted";
    }
    is_worker_done = 1;
    return NULL;
}

/* A worker blocks the signals; the process's signal reaches the main thread and ends its sleep. */
static int main_thread_gets_it(void)
{
    pthread_t worker;
    void *complaint = NULL;
    mim_signals_install();
    if (pthread_create(&worker, NULL, work, NULL) != 0)
        return 1;
    mim_clock_sleep_until(mim_clock_mono_ns() + MIM_NS_PER_S / 20); /* let it block */
    if (fork() == 0) {
        mim_clock_sleep_until(mim_clock_mono_ns() + MIM_NS_PER_S / 20);
        kill(getppid(), SIGTERM);
        _exit(0);
    }
    mim_clock_sleep_until(mim_clock_mono_ns() + 15 * MIM_NS_PER_S); /* less than the alarm */
    int stop = mim_signals_stop();
    pthread_join(worker, &complaint);
    return stop == SIGTERM && !complaint && is_worker_done ? 0 : 2;
}

static void test_main_thread_gets_the_signal(void **state)
{
    (void)state;
    int64_t before = mim_clock_mono_ns();
    assert_int_equal(in_child(main_thread_gets_it), 0);
    assert_true(mim_clock_mono_ns() - before < 14 * MIM_NS_PER_S); /* the sleep was cut short */
}

/* Waited for, a signal is told once and only to who waits, until it is passed on. */
static int taken_out(void)
{
    mim_signals_install();
    mim_signals_block();
    if (mim_signals_wait(0.01) != 0)
        return 1;
    raise(SIGTERM);
    if (mim_signals_wait(10) != SIGTERM || mim_signals_wait(0) != 0 || mim_signals_stop() != 0)
        return 2;
    mim_signals_ask_stop();
    return mim_signals_stop() == SIGUSR1 ? 0 : 3;
}

/* The second one comes while it is waited for, or later by the handler. */
static int taken_out_twice(void)
{
    mim_signals_install();
    mim_signals_block();
    raise(SIGTERM);
    mim_signals_wait(10);
    raise(SIGINT);
    mim_signals_wait(10);
    return 0;
}

static int taken_out_then_handled(void)
{
    mim_signals_install();
    mim_signals_block();
    raise(SIGINT);
    mim_signals_wait(10);
    mim_signals_ask_stop();
    raise(SIGTERM);
    return 0;
}

static int nohup_while_waiting(void)
{
    signal(SIGHUP, SIG_IGN);
    mim_signals_install();
    mim_signals_block();
    raise(SIGHUP);
    return mim_signals_wait(0.05) == 0 ? 0 : 1;
}

static void test_signals_are_waited_for(void **state)
{
    (void)state;
    assert_int_equal(in_child(taken_out), 0);
    assert_int_equal(in_child(taken_out_twice), -SIGINT);
    assert_int_equal(in_child(taken_out_then_handled), -SIGTERM);
    assert_int_equal(in_child(nohup_while_waiting), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_asks_to_stop),
        cmocka_unit_test(test_second_one_ends_at_once),
        cmocka_unit_test(test_sigterm_after_sigusr1_still_saves),
        cmocka_unit_test(test_nohup_is_respected),
        cmocka_unit_test(test_closed_pipe_is_a_write_error),
        cmocka_unit_test(test_main_thread_gets_the_signal),
        cmocka_unit_test(test_signals_are_waited_for),
    };
    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
