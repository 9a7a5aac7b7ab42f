/* One-hot sweep (round 0 of collection): every stressor alone, on 1 to T threads, at each weight.
 *
 * The points (stressor, number of threads, weight) stand in an order shuffled by the seed and are
 * cut into chains, so that every slot serves as current and as previous of the next. Which of the
 * T threads are used is drawn too. Spec: uniform sweep of the newer generations, S * T * |weights|.
 * A plan is a function of (seed, number) and of what the capacity allows, of nothing else. */
#ifndef MIM_EXPLORE_SWEEP_H
#define MIM_EXPLORE_SWEEP_H

#include <stdint.h>

#include "explore/capacity.h"

typedef struct mim_sweep_options {
    uint64_t seed;
    size_t n_threads;      /* of a plan */
    size_t n_windows;      /* of a plan, the idle one included, >= 2 */
    size_t n_weights;      /* >= 1 */
    const double *weights; /* [n_weights] in (0, 1] */
    size_t n_counts;       /* thread counts to try, spread over 1..T; 0 = all */
    bool idle_end;         /* the last window is idle: passes begin alike, and idling is measured */
    double io_ceiling;     /* share of the device's ceiling that a window may ask for */
} mim_sweep_options;

extern const double mim_sweep_weights[4]; /* 0.25, 0.5, 0.75, 1 */

size_t mim_sweep_n_points(const mim_capacity *capacity, const mim_sweep_options *options);
size_t mim_sweep_n_plans(const mim_capacity *capacity, const mim_sweep_options *options);

/* number: 0 to mim_sweep_n_plans - 1; the last plan is filled up with points of the first. Origin:
 * {"method": "sweep", ...}. MIM_EINVAL: options or number out of range. */
int mim_sweep_plan(const mim_capacity *capacity, const mim_actions *actions,
                   const mim_sweep_options *options, size_t number, mim_plan **plan);

#endif
