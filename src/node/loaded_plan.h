/* A plan as this node will run it: read, its length known, within the node's ceilings. */
#ifndef MIM_NODE_LOADED_PLAN_H
#define MIM_NODE_LOADED_PLAN_H

#include <stdbool.h>

#include "core/log.h"
#include "node/limits.h"

typedef struct mim_plan_pace {
    double slot_s; /* 0: what the plan says, else 1 */
    size_t n_iters;
    bool idle_slot; /* one after each pass */
} mim_plan_pace;

typedef struct mim_loaded_plan {
    mim_plan *plan;
    mim_plan_need need; /* with the memory that the results take */
    double slot_s, duration_s;
} mim_loaded_plan;

/* `actions`: of plans that do not name theirs. The log is told when threads will have to share
 * CPUs. MIM_EUSAGE: slots too short; MIM_EUNSUP: beyond a ceiling; else as mim_plan_read. */
int mim_loaded_plan_read(const char *path, const mim_actions *actions, const mim_plan_pace *pace,
                         const mim_machine *machine, const mim_limits *limits, mim_log *log,
                         mim_loaded_plan *loaded);
void mim_loaded_plan_clear(mim_loaded_plan *loaded);

#endif
