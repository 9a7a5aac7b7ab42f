/* What a control group (batch job, container) lets this process take. */
#ifndef MIM_NODE_CGROUP_H
#define MIM_NODE_CGROUP_H

#include <stdint.h>

/* Bytes of memory this process's groups (v1 or v2, and those above them) still leave; cache that
 * can be dropped counts as left. UINT64_MAX: no limit, or none that can be seen. `root` goes before
 * /proc and /sys: "" for the machine, a folder for tests. */
uint64_t mim_cgroup_memory_left(const char *root);

#endif
