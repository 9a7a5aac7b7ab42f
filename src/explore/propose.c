#include "explore/propose.h"

#include <math.h>

int mim_propose(const mim_proposer *proposer, uint64_t id, mim_plan **plan, uint32_t *round)
{
    double share = proposer->sweep_share;
    if (!(share >= 0 && share <= 1))
        return mim_fail(MIM_EINVAL, "share of the sweep %g: expected 0 to 1", share);
    double number = floor((double)id * share);
    bool is_sweep = floor(((double)id + 1) * share) > number &&
                    number < (double)mim_sweep_n_plans(proposer->capacity, &proposer->sweep);
    int rc = is_sweep ? mim_sweep_plan(proposer->capacity, proposer->actions, &proposer->sweep,
                                       (size_t)number, plan)
                      : mim_random_plan(proposer->capacity, proposer->actions, &proposer->random,
                                        id, plan);
    if (rc == MIM_OK)
        *round = is_sweep ? MIM_ROUND_SWEEP : MIM_ROUND_RANDOM;
    return rc;
}
