#define _GNU_SOURCE /* flock() */

#include "node/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"
#include "core/text.h"

struct mim_record_file {
    char *path, *header;
    int fd; /* -1 = not open */
    int64_t lock_limit_ns;
    bool is_checked; /* the header of the open file agrees */
    bool is_made;    /* by this process, and nothing is in it yet */
    off_t n_bytes;   /* size, valid while locked */
    off_t own_end;   /* size after the last append; 0 = none to the open file */
    size_t n_trimmed;
};

enum {
    MAX_HEADER_BYTES = 1 << 20,
    TAIL_BYTES = 1 << 20, /* more than the largest record */
    RETRY_MS = 20,
};

static const char first_line[] = "$hpcperfstats 2.4\n";

int mim_record_file_create(const char *path, const char *header, double lock_limit_s,
                           mim_record_file **file)
{
    mim_record_file *f = calloc(1, sizeof *f);

    if (!f || !(f->path = mim_strdup(path)) || !(f->header = mim_strdup(header))) {
        if (f)
            f->fd = -1;
        mim_record_file_destroy(&f);
        return mim_fail(MIM_ENOMEM, "%s: file handle", path);
    }
    f->fd = -1;
    f->lock_limit_ns = (int64_t)(lock_limit_s * (double)MIM_NS_PER_S);
    *file = f;
    return MIM_OK;
}

static void close_file(mim_record_file *f)
{
    if (f->fd >= 0)
        close(f->fd); /* gives the lock back as well */
    f->fd = -1;
    f->is_checked = f->is_made = false;
    f->own_end = 0;
}

void mim_record_file_destroy(mim_record_file **file)
{
    mim_record_file *f = *file;

    if (!f)
        return;
    close_file(f);
    free(f->path);
    free(f->header);
    free(f);
    *file = NULL;
}

/* ---- is it ours? ---------------------------------------------------------------------------- */

/* Up to n bytes from `offset`; a 0 byte follows. NULL on failure. */
static char *read_part(int fd, off_t offset, size_t n, size_t *n_read)
{
    char *text = malloc(n + 1);
    size_t got = 0;

    while (text && got < n) {
        ssize_t r = pread(fd, text + got, n - got, offset + (off_t)got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            free(text);
            return NULL;
        }
        if (r == 0)
            break;
        got += (size_t)r;
    }
    if (text)
        text[got] = 0;
    *n_read = got;
    return text;
}

/* The next line from *at that starts with `start`; its length without the line end. */
static const char *next_start(const char **at, const char *start, size_t *n_bytes)
{
    for (const char *p = *at; *p;) {
        size_t n = strcspn(p, "\n");
        const char *line = p;
        p += n + (p[n] == '\n');
        if (strncmp(line, start, strlen(start)) == 0) {
            *at = p;
            *n_bytes = n;
            return line;
        }
    }
    return NULL;
}

static int compare_header(const char *path, const char *theirs, const char *ours)
{
    static const char *const starts[] = {"$hostname ", "!"};

    for (size_t i = 0; i < 2; i++) {
        const char *a = theirs, *b = ours;
        size_t n_a = 0, n_b = 0;
        for (;;) {
            const char *x = next_start(&a, starts[i], &n_a);
            const char *y = next_start(&b, starts[i], &n_b);
            if (!x && !y)
                break;
            if (x && y && n_a == n_b && memcmp(x, y, n_a) == 0)
                continue;
            int show_x = x ? (int)strcspn(x, i ? " \n" : "\n") : 7;
            int show_y = y ? (int)strcspn(y, i ? " \n" : "\n") : 7;
            return mim_fail(MIM_EDATA,
                            "%s: cannot be continued: its header has %.*s where this program "
                            "would write %.*s%s; nothing was changed",
                            path, show_x, x ? x : "nothing", show_y, y ? y : "nothing",
                            x && y && show_x == show_y && strncmp(x, y, (size_t)show_x) == 0
                                ? " with other keys"
                                : "");
        }
    }
    return MIM_OK;
}

static int not_ours(const char *path, const char *text)
{
    char found[41];
    size_t n = 0;

    for (; n < sizeof found - 1 && text[n] && text[n] != '\n'; n++)
        found[n] = (text[n] >= ' ' && text[n] < 127) ? text[n] : '?';
    found[n] = 0;
    return mim_fail(MIM_EDATA,
                    "%s: not a stats file of this program: expected line 1 to be \"%.17s\", found "
                    "\"%s\"; nothing was changed",
                    path, first_line, found);
}

/* Is this a file to continue? *n_whole: what to keep of it, 0 when only a part of a header was ever
 * written. */
static int check_header(const mim_record_file *f, int fd, off_t size, off_t *n_whole)
{
    size_t n = 0, n_first = strlen(first_line);
    char *text = read_part(fd, 0, size < MAX_HEADER_BYTES ? (size_t)size : MAX_HEADER_BYTES, &n);
    int rc = MIM_OK;

    *n_whole = size;
    if (!text)
        return mim_fail(MIM_EIO, "%s: cannot be read: %s", f->path, strerror(errno));
    size_t n_compared = n < n_first ? n : n_first;
    if (memcmp(text, first_line, n_compared) != 0) {
        rc = not_ours(f->path, text);
        goto done;
    }
    char *end = strstr(text, "\n\n");
    if (end) {
        end[1] = 0;
        rc = compare_header(f->path, text, f->header);
    } else if (n < MAX_HEADER_BYTES && strlen(text) == n) {
        *n_whole = 0; /* no record: its writer was cut off */
    } else {
        rc = mim_fail(MIM_EDATA, "%s: no record in the first %d bytes; nothing was changed",
                      f->path, MAX_HEADER_BYTES);
    }
done:
    free(text);
    return rc;
}

/* Where the last whole record ends: a record that was cut off has no line end. */
static int find_whole(const mim_record_file *f, int fd, off_t size, off_t *n_whole)
{
    char last = '\n';

    *n_whole = size;
    if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
        return mim_fail(MIM_EIO, "%s: cannot be read: %s", f->path, strerror(errno));
    if (last == '\n')
        return MIM_OK;
    off_t start = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    size_t n = 0;
    char *text = read_part(fd, start, (size_t)(size - start), &n);
    if (!text)
        return mim_fail(MIM_EIO, "%s: cannot be read: %s", f->path, strerror(errno));
    while (n >= 2 && !(text[n - 1] == '\n' && text[n - 2] == '\n'))
        n--;
    free(text);
    if (n < 2)
        return mim_fail(MIM_EDATA, "%s: no empty line in its last %d bytes; nothing was changed",
                        f->path, TAIL_BYTES);
    *n_whole = start + (off_t)n - 1;
    return MIM_OK;
}

/* ---- lock ----------------------------------------------------------------------------------- */

static int open_failed(const mim_record_file *f, int error)
{
    if (error == EISDIR)
        return mim_fail(MIM_EIO, "%s: expected a file to write, found a folder", f->path);
    return mim_fail(MIM_EIO, "%s: cannot be written: %s", f->path, strerror(error));
}

static int open_file(mim_record_file *f)
{
    /* O_NONBLOCK: opening a pipe without a reader shall not wait */
    int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct stat status;

    f->fd = open(f->path, flags | O_CREAT | O_EXCL, 0666);
    f->is_made = f->fd >= 0;
    if (f->fd < 0 && errno == EEXIST)
        f->fd = open(f->path, flags);
    if (f->fd < 0 && errno == ENOENT) /* removed in between, or a link to nothing */
        f->fd = open(f->path, flags | O_CREAT, 0666);
    if (f->fd < 0 || fstat(f->fd, &status) != 0) {
        int error = errno;
        close_file(f);
        return open_failed(f, error);
    }
    if (!S_ISREG(status.st_mode)) {
        close_file(f);
        return mim_fail(MIM_EIO, "%s: expected a regular file", f->path);
    }
    return MIM_OK;
}

static int wait_for_lock(mim_record_file *f, int64_t deadline)
{
    int stop_before = mim_signals_stop(); /* the last record after a signal may wait */

    while (flock(f->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return mim_fail(MIM_EUNSUP, "%s: cannot be locked on this file system: %s", f->path,
                            strerror(errno));
        if (mim_signals_stop() != stop_before)
            return mim_fail(MIM_ESTOPPED, "%s: stopped while waiting for its lock", f->path);
        int64_t now = mim_clock_mono_ns();
        if (now >= deadline)
            return mim_fail(MIM_EIO, "%s: locked by another process for more than %g s", f->path,
                            (double)f->lock_limit_ns / (double)MIM_NS_PER_S);
        mim_clock_sleep_until(now + RETRY_MS * (MIM_NS_PER_S / 1000));
    }
    return MIM_OK;
}

/* Whether the path still names the open file; it may have been moved away for a new one. */
static bool is_same_file(const mim_record_file *f)
{
    struct stat open_one, named;

    return fstat(f->fd, &open_one) == 0 && stat(f->path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static int prepare(mim_record_file *f)
{
    struct stat status;
    off_t n_whole = 0;
    int rc = MIM_OK;

    f->n_trimmed = 0;
    if (fstat(f->fd, &status) != 0)
        return mim_fail(MIM_EIO, "%s: %s", f->path, strerror(errno));
    f->n_bytes = status.st_size;
    if (f->n_bytes > 0 && !f->is_checked)
        rc = check_header(f, f->fd, f->n_bytes, &n_whole);
    else
        n_whole = f->n_bytes;
    if (rc == MIM_OK && n_whole > 0)
        rc = find_whole(f, f->fd, n_whole, &n_whole);
    if (rc != MIM_OK)
        return rc;
    f->is_checked = n_whole > 0;
    if (n_whole < f->n_bytes) {
        if (ftruncate(f->fd, n_whole) != 0)
            return mim_fail(MIM_EIO, "%s: cannot be trimmed: %s", f->path, strerror(errno));
        f->n_trimmed = (size_t)(f->n_bytes - n_whole);
        f->n_bytes = n_whole;
    }
    return MIM_OK;
}

int mim_record_file_lock(mim_record_file *f)
{
    int64_t deadline = mim_clock_mono_ns() + f->lock_limit_ns;
    int rc = MIM_OK;

    for (;;) {
        if (f->fd < 0 && (rc = open_file(f)) != MIM_OK)
            return rc;
        if ((rc = wait_for_lock(f, deadline)) != MIM_OK)
            break;
        if (is_same_file(f)) {
            rc = prepare(f);
            break;
        }
        close_file(f);
        if (mim_clock_mono_ns() >= deadline)
            return mim_fail(MIM_EIO, "%s: replaced again and again", f->path);
    }
    if (rc != MIM_OK)
        close_file(f);
    return rc;
}

void mim_record_file_unlock(mim_record_file *f)
{
    if (f->fd >= 0)
        flock(f->fd, LOCK_UN);
}

bool mim_record_file_is_empty(const mim_record_file *f) { return f->n_bytes == 0; }

bool mim_record_file_is_own(const mim_record_file *f)
{
    return f->own_end > 0 && f->n_bytes == f->own_end;
}

size_t mim_record_file_trimmed_bytes(const mim_record_file *f) { return f->n_trimmed; }

/* ---- append --------------------------------------------------------------------------------- */

int mim_record_file_append(mim_record_file *f, const char *record, size_t n_bytes)
{
    size_t n_header = f->n_bytes == 0 ? strlen(f->header) : 0;
    /* iovec has no const; nothing is written through it */
    struct iovec parts[2] = {{.iov_base = f->header, .iov_len = n_header},
                             {.iov_base = (void *)(uintptr_t)record, .iov_len = n_bytes}};
    ssize_t written = writev(f->fd, parts, 2);
    int error = written < 0 ? errno : 0;

    if (written == (ssize_t)(n_header + n_bytes)) {
        f->n_bytes += written;
        f->own_end = f->n_bytes;
        f->is_checked = true;
        f->is_made = false;
        return MIM_OK;
    }
    if (written > 0 && ftruncate(f->fd, f->n_bytes) != 0)
        return mim_fail(MIM_EIO, "%s: a record was cut off and cannot be trimmed: %s", f->path,
                        strerror(errno));
    if (f->is_made)
        unlink(f->path); /* locked, so that who waits for it will find another file */
    if (error == 0)
        return mim_fail(MIM_EIO, "%s: cannot be written: room for %zd of %zu bytes", f->path,
                        written, n_header + n_bytes);
    return mim_fail(MIM_EIO, "%s: cannot be written: %s", f->path, strerror(error));
}

int mim_record_file_sync(mim_record_file *f)
{
    if (f->fd >= 0 && fdatasync(f->fd) != 0)
        return mim_fail(MIM_EIO, "%s: cannot be stored: %s", f->path, strerror(errno));
    return MIM_OK;
}

/* ---- looking only --------------------------------------------------------------------------- */

static int check_folder(const char *path)
{
    char *folder = mim_strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    int rc = MIM_OK;

    if (!folder)
        return mim_fail(MIM_ENOMEM, "%s", path);
    if (slash)
        slash[slash == folder] = 0;
    if (access(slash ? folder : ".", W_OK | X_OK) != 0)
        rc = mim_fail(MIM_EIO, "%s: cannot be written: %s", path, strerror(errno));
    free(folder);
    return rc;
}

int mim_record_file_check(const mim_record_file *f, uint64_t *n_bytes)
{
    struct stat status;
    off_t n_whole = 0;
    int rc = MIM_OK;
    int fd = open(f->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    *n_bytes = 0;
    if (fd < 0)
        return errno == ENOENT ? check_folder(f->path) : open_failed(f, errno);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        rc = mim_fail(MIM_EIO, "%s: expected a regular file", f->path);
    else if (status.st_size > 0)
        rc = check_header(f, fd, status.st_size, &n_whole);
    if (rc == MIM_OK)
        *n_bytes = (uint64_t)status.st_size;
    close(fd);
    return rc;
}

void mim_record_file_last_job(const char *path, char job[MIM_RECORD_JOB_BYTES])
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    job[0] = 0;
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        off_t start = status.st_size > TAIL_BYTES ? status.st_size - TAIL_BYTES : 0;
        size_t n = 0;
        char *text = read_part(fd, start, (size_t)(status.st_size - start), &n);
        const char *last = NULL;
        for (char *p = text; p && (p = strstr(p, "\n\n")) != NULL; p += 2)
            last = p + 2;
        const char *word = last ? strchr(last, ' ') : NULL;
        size_t n_word = word ? strcspn(word + 1, " \n") : 0;
        if (n_word > 0 && n_word < MIM_RECORD_JOB_BYTES && word[1 + n_word] == ' ') {
            memcpy(job, word + 1, n_word);
            job[n_word] = 0;
        }
        free(text);
    }
    close(fd);
}
