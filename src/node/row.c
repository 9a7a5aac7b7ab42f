#define _GNU_SOURCE /* gettid */
#include "node/row.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"
#include "node/pin.h"

enum {
    TIMER_SLACK_NS = 1000,
    MAX_NAP_NS = 50000000, /* so that a stop request is seen soon */
};

void mim_row_keep_error(mim_row_thread *self, int rc)
{
    if (self->rc == MIM_OK) {
        self->rc = rc;
        snprintf(self->error, sizeof self->error, "row %zu: %.200s", self->row->row, mim_error());
    }
}

static void settle(const mim_row_run *row)
{
    mim_signals_block();
    /* A refused pin or priority costs accuracy, not correctness: go on. */
    mim_pin(row->cpu);
    setpriority(PRIO_PROCESS, (id_t)gettid(), row->nice);
    prctl(PR_SET_TIMERSLACK, (unsigned long)TIMER_SLACK_NS, 0UL, 0UL, 0UL);
}

static int create_instances(mim_row_thread *self)
{
    mim_row_run *row = self->row;
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        if (atomic_load(&row->schedule->is_stopped))
            break; /* the gate tells */
        const mim_kernel_place place = {
            .row = row->row, .cpu = row->cpu, .scratch = row->scratch, .seed = row->seed};
        int rc = in->kernel->create(in->stressor, &place, &in->state);
        if (rc != MIM_OK)
            return mim_fail_in(rc, "%s", in->stressor->name);
    }
    return MIM_OK;
}

void mim_row_prepare(mim_row_thread *self)
{
    settle(self->row);
    int rc = create_instances(self);
    if (rc != MIM_OK)
        mim_row_keep_error(self, rc);
}

bool mim_row_wait_at_gate(mim_row_thread *self)
{
    mim_schedule *schedule = self->row->schedule;
    pthread_mutex_lock(&schedule->mutex);
    schedule->n_ready++;
    pthread_cond_broadcast(&schedule->changed);
    while (!schedule->is_open && !schedule->is_cancelled)
        pthread_cond_wait(&schedule->changed, &schedule->mutex);
    bool is_go = schedule->is_open;
    pthread_mutex_unlock(&schedule->mutex);
    return is_go;
}

void mim_row_operate(mim_row_thread *self, mim_instance *in, size_t n, mim_work *work)
{
    int rc = in->kernel->run(in->state, n, work);
    if (rc == MIM_OK)
        return;
    in->is_failed = true;
    in->is_refused = rc == MIM_EUNSUP;
    if (!in->is_refused) {
        rc = mim_fail_in(rc, "%s", in->stressor->name);
        mim_row_keep_error(self, rc);
    }
}

double mim_row_weight(const mim_row_run *row, size_t slot, const mim_instance *in)
{
    size_t window = row->schedule->windows[slot];
    return window == SIZE_MAX ? 0.0 : mim_plan_weights(row->plan, window, row->row)[in->column];
}

/* One writer: others only look. */
static void add(atomic_llong *sum, int64_t n)
{
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void mim_row_add(mim_row_thread *self, size_t slot, const mim_instance *in, const mim_work *work,
                 double cpu_ns, double wall_ns)
{
    mim_run_result *r = self->row->result;
    size_t cell = mim_row_cell(self->row, slot, in->column);
    r->ops[cell] += (double)work->n_ops;
    r->bytes[cell] += (double)work->n_bytes;
    r->stressor_cpu_s[cell] += cpu_ns * 1e-9;
    r->stressor_wall_s[cell] += wall_ns * 1e-9;
    add(&self->use.n_ops, (int64_t)work->n_ops);
    add(&self->use.n_bytes, (int64_t)work->n_bytes);
    add(&self->use.cpu_ns, (int64_t)cpu_ns);
}

void mim_row_note(mim_row_thread *self)
{
    mim_row_use *use = &self->use;
    struct rusage now;
    int cpu = sched_getcpu();
    if (cpu >= 0)
        atomic_store_explicit(&use->cpu, cpu, memory_order_relaxed);
    if (getrusage(RUSAGE_THREAD, &now) != 0)
        return;
    atomic_store_explicit(&use->n_switches, now.ru_nvcsw, memory_order_relaxed);
    atomic_store_explicit(&use->n_forced_switches, now.ru_nivcsw, memory_order_relaxed);
    atomic_store_explicit(&use->n_faults, now.ru_minflt, memory_order_relaxed);
    atomic_store_explicit(&use->n_major_faults, now.ru_majflt, memory_order_relaxed);
}

void mim_row_end_slot(mim_row_thread *self, size_t slot)
{
    mim_row_note(self);
    atomic_store_explicit(&self->n_done, slot + 1, memory_order_release);
}

bool mim_row_sleep_to(const mim_row_run *row, int64_t instant_ns)
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

int64_t mim_row_slot_begin_ns(const mim_row_run *row, size_t slot)
{
    return row->schedule->start_ns + (int64_t)slot * row->schedule->slot_ns;
}

void mim_row_tear_down(mim_row_thread *self)
{
    for (size_t i = 0; i < self->n_instances; i++) {
        mim_instance *in = &self->instances[i];
        if (!in->state)
            continue;
        if (self->rc == MIM_OK && !in->is_failed && in->kernel->verify) {
            int rc = in->kernel->verify(in->state);
            if (rc != MIM_OK) {
                rc = mim_fail_in(rc, "%s", in->stressor->name);
                mim_row_keep_error(self, rc);
            }
        }
        in->kernel->destroy(in->state);
        in->state = NULL;
    }
}

size_t mim_row_slot_cell(const mim_row_run *row, size_t slot)
{
    return slot * row->result->n_rows + row->row;
}

size_t mim_row_cell(const mim_row_run *row, size_t slot, size_t column)
{
    return mim_row_slot_cell(row, slot) * row->result->n_stressors + column;
}
