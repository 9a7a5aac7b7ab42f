/* Which plan an id stands for: part of the ids is the one-hot sweep until that is complete, the
 * rest are random chains. The two are interleaved, so that a collection that ends early has seen
 * both, and an id means the same whatever the number of plans asked for. */
#ifndef MIM_EXPLORE_PROPOSE_H
#define MIM_EXPLORE_PROPOSE_H

#include "explore/random.h"
#include "explore/sweep.h"

typedef struct mim_proposer {
    const mim_capacity *capacity;
    const mim_actions *actions;
    mim_sweep_options sweep;
    mim_random_options random;
    double sweep_share; /* [0, 1] of the ids while the sweep lasts */
} mim_proposer;

/* Round of collection, as stored with the results. */
enum { MIM_ROUND_SWEEP = 0, MIM_ROUND_RANDOM = 1 };

int mim_propose(const mim_proposer *proposer, uint64_t id, mim_plan **plan, uint32_t *round);

#endif
