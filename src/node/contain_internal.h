/* Shared by contain.c (what to cap) and contain_group.c (how groups are made). */
#ifndef MIM_NODE_CONTAIN_INTERNAL_H
#define MIM_NODE_CONTAIN_INTERNAL_H

#include "node/contain.h"

/* What the group is given; 0 or "" = left as it is. */
typedef struct mim_contain_caps {
    double cpus;   /* CPU seconds a second */
    double weight; /* against other groups, in threads of niceness 0 */
    uint64_t memory_bytes;
    uint64_t n_tasks;
    char device[32]; /* "254:0" */
    uint64_t read_bytes_per_s, write_bytes_per_s;
    const char *cpu_list; /* "0-3,8"; NULL */
    bool is_demanded;     /* also where being a group changes what the run gets */
} mim_contain_caps;

enum {
    MIM_CONTAIN_CPU,
    MIM_CONTAIN_MEMORY,
    MIM_CONTAIN_TASKS,
    MIM_CONTAIN_IO,
    MIM_CONTAIN_CPUSET,
    MIM_CONTAIN_N_CONTROLLERS
};

enum { MIM_CONTAIN_REASON_BYTES = 160 };

typedef struct mim_contain_group {
    char *parent, *folder; /* folder NULL: not made */
    char *back;            /* where the process came from, when that is not `parent`; else NULL */
    bool is_entered;
} mim_contain_group;

typedef struct mim_contain_groups {
    mim_contain_group v1[MIM_CONTAIN_N_CONTROLLERS], v2;
    bool was_handed_on[MIM_CONTAIN_N_CONTROLLERS]; /* by v2's parent, before */
    bool is_enabled[MIM_CONTAIN_N_CONTROLLERS];    /* there, by us */
    int version[MIM_CONTAIN_N_CONTROLLERS]; /* of the hierarchy that caps it; 0 = nothing does */
    char reason[MIM_CONTAIN_N_CONTROLLERS][MIM_CONTAIN_REASON_BYTES]; /* why; "" = not asked */
} mim_contain_groups;

const char *mim_contain_controller_name(size_t controller); /* as v2 calls it */
bool mim_contain_is_asked(const mim_contain_caps *caps, size_t controller);
/* Makes and enters groups; what cannot be is told in `groups`. */
void mim_contain_groups_enter(const mim_contain_caps *caps, const char *root,
                              mim_contain_groups *groups);
void mim_contain_groups_leave(mim_contain_groups *groups);
/* For mim_contain_step_aside; false: not needed, or not possible. */
bool mim_contain_groups_step_aside(const char *root, mim_contain_groups *groups);

#endif
