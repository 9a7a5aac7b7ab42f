#include "node/known_node.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "node/kernel.h"

static bool is_missing(const mim_calibration *calibration, const mim_stressor *stressor,
                       mim_scratch *scratch)
{
    const mim_kernel *kernel = NULL;
    return stressor && stressor->is_paced && !mim_calibration_cost(calibration, stressor->name) &&
           mim_kernel_for(stressor, scratch, &kernel) == MIM_OK;
}

static bool covers(const mim_calibration *calibration, const mim_actions *actions,
                   mim_scratch *scratch)
{
    for (size_t i = 0; i < mim_actions_n(actions); i++)
        if (is_missing(calibration, mim_actions_stressor(actions, i), scratch))
            return false;
    return true;
}

/* What differs between the calibration's machine and scratch and these, NULL if nothing does. */
static const char *difference(const mim_calibration *c, const mim_machine *machine,
                              const mim_actions *actions, const mim_scratch *scratch)
{
    if (strcmp(c->machine_key, machine->key) != 0)
        return "another machine";
    if (strcmp(c->io_mode, mim_scratch_is_direct(scratch) ? "direct" : "buffered") != 0)
        return "another I/O mode";
    if (strcmp(c->scratch_folder, mim_scratch_folder(scratch)) != 0)
        return "another scratch folder";
    if (strcmp(c->sizes, mim_actions_sizes(actions)) != 0)
        return "other working sets (stressors.sizes)";
    return NULL;
}

static int take_named(const char *path, const mim_machine *machine, const mim_actions *actions,
                      mim_scratch *scratch, mim_log *log, mim_calibration **calibration)
{
    mim_calibration *read = NULL;
    int rc = mim_calibration_read(path, &read);
    if (rc == MIM_OK && !covers(read, actions, scratch))
        rc = mim_fail(MIM_EUNSUP, "%s lacks stressors of the action list", path);
    if (rc != MIM_OK) {
        mim_calibration_destroy(&read);
        return rc;
    }
    const char *other = difference(read, machine, actions, scratch);
    if (other)
        mim_log_warn(log, "calibration", "%s is of %s", path, other);
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
        if (is_missing(calibration, mim_actions_stressor(actions, i), scratch))
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

int mim_calibration_obtain(const mim_machine *machine, const mim_actions *actions,
                           mim_scratch *scratch, const mim_calibrate_options *options,
                           const char *path, mim_log *log, mim_calibration **calibration)
{
    char *usual = NULL;
    mim_calibration *made = NULL;
    if (path)
        return take_named(path, machine, actions, scratch, log, calibration);
    int rc = mim_calibration_path_of(machine, mim_actions_sizes(actions), &usual);
    if (rc == MIM_EUSAGE)
        rc = MIM_OK; /* no place to look or to store */
    if (rc == MIM_OK && usual && access(usual, R_OK) == 0)
        rc = mim_calibration_read(usual, &made);
    const char *other = rc == MIM_OK && made ? difference(made, machine, actions, scratch) : NULL;
    if (other) {
        mim_log_warn(log, "calibration", "%s is of %s: measuring this one", usual, other);
        mim_calibration_destroy(&made);
    }
    bool is_new = rc == MIM_OK && (!made || !covers(made, actions, scratch));
    if (is_new)
        mim_log_info(log, "calibration", "measuring %s stressors", made ? "missing" : "all");
    if (is_new)
        rc = made ? complete(machine, actions, scratch, options, log, made)
                  : mim_calibrate(machine, actions, scratch, options, log, &made);
    if (rc == MIM_OK && is_new && (other || !usual))
        mim_log_warn(log, "calibration", "not stored: %s",
                     usual ? "another one is kept there" : "no HOME to keep it in");
    else if (rc == MIM_OK && is_new && store(made, usual) != MIM_OK)
        mim_log_warn(log, "calibration", "not stored: %s", mim_error());
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
