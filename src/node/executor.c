#include "node/executor.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"
#include "node/row.h"
#include "node/sampler.h"

/* From the opened gate to slot 0: every thread is asleep at its first instant by then. */
static const int64_t lead_ns = 50000000;
static const double progress_every_s = 10.0;
/* A signal that comes just before a sleep begins waits at most this long. */
static const int64_t nap_ns = 500000000;

static const char *const extra_types[][2] = {
    {"x_slot", "slot begin_us,E late_us own_cpu_us,E"},
    {"x_thr", "cpu cpu_us,E paced_cpu_us,E"},
    {NULL, NULL},
};

enum { N_SLOT_KEYS = 4, N_THREAD_KEYS = 3 };

typedef struct execution {
    const mim_plan *plan;
    const mim_machine *machine;
    const mim_calibration *calibration;
    mim_scratch *scratch;
    const mim_execute_options *options;
    mim_log *log;
    mim_plan_need need;
    mim_schedule schedule;
    size_t *windows;
    size_t n_rows;
    mim_row_run *rows;
    mim_sampler *sampler;
    mim_sampler_row *sample_rows; /* [1 + n_rows] x_slot and the rows' x_thr */
    uint64_t *sample_cells;       /* [n_rows][N_THREAD_KEYS] */
    char (*sample_devices)[24];   /* [n_rows] */
    mim_run_result *result;
} execution;

/* ---- set-up -----------------------------------------------------------------------------------
 */

static int list_windows(execution *x)
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

static int create_result(execution *x)
{
    size_t slots = x->schedule.n_slots, rows = x->n_rows, columns = mim_plan_n_stressors(x->plan);
    mim_run_result *r = calloc(1, sizeof *r);
    if (!r)
        return mim_fail(MIM_ENOMEM, "run result");
    x->result = r;
    r->n_rows = rows;
    r->n_stressors = columns;
    r->slot_s = x->options->slot_s;
    double **cells[] = {&r->planned_share, &r->share, &r->planned_ops, &r->ops, &r->bytes};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        if (!(*cells[i] = numbers(slots * rows * columns)))
            return mim_fail(MIM_ENOMEM, "run result of %zu slots", slots);
    double **row_cells[] = {&r->start_late_s, &r->overshoot_s, &r->cpu_s};
    for (size_t i = 0; i < sizeof row_cells / sizeof *row_cells; i++)
        if (!(*row_cells[i] = numbers(slots * rows)))
            return mim_fail(MIM_ENOMEM, "run result of %zu slots", slots);
    for (size_t i = 0; i < slots * rows * columns; i++)
        r->planned_ops[i] = NAN; /* stays so for stressors that are not counted in operations */
    return MIM_OK;
}

static int add_instance(execution *x, mim_row_run *row, size_t column)
{
    const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(x->plan), column);
    const char *name = mim_actions_name(mim_plan_actions(x->plan), column);
    const mim_kernel *kernel = NULL;
    int rc = stressor ? mim_kernel_for(stressor, x->scratch, &kernel)
                      : mim_fail(MIM_EUNSUP, "stressor %s: this build has no kernel for it", name);
    if (rc != MIM_OK)
        return rc;
    mim_row_thread *thread = stressor->is_paced ? &row->helper : &row->worker;
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

static int create_row(execution *x, size_t r)
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
    mim_row_thread *threads[] = {&row->worker, &row->helper};
    for (size_t t = 0; t < 2; t++) {
        threads[t]->row = row;
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

static int start_threads(execution *x, size_t *n_started)
{
    int rc = MIM_OK;
    for (size_t r = 0; rc == MIM_OK && r < x->n_rows; r++) {
        rc = start_thread(&x->rows[r].worker, mim_row_worker);
        *n_started += rc == MIM_OK;
        if (rc == MIM_OK && x->rows[r].helper.n_instances) {
            rc = start_thread(&x->rows[r].helper, mim_row_helper);
            *n_started += rc == MIM_OK;
        }
    }
    return rc;
}

static int first_error(const execution *x)
{
    for (size_t r = 0; r < x->n_rows; r++) {
        const mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++)
            if (threads[t]->rc != MIM_OK)
                return mim_fail(threads[t]->rc, "%s", threads[t]->error);
    }
    return MIM_OK;
}

static void wait_until_ready(execution *x, size_t n_started)
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
static int pass_gate(execution *x, int rc, size_t n_started)
{
    mim_schedule *s = &x->schedule;
    int64_t start_ns = 0;
    wait_until_ready(x, n_started);
    if (rc == MIM_OK)
        rc = first_error(x);
    if (rc == MIM_OK && mim_signals_stop())
        rc = mim_fail(MIM_ESTOPPED, "stopped by a signal before the first slot");
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

/* ---- the run ----------------------------------------------------------------------------------
 */

static int create_sampler(execution *x)
{
    if (!x->options->stats)
        return MIM_OK;
    x->sample_rows = calloc(1 + x->n_rows, sizeof *x->sample_rows);
    x->sample_cells = calloc(x->n_rows, N_THREAD_KEYS * sizeof *x->sample_cells);
    x->sample_devices = calloc(x->n_rows, sizeof *x->sample_devices);
    char *machine = mim_format("%s, %zu CPUs used, key %s", x->machine->cpu_model,
                               x->machine->n_cpus, x->machine->key);
    if (!x->sample_rows || !x->sample_cells || !x->sample_devices || !machine) {
        free(machine);
        return mim_fail(MIM_ENOMEM, "sampler");
    }
    for (size_t r = 0; r < x->n_rows; r++) {
        snprintf(x->sample_devices[r], sizeof x->sample_devices[r], "%zu", r);
        x->sample_rows[1 + r] = (mim_sampler_row){"x_thr", x->sample_devices[r], N_THREAD_KEYS,
                                                  x->sample_cells + r * N_THREAD_KEYS};
    }
    const mim_sampler_options options = {
        .job = x->options->job, .machine = machine, .extra_types = extra_types};
    int rc = mim_sampler_create(&options, &x->sampler);
    if (rc == MIM_OK)
        rc = mim_sampler_header(x->sampler);
    free(machine);
    return rc;
}

/* The record at the edge where slot i begins (and slot i - 1 ended). */
static int sample_edge(execution *x, size_t i)
{
    if (!x->sampler)
        return MIM_OK;
    for (size_t r = 0; r < x->n_rows; r++) {
        uint64_t *cells = x->sample_cells + r * N_THREAD_KEYS;
        cells[0] = (uint64_t)x->rows[r].cpu;
        cells[1] = (uint64_t)atomic_load(&x->rows[r].worker.cpu_ns) / 1000;
        cells[2] = (uint64_t)atomic_load(&x->rows[r].helper.cpu_ns) / 1000;
    }
    char mark[64];
    if (i == 0)
        snprintf(mark, sizeof mark, "begin %s", x->options->job ? x->options->job : "-");
    else
        snprintf(mark, sizeof mark, "slot %zu", i - 1);
    int64_t edge_ns = x->schedule.start_ns + (int64_t)i * x->schedule.slot_ns;
    int64_t late_ns = mim_clock_mono_ns() - edge_ns;
    const uint64_t slot[N_SLOT_KEYS] = {i, (uint64_t)(edge_ns / 1000),
                                        late_ns > 0 ? (uint64_t)late_ns / 1000 : 0,
                                        (uint64_t)(mim_clock_process_cpu_ns() / 1000)};
    x->sample_rows[0] = (mim_sampler_row){"x_slot", "-", N_SLOT_KEYS, slot};
    int rc = mim_sampler_take(x->sampler, mark, 1 + x->n_rows, x->sample_rows);
    if (rc == MIM_OK)
        rc = mim_sampler_flush(x->sampler, x->options->stats);
    if (rc == MIM_OK)
        x->result->stats_bytes = ftell(x->options->stats);
    return rc;
}

/* A record that cannot be written ends the run, not what was measured before it. */
static int keep_failure(execution *x)
{
    x->result->is_stopped = true;
    x->result->failure = mim_strdup(mim_error());
    return x->result->failure ? MIM_OK : mim_fail(MIM_ENOMEM, "run result");
}

/* Sleeps from edge to edge; counts the slots that ran to their end. */
static int coordinate(execution *x)
{
    mim_schedule *s = &x->schedule;
    mim_progress *progress = NULL;
    int rc = mim_progress_create(x->log, "run", s->n_slots, progress_every_s, &progress);
    for (size_t i = 0; rc == MIM_OK && i <= s->n_slots; i++) {
        int64_t edge_ns = s->start_ns + (int64_t)i * s->slot_ns;
        for (int64_t now; (now = mim_clock_mono_ns()) < edge_ns && !mim_signals_stop();)
            mim_clock_sleep_until(edge_ns - now > nap_ns ? now + nap_ns : edge_ns);
        if (mim_signals_stop()) {
            x->result->is_stopped = true;
            break;
        }
        if (sample_edge(x, i) != MIM_OK) {
            rc = keep_failure(x);
            break;
        }
        x->result->n_slots = i;
        mim_progress_step(progress, i);
    }
    if (rc != MIM_OK || x->result->is_stopped)
        atomic_store(&s->is_stopped, true);
    mim_progress_destroy(&progress);
    return rc;
}

static void join_threads(execution *x)
{
    for (size_t r = 0; r < x->n_rows; r++) {
        mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++)
            if (threads[t]->is_started)
                pthread_join(threads[t]->thread, NULL);
    }
}

/* What the two threads of a row kept apart; failures and refusals. */
static int gather(execution *x)
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

static void destroy_execution(execution *x)
{
    for (size_t r = 0; x->rows && r < x->n_rows; r++) {
        mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++) {
            free(threads[t]->instances);
            free(threads[t]->slot_cpu_s);
            free(threads[t]->slot_overshoot_s);
        }
    }
    free(x->rows);
    free(x->windows);
    free(x->sample_rows);
    free(x->sample_cells);
    free(x->sample_devices);
    mim_plan_need_clear(&x->need);
    mim_sampler_destroy(&x->sampler);
    mim_run_result_destroy(&x->result);
    pthread_mutex_destroy(&x->schedule.mutex);
    pthread_cond_destroy(&x->schedule.changed);
}

int mim_execute(const mim_plan *plan, const mim_machine *machine,
                const mim_calibration *calibration, mim_scratch *scratch,
                const mim_execute_options *options, mim_log *log, mim_run_result **result)
{
    execution x = {.plan = plan,
                   .machine = machine,
                   .calibration = calibration,
                   .scratch = scratch,
                   .options = options,
                   .log = log,
                   .n_rows = mim_plan_n_threads(plan)};
    size_t n_started = 0;
    pthread_mutex_init(&x.schedule.mutex, NULL);
    pthread_cond_init(&x.schedule.changed, NULL);
    x.schedule.slot_ns = (int64_t)llround(options->slot_s * 1e9);
    int rc = mim_plan_needs(plan, &x.need);
    if (rc == MIM_OK)
        rc = list_windows(&x);
    if (rc == MIM_OK)
        rc = create_result(&x);
    if (rc == MIM_OK && !(x.rows = calloc(x.n_rows, sizeof *x.rows)))
        rc = mim_fail(MIM_ENOMEM, "%zu plan rows", x.n_rows);
    for (size_t r = 0; rc == MIM_OK && r < x.n_rows; r++)
        rc = create_row(&x, r);
    if (rc == MIM_OK)
        rc = create_sampler(&x);
    if (rc == MIM_OK) {
        rc = start_threads(&x, &n_started);
        rc = pass_gate(&x, rc, n_started);
        if (rc == MIM_OK)
            rc = coordinate(&x);
        join_threads(&x);
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
