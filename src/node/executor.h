/* The executor: runs a plan on this node and meters what it did.
 *
 * Slot i lasts from start + i*L to start + (i+1)*L on an absolute 64-bit schedule. A worker thread
 * a plan row, pinned to a CPU, gives each CPU or memory stressor weight*L of its own CPU time, in
 * short turns; operations of paced stressors fall due weight * (full rate) times a second and run
 * in a helper thread of the row. Memory is touched and files are written before slot 0. */
#ifndef MIM_NODE_EXECUTOR_H
#define MIM_NODE_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"
#include "core/log.h"
#include "node/calibration.h"
#include "node/machine.h"
#include "node/scratch.h"
#include "plan/plan.h"

typedef struct mim_execute_options {
    double slot_s;
    size_t n_iters;
    bool idle_slot; /* one idle slot after each pass */
    int nice;       /* 0..19 */
    uint64_t seed;
    FILE *stats;     /* stats text goes here, a record at every slot edge; NULL = none */
    const char *job; /* job id in the stats text */
    /* When slot 0 begins, for who starts together with others (another program, other nodes).
     * Called once, when all threads are ready or, with `rc` and its sentence, when set-up failed;
     * gives the instant (mim_clock_mono_ns), or an error (always when `rc` is one), which ends the
     * run before slot 0. NULL: soon. */
    int (*agree_start)(void *context, int rc, int64_t *start_ns);
    void *start_context;
} mim_execute_options;

typedef struct mim_run_result {
    size_t n_slots, n_rows, n_stressors; /* n_slots: slots that ran to their end */
    double slot_s;
    /* [n_slots][n_rows][n_stressors] */
    double *planned_share; /* weight */
    double *share; /* CPU stressors: own CPU time / L; paced ones: operations done/planned * w */
    double *planned_ops; /* paced stressors: operations due in the slot; NaN for CPU ones */
    double *ops;         /* operations done */
    double *bytes;
    /* [n_slots][n_rows] */
    double *start_late_s, *overshoot_s; /* against the absolute schedule, >= 0 */
    double *cpu_s;                      /* CPU time of the row's threads */
    size_t n_failed;  /* stressor instances that failed; their sentences are in the log */
    char *note;       /* e.g. the scratch guard's refusal; NULL if none */
    char *failure;    /* why the stats text could not be written on; NULL if it could */
    long stats_bytes; /* of whole records in the stats text */
    bool is_stopped;  /* by a signal or a failure: n_slots is what was done */
    bool is_verified; /* every used kernel's verification passed */
} mim_run_result;

/* Bytes a result of n_slots takes. */
double mim_run_result_bytes(const mim_plan *plan, double n_slots);

/* Returns MIM_OK also when stopped by a signal or because the stats text could not be written on
 * (is_stopped), with what was done so far. `scratch` may be NULL when no used stressor needs files.
 * `calibration` may be NULL when the plan has no paced stressors. MIM_EUNSUP: a used stressor has
 * no kernel in this build. */
int mim_execute(const mim_plan *plan, const mim_machine *machine,
                const mim_calibration *calibration, mim_scratch *scratch,
                const mim_execute_options *options, mim_log *log, mim_run_result **result);
void mim_run_result_destroy(mim_run_result **result);

/* How well the run kept to its plan. */
typedef struct mim_run_figures {
    double share_error_mean,
        share_error_p95; /* CPU stressors: sum over a row of |share - weight| / 2 */
    double ops_ratio;    /* operations done / due, all paced stressors; NaN when none were due */
    double overshoot_p99, overshoot_max; /* end of work past the slot's end, share of the slot */
    double drift_s;       /* start of the last slot against the absolute schedule, worst row */
    double cpu_s;         /* CPU time of all rows */
    double written_bytes; /* by block I/O stressors; of mixed ones by their ratio */
} mim_run_figures;
int mim_run_result_figures(const mim_run_result *result, const mim_plan *plan,
                           mim_run_figures *figures);

/* HDF5, schema "mimesys_run_result". */
int mim_run_result_write(const mim_run_result *result, const mim_plan *plan, const char *config,
                         const char *path);

#endif
