/* Paced stressors of a row: operations at due times.
 *
 * A stressor with weight w falls due w * (its full rate) times a second; fractions carry over from
 * slot to slot, so small weights are exact in the long run. One operation runs at a time. When the
 * device is slower than asked the operations follow each other at once. An operation that would not
 * be over by the slot's end is not begun; this and what is late then falls due first in the next
 * slot if the stressor is to run there, up to a tenth of a slot's operations or one. The rest is
 * dropped and shows as ops < planned_ops. */
#include "node/row.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"

static const double owed_limit = 0.1; /* of a slot's operations */
/* Operations that may take longer than this part of a slot would never run if they had to fit. */
static const double longest_fitted = 0.25;

typedef struct due {
    double rate_per_ns;  /* in this slot; 0 = none */
    double n_due, n_run; /* operations that fall due before the slot's end, and those run of them */
    double phase;        /* operation k (from 1) falls due (k - phase) / rate after the begin */
    double owed;         /* operations of the slot before, due at once */
    bool is_held;        /* does not fit into the slot any more */
} due;

typedef struct slot_state {
    size_t slot;
    int64_t begin_ns;
    double slot_ns;
    int64_t meter_ns; /* thread CPU clock at the last reading; what passes since is charged */
    double cpu_ns;    /* in this slot */
} slot_state;

static void begin_slot(mim_row_thread *self, const slot_state *state, due *dues)
{
    const mim_row_run *row = self->row;
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        double weight = mim_row_weight(row, state->slot, in);
        double rate = weight * in->full_ops_per_s * 1e-9, planned = rate * state->slot_ns;
        bool is_due = planned > 0.0 && !in->is_failed;
        /* what is due just at the end is due at the next slot's begin */
        dues[i] = (due){
            .rate_per_ns = rate,
            .n_due = is_due ? ceil(in->phase + planned) - 1.0 : 0.0,
            .phase = in->phase,
            .owed = is_due ? in->owed_ops : 0.0,
        };
        size_t cell = mim_row_cell(row, state->slot, in->column);
        row->result->planned_share[cell] = weight;
        row->result->planned_ops[cell] = planned;
    }
}

/* When the next operation falls due, since the slot's begin. */
static double next_of(const due *d)
{
    if (d->is_held)
        return INFINITY;
    if (d->owed > 0.0)
        return 0.0;
    return d->n_run < d->n_due ? (d->n_run + 1.0 - d->phase) / d->rate_per_ns : INFINITY;
}

static size_t earliest(const mim_row_thread *self, const due *dues)
{
    size_t best = 0;
    for (size_t i = 1; i < self->n_instances; i++)
        if (next_of(&dues[i]) < next_of(&dues[best]))
            best = i;
    return best;
}

/* How long one operation may take: the mean of those seen and some of their scatter. */
static void learn_length(mim_instance *in, double wall_ns)
{
    double above = wall_ns > in->op_ns ? 0.2 : 0.02;
    in->op_ns = in->op_ns > 0.0 ? in->op_ns + above * (wall_ns - in->op_ns) : wall_ns;
}

static bool fits(const mim_instance *in, const slot_state *state, int64_t now_ns)
{
    double left_ns = state->slot_ns - (double)(now_ns - state->begin_ns);
    return in->op_ns <= left_ns || in->op_ns > longest_fitted * state->slot_ns;
}

static void operate(mim_row_thread *self, slot_state *state, mim_instance *in, due *d,
                    int64_t now_ns)
{
    mim_work work = {0};
    mim_row_operate(self, in, 1, &work);
    int64_t meter_ns = mim_clock_thread_cpu_ns();
    double wall_ns = (double)(mim_clock_mono_ns() - now_ns);
    double cpu_ns = (double)(meter_ns - state->meter_ns) + (double)work.extra_cpu_ns;
    state->meter_ns = meter_ns;
    state->cpu_ns += cpu_ns;
    mim_row_add(self, state->slot, in, &work, cpu_ns, wall_ns);
    learn_length(in, wall_ns);
    if (in->is_failed)
        d->n_due = d->owed = 0.0;
    else if (d->owed > 0.0)
        d->owed -= 1.0;
    else
        d->n_run += 1.0;
}

static void run_slot(mim_row_thread *self, slot_state *state, due *dues)
{
    mim_row_run *row = self->row;
    int64_t end_ns = state->begin_ns + (int64_t)state->slot_ns;
    state->cpu_ns = 0.0;
    begin_slot(self, state, dues);
    for (;;) {
        size_t i = earliest(self, dues);
        double next_ns = next_of(&dues[i]);
        if (next_ns >= state->slot_ns || !mim_row_sleep_to(row, state->begin_ns + (int64_t)next_ns))
            break;
        int64_t now = mim_clock_mono_ns();
        if (now >= end_ns)
            break;
        if (fits(&self->instances[i], state, now))
            operate(self, state, &self->instances[i], &dues[i], now);
        else
            dues[i].is_held = true;
    }
    self->slot_overshoot_s[state->slot] = fmax((double)(mim_clock_mono_ns() - end_ns) * 1e-9, 0.0);
    self->slot_cpu_s[state->slot] = state->cpu_ns * 1e-9;
}

static void end_slot(mim_row_thread *self, const slot_state *state, const due *dues)
{
    const mim_row_run *row = self->row;
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        size_t cell = mim_row_cell(row, state->slot, in->column);
        double planned = row->result->planned_ops[cell];
        /* What fell due before the slot's end is done, owed or dropped. */
        double left = dues[i].owed + dues[i].n_due - dues[i].n_run;
        if (planned > 0.0)
            in->phase = in->phase + planned - (ceil(in->phase + planned) - 1.0);
        in->owed_ops = planned > 0.0 ? fmin(left, fmax(floor(owed_limit * planned), 1.0)) : 0.0;
        row->result->share[cell] =
            planned > 0.0 ? row->result->planned_share[cell] * row->result->ops[cell] / planned
                          : 0.0;
    }
    mim_row_end_slot(self, state->slot);
}

/* First use of file and pages. */
static void warm_up(mim_row_thread *self)
{
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_work work = {0};
        int64_t before_ns = mim_clock_mono_ns();
        if (!self->instances[i].state)
            continue;
        mim_row_operate(self, &self->instances[i], 1, &work);
        learn_length(&self->instances[i], (double)(mim_clock_mono_ns() - before_ns));
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
    if (dues)
        warm_up(self);
    bool is_go = mim_row_wait_at_gate(self);
    slot_state state = {.slot_ns = (double)schedule->slot_ns,
                        .meter_ns = mim_clock_thread_cpu_ns()};
    for (; dues && is_go && state.slot < schedule->n_slots; state.slot++) {
        state.begin_ns = mim_row_slot_begin_ns(self->row, state.slot);
        if (atomic_load(&schedule->is_stopped))
            break;
        mim_row_sleep_to(self->row, state.begin_ns);
        run_slot(self, &state, dues);
        end_slot(self, &state, dues);
    }
    mim_row_tear_down(self);
    free(dues);
    return NULL;
}
