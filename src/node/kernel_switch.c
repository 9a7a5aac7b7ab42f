/* Context switches: the calling thread and a partner wake each other in turns, through a futex or
 * through pipes.
 *
 * The partner inherits the CPU that the caller is pinned to, so each turn is a switch. A counter
 * goes with it: both add one. One operation = there and back, two switches; it moves no bytes. The
 * partner's CPU time is told in extra_cpu_ns. */
#define _GNU_SOURCE /* syscall, pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"
#include "node/kernel_family.h"

enum { TRIPS_A_BATCH = 6 };

enum { TURN_CALLER, TURN_PARTNER };

/* What both threads write; the counter belongs to whose turn it is. */
typedef struct shared {
    uint64_t counter;
    atomic_uint turn;
    atomic_bool is_stopped;
} shared;

typedef struct switch_state {
    shared *shared;
    bool uses_pipes;
    int there[2], back[2]; /* pipes: read end, write end; -1 */
    pthread_t partner;
    bool has_partner;
    clockid_t partner_clock;
    int64_t partner_ns; /* its CPU time told so far */
    uint64_t n_trips, n_wrong;
} switch_state;

/* ---- futex ----------------------------------------------------------------------------------- */

static void wait_for_turn(shared *both, unsigned turn)
{
    unsigned other = turn == TURN_CALLER ? TURN_PARTNER : TURN_CALLER;

    while (atomic_load(&both->turn) != turn) /* EINTR, EAGAIN: look again */
        syscall(SYS_futex, &both->turn, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0);
}

static void give_turn(shared *both, unsigned turn)
{
    atomic_store(&both->turn, turn);
    syscall(SYS_futex, &both->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void partner_by_futex(shared *both)
{
    for (;;) {
        wait_for_turn(both, TURN_PARTNER);
        if (atomic_load(&both->is_stopped))
            return;
        both->counter++;
        give_turn(both, TURN_CALLER);
    }
}

/* ---- pipes ----------------------------------------------------------------------------------- */

/* One byte through a pipe wakes as well as any number; false at its end. */
static bool take(int fd)
{
    char byte;
    ssize_t n;

    while ((n = read(fd, &byte, 1)) < 0 && errno == EINTR)
        continue;
    return n == 1;
}

static bool give(int fd)
{
    const char byte = 0;
    ssize_t n;

    while ((n = write(fd, &byte, 1)) < 0 && errno == EINTR)
        continue;
    return n == 1;
}

static void partner_by_pipes(switch_state *s)
{
    while (take(s->there[0]) && !atomic_load(&s->shared->is_stopped)) {
        s->shared->counter++;
        if (!give(s->back[1]))
            return;
    }
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static void *partner(void *state)
{
    switch_state *s = state;

    mim_signals_block();
    if (s->uses_pipes)
        partner_by_pipes(s);
    else
        partner_by_futex(s->shared);
    return NULL;
}

static void close_pipe(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

static void destroy(void *state)
{
    switch_state *s = state;

    if (!s)
        return;
    if (s->has_partner) {
        atomic_store(&s->shared->is_stopped, true);
        if (s->uses_pipes)
            give(s->there[1]);
        else
            give_turn(s->shared, TURN_PARTNER);
        pthread_join(s->partner, NULL);
    }
    close_pipe(s->there);
    close_pipe(s->back);
    free(s->shared);
    free(s);
}

static int start_partner(switch_state *s)
{
    int error;

    if (s->uses_pipes && (pipe2(s->there, O_CLOEXEC) != 0 || pipe2(s->back, O_CLOEXEC) != 0))
        return mim_fail(MIM_EIO, "kernel switch: pipe: %s", strerror(errno));
    if ((error = pthread_create(&s->partner, NULL, partner, s)) != 0)
        return mim_fail(MIM_EIO, "kernel switch: partner thread: %s", strerror(error));
    s->has_partner = true;
    if ((error = pthread_getcpuclockid(s->partner, &s->partner_clock)) != 0)
        return mim_fail(MIM_EIO, "kernel switch: CPU clock of the partner: %s", strerror(error));
    return MIM_OK;
}

static int create(bool uses_pipes, const mim_stressor *stressor, const mim_kernel_place *place,
                  void **state)
{
    int rc;
    void *both = NULL;
    switch_state *s = NULL;

    if ((rc = mim_kernel_check("switch", stressor, place, state)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel switch");
    s->uses_pipes = uses_pipes;
    s->there[0] = s->there[1] = s->back[0] = s->back[1] = -1;
    if ((rc = mim_kernel_buffer(sizeof *s->shared, 0, &both)) != MIM_OK)
        goto done;
    s->shared = both;
    atomic_init(&s->shared->turn, TURN_CALLER);
    atomic_init(&s->shared->is_stopped, false);
    if ((rc = start_partner(s)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int create_futex(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create(false, stressor, place, state);
}

static int create_pipe(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create(true, stressor, place, state);
}

static int trip(switch_state *s)
{
    s->shared->counter++;
    if (!s->uses_pipes) {
        give_turn(s->shared, TURN_PARTNER);
        wait_for_turn(s->shared, TURN_CALLER);
    } else if (!give(s->there[1]) || !take(s->back[0])) {
        return mim_fail(MIM_EIO, "kernel switch: pipe: %s", strerror(errno));
    }
    s->n_trips++;
    s->n_wrong += s->shared->counter != 2 * s->n_trips;
    return MIM_OK;
}

static void tell_partner_time(switch_state *s, mim_work *work)
{
    struct timespec now;

    if (clock_gettime(s->partner_clock, &now) == 0) {
        int64_t ns = (int64_t)now.tv_sec * MIM_NS_PER_S + now.tv_nsec;

        work->extra_cpu_ns += (uint64_t)(ns - s->partner_ns);
        s->partner_ns = ns;
    }
}

static int run(void *state, size_t n, mim_work *work)
{
    switch_state *s = state;

    for (size_t i = 0; i < n * TRIPS_A_BATCH; i++) {
        int rc = trip(s);

        if (rc != MIM_OK)
            return rc;
        work->n_ops++;
    }
    tell_partner_time(s, work);
    return MIM_OK;
}

static int verify(void *state)
{
    const switch_state *s = state;

    if (s->n_wrong > 0 || s->shared->counter != 2 * s->n_trips)
        return mim_fail(MIM_ECHECK,
                        "switch: the counter is %" PRIu64 " after %" PRIu64
                        " trips, expected twice that",
                        s->shared->counter, s->n_trips);
    return MIM_OK;
}

const mim_kernel mim_kernel_switch_futex = {.name = "switch_futex",
                                            .create = create_futex,
                                            .destroy = destroy,
                                            .run = run,
                                            .verify = verify};
const mim_kernel mim_kernel_switch_pipe = {
    .name = "switch_pipe", .create = create_pipe, .destroy = destroy, .run = run, .verify = verify};
