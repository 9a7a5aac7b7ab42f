/* The simplest imitation: CPU of each core from one CPU stressor, reads and writes from one I/O
 * stressor each, in closed form from the calibration.
 *
 * For slot i, core c (row c):  w_cpu = (cpu% / 100 - CPU share of the row's I/O), at least 0;
 * for reads and writes: operations/s = wanted bytes/s / device bytes of one operation, spread
 * evenly over the rows, weight = operations/s of a row / full rate of the stressor, at most what is
 * left of the row's 1. */
#ifndef MIM_BASELINE_SINGLE_H
#define MIM_BASELINE_SINGLE_H

#include "node/calibration.h"
#include "plan/plan.h"
#include "trace/series.h"

typedef struct mim_single_options {
    const char *cpu_stressor, *read_stressor, *write_stressor; /* names in the action list */
} mim_single_options;

/* `wanted` is already adapted to the node (trace/adapt.h). n_threads = number of cores in it.
 * Slots where a metric is absent ask for none of it. */
int mim_single_plan(const mim_series *wanted, const mim_calibration *calibration,
                    const mim_actions *actions, const mim_single_options *options, mim_plan **plan);

#endif
