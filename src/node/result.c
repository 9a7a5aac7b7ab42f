#include <math.h>
#include <stdlib.h>

#include "core/h5.h"
#include "core/quantile.h"
#include "node/executor.h"

void mim_run_result_destroy(mim_run_result **result)
{
    mim_run_result *r = *result;
    if (!r)
        return;
    free(r->planned_share);
    free(r->share);
    free(r->planned_ops);
    free(r->ops);
    free(r->bytes);
    free(r->start_late_s);
    free(r->overshoot_s);
    free(r->cpu_s);
    free(r->note);
    free(r->failure);
    free(r);
    *result = NULL;
}

double mim_run_result_bytes(const mim_plan *plan, double n_slots)
{
    const double tables_of_cells = 5.0, tables_of_rows = 3.0;
    double rows = (double)mim_plan_n_threads(plan), columns = (double)mim_plan_n_stressors(plan);
    return n_slots * rows * sizeof(double) * (tables_of_cells * columns + tables_of_rows);
}

/* Adds the cells of one row in one slot; gives the row's share error. */
static double add_row(const mim_run_result *r, const mim_plan *plan, size_t cell,
                      mim_run_figures *f, double *ops_due, double *ops_done)
{
    double error = 0.0;
    for (size_t s = 0; s < r->n_stressors; s++) {
        size_t at = cell * r->n_stressors + s;
        const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(plan), s);
        if (stressor && mim_stressor_read_share(stressor) < 1.0) /* NaN: writes no blocks */
            f->written_bytes += r->bytes[at] * (1.0 - mim_stressor_read_share(stressor));
        if (isnan(r->planned_ops[at])) {
            error += fabs(r->share[at] - r->planned_share[at]) / 2.0;
        } else {
            *ops_due += r->planned_ops[at];
            *ops_done += r->ops[at];
        }
    }
    f->cpu_s += r->cpu_s[cell];
    return error;
}

int mim_run_result_figures(const mim_run_result *r, const mim_plan *plan, mim_run_figures *figures)
{
    size_t n = r->n_slots * r->n_rows;
    double due = 0.0, done = 0.0, sum = 0.0;
    mim_run_figures f = {.share_error_mean = NAN, .ops_ratio = NAN, .drift_s = NAN};
    double *errors = malloc((n ? n : 1) * sizeof *errors);
    if (!errors)
        return mim_fail(MIM_ENOMEM, "%zu values", n);
    for (size_t cell = 0; cell < n; cell++) {
        errors[cell] = add_row(r, plan, cell, &f, &due, &done);
        sum += errors[cell];
    }
    int rc = mim_quantile(errors, n, 0.95, &f.share_error_p95);
    free(errors);
    if (rc == MIM_OK)
        rc = mim_quantile(r->overshoot_s, n, 0.99, &f.overshoot_p99);
    if (rc == MIM_OK)
        rc = mim_quantile(r->overshoot_s, n, 1.0, &f.overshoot_max);
    f.overshoot_p99 /= r->slot_s;
    f.overshoot_max /= r->slot_s;
    if (n)
        f.share_error_mean = sum / (double)n;
    for (size_t row = 0; n && row < r->n_rows; row++)
        f.drift_s = fmax(f.drift_s, r->start_late_s[(r->n_slots - 1) * r->n_rows + row]);
    if (due > 0.0)
        f.ops_ratio = done / due;
    if (rc == MIM_OK)
        *figures = f;
    return rc;
}

static int put_cells(mim_h5 *file, const mim_run_result *r)
{
    const size_t shape[3] = {r->n_slots, r->n_rows, r->n_stressors};
    const struct {
        const char *name, *units, *long_name;
        const double *values;
    } tables[] = {
        {"planned_share", "1", "weight in the plan", r->planned_share},
        {"share", "1", "share of the slot that was given", r->share},
        {"planned_ops", "operations", "operations due in the slot", r->planned_ops},
        {"ops", "operations", "operations done", r->ops},
        {"bytes", "B", "bytes moved", r->bytes},
    };
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < sizeof tables / sizeof *tables; i++)
        rc = mim_h5_put_real(file, tables[i].name, 3, shape, tables[i].values, tables[i].units,
                             "slot thread stressor", tables[i].long_name);
    return rc;
}

static int put_rows(mim_h5 *file, const mim_run_result *r)
{
    const size_t shape[2] = {r->n_slots, r->n_rows};
    const struct {
        const char *name, *long_name;
        const double *values;
    } tables[] = {
        {"start_late", "start of work after the slot's begin", r->start_late_s},
        {"overshoot", "end of work after the slot's end", r->overshoot_s},
        {"cpu_time", "CPU time of the thread's stressors", r->cpu_s},
    };
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < sizeof tables / sizeof *tables; i++)
        rc = mim_h5_put_real(file, tables[i].name, 2, shape, tables[i].values, "s", "slot thread",
                             tables[i].long_name);
    return rc;
}

static int put_names(mim_h5 *file, const mim_plan *plan)
{
    size_t n = mim_plan_n_stressors(plan);
    const char **names = calloc(n, sizeof *names);
    if (!names)
        return mim_fail(MIM_ENOMEM, "%zu names", n);
    for (size_t i = 0; i < n; i++)
        names[i] = mim_actions_name(mim_plan_actions(plan), i);
    int rc = mim_h5_put_texts(file, "action_names", n, names, "stressor", "names of the stressors");
    free(names);
    return rc;
}

int mim_run_result_write(const mim_run_result *result, const mim_plan *plan, const char *config,
                         const char *path)
{
    mim_h5 *file = NULL;
    int rc = mim_h5_create(path, "mimesys_run_result", 1, config, &file);
    if (rc == MIM_OK)
        rc = put_cells(file, result);
    if (rc == MIM_OK)
        rc = put_rows(file, result);
    if (rc == MIM_OK)
        rc = put_names(file, plan);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_real(file, NULL, "slot_s", result->slot_s);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "status",
                                       result->is_stopped ? "stopped" : "done");
    if (rc == MIM_OK && result->note)
        rc = mim_h5_put_attribute_text(file, NULL, "note", result->note);
    if (rc == MIM_OK)
        rc = mim_h5_commit(&file);
    mim_h5_destroy(&file);
    return rc;
}
