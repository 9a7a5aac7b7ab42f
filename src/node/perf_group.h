/* Counters of perf_event that start, stop and are read together: one group on one CPU, for all that
 * runs there.
 *
 * The kernel is reached through a table of three calls, so that what depends on hardware can be
 * tested without it: a test gives calls that answer with recorded bytes or errors. */
#ifndef MIM_NODE_PERF_GROUP_H
#define MIM_NODE_PERF_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct perf_event_attr; /* of <linux/perf_event.h> */

typedef struct mim_perf_calls {
    void *context;
    /* As perf_event_open(attr, -1, cpu, group_fd, PERF_FLAG_FD_CLOEXEC); a descriptor or the
     * negative errno. */
    int (*open)(void *context, struct perf_event_attr *attr, int cpu, int group_fd);
    /* As read(); the negative errno on failure. */
    ssize_t (*read)(void *context, int fd, void *bytes, size_t n_bytes);
    void (*close)(void *context, int fd);
} mim_perf_calls;

extern const mim_perf_calls mim_perf_kernel; /* the real ones */

enum { MIM_PERF_GROUP_MAX = 4 };

typedef struct mim_perf_event {
    uint32_t type;
    uint64_t config, config1, config2;
} mim_perf_event;

typedef struct mim_perf_group {
    size_t n; /* 0: closed */
    int fds[MIM_PERF_GROUP_MAX];
} mim_perf_group;

typedef struct mim_perf_reading {
    uint64_t enabled_ns, running_ns; /* running < enabled: others used the counters, too */
    uint64_t values[MIM_PERF_GROUP_MAX];
} mim_perf_reading;

/* Counts from now on; the first event leads. 1 <= n <= MIM_PERF_GROUP_MAX. 0, or the errno of the
 * call that failed; the group is closed then. EACCES and EPERM: not permitted; ENOENT, EOPNOTSUPP
 * and EINVAL: the hardware does not count this, or not these together; ENODEV: the CPU is offline;
 * EMFILE: too many files. */
int mim_perf_group_open(const mim_perf_calls *calls, int cpu, size_t n,
                        const mim_perf_event *events, mim_perf_group *group);
/* All counters in one read. False when it fails or has another form than expected. */
bool mim_perf_group_read(const mim_perf_calls *calls, const mim_perf_group *group,
                         mim_perf_reading *reading);
void mim_perf_group_close(const mim_perf_calls *calls, mim_perf_group *group);

#endif
