#define _GNU_SOURCE /* flock, program_invocation_short_name */
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
#include "core/text.h"

enum { HOLDER_BYTES = 80 };

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

/* For those who wait; where it cannot be written they wait for "another program". */
static void leave_name(int fd)
{
    if (ftruncate(fd, 0) == 0)
        dprintf(fd, "%.40s (process %ld)", program_invocation_short_name, (long)getpid());
}

/* Whoever holds the lock; in the moment before it left its name nobody knows. */
static void read_name(int fd, char name[HOLDER_BYTES])
{
    const ssize_t n = pread(fd, name, HOLDER_BYTES - 1, 0);
    name[n > 0 ? n : 0] = 0;
    mim_make_one_line(name);
    if (!*name)
        strcpy(name, "another program");
}

int mim_host_lock_take(int fd, double timeout_s)
{
    int64_t begin_ns = mim_clock_mono_ns();
    for (;;) {
        char holder[HOLDER_BYTES];
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            leave_name(fd);
            return MIM_OK;
        }
        if (errno != EWOULDBLOCK && errno != EINTR)
            return mim_fail(MIM_EIO, "host lock: %s", strerror(errno));
        if (mim_signals_stop())
            return mim_fail(MIM_ESTOPPED,
                            "stopped while waiting for the host lock; nothing was done");
        int64_t now_ns = mim_clock_mono_ns();
        if (timeout_s >= 0 && (double)(now_ns - begin_ns) * 1e-9 >= timeout_s) {
            read_name(fd, holder);
            return mim_fail(MIM_EUNSUP, "%s has this host", holder);
        }
        mim_clock_sleep_until(now_ns + poll_ns);
    }
}

int mim_host_lock_obtain(double timeout_s, mim_log *log, int *fd)
{
    int made = -1;
    int rc = mim_host_lock_open(NULL, &made);
    if (rc == MIM_OK)
        rc = mim_host_lock_take(made, 0);
    if (rc == MIM_EUNSUP && timeout_s != 0) {
        mim_log_info(log, "host", "waiting: %s", mim_error());
        rc = mim_host_lock_take(made, timeout_s);
    }
    if (rc != MIM_OK) {
        mim_host_lock_release(&made);
        return rc;
    }
    *fd = made;
    return MIM_OK;
}

void mim_host_lock_release(int *fd)
{
    if (*fd >= 0) {
        flock(*fd, LOCK_UN); /* a child that was forked meanwhile has the file open, too */
        close(*fd);
    }
    *fd = -1;
}
