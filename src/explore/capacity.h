/* What proposals may ask of a node: which stressors it can run, and its I/O ceilings. */
#ifndef MIM_EXPLORE_CAPACITY_H
#define MIM_EXPLORE_CAPACITY_H

#include <stdbool.h>
#include <stddef.h>

#include "node/calibration.h"
#include "plan/plan.h"

typedef struct mim_capacity {
    size_t n_stressors; /* of the action list */
    bool *is_usable;    /* has a kernel here and, when paced, a measured rate */
    /* Classes of the random sampler: what is paced counts as I/O (memory bursts too). */
    size_t n_cpu, n_io;
    size_t *cpu, *io;    /* [n_cpu], [n_io] columns of usable stressors, rising */
    double *io_fraction; /* [n_stressors] share of the device's ceiling at weight 1; 0 for others */
} mim_capacity;

/* `calibration` may be NULL: then no paced stressor is usable. Ceilings that are not known do not
 * bound. MIM_EUNSUP when no stressor of the list is usable. */
int mim_capacity_create(const mim_actions *actions, const mim_calibration *calibration,
                        mim_capacity **capacity);
void mim_capacity_destroy(mim_capacity **capacity);

/* Sum over threads of weight * io_fraction: 1 = the device is full, by reads, writes or both. */
double mim_capacity_io(const mim_capacity *capacity, const mim_plan *plan, size_t window);
/* Scales the I/O weights of a window down to `ceiling` where they ask for more. */
void mim_capacity_cap(const mim_capacity *capacity, mim_plan *plan, size_t window, double ceiling);

#endif
