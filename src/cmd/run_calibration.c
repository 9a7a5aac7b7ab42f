/* mimesys_run's turn on the host, scratch folder and calibration: --calibrate, and what a run needs
 * of it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/run_job.h"
#include "core/atomic_file.h"
#include "core/text.h"
#include "node/host_lock.h"
#include "node/kernel.h"
#include "node/settings.h"

static const char *scratch_folder(const mim_run_job *j)
{
    const char *folder = mim_config_text(j->config, "scratch.folder");
    return *folder ? folder : "/var/tmp";
}

int mim_run_wait_for_host(mim_run_job *j)
{
    const double wait_s = mim_config_real(j->config, "run.wait_s");
    const int rc = mim_host_lock_obtain(wait_s, j->log, &j->host_fd);
    return rc == MIM_EUNSUP ? mim_fail_in(rc, "gave up after run.wait_s = %g s", wait_s) : rc;
}

int mim_run_open_scratch(mim_run_job *j)
{
    mim_scratch_options options;
    mim_scratch_options_get(j->config, &j->limits, &options);
    int rc = mim_scratch_create(&options, &j->scratch);
    if (rc == MIM_OK && mim_scratch_is_memory(j->scratch))
        mim_log_warn(j->log, "scratch",
                     "%s is in memory: I/O stressors will cause no block I/O; set scratch.folder",
                     options.folder);
    return rc;
}

static int calibration_path(const mim_run_job *j, char **path)
{
    const char *named = mim_args_value(j->args, "calibration");
    if (!named)
        return mim_calibration_path_of(j->machine, mim_actions_sizes(j->actions), path);
    *path = mim_strdup(named);
    return *path ? MIM_OK : mim_fail(MIM_ENOMEM, "%s", named);
}

/* ---- calibrate --------------------------------------------------------------------------------
 */

static int measure(mim_run_job *j, const mim_actions *actions, bool has_ceilings)
{
    mim_calibrate_options options;
    mim_calibrate_options_get(j->config, has_ceilings, &options);
    return mim_calibrate(j->machine, actions, j->scratch, &options, j->log, &j->calibration);
}

static void print_calibration(const mim_calibration *c, const char *path)
{
    printf("%-90s %10s %12s %10s %8s\n", "stressor", "op ms", "full op/s", "MB/s", "spread");
    for (size_t i = 0; i < c->n_costs; i++)
        printf("%-90s %10.4f %12.1f %10.0f %7.1f%%\n", c->costs[i].stressor, 1e3 * c->costs[i].op_s,
               c->costs[i].ops_per_s, c->costs[i].bytes_per_s / 1e6, 100.0 * c->costs[i].spread);
    printf("all %zu CPUs: reads %.0f KB/s, writes %.0f KB/s (%s, %s)\nstored in %s\n", c->n_cpus,
           c->io_read_max_kbs, c->io_write_max_kbs, c->scratch_folder, c->io_mode, path);
}

/* A calibration is bounded like a run. */
static int check_calibration_limits(const mim_run_job *j)
{
    mim_plan_need need = {0};
    size_t n = mim_actions_n(j->actions);
    for (size_t i = 0; i < n; i++) { /* one after the other: the largest counts */
        const mim_stressor *stressor = mim_actions_stressor(j->actions, i);
        if (stressor && stressor->memory_bytes > need.memory_bytes)
            need.memory_bytes = stressor->memory_bytes;
        if (stressor && stressor->shared_file_bytes > need.scratch_bytes)
            need.scratch_bytes = stressor->shared_file_bytes;
    }
    double seconds = (double)n * mim_config_real(j->config, "calibrate.seconds_each") + 2.0;
    return mim_limits_check(&j->limits, j->machine, &need, seconds);
}

/* Makes the folder; refuses to replace a file that is no calibration. */
static int check_destination(const char *path)
{
    mim_calibration *old = NULL;
    mim_atomic_file *probe = NULL;
    char *folder = mim_strdup(path);
    int rc = folder ? MIM_OK : mim_fail(MIM_ENOMEM, "%s", path);
    if (rc == MIM_OK && strchr(path, '/')) {
        *strrchr(folder, '/') = 0;
        rc = *folder ? mim_make_folder(folder) : MIM_OK;
    }
    free(folder);
    struct stat status;
    if (rc == MIM_OK && stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        rc = mim_calibration_read(path, &old);
        mim_calibration_destroy(&old);
        if (rc == MIM_EDATA)
            rc = mim_fail_in(rc, "not replaced, as it holds no calibration");
    }
    if (rc == MIM_OK)
        rc = mim_atomic_file_open(path, &probe);
    mim_atomic_file_destroy(&probe);
    return rc;
}

static int report_calibration(const mim_run_job *j, const char *path)
{
    json_t *figures = mim_summary_figures(j->summary);
    json_object_set_new(figures, "calibration", json_string(path));
    json_object_set_new(figures, "n_stressors", json_integer((json_int_t)j->calibration->n_costs));
    json_object_set_new(figures, "io_read_max_kbs", mim_json_real(j->calibration->io_read_max_kbs));
    json_object_set_new(figures, "io_write_max_kbs",
                        mim_json_real(j->calibration->io_write_max_kbs));
    if (mim_args_has(j->args, "json"))
        return mim_summary_print(j->summary, "done", stdout);
    print_calibration(j->calibration, path);
    return MIM_OK;
}

int mim_run_calibrate(mim_run_job *j)
{
    char *path = NULL;
    int rc = calibration_path(j, &path);
    if (rc == MIM_OK && mim_args_n(j->args) > 0)
        rc = mim_fail(MIM_EUSAGE, "--calibrate: expected no plan, found %s",
                      mim_args_at(j->args, 0));
    if (rc == MIM_OK)
        rc = check_calibration_limits(j);
    if (rc == MIM_OK && mim_args_has(j->args, "dry-run")) {
        printf("would measure %zu stressors on %s and store %s\n", mim_actions_n(j->actions),
               j->machine->cpu_model, path);
        free(path);
        return MIM_OK;
    }
    if (rc == MIM_OK)
        rc = check_destination(path);
    if (rc == MIM_OK)
        rc = mim_run_wait_for_host(j);
    if (rc == MIM_OK)
        rc = mim_run_open_scratch(j);
    if (rc == MIM_OK)
        rc = measure(j, j->actions, true);
    if (rc == MIM_OK)
        rc = mim_calibration_write(j->calibration, path);
    if (rc == MIM_OK)
        rc = report_calibration(j, path);
    free(path);
    return rc;
}

/* ---- for a run ---- */

/* The plan's paced stressors as a list; NULL when there are none. MIM_EUNSUP when this node cannot
 * run one of them. */
static int paced_actions(const mim_run_job *j, mim_actions **paced)
{
    int rc = MIM_OK;
    const mim_kernel *kernel = NULL;
    size_t n = mim_plan_n_stressors(j->plan), n_paced = 0;
    size_t *columns = calloc(n, sizeof *columns);
    if (!columns)
        return mim_fail(MIM_ENOMEM, "%zu columns", n);
    for (size_t s = 0; rc == MIM_OK && s < n; s++) {
        bool is_used = false;
        const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(j->plan), s);
        for (size_t t = 0; t < mim_plan_n_threads(j->plan); t++)
            is_used = is_used || j->need.uses[t * n + s];
        if (is_used && stressor && stressor->is_paced) {
            rc = mim_kernel_for(stressor, j->scratch, &kernel);
            columns[n_paced++] = s;
        }
    }
    if (rc == MIM_OK && n_paced > 0)
        rc = mim_actions_subset(mim_plan_actions(j->plan), n_paced, columns, paced);
    free(columns);
    return rc;
}

static bool covers(const mim_calibration *calibration, const mim_actions *actions)
{
    for (size_t i = 0; i < mim_actions_n(actions); i++)
        if (!mim_calibration_cost(calibration, mim_actions_name(actions, i)))
            return false;
    return true;
}

/* Whether the calibration speaks of this machine and this scratch; the log says what differs. */
static bool fits(const mim_run_job *j, const mim_calibration *c, const char *path)
{
    const char *mode = j->scratch && mim_scratch_is_direct(j->scratch) ? "direct" : "buffered";
    const char *folder = j->scratch ? mim_scratch_folder(j->scratch) : c->scratch_folder;
    if (strcmp(c->machine_key, j->machine->key) != 0)
        mim_log_warn(j->log, "calibration", "%s is of machine %s, this is %s", path, c->machine_key,
                     j->machine->key);
    else if (j->scratch && strcmp(c->io_mode, mode) != 0)
        mim_log_warn(j->log, "calibration", "%s is of %s I/O, this run's is %s", path, c->io_mode,
                     mode);
    else if (strcmp(c->scratch_folder, folder) != 0)
        mim_log_warn(j->log, "calibration", "%s is of scratch folder %s, this run's is %s", path,
                     c->scratch_folder, folder);
    else if (strcmp(c->sizes, mim_actions_sizes(j->actions)) != 0)
        mim_log_warn(j->log, "calibration", "%s is of working sets of sizes %s, this run's are %s",
                     path, c->sizes, mim_actions_sizes(j->actions));
    else
        return true;
    return false;
}

int mim_run_get_calibration(mim_run_job *j)
{
    char *path = NULL;
    mim_actions *paced = NULL;
    int rc = paced_actions(j, &paced);
    if (rc != MIM_OK || !paced)
        return rc;
    bool is_named = mim_args_has(j->args, "calibration");
    rc = calibration_path(j, &path);
    if (rc == MIM_OK && (is_named || access(path, R_OK) == 0))
        rc = mim_calibration_read(path, &j->calibration);
    else if (rc == MIM_EUSAGE)
        rc = MIM_OK; /* nowhere to look: measure */
    if (rc == MIM_OK && j->calibration && !fits(j, j->calibration, path) && !is_named)
        mim_calibration_destroy(&j->calibration);
    if (rc == MIM_OK && j->calibration && !covers(j->calibration, paced)) {
        mim_log_warn(j->log, "calibration", "%s lacks stressors of the plan", path);
        mim_calibration_destroy(&j->calibration);
    }
    if (rc == MIM_OK && !j->calibration) {
        mim_log_info(j->log, "calibration",
                     "measuring %zu I/O stressors for this run; --calibrate would keep it",
                     mim_actions_n(paced));
        rc = measure(j, paced, false);
    }
    mim_actions_destroy(&paced);
    free(path);
    return rc;
}

int mim_run_look_ahead(mim_run_job *j)
{
    char *path = NULL;
    mim_actions *paced = NULL;
    struct stat status;
    const char *folder = scratch_folder(j);
    bool is_named = mim_args_has(j->args, "calibration");
    if (j->need.scratch_bytes > 0 && (stat(folder, &status) != 0 || access(folder, W_OK) != 0))
        return mim_fail(MIM_EIO, "scratch folder %s: %s", folder, strerror(errno));
    int rc = paced_actions(j, &paced);
    if (rc == MIM_OK && paced && calibration_path(j, &path) == MIM_OK &&
        (is_named || access(path, R_OK) == 0))
        rc = mim_calibration_read(path, &j->calibration);
    if (rc == MIM_OK && paced)
        printf("calibration: %s\n", j->calibration && covers(j->calibration, paced)
                                        ? path
                                        : "none stored, would measure what the plan uses");
    mim_actions_destroy(&paced);
    free(path);
    return rc;
}
