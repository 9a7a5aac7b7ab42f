/* mimesys_run --compat: what the original takes for granted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run_job.h"
#include "core/text.h"
#include "node/compat.h"
#include "node/compat_cost.h"

static const char default_list[] = "mimesys_actions.txt";

int mim_run_compat_defaults(mim_run_job *j)
{
    int rc = MIM_OK;
    if (mim_config_bool(j->config, "run.closed_loop"))
        return mim_fail(MIM_EUSAGE, "--compat: the original has no closed loop; expected "
                                    "run.closed_loop = false");
    if (!mim_config_is_set(j->config, "run.idle_slot"))
        rc = mim_config_set_value(j->config, "--compat", "run.idle_slot", "true");
    if (rc == MIM_OK && !mim_config_is_set(j->config, "run.actions") &&
        access(default_list, R_OK) == 0)
        rc = mim_config_set_value(j->config, "--compat", "run.actions", default_list);
    return rc;
}

/* Weights above 0 that become no entry at all. */
static int report_vanished(const mim_run_job *j)
{
    size_t n = mim_plan_n_stressors(j->plan), n_weights = 0, n_vanished = 0;
    uint64_t *counts = calloc(n, sizeof *counts);
    double *weights = calloc(n, sizeof *weights), duty;
    int rc = counts && weights ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu stressors", n);
    for (size_t i = 0;
         rc == MIM_OK && i < mim_plan_n_windows(j->plan) * mim_plan_n_threads(j->plan); i++) {
        const double *row = mim_plan_weights(j->plan, 0, 0) + i * n;
        for (size_t s = 0; s < n; s++)
            weights[s] = (double)(float)row[s];
        mim_compat_counts(n, weights, j->compat_cost_us, counts, &duty);
        for (size_t s = 0; s < n; s++) {
            n_weights += row[s] > 0.0;
            n_vanished += row[s] > 0.0 && counts[s] == 0;
        }
    }
    if (rc == MIM_OK && n_vanished)
        mim_log_info(j->log, "compat",
                     "%zu of %zu weights round to nothing, as with the original; the other "
                     "stressors of their rows get their share",
                     n_vanished, n_weights);
    free(counts);
    free(weights);
    return rc;
}

static int find_costs(const mim_run_job *j, const char *path)
{
    const mim_actions *actions = mim_plan_actions(j->plan);
    size_t n_found = 0;
    if (access(path, F_OK) == 0) {
        int rc = mim_compat_costs_read(path, actions, j->compat_cost_us, &n_found);
        if (rc == MIM_OK && n_found < mim_actions_n(actions))
            mim_log_warn(j->log, "compat",
                         "%s: costs of %zu of %zu stressors; the others never run", path, n_found,
                         mim_actions_n(actions));
        return rc;
    }
    mim_compat_costs_shipped(actions, j->compat_cost_us);
    const char *folder = mim_config_text(j->config, "run.cost_folder");
    if (mim_args_has(j->args, "dry-run") || access(folder, F_OK) != 0)
        return MIM_OK;
    if (mim_compat_costs_write(path, actions, j->compat_cost_us) == MIM_OK)
        mim_log_info(j->log, "compat", "the built-in costs were written to %s", path);
    else /* as the original: it goes on without */
        mim_log_warn(j->log, "compat", "the built-in costs are used: %s", mim_error());
    return MIM_OK;
}

int mim_run_compat_costs(mim_run_job *j)
{
    char *path = mim_join_path(mim_config_text(j->config, "run.cost_folder"), MIM_COMPAT_COST_FILE);
    j->compat_cost_us = calloc(mim_plan_n_stressors(j->plan), sizeof *j->compat_cost_us);
    int rc = path && j->compat_cost_us ? find_costs(j, path) : mim_fail(MIM_ENOMEM, "costs");
    if (rc == MIM_OK)
        rc = report_vanished(j);
    free(path);
    return rc;
}
