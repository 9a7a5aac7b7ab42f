#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"
#include "node/executor_internal.h"
#include "node/pin.h"

/* From the opened gate to slot 0: every thread is asleep at its first instant by then. */
static const int64_t lead_ns = 50000000;

/* ---- set-up -----------------------------------------------------------------------------------
 */

static int list_windows(mim_execution *x)
{
    size_t first = mim_plan_first_window(x->plan), n = mim_plan_n_windows(x->plan);
    size_t pass = n - first + (x->options->idle_slot ? 1 : 0);
    x->schedule.n_slots = pass * x->options->n_iters;
    x->windows = calloc(x->schedule.n_slots, sizeof *x->windows);
    if (!x->windows)
        return mim_fail(MIM_ENOMEM, "%zu slots", x->schedule.n_slots);
    for (size_t i = 0; i < x->schedule.n_slots; i++)
        x->windows[i] = i % pass < n - first ? first + i % pass : SIZE_MAX;
    x->schedule.windows = x->windows;
    return MIM_OK;
}

static double *numbers(size_t n) { return calloc(n ? n : 1, sizeof(double)); }

static int create_result(mim_execution *x)
{
    size_t slots = x->schedule.n_slots, rows = x->n_rows, columns = mim_plan_n_stressors(x->plan);
    mim_run_result *r = calloc(1, sizeof *r);
    if (!r)
        return mim_fail(MIM_ENOMEM, "run result");
    x->result = r;
    if (x->options->contained && !(r->contained = mim_strdup(x->options->contained)))
        return mim_fail(MIM_ENOMEM, "run result");
    r->n_rows = rows;
    r->n_stressors = columns;
    r->slot_s = x->options->slot_s;
    double **cells[] = {&r->planned_share, &r->share,          &r->planned_ops,    &r->ops,
                        &r->bytes,         &r->stressor_cpu_s, &r->stressor_wall_s};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        if (!(*cells[i] = numbers(slots * rows * columns)))
            return mim_fail(MIM_ENOMEM, "run result of %zu slots", slots);
    double **row_cells[] = {&r->start_late_s, &r->overshoot_s, &r->cpu_s, &r->others_share};
    for (size_t i = 0; i < sizeof row_cells / sizeof *row_cells; i++)
        if (!(*row_cells[i] = numbers(slots * rows)))
            return mim_fail(MIM_ENOMEM, "run result of %zu slots", slots);
    if (!(r->slot_windows = calloc(slots ? slots : 1, sizeof *r->slot_windows)))
        return mim_fail(MIM_ENOMEM, "run result of %zu slots", slots);
    memcpy(r->slot_windows, x->windows, slots * sizeof *r->slot_windows);
    double **slot_cells[] = {&r->slot_begin_s, &r->slot_length_s};
    for (size_t i = 0; i < sizeof slot_cells / sizeof *slot_cells; i++)
        if (!(*slot_cells[i] = numbers(slots)))
            return mim_fail(MIM_ENOMEM, "run result of %zu slots", slots);
    for (size_t i = 0; i < slots * rows * columns; i++)
        r->planned_ops[i] = NAN; /* stays so for stressors that are not counted in operations */
    for (size_t i = 0; i < slots * rows; i++)
        r->others_share[i] = NAN;
    return MIM_OK;
}

static int add_instance(mim_execution *x, mim_row_run *row, size_t column)
{
    const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(x->plan), column);
    const char *name = mim_actions_name(mim_plan_actions(x->plan), column);
    const mim_kernel *kernel = NULL;
    int rc = stressor ? mim_kernel_for(stressor, x->scratch, &kernel)
                      : mim_fail(MIM_EUNSUP, "stressor %s: this build has no kernel for it", name);
    if (rc != MIM_OK)
        return rc;
    bool is_apart = stressor->is_paced && !x->options->is_compat;
    mim_row_thread *thread = is_apart ? &row->helper : &row->worker;
    mim_instance *in = &thread->instances[thread->n_instances];
    in->column = column;
    in->stressor = stressor;
    in->kernel = kernel;
    if (stressor->is_paced) {
        const mim_cost *cost =
            x->calibration ? mim_calibration_cost(x->calibration, stressor->name) : NULL;
        if (!cost || !(cost->ops_per_s > 0.0))
            return mim_fail(MIM_EUNSUP, "stressor %s: not in the calibration of this machine",
                            name);
        in->full_ops_per_s = cost->ops_per_s;
        in->phase = 0.5; /* the count of a short run is rounded, not cut */
    }
    thread->n_instances++;
    return MIM_OK;
}

/* As the original: what runs in the slot, in its order, as column:entries. */
static void log_order(const mim_execution *x, size_t window, size_t row,
                      const mim_compat_order *order)
{
    char text[512] = "";
    size_t n = 0;
    for (size_t r = 0; r < order->n_runs && n + 1 < sizeof text; r++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu:%llu", r ? " " : "",
                              order->runs[r].column, (unsigned long long)order->runs[r].n);
    mim_log_debug(x->log, "compat", "window=%zu row=%zu duty=%.4f order=%s", window, row,
                  order->duty, text);
}

/* The original's order of every window that runs. Its weights are 32-bit floats. */
static int create_orders(mim_execution *x, mim_row_run *row)
{
    const mim_actions *actions = mim_plan_actions(x->plan);
    size_t n = mim_plan_n_stressors(x->plan);
    double *weights = numbers(n);
    uint32_t *cost_us = calloc(n, sizeof *cost_us);
    row->orders = calloc(mim_plan_n_windows(x->plan), sizeof *row->orders);
    int rc =
        weights && cost_us && row->orders ? MIM_OK : mim_fail(MIM_ENOMEM, "orders of a plan row");
    if (rc == MIM_OK)
        mim_compat_costs_shipped(actions, cost_us);
    for (size_t w = mim_plan_first_window(x->plan); rc == MIM_OK && w < mim_plan_n_windows(x->plan);
         w++) {
        for (size_t i = 0; i < n; i++)
            weights[i] = (double)(float)mim_plan_weights(x->plan, w, row->row)[i];
        rc = mim_compat_order_make(
            actions, weights, x->options->compat_cost_us ? x->options->compat_cost_us : cost_us,
            x->options->seed, w, row->row, &row->orders[w]);
        if (rc == MIM_OK)
            log_order(x, w, row->row, &row->orders[w]);
    }
    free(cost_us);
    free(weights);
    return rc;
}

static int create_row(mim_execution *x, size_t r)
{
    mim_row_run *row = &x->rows[r];
    size_t columns = mim_plan_n_stressors(x->plan), slots = x->schedule.n_slots;
    row->row = r;
    row->cpu = x->machine->cpus[r % x->machine->n_cpus].os_index;
    row->nice = x->options->nice;
    row->plan = x->plan;
    row->schedule = &x->schedule;
    row->scratch = x->scratch;
    row->seed = x->options->seed;
    row->result = x->result;
    row->n_cpus = x->machine->n_cpus;
    row->current_duty = 1.0;
    row->warm_up_s = x->options->compat_warm_up_s;
    mim_row_thread *threads[] = {&row->worker, &row->helper};
    for (size_t t = 0; t < 2; t++) {
        threads[t]->row = row;
        threads[t]->use.cpu = row->cpu;
        threads[t]->instances = calloc(columns, sizeof *threads[t]->instances);
        threads[t]->slot_cpu_s = numbers(slots);
        threads[t]->slot_overshoot_s = numbers(slots);
        if (!threads[t]->instances || !threads[t]->slot_cpu_s || !threads[t]->slot_overshoot_s)
            return mim_fail(MIM_ENOMEM, "plan row %zu", r);
    }
    int rc = MIM_OK;
    for (size_t column = 0; rc == MIM_OK && column < columns; column++)
        if (x->need.uses[r * columns + column])
            rc = add_instance(x, row, column);
    if (rc == MIM_OK && x->options->is_compat)
        rc = create_orders(x, row);
    return rc;
}

static int start_thread(mim_row_thread *thread, void *(*body)(void *))
{
    int error = pthread_create(&thread->thread, NULL, body, thread);
    if (error)
        return mim_fail(MIM_EIO, "plan row %zu: thread: %s", thread->row->row, strerror(error));
    thread->is_started = true;
    return MIM_OK;
}

static int start_threads(mim_execution *x, size_t *n_started)
{
    int rc = MIM_OK;
    for (size_t r = 0; rc == MIM_OK && r < x->n_rows; r++) {
        rc = start_thread(&x->rows[r].worker,
                          x->options->is_compat ? mim_row_compat : mim_row_worker);
        *n_started += rc == MIM_OK;
        if (rc == MIM_OK && x->rows[r].helper.n_instances) {
            rc = start_thread(&x->rows[r].helper, mim_row_helper);
            *n_started += rc == MIM_OK;
        }
    }
    return rc;
}

static int first_error(const mim_execution *x)
{
    for (size_t r = 0; r < x->n_rows; r++) {
        const mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++)
            if (threads[t]->rc != MIM_OK)
                return mim_fail(threads[t]->rc, "%s", threads[t]->error);
    }
    return MIM_OK;
}

static void wait_until_ready(mim_execution *x, size_t n_started)
{
    mim_schedule *s = &x->schedule;
    pthread_mutex_lock(&s->mutex);
    while (s->n_ready < n_started) {
        struct timespec until; /* looks for signals meanwhile: set-up may take long */
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&s->changed, &s->mutex, &until);
        if (mim_signals_stop())
            atomic_store(&s->is_stopped, true);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* Waits for all started threads to be ready, then lets them run or sends them home. */
static int pass_gate(mim_execution *x, int rc, size_t n_started)
{
    mim_schedule *s = &x->schedule;
    int64_t start_ns = 0;
    wait_until_ready(x, n_started);
    if (rc == MIM_OK)
        rc = first_error(x);
    if (rc == MIM_OK && mim_signals_stop())
        rc = mim_fail(MIM_ESTOPPED,
                      "stopped by a signal before the first slot; nothing was measured");
    if (x->options->agree_start)
        rc = x->options->agree_start(x->options->start_context, rc, &start_ns);
    else
        start_ns = mim_clock_mono_ns() + lead_ns;
    pthread_mutex_lock(&s->mutex);
    s->start_ns = start_ns;
    s->is_open = rc == MIM_OK;
    s->is_cancelled = !s->is_open;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void join_threads(mim_execution *x)
{
    for (size_t r = 0; r < x->n_rows; r++) {
        mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++)
            if (threads[t]->is_started)
                pthread_join(threads[t]->thread, NULL);
    }
}

/* What the two threads of a row kept apart; failures and refusals. */
static int gather(mim_execution *x)
{
    mim_run_result *result = x->result;
    bool is_verified = true;
    for (size_t r = 0; r < x->n_rows; r++) {
        const mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++) {
            for (size_t slot = 0; slot < x->schedule.n_slots; slot++) {
                size_t cell = slot * x->n_rows + r;
                result->cpu_s[cell] += threads[t]->slot_cpu_s[slot];
                result->overshoot_s[cell] =
                    fmax(result->overshoot_s[cell], threads[t]->slot_overshoot_s[slot]);
            }
            for (size_t i = 0; i < threads[t]->n_instances; i++)
                result->n_failed +=
                    threads[t]->instances[i].is_failed && !threads[t]->instances[i].is_refused;
            if (threads[t]->rc != MIM_OK)
                mim_log_warn(x->log, "executor", "%s", threads[t]->error);
            is_verified = is_verified && threads[t]->rc != MIM_ECHECK;
        }
    }
    result->is_verified = is_verified && result->n_failed == 0;
    const char *refusal = x->scratch ? mim_scratch_refusal(x->scratch) : NULL;
    if (refusal && !(result->note = mim_strdup(refusal)))
        return mim_fail(MIM_ENOMEM, "run result");
    return MIM_OK;
}

static void destroy_row(mim_execution *x, mim_row_run *row)
{
    mim_row_thread *threads[] = {&row->worker, &row->helper};
    for (size_t t = 0; t < 2; t++) {
        free(threads[t]->instances);
        free(threads[t]->slot_cpu_s);
        free(threads[t]->slot_overshoot_s);
    }
    for (size_t w = 0; row->orders && w < mim_plan_n_windows(x->plan); w++)
        mim_compat_order_clear(&row->orders[w]);
    free(row->orders);
}

static void destroy_execution(mim_execution *x)
{
    for (size_t r = 0; x->rows && r < x->n_rows; r++)
        destroy_row(x, &x->rows[r]);
    free(x->rows);
    free(x->windows);
    mim_plan_need_clear(&x->need);
    mim_execution_close_sampler(x);
    mim_execution_close_watch(x);
    mim_run_result_destroy(&x->result);
    pthread_mutex_destroy(&x->schedule.mutex);
    pthread_cond_destroy(&x->schedule.changed);
    pthread_cond_destroy(&x->schedule.returned);
}

/* Everything but threads. */
static int set_up(mim_execution *x)
{
    int rc = mim_plan_needs(x->plan, &x->need);
    if (rc == MIM_OK)
        rc = list_windows(x);
    if (rc == MIM_OK)
        rc = create_result(x);
    if (rc == MIM_OK && !(x->rows = calloc(x->n_rows, sizeof *x->rows)))
        rc = mim_fail(MIM_ENOMEM, "%zu plan rows", x->n_rows);
    for (size_t r = 0; rc == MIM_OK && r < x->n_rows; r++)
        rc = create_row(x, r);
    if (rc == MIM_OK)
        rc = mim_execution_open_sampler(x);
    if (rc == MIM_OK)
        rc = mim_execution_open_watch(x);
    return rc;
}

/* Keeps the calling thread on the CPUs that carry no row with work; false if there are none. */
static bool settle_aside(const mim_execution *x)
{
    const mim_machine *machine = x->machine;
    size_t n = mim_plan_n_stressors(x->plan), n_spare = 0;
    mim_cpu *spare = calloc(machine->n_cpus, sizeof *spare);
    for (size_t i = 0; spare && i < machine->n_cpus; i++) {
        bool is_loaded = false;
        for (size_t r = i; r < x->n_rows; r += machine->n_cpus)
            for (size_t s = 0; s < n; s++)
                is_loaded = is_loaded || x->need.uses[r * n + s];
        if (!is_loaded)
            spare[n_spare++] = machine->cpus[i];
    }
    if (n_spare)
        mim_pin_any(n_spare, spare);
    free(spare);
    return n_spare > 0;
}

int mim_execute(const mim_plan *plan, const mim_machine *machine,
                const mim_calibration *calibration, mim_scratch *scratch,
                const mim_execute_options *options, mim_log *log, mim_run_result **result)
{
    mim_execution x = {.plan = plan,
                       .machine = machine,
                       .calibration = calibration,
                       .scratch = scratch,
                       .options = options,
                       .log = log,
                       .n_rows = mim_plan_n_threads(plan)};
    size_t n_started = 0;
    if (!(options->loop_gain >= 0.0 && options->loop_gain <= 1.0) ||
        (options->loop_gain > 0.0 && options->is_compat))
        return mim_fail(MIM_EINVAL, "closed loop: gain %g, expected 0 to 1, 0 with --compat",
                        options->loop_gain);
    pthread_mutex_init(&x.schedule.mutex, NULL);
    pthread_cond_init(&x.schedule.changed, NULL);
    pthread_cond_init(&x.schedule.returned, NULL);
    x.schedule.slot_ns = (int64_t)llround(options->slot_s * 1e9);
    int rc = set_up(&x);
    if (rc == MIM_OK) {
        rc = start_threads(&x, &n_started);
        bool is_aside = settle_aside(&x);
        rc = pass_gate(&x, rc, n_started);
        if (rc == MIM_OK)
            rc = options->is_compat ? mim_execution_run_compat(&x) : mim_execution_run(&x);
        join_threads(&x);
        if (is_aside)
            mim_unpin(machine);
        mim_execution_end_watch(&x);
    }
    if (rc == MIM_OK)
        rc = gather(&x);
    if (rc == MIM_OK) {
        *result = x.result;
        x.result = NULL;
    }
    destroy_execution(&x);
    return rc;
}
