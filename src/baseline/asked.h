/* What a plan asks of the calibrated node: the figures its weights stand for, before anything runs.
 *
 * CPU of a row: 100 * (weights of stressors that take CPU time + for paced ones weight * full rate
 * * CPU time per operation). Reads and writes: sum of weight * full rate * device bytes per
 * operation. An estimate: stressors are taken to be independent, as they were calibrated alone. */
#ifndef MIM_BASELINE_ASKED_H
#define MIM_BASELINE_ASKED_H

#include "node/calibration.h"
#include "plan/plan.h"

typedef struct mim_asked {
    size_t n_slots, n_rows;
    double *cpu_percent;          /* [n_slots][n_rows] */
    double *read_kbs, *write_kbs; /* [n_slots] */
} mim_asked;

/* MIM_EUNSUP: a paced stressor in use is not in the calibration. */
int mim_asked_create(const mim_plan *plan, const mim_calibration *calibration, mim_asked **asked);
void mim_asked_destroy(mim_asked **asked);

#endif
