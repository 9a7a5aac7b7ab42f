/* The original's dispatch as numbers and one walk: what `--compat` reproduces, mistakes included.
 *
 * A row's weights become counts of entries: with costs in us and the fixed budget B = 1 s,
 *   total = sum w, r[k] = w[k] / max(total, 1), n[k] = round(r[k] * B / cost[k]), halves away from
 *   0, duty = min(total, 1).
 * The stressors are shuffled once and each stands n[k] times in a row. In a slot every entry gets
 * the same wall-clock slice, duty * slot / sum n, and a pause after it; there is one pass. Hence a
 * stressor gets the share duty * n[k] / sum n, which is w[k] only where all costs are equal;
 * weights that round to nothing give theirs to the others.
 *
 * Stressors whose size depends on the "current duty" of their thread: names with BurstScaled set it
 * to n[k] / 100, WeightScaled to 1; all others keep what the entry before them left, also over
 * slots (a bug of the original's that models trained on its data have seen).
 *
 * Everything here is a pure function of its arguments. Times are whole microseconds, as there. */
#ifndef MIM_NODE_COMPAT_H
#define MIM_NODE_COMPAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "plan/actions.h"

#define MIM_COMPAT_BUDGET_US 1e6
/* The original's slot when none is given. */
#define MIM_COMPAT_SLOT_S 2.0
/* A kernel with a smaller duty sleeps its whole budget. */
#define MIM_COMPAT_LEAST_DUTY 0.005

/* counts: [n]; a cost of 0 never runs. */
void mim_compat_counts(size_t n, const double *weights, const uint32_t *cost_us, uint64_t *counts,
                       double *duty);

/* n entries of one stressor, one after the other. */
typedef struct mim_compat_run {
    size_t column;
    uint64_t n;
    double set_duty; /* what it sets the current duty to; NaN: it does not */
} mim_compat_run;

typedef struct mim_compat_order {
    double duty;
    uint64_t n_entries; /* sum of the runs' n */
    size_t n_runs;
    mim_compat_run *runs;
} mim_compat_order;

/* The order of one row: weights and costs [n of actions]. The shuffle is that of (seed, window,
 * row). Clear frees the runs. */
int mim_compat_order_make(const mim_actions *actions, const double *weights,
                          const uint32_t *cost_us, uint64_t seed, size_t window, size_t row,
                          mim_compat_order *order);
void mim_compat_order_clear(mim_compat_order *order);

/* What an entry gets, and the pause after it, in a slot of which `length_us` are left. */
int64_t mim_compat_active_us(const mim_compat_order *order, int64_t length_us);
int64_t mim_compat_idle_us(const mim_compat_order *order, int64_t length_us);

/* Length of the next slot when `n_done` slots (idle ones too) took `elapsed_us`: late slots shorten
 * it, to half at most; early ones do not lengthen it. (The original multiplies in 32 bits and
 * halves every slot after 71.6 minutes; here it is 64.) */
int64_t mim_compat_next_us(int64_t slot_us, int64_t elapsed_us, uint64_t n_done);

/* Who walks: a thread with real clocks and kernels, or a model of them. */
typedef struct mim_compat_walker {
    void *context;
    int64_t (*now_us)(void *context);
    /* Runs the stressor for the budget; may take longer. `duty` is the current one. */
    void (*run)(void *context, size_t column, int64_t budget_us, double duty);
    void (*sleep)(void *context, int64_t us);
    bool (*is_stopped)(void *context); /* looked at between entries */
} mim_compat_walker;

/* One slot of a row: one pass over its order, until `length_us` are over; an empty order sleeps.
 * `current_duty` is the thread's, 1 at first. */
void mim_compat_walk(const mim_compat_order *order, int64_t length_us, double *current_duty,
                     const mim_compat_walker *walker);

/* Operations (in the sense of mim_work) between two looks at the clock; 0: after every batch. */
uint64_t mim_compat_ops_a_look(const mim_stressor *stressor);

#endif
