#define _GNU_SOURCE /* syscall() */

#include "node/perf_group.h"

#include <assert.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int kernel_open(void *context, struct perf_event_attr *attr, int cpu, int group_fd)
{
    (void)context;
    long fd = syscall(SYS_perf_event_open, attr, -1, cpu, group_fd, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

static ssize_t kernel_read(void *context, int fd, void *bytes, size_t n_bytes)
{
    (void)context;
    ssize_t n = read(fd, bytes, n_bytes);
    return n < 0 ? -errno : n;
}

static void kernel_close(void *context, int fd)
{
    (void)context;
    close(fd);
}

const mim_perf_calls mim_perf_kernel = {
    .open = kernel_open, .read = kernel_read, .close = kernel_close};

int mim_perf_group_open(const mim_perf_calls *calls, int cpu, size_t n,
                        const mim_perf_event *events, mim_perf_group *group)
{
    assert(n >= 1 && n <= MIM_PERF_GROUP_MAX);
    group->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct perf_event_attr attr;
        memset(&attr, 0, sizeof attr);
        attr.size = sizeof attr;
        attr.type = events[i].type;
        attr.config = events[i].config;
        attr.config1 = events[i].config1;
        attr.config2 = events[i].config2;
        attr.read_format =
            PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
        int fd = calls->open(calls->context, &attr, cpu, i > 0 ? group->fds[0] : -1);
        if (fd < 0) {
            mim_perf_group_close(calls, group);
            return -fd;
        }
        group->fds[group->n++] = fd;
    }
    return 0;
}

bool mim_perf_group_read(const mim_perf_calls *calls, const mim_perf_group *group,
                         mim_perf_reading *reading)
{
    /* number of values, time enabled, time running, the values */
    uint64_t words[3 + MIM_PERF_GROUP_MAX];
    const size_t n_bytes = (3 + group->n) * sizeof *words;

    if (group->n == 0 ||
        calls->read(calls->context, group->fds[0], words, sizeof words) != (ssize_t)n_bytes ||
        words[0] != group->n)
        return false;
    reading->enabled_ns = words[1];
    reading->running_ns = words[2];
    memcpy(reading->values, words + 3, group->n * sizeof *words);
    return true;
}

void mim_perf_group_close(const mim_perf_calls *calls, mim_perf_group *group)
{
    while (group->n > 0) /* the leader last */
        calls->close(calls->context, group->fds[--group->n]);
}
