#include "node/known_node.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "node/calibration_fit.h"

static int take_named(const char *path, const mim_calibration_use *use, const mim_actions *actions,
                      const mim_calibrate_options *options, mim_log *log,
                      mim_calibration **calibration)
{
    char text[MIM_DIFFERENCE_BYTES];
    mim_calibration *read = NULL;
    int rc = mim_calibration_read(path, &read);
    if (rc == MIM_OK && !mim_calibration_covers(read, actions, use->scratch))
        rc = mim_fail(MIM_EUNSUP, "%s lacks stressors of the action list", path);
    if (rc != MIM_OK) {
        mim_calibration_destroy(&read);
        return rc;
    }
    const double age_days = mim_calibration_age_days(read);
    if (mim_calibration_differs(read, use, text))
        mim_log_warn(log, "calibration", "%s is of %s", path, text);
    else if (options->max_age_days > 0.0 && !(age_days <= options->max_age_days))
        mim_log_warn(log, "calibration", "%s was measured %.0f days ago", path, age_days);
    *calibration = read;
    return MIM_OK;
}

static int store(const mim_calibration *calibration, const char *path)
{
    char *folder = mim_strdup(path);
    if (!folder)
        return mim_fail(MIM_ENOMEM, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    int rc = slash && *folder ? mim_make_folder(folder) : MIM_OK;
    free(folder);
    return rc == MIM_OK ? mim_calibration_write(calibration, path) : rc;
}

/* Adds what the list has and the calibration lacks. */
static int complete(const mim_machine *machine, const mim_actions *actions, mim_scratch *scratch,
                    const mim_calibrate_options *options, mim_log *log,
                    mim_calibration *calibration)
{
    mim_calibrate_options own = *options;
    mim_actions *missing = NULL;
    mim_calibration *more = NULL;
    mim_cost *costs = NULL;
    size_t n = mim_actions_n(actions), n_missing = 0;
    size_t *columns = calloc(n, sizeof *columns);
    int rc = columns ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu columns", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        if (mim_calibration_is_missing(calibration, mim_actions_stressor(actions, i), scratch))
            columns[n_missing++] = i;
    own.has_ceilings = false;
    if (rc == MIM_OK)
        rc = mim_actions_subset(actions, n_missing, columns, &missing);
    if (rc == MIM_OK)
        rc = mim_calibrate(machine, missing, scratch, &own, log, &more);
    if (rc == MIM_OK) {
        costs = realloc(calibration->costs, (calibration->n_costs + more->n_costs) * sizeof *costs);
        rc = costs ? MIM_OK : mim_fail(MIM_ENOMEM, "calibration");
    }
    if (rc == MIM_OK) {
        memcpy(costs + calibration->n_costs, more->costs, more->n_costs * sizeof *costs);
        calibration->costs = costs;
        calibration->n_costs += more->n_costs;
    }
    free(columns);
    mim_actions_destroy(&missing);
    mim_calibration_destroy(&more);
    return rc;
}

/* The stored one if it can be used as it is; what is wrong with it otherwise. */
typedef struct stored {
    mim_calibration *calibration; /* NULL: measure all */
    bool is_kept;                 /* of something else: not to be replaced */
} stored;

static int look_up(const char *path, const mim_calibration_use *use,
                   const mim_calibrate_options *options, mim_log *log, stored *found)
{
    char text[MIM_DIFFERENCE_BYTES];
    bool is_stale = false;
    if (!path || access(path, R_OK) != 0)
        return MIM_OK;
    int rc = mim_calibration_read(path, &found->calibration);
    if (rc != MIM_OK)
        return rc;
    found->is_kept = mim_calibration_differs(found->calibration, use, text);
    if (!found->is_kept)
        rc = mim_calibration_is_stale(found->calibration, use, options, log, &is_stale, text);
    if (rc == MIM_OK && (found->is_kept || is_stale))
        mim_log_warn(log, "calibration", "%s %s%s: measuring %s", path,
                     found->is_kept ? "is of " : "is stale: ", text,
                     found->is_kept ? "this one" : "anew");
    if (rc != MIM_OK || found->is_kept || is_stale)
        mim_calibration_destroy(&found->calibration);
    return rc;
}

/* What is not stored must be measured again: a reason to say so, not to end. */
static void keep(const mim_calibration *calibration, const char *path, bool is_kept, mim_log *log)
{
    if (!path || is_kept)
        mim_log_warn(log, "calibration", "not stored: %s",
                     path ? "another one is kept there" : "no HOME to keep it in");
    else if (store(calibration, path) != MIM_OK)
        mim_log_warn(log, "calibration", "not stored: %s", mim_error());
}

int mim_calibration_obtain(const mim_machine *machine, const mim_actions *actions,
                           mim_scratch *scratch, const mim_calibrate_options *options,
                           const char *path, mim_log *log, mim_calibration **calibration)
{
    const mim_calibration_use use = {machine, scratch, actions};
    char *usual = NULL;
    stored found = {NULL, false};
    if (path)
        return take_named(path, &use, actions, options, log, calibration);
    int rc = mim_calibration_path_of(machine, mim_actions_sizes(actions), &usual);
    if (rc == MIM_EUSAGE)
        rc = MIM_OK; /* no place to look or to store */
    if (rc == MIM_OK)
        rc = look_up(usual, &use, options, log, &found);
    mim_calibration *made = found.calibration;
    const bool is_new = rc == MIM_OK && (!made || !mim_calibration_covers(made, actions, scratch));
    if (is_new)
        mim_log_info(log, "calibration", "measuring %s stressors", made ? "missing" : "all");
    if (is_new)
        rc = made ? complete(machine, actions, scratch, options, log, made)
                  : mim_calibrate(machine, actions, scratch, options, log, &made);
    if (rc == MIM_OK && is_new)
        keep(made, usual, found.is_kept, log);
    free(usual);
    if (rc == MIM_OK) {
        *calibration = made;
        made = NULL;
    }
    mim_calibration_destroy(&made);
    return rc;
}

char *mim_host_class(const mim_machine *machine, const mim_calibration *calibration)
{
    const bool is_by_node = calibration && strcmp(calibration->sizes, "node") == 0;
    return mim_format(
        "%s; %zu CPUs, %zu sockets; caches %llu/%llu/%llu KiB; %s I/O; /proc metrics%s",
        machine->cpu_model, machine->n_cpus, machine->n_sockets,
        (unsigned long long)machine->l1d_bytes / 1024, (unsigned long long)machine->l2_bytes / 1024,
        (unsigned long long)machine->l3_bytes / 1024, calibration ? calibration->io_mode : "no",
        is_by_node ? "; working sets by node" : "");
}
