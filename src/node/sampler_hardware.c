#include "node/sampler_hardware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const char paranoid[] = "sys/kernel/perf_event_paranoid";

int mim_hardware_check(const mim_source_roots *roots)
{
    mim_kept_file file = {.fd = -1};
    int rc = mim_kept_open(&file, roots->proc, paranoid);

    mim_kept_close(&file);
    return rc == MIM_EUNSUP ? mim_fail(MIM_EUNSUP, "this kernel has no perf_event") : rc;
}

int mim_hardware_has_calls(const mim_source_roots *roots)
{
    return roots->perf ? MIM_OK
                       : mim_fail(MIM_EUNSUP, "the counters of another machine cannot be opened");
}

/* Left to the program: a run opens scratch files, libraries, results. */
enum { OTHER_FILES = 256 };

/* About how many files are open: the lowest number that is free. */
static size_t count_open_files(void)
{
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0 ? (size_t)fd : SIZE_MAX / 2;
}

int mim_hardware_files(size_t n_files)
{
    struct rlimit limit;
    const rlim_t needed = (rlim_t)(count_open_files() + n_files + OTHER_FILES);

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return MIM_OK;
    if (limit.rlim_max >= needed) { /* no more than that: a run may be kept to what it needs */
        limit.rlim_cur = needed;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
            return MIM_OK;
    }
    return mim_fail(MIM_EUNSUP,
                    "needs %zu open files, the hard limit of %llu leaves too few (ulimit -Hn)",
                    n_files, (unsigned long long)limit.rlim_max);
}

int mim_hardware_refused(const char *proc, int error)
{
    mim_kept_file file = {.fd = -1};
    long level = 0;

    switch (error) {
    case EACCES:
    case EPERM:
        if (mim_kept_open(&file, proc, paranoid) == MIM_OK)
            level = strtol(file.text, NULL, 10);
        mim_kept_close(&file);
        if (level <= 0)
            return mim_fail(MIM_EUNSUP, "not permitted, by a container or a security module");
        return mim_fail(MIM_EUNSUP,
                        "not permitted: perf_event_paranoid is %ld, needs 0 or less or CAP_PERFMON",
                        level);
    case ENOENT:
    case EOPNOTSUPP:
        return mim_fail(MIM_EUNSUP, "the processor's counters are not offered here");
    case ENOSYS:
        return mim_fail(MIM_EUNSUP, "this kernel has no perf_event");
    case ENODEV:
        return mim_fail(MIM_EUNSUP, "no CPU is online that has the counters");
    case EMFILE:
    case ENFILE:
        return mim_fail(MIM_EUNSUP, "too many open files (ulimit -n)");
    case EBUSY:
        return mim_fail(MIM_EUNSUP, "the counters are in use by another program");
    default:
        return mim_fail(MIM_EUNSUP, "cannot be opened: %s", strerror(error));
    }
}
