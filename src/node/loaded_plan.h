/* A plan as this node will run it: read, sized, its length known, within the node's ceilings. */
#ifndef MIM_NODE_LOADED_PLAN_H
#define MIM_NODE_LOADED_PLAN_H

#include <stdbool.h>

#include "core/log.h"
#include "node/limits.h"

typedef struct mim_plan_pace {
    double slot_s;       /* 0: what the plan says, else usual_slot_s */
    double usual_slot_s; /* > 0 */
    size_t n_iters;
    bool idle_slot;        /* one after each pass */
    size_t n_runs;         /* that there may be, >= 1 */
    double before_s;       /* what goes before each of them */
    bool has_any_row_sums; /* rows may exceed 1 (mim_plan_read_any) */
} mim_plan_pace;

typedef struct mim_loaded_plan {
    mim_plan *plan;
    mim_plan_need need; /* with the memory that the results take */
    double slot_s;
    double duration_s; /* of one run */
    double longest_s;  /* all runs that there may be, and what goes before them */
} mim_loaded_plan;

/* `actions`: of plans that do not name theirs. `node`: what it makes of stressors. `limits` NULL:
 * nothing is checked. The log is told when threads will have to share CPUs. MIM_EUSAGE: slots too
 * short; MIM_EUNSUP: beyond a ceiling; else as mim_plan_read. */
int mim_loaded_plan_read(const char *path, const mim_actions *actions, const mim_actions_node *node,
                         const mim_plan_pace *pace, const mim_machine *machine,
                         const mim_limits *limits, mim_log *log, mim_loaded_plan *loaded);
void mim_loaded_plan_clear(mim_loaded_plan *loaded);

#endif
