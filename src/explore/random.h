/* Random plans (spec of the original's collection, 4.8): every window of a chain is drawn alone, so
 * that every slot serves as current and as previous of the next.
 *
 * Window: number of active threads uniform in 1..T, at random places; p_io ~ U(0,1); an active
 * thread is I/O with probability p_io (one stressor of the I/O class), else CPU (K_s uniform in
 * 1..10 distinct stressors, at most the class); budget B ~ U(budget_min, 1); weights Dirichlet(1)
 * * B. With probability `mixed` a thread has both (which the original never tries, but real threads
 * do): a CPU mix and an I/O stressor, B split by a uniform draw. With probability `small_io` an
 * I/O weight is drawn evenly in its logarithm, from a thousandth on (most I/O of real machines is
 * far below what their disks can do). I/O beyond the node's ceiling is scaled down.
 * A plan is a function of (seed, id) and of what the capacity allows, of nothing else. */
#ifndef MIM_EXPLORE_RANDOM_H
#define MIM_EXPLORE_RANDOM_H

#include <stdint.h>

#include "explore/capacity.h"

typedef struct mim_random_options {
    uint64_t seed;
    size_t n_threads;
    size_t n_windows;     /* the idle one included, >= 2 */
    size_t max_stressors; /* of a CPU thread, 0 = 10 */
    double budget_min;    /* [0, 1]: the original's 0.2 */
    double mixed;         /* [0, 1]: the original's 0 */
    double small_io;      /* [0, 1]: the original's 0 */
    bool idle_end;        /* the last window is idle */
    double io_ceiling;    /* share of the device's ceiling that a window may ask for */
} mim_random_options;

/* Origin: {"method": "random", ...}. MIM_EINVAL: options out of range. */
int mim_random_plan(const mim_capacity *capacity, const mim_actions *actions,
                    const mim_random_options *options, uint64_t id, mim_plan **plan);

#endif
