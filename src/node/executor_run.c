/* Slots on the absolute schedule: the coordinating thread sleeps from edge to edge. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"
#include "node/executor_internal.h"

static const double progress_every_s = 10.0;
/* A signal that comes just before a sleep begins waits at most this long. */
static const int64_t nap_ns = 500000000;

bool mim_execution_sleep_to(int64_t instant_ns)
{
    for (int64_t now; (now = mim_clock_mono_ns()) < instant_ns && !mim_signals_stop();)
        mim_clock_sleep_until(instant_ns - now > nap_ns ? now + nap_ns : instant_ns);
    return !mim_signals_stop();
}

int mim_execution_keep_failure(mim_execution *x)
{
    x->result->is_stopped = true;
    x->result->failure = mim_strdup(mim_error());
    return x->result->failure ? MIM_OK : mim_fail(MIM_ENOMEM, "run result");
}

void mim_execution_note_slot(mim_execution *x, size_t slot, int64_t begin_ns, int64_t end_ns)
{
    x->result->slot_begin_s[slot] = (double)(begin_ns - x->schedule.start_ns) * 1e-9;
    x->result->slot_length_s[slot] = (double)(end_ns - begin_ns) * 1e-9;
    size_t n = mim_plan_n_stressors(x->plan);
    for (size_t i = 0; x->windows[slot] != SIZE_MAX && i < x->n_rows * n; i++) {
        const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(x->plan), i % n);
        if (stressor && !stressor->is_paced)
            x->planned_cpu_s +=
                mim_plan_weights(x->plan, x->windows[slot], i / n)[i % n] * x->result->slot_s;
    }
}

int mim_execution_pass_edge(mim_execution *x, size_t edge)
{
    int64_t begin_ns = mim_clock_mono_ns();
    int rc = mim_execution_sample(x, edge);
    x->collect_s[edge] = (double)(mim_clock_mono_ns() - begin_ns) * 1e-9;
    if (rc != MIM_OK)
        return rc;
    x->result->n_slots = edge;
    mim_execution_watch(x, edge);
    return MIM_OK;
}

int mim_execution_run(mim_execution *x)
{
    mim_schedule *s = &x->schedule;
    mim_progress *progress = NULL;
    int rc = mim_progress_create(x->log, "run", s->n_slots, progress_every_s, &progress);
    for (size_t i = 0; rc == MIM_OK && i <= s->n_slots; i++) {
        int64_t edge_ns = s->start_ns + (int64_t)i * s->slot_ns;
        if (!mim_execution_sleep_to(edge_ns)) {
            x->result->is_stopped = true;
            break;
        }
        if (i > 0)
            mim_execution_note_slot(x, i - 1, edge_ns - s->slot_ns, edge_ns);
        if (mim_execution_pass_edge(x, i) != MIM_OK) {
            rc = mim_execution_keep_failure(x);
            break;
        }
        mim_progress_step(progress, i);
    }
    if (rc != MIM_OK || x->result->is_stopped)
        atomic_store(&s->is_stopped, true);
    mim_progress_destroy(&progress);
    return rc;
}
