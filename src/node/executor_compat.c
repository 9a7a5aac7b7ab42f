/* The original's slots: handed to all rows at once, over when the slowest comes back, the next one
 * shorter when that was late (node/compat.h). */
#include <time.h>

#include "core/clock.h"
#include "core/signals.h"
#include "node/executor_internal.h"

static const double progress_every_s = 10.0;

static void hand_out(mim_schedule *s, size_t slot, int64_t deadline_ns)
{
    pthread_mutex_lock(&s->mutex);
    s->task_slot = slot;
    s->deadline_ns = deadline_ns;
    s->n_returned = 0;
    s->n_dispatched++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

/* A signal meanwhile tells the rows to come back early. */
static void wait_for_all(mim_execution *x)
{
    mim_schedule *s = &x->schedule;
    pthread_mutex_lock(&s->mutex);
    while (s->n_returned < x->n_rows) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&s->returned, &s->mutex, &until);
        if (mim_signals_stop())
            atomic_store(&s->is_stopped, true);
    }
    pthread_mutex_unlock(&s->mutex);
}

static void end_all(mim_schedule *s)
{
    pthread_mutex_lock(&s->mutex);
    s->is_over = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

/* One slot; false when a signal ended it. */
static bool run_slot(mim_execution *x, size_t slot, int64_t length_ns)
{
    int64_t begin_ns = mim_clock_mono_ns();
    if (x->windows[slot] == SIZE_MAX) {
        if (!mim_execution_sleep_to(begin_ns + length_ns))
            return false;
    } else {
        hand_out(&x->schedule, slot, begin_ns + length_ns);
        wait_for_all(x);
        if (atomic_load(&x->schedule.is_stopped) || mim_signals_stop())
            return false;
    }
    mim_execution_note_slot(x, slot, begin_ns, mim_clock_mono_ns());
    return true;
}

/* Drift is made up for within a pass only; what is left at its end is dropped. */
static int64_t next_length_ns(const mim_execution *x, size_t n_done)
{
    const mim_schedule *s = &x->schedule;
    size_t pass = s->n_slots / x->options->n_iters;
    int64_t elapsed_us = (mim_clock_mono_ns() - s->start_ns) / 1000;
    if (n_done % pass == 0 || x->windows[n_done - 1] == SIZE_MAX)
        return s->slot_ns;
    return 1000 * mim_compat_next_us(s->slot_ns / 1000, elapsed_us, n_done);
}

int mim_execution_run_compat(mim_execution *x)
{
    mim_schedule *s = &x->schedule;
    mim_progress *progress = NULL;
    int64_t length_ns = s->slot_ns;
    int rc = mim_progress_create(x->log, "run", s->n_slots, progress_every_s, &progress);
    bool goes_on = rc == MIM_OK && mim_execution_sleep_to(s->start_ns);
    if (rc == MIM_OK && goes_on && mim_execution_pass_edge(x, 0) != MIM_OK)
        rc = mim_execution_keep_failure(x);
    for (size_t i = 0; rc == MIM_OK && goes_on && !x->result->failure && i < s->n_slots; i++) {
        goes_on = run_slot(x, i, length_ns);
        if (goes_on && mim_execution_pass_edge(x, i + 1) != MIM_OK)
            rc = mim_execution_keep_failure(x);
        length_ns = next_length_ns(x, i + 1);
        mim_progress_step(progress, i + 1);
    }
    if (rc == MIM_OK && !goes_on)
        x->result->is_stopped = true;
    if (rc != MIM_OK || x->result->is_stopped)
        atomic_store(&s->is_stopped, true);
    end_all(s);
    mim_progress_destroy(&progress);
    return rc;
}
