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
#include "node/calibration_fit.h"
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
        printf("%-90s %10.4f %12.1f %10.0f %7.1f%%%s\n", c->costs[i].stressor,
               1e3 * c->costs[i].op_s, c->costs[i].ops_per_s, c->costs[i].bytes_per_s / 1e6,
               100.0 * c->costs[i].spread, c->costs[i].is_unstable ? " unstable" : "");
    printf("all %zu CPUs: reads %.0f KB/s, writes %.0f KB/s (%s, %s)\n", c->n_cpus,
           c->io_read_max_kbs, c->io_write_max_kbs, c->scratch_folder, c->io_mode);
    printf("all %zu CPUs: memory reads %.1f GB/s, writes %.1f GB/s\nstored in %s\n", c->n_cpus,
           c->memory_read_max_gb_s, c->memory_write_max_gb_s, path);
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
    size_t n_unstable = 0;
    for (size_t i = 0; i < j->calibration->n_costs; i++)
        n_unstable += j->calibration->costs[i].is_unstable;
    json_object_set_new(figures, "n_stressors", json_integer((json_int_t)j->calibration->n_costs));
    json_object_set_new(figures, "n_unstable", json_integer((json_int_t)n_unstable));
    json_object_set_new(figures, "io_read_max_kbs", mim_json_real(j->calibration->io_read_max_kbs));
    json_object_set_new(figures, "io_write_max_kbs",
                        mim_json_real(j->calibration->io_write_max_kbs));
    json_object_set_new(figures, "memory_read_max_gb_s",
                        mim_json_real(j->calibration->memory_read_max_gb_s));
    json_object_set_new(figures, "memory_write_max_gb_s",
                        mim_json_real(j->calibration->memory_write_max_gb_s));
    if (mim_args_has(j->args, "json"))
        return mim_summary_print(j->summary, "done", stdout);
    print_calibration(j->calibration, path);
    return MIM_OK;
}

/* ---- check ---- */

static int report_check(const mim_run_job *j, const char *path, bool holds, bool is_known,
                        const char *text)
{
    json_t *figures = mim_summary_figures(j->summary);
    json_object_set_new(figures, "calibration", json_string(path));
    json_object_set_new(figures, "holds", is_known ? json_boolean(holds) : json_null());
    json_object_set_new(figures, "why", *text ? json_string(text) : json_null());
    if (mim_args_has(j->args, "json"))
        return mim_summary_print(j->summary, "done", stdout);
    if (holds)
        printf("%s holds\n", path);
    return MIM_OK;
}

static int check_spots(mim_run_job *j, const mim_calibration_use *use, const char *path)
{
    mim_spot_check check;
    int rc = mim_calibration_spot_check(j->calibration, use, &check);
    if (rc == MIM_OK)
        rc = report_check(j, path, check.verdict == MIM_SPOT_HOLDS,
                          check.verdict != MIM_SPOT_UNKNOWN, check.text);
    if (rc == MIM_OK && check.verdict == MIM_SPOT_UNKNOWN)
        rc = mim_fail(MIM_EUNSUP, "%s: not known whether it holds: %s", path, check.text);
    else if (rc == MIM_OK && check.verdict == MIM_SPOT_CHANGED)
        rc = mim_fail(MIM_ECHECK, "%s no longer holds: %s", path, check.text);
    return rc;
}

/* What was stored for something else, or too long ago, does not hold, whatever can be measured. */
static int check_stored(mim_run_job *j, const char *path)
{
    char text[MIM_DIFFERENCE_BYTES] = "";
    mim_calibrate_options options;
    bool is_stale = false;
    mim_calibrate_options_get(j->config, false, &options);
    options.check_after_h = 0.0; /* that comes after */
    if (access(path, R_OK) != 0)
        return mim_fail(MIM_ECHECK, "%s: no calibration: %s", path, strerror(errno));
    int rc = mim_calibration_read(path, &j->calibration);
    if (rc == MIM_OK)
        rc = mim_run_wait_for_host(j);
    if (rc == MIM_OK)
        rc = mim_run_open_scratch(j);
    if (rc != MIM_OK)
        return rc;
    const mim_calibration_use use = {j->machine, j->scratch, j->actions};
    const bool is_other = mim_calibration_differs(j->calibration, &use, text);
    if (!is_other)
        rc = mim_calibration_is_stale(j->calibration, &use, &options, j->log, &is_stale, text);
    if (rc == MIM_OK && !is_other && !is_stale)
        return check_spots(j, &use, path);
    if (rc == MIM_OK)
        rc = report_check(j, path, false, true, text);
    return rc == MIM_OK ? mim_fail(MIM_ECHECK, "%s no longer holds: %s%s", path,
                                   is_other ? "it is of " : "", text)
                        : rc;
}

int mim_run_calibrate(mim_run_job *j)
{
    char *path = NULL;
    int rc = calibration_path(j, &path);
    if (rc == MIM_OK && mim_args_n(j->args) > 0)
        rc = mim_fail(MIM_EUSAGE, "--calibrate: expected no plan, found %s",
                      mim_args_at(j->args, 0));
    if (rc == MIM_OK && mim_args_has(j->args, "check")) {
        if (mim_args_has(j->args, "dry-run"))
            printf("would see whether %s holds\n", path);
        else
            rc = check_stored(j, path);
        free(path);
        return rc;
    }
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

/* The stored one, unless it speaks of something else or is stale; the log says what differs. A
 * named file is taken as it is. */
static int take_stored(mim_run_job *j, const char *path, bool is_named)
{
    char text[MIM_DIFFERENCE_BYTES];
    mim_calibrate_options options;
    bool is_stale = false;
    mim_calibrate_options_get(j->config, false, &options);
    const mim_calibration_use use = {j->machine, j->scratch, mim_plan_actions(j->plan)};
    int rc = mim_calibration_read(path, &j->calibration);
    if (rc != MIM_OK)
        return rc;
    const bool is_other = mim_calibration_differs(j->calibration, &use, text);
    if (!is_other && !is_named)
        rc = mim_calibration_is_stale(j->calibration, &use, &options, j->log, &is_stale, text);
    if (rc == MIM_OK && (is_other || is_stale))
        mim_log_warn(j->log, "calibration", "%s %s%s", path,
                     is_other ? "is of " : "is stale: ", text);
    if (rc == MIM_OK && (is_other || is_stale) && !is_named)
        mim_calibration_destroy(&j->calibration);
    return rc;
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
        rc = take_stored(j, path, is_named);
    else if (rc == MIM_EUSAGE)
        rc = MIM_OK; /* nowhere to look: measure */
    if (rc == MIM_OK && j->calibration &&
        !mim_calibration_covers(j->calibration, paced, j->scratch)) {
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
        printf("calibration: %s\n",
               j->calibration && mim_calibration_covers(j->calibration, paced, j->scratch)
                   ? path
                   : "none stored, would measure what the plan uses");
    mim_actions_destroy(&paced);
    free(path);
    return rc;
}
