/* The simulated node: a run, slot after slot, and what is told of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/signals.h"
#include "node/simulated_constants.h"
#include "node/simulated_internal.h"

/* Results are refused above this. */
static const double max_result_bytes = 2e9;

typedef struct run {
    const mim_simulated *node;
    const mim_simulated_task *task;
    size_t first, n_windows, n_pass, n_slots; /* n_pass: slots of a pass */
    mim_simulated_work work;
    mim_series *series;
    mim_run_result *result;
    mim_simulated_text *text;
} run;

/* ---- set-up ---------------------------------------------------------------------------------- */

static int count_slots(run *x)
{
    const mim_simulated_task *task = x->task;
    if (!(task->slot_s >= 0.01 && task->slot_s <= 86400) || task->n_iters < 1)
        return mim_fail(MIM_EINVAL,
                        "simulated run: slots of %g s, %zu passes: expected 0.01 to "
                        "86400 s, 1 or more",
                        task->slot_s, task->n_iters);
    x->first = mim_plan_first_window(task->plan);
    x->n_windows = mim_plan_n_windows(task->plan) - x->first;
    x->n_pass = x->n_windows + (task->idle_slot ? 1 : 0);
    if (__builtin_mul_overflow(x->n_pass, task->n_iters, &x->n_slots) || x->n_slots > UINT32_MAX)
        return mim_fail(MIM_EUNSUP, "simulated run: %zu passes of %zu slots are too many",
                        task->n_iters, x->n_pass);
    return MIM_OK;
}

static int check_stressors(const mim_plan *plan, const mim_simulated_work *work)
{
    for (size_t s = 0; s < work->n_columns; s++)
        for (size_t w = 0; !work->effects[s].is_known && w < mim_plan_n_windows(plan); w++)
            for (size_t r = 0; r < work->n_rows; r++)
                if (mim_plan_weights(plan, w, r)[s] > 0)
                    return mim_fail(MIM_EUNSUP, "stressor %s: not in the catalogue",
                                    mim_actions_name(mim_plan_actions(plan), s));
    return MIM_OK;
}

static int create_result(run *x)
{
    const size_t rows = x->work.n_rows, cells = x->n_slots * rows * x->work.n_columns;
    if (mim_run_result_bytes(x->task->plan, (double)x->n_slots) > max_result_bytes)
        return mim_fail(MIM_EUNSUP, "simulated run: the result of %zu slots takes more than %g GB",
                        x->n_slots, 1e-9 * max_result_bytes);
    mim_run_result *r = x->result = calloc(1, sizeof *r);
    if (!r)
        return mim_fail(MIM_ENOMEM, "run result");
    r->n_slots = x->n_slots;
    r->n_rows = rows;
    r->n_stressors = x->work.n_columns;
    r->slot_s = x->task->slot_s;
    r->is_verified = true;
    double **of_cells[] = {&r->planned_share, &r->share, &r->planned_ops, &r->ops, &r->bytes};
    for (size_t i = 0; i < sizeof of_cells / sizeof *of_cells; i++)
        if (!(*of_cells[i] = calloc(cells ? cells : 1, sizeof(double))))
            return mim_fail(MIM_ENOMEM, "run result of %zu slots", x->n_slots);
    double **of_rows[] = {&r->start_late_s, &r->overshoot_s, &r->cpu_s};
    for (size_t i = 0; i < sizeof of_rows / sizeof *of_rows; i++)
        if (!(*of_rows[i] = calloc(x->n_slots * rows, sizeof(double))))
            return mim_fail(MIM_ENOMEM, "run result of %zu slots", x->n_slots);
    return MIM_OK;
}

static int create_series(run *x)
{
    const mim_simulated *node = x->node;
    int rc = mim_series_allocate(x->n_slots, node->n_metrics, node->name, &x->series);
    if (rc == MIM_OK)
        memcpy(x->series->metrics, node->metrics, node->n_metrics * sizeof *node->metrics);
    for (size_t i = 0; rc == MIM_OK && i < x->n_slots; i++) {
        x->series->start_s[i] = MIM_SIMULATED_EPOCH_S + (double)i * x->task->slot_s;
        x->series->length_s[i] = x->task->slot_s;
    }
    if (rc == MIM_OK)
        x->series->n_records = x->n_slots + 1;
    return rc;
}

/* ---- what is told of a slot ------------------------------------------------------------------ */

static double sum(size_t n, const double *values)
{
    double all = 0;
    for (size_t i = 0; i < n; i++)
        all += values[i];
    return all;
}

/* values: [n_metrics]. The formulas of trace/series, for growth instead of counters. */
static void fill_metrics(const mim_simulated *node, const mim_simulated_slot *slot, double *values)
{
    double *others = values + node->n_cpus;
    const double s = slot->slot_s, percent = 100 / (node->peak_bytes_per_s * s);
    for (size_t i = 0; i < node->n_cpus; i++)
        values[i] = 100 * slot->busy[i];
    others[MIM_SIMULATED_IO_READ] = slot->disk_read_bytes / MIM_SIMULATED_KIB / s;
    others[MIM_SIMULATED_IO_WRITE] = slot->disk_write_bytes / MIM_SIMULATED_KIB / s;
    others[MIM_SIMULATED_L3] = 1e-6 * sum(node->n_sockets, slot->lookups) / s;
    others[MIM_SIMULATED_READ_BANDWIDTH] = percent * sum(node->n_sockets, slot->read_bytes);
    others[MIM_SIMULATED_WRITE_BANDWIDTH] = percent * sum(node->n_sockets, slot->write_bytes);
    others[MIM_SIMULATED_IPC] =
        sum(node->n_cpus, slot->instructions) / sum(node->n_cpus, slot->cycles);
    others[MIM_SIMULATED_LLC_KB] = sum(node->n_sockets, slot->llc_bytes) / MIM_SIMULATED_KIB;
    others[MIM_SIMULATED_MISSES] = sum(node->n_cpus, slot->misses) / s;
}

/* window SIZE_MAX: the idle slot. */
static void fill_cell(const run *x, size_t window, size_t row, size_t s, size_t cell)
{
    const mim_simulated_effect *e = &x->work.effects[s];
    mim_run_result *r = x->result;
    const double weight = window == SIZE_MAX ? 0 : mim_plan_weights(x->task->plan, window, row)[s];
    const double granted = weight > 0 ? mim_simulated_granted(&x->work, row, s) : 0;
    r->planned_share[cell] = weight;
    r->share[cell] = weight * granted;
    r->planned_ops[cell] = NAN;
    if (e->is_paced) {
        r->planned_ops[cell] = weight * e->ops_per_s * x->task->slot_s;
        r->ops[cell] = granted * r->planned_ops[cell];
        r->bytes[cell] = r->ops[cell] * e->op_bytes;
    } else {
        r->ops[cell] = r->share[cell] * x->task->slot_s * e->ops_per_s;
        r->bytes[cell] = r->share[cell] * x->task->slot_s * e->bytes_per_s;
    }
}

static void fill_result(const run *x, size_t number, size_t window)
{
    const mim_simulated_slot *slot = &x->work.slot;
    for (size_t row = 0; row < x->work.n_rows; row++) {
        const size_t at = number * x->work.n_rows + row;
        x->result->cpu_s[at] = (slot->row_cpu[row] + slot->row_paced_cpu[row]) * slot->slot_s;
        for (size_t s = 0; s < x->work.n_columns; s++)
            fill_cell(x, window, row, s, at * x->work.n_columns + s);
    }
}

static int run_slot(run *x, size_t number)
{
    const size_t place = number % x->n_pass;
    const size_t window = place < x->n_windows ? x->first + place : SIZE_MAX;
    mim_simulated_slot_run(&x->work, window, x->task->slot_s);
    if (x->result)
        fill_result(x, number, window);
    if (x->node->options.has_noise)
        mim_simulated_noise(x->node, x->task->plan_id, number, &x->work.slot);
    if (x->series)
        fill_metrics(x->node, &x->work.slot, x->series->values + number * x->series->n_metrics);
    return x->text ? mim_simulated_text_edge(x->text, number + 1, &x->work.slot) : MIM_OK;
}

int mim_simulated_run(const mim_simulated *node, const mim_simulated_task *task,
                      const mim_simulated_outputs *outputs)
{
    run x = {.node = node, .task = task};
    int rc = count_slots(&x);
    if (rc == MIM_OK)
        rc = mim_simulated_work_create(node, task->plan, &x.work);
    if (rc == MIM_OK)
        rc = check_stressors(task->plan, &x.work);
    if (rc == MIM_OK && outputs->series)
        rc = create_series(&x);
    if (rc == MIM_OK && outputs->result)
        rc = create_result(&x);
    if (rc == MIM_OK && outputs->stats)
        rc = mim_simulated_text_create(node, task, outputs->stats, &x.text);
    if (rc == MIM_OK && x.text)
        rc = mim_simulated_text_edge(x.text, 0, NULL);
    for (size_t i = 0; rc == MIM_OK && i < x.n_slots; i++)
        rc = mim_signals_stop() ? mim_fail(MIM_ESTOPPED,
                                           "stopped by a signal in simulated slot "
                                           "%zu",
                                           i)
                                : run_slot(&x, i);
    if (rc == MIM_OK && outputs->series) {
        *outputs->series = x.series;
        x.series = NULL;
    }
    if (rc == MIM_OK && outputs->result) {
        *outputs->result = x.result;
        x.result = NULL;
    }
    mim_series_destroy(&x.series);
    mim_run_result_destroy(&x.result);
    mim_simulated_text_destroy(&x.text);
    mim_simulated_work_clear(&x.work);
    return rc;
}
