#include <stdlib.h>

#include "core/h5.h"
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
    free(r);
    *result = NULL;
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
