/* Ceilings on what a run may take from the machine; checked before anything is touched. */
#ifndef MIM_NODE_LIMITS_H
#define MIM_NODE_LIMITS_H

#include <stdint.h>

#include "core/config.h"
#include "core/error.h"
#include "node/machine.h"
#include "plan/plan.h"

/* Options of section [limits]. */
extern const mim_option mim_limits_options[];

typedef struct mim_limits {
    size_t max_cpus;            /* 0 = all that this process may use */
    uint64_t max_memory_bytes;  /* 0 = half of what is available now */
    uint64_t max_written_bytes; /* scratch writes of the whole run */
    uint64_t min_free_bytes;    /* to be left free on the scratch file system */
    double max_time_s;          /* of the whole run */
    int nice;                   /* 0..19 */
} mim_limits;

void mim_limits_get(const mim_config *config, mim_limits *limits);

/* MIM_EUNSUP with a sentence naming the ceiling and the setting that raises it. */
int mim_limits_check(const mim_limits *limits, const mim_machine *machine,
                     const mim_plan_need *need, double duration_s);

#endif
