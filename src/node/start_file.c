#include "node/start_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/signals.h"

static const int64_t poll_ns = 10000000;
/* From the answer to slot 0: the rows are asleep at its begin by then. */
static const int64_t lead_ns = 50000000;
enum { MAX_TEXT_BYTES = 64 };

static int put(const mim_start_file *file, const char *text)
{
    int rc = mim_atomic_write(file->path, text, strlen(text));
    return rc == MIM_OK ? rc : mim_fail_in(rc, "start file");
}

int mim_start_file_prepare(const mim_start_file *file) { return put(file, "0\n"); }

/* Its content without spaces around it; "" while there is none. */
static int look(const mim_start_file *file, char text[MAX_TEXT_BYTES])
{
    struct stat status;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    text[0] = 0;
    if (fd < 0)
        return errno == ENOENT
                   ? MIM_OK
                   : mim_fail(MIM_EIO, "start file %s: %s", file->path, strerror(errno));
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return mim_fail(MIM_EIO, "start file %s: not a regular file", file->path);
    }
    ssize_t n = pread(fd, text, MAX_TEXT_BYTES - 1, 0);
    int error = errno;
    close(fd);
    if (n < 0)
        return mim_fail(MIM_EIO, "start file %s: %s", file->path, strerror(error));
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    text[n] = 0;
    if (strlen(text) > 1 || (n == 1 && !strchr("012", *text)))
        return mim_fail(MIM_EDATA, "start file %s: expected 0, 1 or 2, found \"%s\"", file->path,
                        text);
    return MIM_OK;
}

static int wait_for_answer(const mim_start_file *file)
{
    int64_t until_ns = mim_clock_mono_ns() + (int64_t)(file->timeout_s * 1e9);
    char text[MAX_TEXT_BYTES];
    for (;;) {
        if (mim_signals_stop())
            return mim_fail(MIM_ESTOPPED,
                            "stopped by a signal while waiting for 2 in start file %s", file->path);
        int rc = look(file, text);
        if (rc != MIM_OK)
            return rc;
        if (strcmp(text, "2") == 0)
            return MIM_OK;
        int64_t now_ns = mim_clock_mono_ns();
        if (now_ns >= until_ns)
            return mim_fail(MIM_EIO,
                            "start file %s: expected 2 from the other program within %g s, found "
                            "\"%s\"",
                            file->path, file->timeout_s, text);
        mim_clock_sleep_until(now_ns + poll_ns);
    }
}

int mim_start_file_agree(void *start_file, int rc, int64_t *start_ns)
{
    const mim_start_file *file = start_file;
    if (rc != MIM_OK)
        return rc; /* 0 stands there already */
    rc = put(file, "1\n");
    if (rc != MIM_OK)
        return rc;
    mim_log_info(file->log, "start", "ready; waiting for 2 in %s", file->path);
    rc = wait_for_answer(file);
    if (rc == MIM_OK) {
        *start_ns = mim_clock_mono_ns() + lead_ns;
        return MIM_OK;
    }
    char why[MIM_ERROR_TEXT_BYTES]; /* the sentence that counts, whatever comes of the 0 */
    snprintf(why, sizeof why, "%s", mim_error());
    mim_atomic_write(file->path, "0\n", 2);
    return mim_fail(rc, "%s", why);
}
