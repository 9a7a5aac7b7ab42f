/* Control groups (batch job, container): where this process's are, and what they let it take.
 *
 * `root` goes before /proc and /sys: "" for the machine, a folder for tests. */
#ifndef MIM_NODE_CGROUP_H
#define MIM_NODE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* This process's group in one hierarchy, as folders below `root`. */
typedef struct mim_cgroup {
    char *mount;  /* the topmost group that can be seen */
    char *folder; /* the process's own; a container may not show it */
} mim_cgroup;

/* In the v1 hierarchy that has `controller`, or in the one of v2 (NULL). Mount points are those of
 * /proc/self/mountinfo, else the usual ones. False: there is no such hierarchy. */
bool mim_cgroup_find(const char *root, const char *controller, mim_cgroup *group);
void mim_cgroup_clear(mim_cgroup *group);

/* The first line of folder/name without its end; false when there is none or it is too long. */
bool mim_cgroup_read(const char *folder, const char *name, size_t n_bytes, char *text);

/* Bytes of memory this process's groups (v1 or v2, and those above them) still leave; cache that
 * can be dropped counts as left. UINT64_MAX: no limit, or none that can be seen. */
uint64_t mim_cgroup_memory_left(const char *root);

/* CPUs that this process's cpuset (v1 or v2) lets it use, as "0-3,8"; false: none can be seen. */
enum { MIM_CGROUP_CPUS_BYTES = 8192 };
bool mim_cgroup_cpus(const char *root, char cpus[MIM_CGROUP_CPUS_BYTES]);

#endif
