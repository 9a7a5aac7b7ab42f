/* Paced stressors of a row: operations at due times.
 *
 * A stressor with weight w falls due w * (its full rate) times a second; fractions carry over from
 * slot to slot, so small weights are exact in the long run. One operation runs at a time. When the
 * device is slower than asked the operations follow each other at once; what is still due at the
 * end of the slot is dropped and shows as ops < planned_ops. */
#include "node/row.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"

enum { MAX_NAP_NS = 50000000 }; /* so that a stop request is seen soon */

typedef struct due {
    double rate_per_ns; /* in this slot; 0 = none */
    double next_ns;     /* of the next operation, since the slot's begin; INFINITY = none */
} due;

static void begin_slot(mim_row_thread *self, size_t slot, due *dues)
{
    const mim_row_run *row = self->row;
    size_t window = row->schedule->windows[slot];
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        double weight =
            window == SIZE_MAX ? 0.0 : mim_plan_weights(row->plan, window, row->row)[in->column];
        double rate = weight * in->full_ops_per_s * 1e-9;
        dues[i].rate_per_ns = rate;
        dues[i].next_ns = rate > 0.0 && !in->is_failed ? (1.0 - in->phase) / rate : INFINITY;
        size_t cell = mim_row_cell(row, slot, in->column);
        row->result->planned_share[cell] = weight;
        row->result->planned_ops[cell] = rate * (double)row->schedule->slot_ns;
    }
}

static size_t earliest(const mim_row_thread *self, const due *dues)
{
    size_t best = 0;
    for (size_t i = 1; i < self->n_instances; i++)
        if (dues[i].next_ns < dues[best].next_ns)
            best = i;
    return best;
}

/* To the instant, in naps; false when the run was stopped. */
static bool sleep_to(const mim_row_run *row, int64_t instant_ns)
{
    for (;;) {
        int64_t now = mim_clock_mono_ns();
        if (atomic_load(&row->schedule->is_stopped))
            return false;
        if (now >= instant_ns)
            return true;
        mim_clock_sleep_until(instant_ns - now > MAX_NAP_NS ? now + MAX_NAP_NS : instant_ns);
    }
}

static void run_slot(mim_row_thread *self, size_t slot, due *dues)
{
    mim_row_run *row = self->row;
    double slot_ns = (double)row->schedule->slot_ns;
    int64_t begin_ns = mim_row_slot_begin_ns(row, slot);
    int64_t cpu_ns = mim_clock_thread_cpu_ns();
    begin_slot(self, slot, dues);
    for (;;) {
        size_t i = earliest(self, dues);
        if (dues[i].next_ns >= slot_ns || !sleep_to(row, begin_ns + (int64_t)dues[i].next_ns) ||
            mim_clock_mono_ns() >= begin_ns + row->schedule->slot_ns)
            break;
        mim_instance *in = &self->instances[i];
        mim_work work = {0};
        mim_row_operate(self, in, 1, &work);
        size_t cell = mim_row_cell(row, slot, in->column);
        row->result->ops[cell] += (double)work.n_ops;
        row->result->bytes[cell] += (double)work.n_bytes;
        dues[i].next_ns = in->is_failed ? INFINITY : dues[i].next_ns + 1.0 / dues[i].rate_per_ns;
        atomic_store(&self->cpu_ns, mim_clock_thread_cpu_ns());
    }
    self->slot_overshoot_s[slot] =
        fmax((double)(mim_clock_mono_ns() - begin_ns) * 1e-9 - slot_ns * 1e-9, 0.0);
    self->slot_cpu_s[slot] = (double)(mim_clock_thread_cpu_ns() - cpu_ns) * 1e-9;
}

static void end_slot(mim_row_thread *self, size_t slot)
{
    const mim_row_run *row = self->row;
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        size_t cell = mim_row_cell(row, slot, in->column);
        double planned = row->result->planned_ops[cell];
        /* What fell due before the slot's end is gone, done or dropped; due just at the end is due
         * at the next slot's begin. */
        double total = in->phase + planned;
        in->phase = planned > 0.0 ? total - (ceil(total) - 1.0) : in->phase;
        row->result->share[cell] =
            planned > 0.0 ? row->result->planned_share[cell] * row->result->ops[cell] / planned
                          : 0.0;
    }
}

void *mim_row_helper(void *row_thread)
{
    mim_row_thread *self = row_thread;
    const mim_schedule *schedule = self->row->schedule;
    due *dues = calloc(self->n_instances, sizeof *dues);
    mim_row_prepare(self);
    if (!dues)
        mim_row_keep_error(self, mim_fail(MIM_ENOMEM, "%zu stressors", self->n_instances));
    for (size_t i = 0; dues && i < self->n_instances; i++) { /* first use of file and pages */
        mim_work work = {0};
        if (self->instances[i].state)
            mim_row_operate(self, &self->instances[i], 1, &work);
    }
    bool is_go = mim_row_wait_at_gate(self);
    for (size_t slot = 0; dues && is_go && slot < schedule->n_slots; slot++) {
        if (atomic_load(&schedule->is_stopped))
            break;
        sleep_to(self->row, mim_row_slot_begin_ns(self->row, slot));
        run_slot(self, slot, dues);
        end_slot(self, slot);
    }
    mim_row_tear_down(self);
    free(dues);
    return NULL;
}
