/* Inverse distance weighting: each slot gets the mean of the actions of the k nearest training
 * samples, weighted by 1 / distance (Shepard 1968, power 1; a distance below 1e-8 counts as that).
 * Distances are those of baseline/nearest.h. A mean of rows that sum to at most 1 does so, too. */
#ifndef MIM_BASELINE_IDW_H
#define MIM_BASELINE_IDW_H

#include "baseline/nearest.h"

enum { MIM_IDW_NEIGHBOURS = 5 }; /* the usual k */

/* `wanted` and errors as in mim_nearest_plan. With k = 1 it is the nearest neighbour. */
int mim_idw_plan(const mim_nearest *nearest, const mim_series *wanted, size_t k, mim_plan **plan);

#endif
