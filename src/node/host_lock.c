#define _DEFAULT_SOURCE /* flock */
#include "node/host_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"

static const int64_t poll_ns = 50000000;

int mim_host_lock_open(const char *path, int *fd)
{
    char usual[64];
    const char *named = getenv("MIMESYS_HOST_LOCK");
    if (!path && named && *named)
        path = named;
    if (!path) {
        snprintf(usual, sizeof usual, "/tmp/mimesys-%lu.lock", (unsigned long)geteuid());
        path = usual;
    }
    int made = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (made < 0)
        return mim_fail(MIM_EIO, "host lock %s: %s", path, strerror(errno));
    struct stat status;
    if (fstat(made, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid()) {
        close(made);
        return mim_fail(MIM_EIO, "host lock %s: expected a file of this user's own", path);
    }
    *fd = made;
    return MIM_OK;
}

int mim_host_lock_take(int fd, double timeout_s)
{
    int64_t begin_ns = mim_clock_mono_ns();
    for (;;) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return MIM_OK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return mim_fail(MIM_EIO, "host lock: %s", strerror(errno));
        if (mim_signals_stop())
            return mim_fail(MIM_ESTOPPED, "stopped while waiting for the host lock");
        int64_t now_ns = mim_clock_mono_ns();
        if (timeout_s >= 0 && (double)(now_ns - begin_ns) * 1e-9 >= timeout_s)
            return mim_fail(MIM_EUNSUP, "another program measures on this host");
        mim_clock_sleep_until(now_ns + poll_ns);
    }
}

void mim_host_lock_release(int *fd)
{
    if (*fd >= 0) {
        flock(*fd, LOCK_UN); /* a child that was forked meanwhile has the file open, too */
        close(*fd);
    }
    *fd = -1;
}
