/* A row with the original's dispatch: one thread walks the order of the window at hand, entry by
 * entry, paced stressors and their sleeps among them; nothing is clipped (node/compat.h).
 *
 * Unlike the original a row prepares its own stressors only, and all of their memory and files
 * before the first slot. */
#include "node/row.h"

#include <math.h>
#include <string.h>

#include "core/clock.h"

static const int64_t preparation_us = 50000;
#define NO_SLOT SIZE_MAX

typedef struct walk_state {
    mim_row_thread *self;
    size_t slot;      /* whose cells are written; NO_SLOT: nobody counts */
    int64_t meter_ns; /* thread CPU clock at the last reading; what passes since is charged */
    double cpu_ns;    /* in this slot */
} walk_state;

static int64_t now_us(void *context)
{
    (void)context;
    return mim_clock_mono_ns() / 1000;
}

static void sleep_us(void *context, int64_t us)
{
    const walk_state *walk = context;
    mim_row_sleep_to(walk->self->row, mim_clock_mono_ns() + us * 1000);
}

static bool is_stopped(void *context)
{
    const walk_state *walk = context;
    return atomic_load(&walk->self->row->schedule->is_stopped);
}

static mim_instance *find(const mim_row_thread *self, size_t column)
{
    for (size_t i = 0; i < self->n_instances; i++)
        if (self->instances[i].column == column)
            return &self->instances[i];
    return NULL;
}

/* What the original does between two looks at the clock, and the pause after it, never cut. */
static void run_round(walk_state *walk, mim_instance *in, mim_work *work)
{
    uint64_t wanted = work->n_ops + mim_compat_ops_a_look(in->stressor);
    do
        mim_row_operate(walk->self, in, 1, work);
    while (!in->is_failed && work->n_ops < wanted);
    if (!in->is_failed && in->stressor->sleep_us > 0)
        sleep_us(walk, in->stressor->sleep_us);
}

static void charge(walk_state *walk, mim_instance *in, const mim_work *work, int64_t begin_ns)
{
    int64_t meter_ns = mim_clock_thread_cpu_ns();
    double cpu_ns = (double)(meter_ns - walk->meter_ns) + (double)work->extra_cpu_ns;
    walk->meter_ns = meter_ns;
    walk->cpu_ns += cpu_ns;
    if (walk->slot != NO_SLOT)
        mim_row_add(walk->self, walk->slot, in, work, cpu_ns,
                    (double)(mim_clock_mono_ns() - begin_ns));
}

static void run_entry(void *context, size_t column, int64_t budget_us, double duty)
{
    walk_state *walk = context;
    mim_instance *in = find(walk->self, column);
    int64_t begin_ns = mim_clock_mono_ns();
    mim_work work = {0};
    if (!in || in->is_failed)
        return; /* the original, too, comes back at once */
    if (in->kernel->scale && duty < MIM_COMPAT_LEAST_DUTY) {
        sleep_us(walk, budget_us);
    } else {
        if (in->kernel->scale && in->kernel->scale(in->state, fmin(duty, 1.0)) != MIM_OK) {
            in->is_failed = true;
            mim_row_keep_error(walk->self, mim_fail_in(MIM_ENOMEM, "%s", in->stressor->name));
            return;
        }
        do
            run_round(walk, in, &work);
        while (!in->is_failed && !is_stopped(walk) &&
               mim_clock_mono_ns() - begin_ns < budget_us * 1000);
    }
    charge(walk, in, &work, begin_ns);
}

static const mim_compat_walker walker = {
    .now_us = now_us, .run = run_entry, .sleep = sleep_us, .is_stopped = is_stopped};

static void walk_order(walk_state *walk, size_t window, int64_t length_us)
{
    mim_row_run *row = walk->self->row;
    mim_compat_walker here = walker;
    here.context = walk;
    mim_compat_walk(&row->orders[window], length_us, &row->current_duty, &here);
}

/* The original runs these once in every thread, so that files are open. */
static bool is_prepared(const char *name)
{
    return strstr(name, "HddRead") || strstr(name, "HddWriteNF") || strstr(name, "WeightScaled");
}

static void warm_up(walk_state *walk)
{
    mim_row_thread *self = walk->self;
    const mim_row_run *row = self->row;
    if (self->rc != MIM_OK)
        return;
    for (size_t i = 0; i < self->n_instances && !is_stopped(walk); i++)
        if (is_prepared(self->instances[i].stressor->name))
            run_entry(walk, self->instances[i].column, preparation_us, 1.0);
    if (!is_stopped(walk))
        walk_order(walk, mim_plan_first_window(row->plan), llround(row->warm_up_s * 1e6));
}

static void plan_slot(const mim_row_thread *self, size_t slot)
{
    const mim_row_run *row = self->row;
    for (size_t i = 0; i < self->n_instances; i++) {
        const mim_instance *in = &self->instances[i];
        size_t cell = mim_row_cell(row, slot, in->column);
        double weight = mim_row_weight(row, slot, in);
        row->result->planned_share[cell] = weight;
        if (in->stressor->is_paced)
            row->result->planned_ops[cell] =
                weight * in->full_ops_per_s * (double)row->schedule->slot_ns * 1e-9;
    }
}

static void end_slot(walk_state *walk)
{
    mim_row_thread *self = walk->self;
    const mim_run_result *r = self->row->result;
    for (size_t i = 0; i < self->n_instances; i++) {
        const mim_instance *in = &self->instances[i];
        size_t cell = mim_row_cell(self->row, walk->slot, in->column);
        double planned = r->planned_ops[cell];
        if (!in->stressor->is_paced)
            r->share[cell] = r->stressor_cpu_s[cell] / r->slot_s;
        else if (planned > 0.0)
            r->share[cell] = r->planned_share[cell] * r->ops[cell] / planned;
    }
    self->slot_cpu_s[walk->slot] = walk->cpu_ns * 1e-9;
    mim_row_end_slot(self, walk->slot);
}

static void run_slot(walk_state *walk, int64_t deadline_ns)
{
    mim_row_thread *self = walk->self;
    mim_row_run *row = self->row;
    int64_t wake_ns = mim_clock_mono_ns();
    int64_t planned_ns = mim_row_slot_begin_ns(row, walk->slot);
    walk->cpu_ns = 0.0;
    plan_slot(self, walk->slot);
    row->result->start_late_s[mim_row_slot_cell(row, walk->slot)] =
        fmax((double)(wake_ns - planned_ns) * 1e-9, 0.0);
    walk_order(walk, row->schedule->windows[walk->slot], (deadline_ns - wake_ns) / 1000);
    self->slot_overshoot_s[walk->slot] =
        fmax((double)(mim_clock_mono_ns() - deadline_ns) * 1e-9, 0.0);
    end_slot(walk);
}

/* The next slot that is handed out; false when there will be none. */
static bool wait_for_slot(mim_schedule *schedule, size_t *n_seen, size_t *slot,
                          int64_t *deadline_ns)
{
    pthread_mutex_lock(&schedule->mutex);
    while (schedule->n_dispatched == *n_seen && !schedule->is_over)
        pthread_cond_wait(&schedule->changed, &schedule->mutex);
    bool is_there = schedule->n_dispatched > *n_seen;
    *n_seen = schedule->n_dispatched;
    *slot = schedule->task_slot;
    *deadline_ns = schedule->deadline_ns;
    pthread_mutex_unlock(&schedule->mutex);
    return is_there;
}

void *mim_row_compat(void *row_thread)
{
    mim_row_thread *self = row_thread;
    mim_schedule *schedule = self->row->schedule;
    walk_state walk = {.self = self, .slot = NO_SLOT, .meter_ns = mim_clock_thread_cpu_ns()};
    mim_row_prepare(self);
    warm_up(&walk);
    if (mim_row_wait_at_gate(self)) {
        size_t n_seen = 0;
        int64_t deadline_ns = 0;
        walk.meter_ns = mim_clock_thread_cpu_ns();
        while (wait_for_slot(schedule, &n_seen, &walk.slot, &deadline_ns)) {
            run_slot(&walk, deadline_ns);
            pthread_mutex_lock(&schedule->mutex);
            schedule->n_returned++;
            pthread_cond_signal(&schedule->returned);
            pthread_mutex_unlock(&schedule->mutex);
        }
    }
    mim_row_tear_down(self);
    return NULL;
}
