#define _GNU_SOURCE /* O_DIRECT, O_TMPFILE, fallocate */
#include "node/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/text.h"
#include "node/scratch_internal.h"

enum { ALIGNMENT_BYTES = 4096, BLOCK_BYTES = 1 << 20, SHARED_FILL = 'R', REFUSAL_BYTES = 512 };

static const uint64_t look_every_bytes = UINT64_C(64) << 20;

struct mim_scratch {
    char *folder;
    uint64_t min_free_bytes, max_written_bytes;
    bool is_direct, is_memory;
    atomic_uint_fast64_t written_bytes;
    atomic_bool is_low; /* free space was short: look again at every request */
    atomic_bool is_refused;
    pthread_mutex_t refusal_lock;
    char refusal[REFUSAL_BYTES];
    pthread_mutex_t shared_lock; /* held while the shared file is written: others wait for it */
    int shared_fd;
    uint64_t shared_bytes;
};

/* Only the first refusal is kept, so that the text never changes under a reader. */
static void refuse(mim_scratch *scratch, const char *sentence)
{
    pthread_mutex_lock(&scratch->refusal_lock);
    if (!atomic_load(&scratch->is_refused)) {
        snprintf(scratch->refusal, sizeof scratch->refusal, "%s", sentence);
        atomic_store(&scratch->is_refused, true);
    }
    pthread_mutex_unlock(&scratch->refusal_lock);
}

const char *mim_scratch_refusal(const mim_scratch *scratch)
{
    return scratch && atomic_load(&scratch->is_refused) ? scratch->refusal : NULL;
}

static int free_bytes(const char *folder, uint64_t *bytes)
{
    struct statvfs fs;

    if (statvfs(folder, &fs) != 0)
        return mim_fail(MIM_EIO, "scratch folder %s: free space: %s", folder, strerror(errno));
    *bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize;
    return MIM_OK;
}

/* Would n more bytes still leave the floor? The sentence for a no goes to `text`. */
static bool leaves_floor(const mim_scratch *scratch, uint64_t n_bytes, size_t n_text, char *text)
{
    uint64_t available = 0;
    char a[MIM_BYTES_TEXT_BYTES], b[MIM_BYTES_TEXT_BYTES], c[MIM_BYTES_TEXT_BYTES];

    if (free_bytes(scratch->folder, &available) != MIM_OK) {
        snprintf(text, n_text, "%s", mim_error());
        return false;
    }
    if (available >= n_bytes && available - n_bytes >= scratch->min_free_bytes)
        return true;
    snprintf(text, n_text, "scratch folder %s: %s free, %s more would go below the floor of %s",
             scratch->folder, mim_bytes_text((double)available, a),
             mim_bytes_text((double)n_bytes, b),
             mim_bytes_text((double)scratch->min_free_bytes, c));
    return false;
}

static bool takes_from_ceiling(mim_scratch *scratch, uint64_t n_bytes, uint64_t *before)
{
    uint_fast64_t written = atomic_load(&scratch->written_bytes);

    do {
        if (scratch->max_written_bytes > 0 && (written > scratch->max_written_bytes ||
                                               scratch->max_written_bytes - written < n_bytes))
            return false;
    } while (!atomic_compare_exchange_weak(&scratch->written_bytes, &written, written + n_bytes));
    *before = written;
    return true;
}

/* `n_new` of the n bytes take new space; `must_look` asks the file system whatever was written. */
static bool may_write(mim_scratch *scratch, uint64_t n_bytes, uint64_t n_new, bool must_look)
{
    uint64_t before = 0;
    char text[REFUSAL_BYTES], a[MIM_BYTES_TEXT_BYTES];

    if (!takes_from_ceiling(scratch, n_bytes, &before)) {
        snprintf(text, sizeof text, "scratch folder %s: the ceiling of %s written is reached",
                 scratch->folder, mim_bytes_text((double)scratch->max_written_bytes, a));
        refuse(scratch, text);
        return false;
    }
    if (!must_look && !atomic_load(&scratch->is_low) &&
        before / look_every_bytes == (before + n_bytes) / look_every_bytes)
        return true;
    if (leaves_floor(scratch, n_new, sizeof text, text)) {
        atomic_store(&scratch->is_low, false);
        return true;
    }
    atomic_fetch_sub(&scratch->written_bytes, n_bytes);
    atomic_store(&scratch->is_low, true);
    refuse(scratch, text);
    return false;
}

bool mim_scratch_may_write(mim_scratch *scratch, uint64_t n_bytes)
{
    /* Stressors overwrite what their file already holds; only others can have used up the space. */
    return may_write(scratch, n_bytes, 0, false);
}

bool mim_scratch_may_allocate(mim_scratch *scratch, uint64_t n_bytes)
{
    return may_write(scratch, 0, n_bytes, true);
}

uint64_t mim_scratch_written_bytes(const mim_scratch *scratch)
{
    return scratch ? atomic_load(&scratch->written_bytes) : 0;
}

bool mim_scratch_is_direct(const mim_scratch *scratch) { return scratch && scratch->is_direct; }

bool mim_scratch_is_memory(const mim_scratch *scratch) { return scratch && scratch->is_memory; }

const char *mim_scratch_folder(const mim_scratch *scratch)
{
    return scratch ? scratch->folder : NULL;
}

/* For file systems without O_TMPFILE. The lock tells the sweep of another process, also in another
 * PID namespace or on another host, that the name is in use for its short life. */
static int open_then_unlink(const char *folder, int *fd)
{
    int rc = MIM_OK, f = -1;
    char *path = mim_format("%s/" MIM_SCRATCH_PREFIX "%ld.XXXXXX", folder, (long)getpid());

    if (!path)
        return mim_fail(MIM_ENOMEM, "scratch file name");
    if ((f = mkostemp(path, O_CLOEXEC)) < 0) {
        rc = mim_fail(MIM_EIO, "scratch folder %s: cannot create a file: %s", folder,
                      strerror(errno));
        goto done;
    }
    flock(f, LOCK_EX | LOCK_NB);
    if (unlink(path) != 0) {
        rc = mim_fail(MIM_EIO, "%s: cannot remove the name: %s", path, strerror(errno));
        goto done;
    }
    *fd = f;
    f = -1;
done:
    if (f >= 0)
        close(f);
    free(path);
    return rc;
}

static int open_unnamed(const char *folder, int *fd)
{
    int f = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (f >= 0) {
        *fd = f;
        return MIM_OK;
    }
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
        return open_then_unlink(folder, fd);
    return mim_fail(MIM_EIO, "scratch folder %s: cannot create a file: %s", folder,
                    strerror(errno));
}

/* Set afterwards, as an open that creates a name and is then refused O_DIRECT leaves the name. */
static bool set_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0;
}

static int open_scratch(const mim_scratch *scratch, int *fd)
{
    int rc, f = -1;

    if ((rc = open_unnamed(scratch->folder, &f)) != MIM_OK)
        return rc;
    if (scratch->is_direct && !set_direct(f)) {
        close(f);
        return mim_fail(MIM_EIO, "scratch folder %s: O_DIRECT is refused now: %s", scratch->folder,
                        strerror(errno));
    }
    *fd = f;
    return MIM_OK;
}

static int write_all(int fd, const char *bytes, size_t n_bytes, uint64_t offset)
{
    size_t n_done = 0;

    while (n_done < n_bytes) {
        ssize_t n = pwrite(fd, bytes + n_done, n_bytes - n_done, (off_t)(offset + n_done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mim_fail(MIM_EIO, "writing %zu bytes at %" PRIu64 ": %s", n_bytes, offset,
                            n < 0 ? strerror(errno) : "nothing was written");
        n_done += (size_t)n;
    }
    return MIM_OK;
}

/* Writes real blocks, as a range that is only allocated is read without any I/O. */
static int fill_file(mim_scratch *scratch, int fd, uint64_t from, uint64_t to, int fill)
{
    int rc = MIM_OK;
    char *block = aligned_alloc(ALIGNMENT_BYTES, BLOCK_BYTES);

    if (!block)
        return mim_fail(MIM_ENOMEM, "block of %d bytes for a scratch file", BLOCK_BYTES);
    memset(block, fill, BLOCK_BYTES);
    /* One extent where the file system can; those that cannot say so and write as they go. */
    if (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) != 0 && errno == ENOSPC) {
        rc = mim_fail(MIM_EIO, "scratch folder %s: allocating %" PRIu64 " bytes: %s",
                      scratch->folder, to - from, strerror(errno));
        goto done;
    }
    for (uint64_t at = from; at < to; at += BLOCK_BYTES) {
        size_t n = to - at < BLOCK_BYTES ? (size_t)(to - at) : BLOCK_BYTES;

        if ((rc = write_all(fd, block, n, at)) != MIM_OK) {
            mim_fail_in(rc, "scratch folder %s", scratch->folder);
            goto done;
        }
    }
    if (fdatasync(fd) != 0) {
        rc = mim_fail(MIM_EIO, "scratch folder %s: flushing %" PRIu64 " bytes: %s", scratch->folder,
                      to, strerror(errno));
        goto done;
    }
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
done:
    free(block);
    return rc;
}

int mim_scratch_check_size(uint64_t n_bytes)
{
    struct rlimit limit;

    if (n_bytes == 0 || n_bytes % ALIGNMENT_BYTES != 0 || n_bytes > INT64_MAX)
        return mim_fail(MIM_EINVAL, "scratch file of %" PRIu64 " bytes: expected a multiple of %d",
                        n_bytes, ALIGNMENT_BYTES);
    /* Writing past this limit would not fail but end the process with SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < n_bytes)
        return mim_fail(MIM_EUNSUP,
                        "scratch file of %" PRIu64
                        " bytes: this process may write files of %" PRIu64
                        " bytes at most (ulimit -f)",
                        n_bytes, (uint64_t)limit.rlim_cur);
    return MIM_OK;
}

static int ask_for_file(mim_scratch *scratch, uint64_t n_bytes)
{
    char a[MIM_BYTES_TEXT_BYTES];

    if (may_write(scratch, n_bytes, n_bytes, true))
        return MIM_OK;
    return mim_fail(MIM_EUNSUP, "a scratch file of %s is refused: %s",
                    mim_bytes_text((double)n_bytes, a), mim_scratch_refusal(scratch));
}

int mim_scratch_file(mim_scratch *scratch, uint64_t n_bytes, int fill, int *fd)
{
    int rc, f = -1;

    if (!scratch || !fd)
        return mim_fail(MIM_EINVAL, "mim_scratch_file: no scratch or no place for the file");
    if ((rc = mim_scratch_check_size(n_bytes)) != MIM_OK ||
        (rc = ask_for_file(scratch, n_bytes)) != MIM_OK)
        return rc;
    if ((rc = open_scratch(scratch, &f)) != MIM_OK ||
        (rc = fill_file(scratch, f, 0, n_bytes, fill)) != MIM_OK)
        goto done;
    *fd = f;
    f = -1;
done:
    if (f >= 0)
        close(f);
    return rc;
}

/* Makes the shared file, or makes it longer. Called with the shared lock held. */
static int grow_shared(mim_scratch *scratch, uint64_t n_bytes)
{
    int rc;

    if (n_bytes <= scratch->shared_bytes)
        return MIM_OK;
    if ((rc = ask_for_file(scratch, n_bytes - scratch->shared_bytes)) != MIM_OK)
        return rc;
    if (scratch->shared_fd < 0 && (rc = open_scratch(scratch, &scratch->shared_fd)) != MIM_OK)
        return rc;
    rc = fill_file(scratch, scratch->shared_fd, scratch->shared_bytes, n_bytes, SHARED_FILL);
    if (rc == MIM_OK)
        scratch->shared_bytes = n_bytes;
    return rc;
}

int mim_scratch_shared_file(mim_scratch *scratch, uint64_t n_bytes, int *fd)
{
    int rc, f = -1;
    char path[64];

    if (!scratch || !fd)
        return mim_fail(MIM_EINVAL, "mim_scratch_shared_file: no scratch or no place for the file");
    if ((rc = mim_scratch_check_size(n_bytes)) != MIM_OK)
        return rc;
    pthread_mutex_lock(&scratch->shared_lock);
    if ((rc = grow_shared(scratch, n_bytes)) != MIM_OK)
        goto done;
    /* A description of one's own: read-ahead advice belongs to it. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", scratch->shared_fd);
    f = open(path, O_RDONLY | O_CLOEXEC | (scratch->is_direct ? O_DIRECT : 0));
    if (f < 0 && (f = fcntl(scratch->shared_fd, F_DUPFD_CLOEXEC, 0)) < 0) {
        rc = mim_fail(MIM_EIO, "scratch folder %s: cannot open the shared file again: %s",
                      scratch->folder, strerror(errno));
        goto done;
    }
    *fd = f;
done:
    pthread_mutex_unlock(&scratch->shared_lock);
    return rc;
}

static int check_folder(const char *folder)
{
    struct stat st;

    if (stat(folder, &st) != 0)
        return mim_fail(MIM_EIO, "scratch folder %s: %s", folder, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return mim_fail(MIM_EIO, "scratch folder %s: not a folder", folder);
    if (access(folder, W_OK | X_OK) != 0)
        return mim_fail(MIM_EIO, "scratch folder %s: not writable: %s", folder, strerror(errno));
    return MIM_OK;
}

static bool is_memory_folder(const char *folder)
{
    struct statfs fs;

    return statfs(folder, &fs) == 0 &&
           ((unsigned long)fs.f_type == TMPFS_MAGIC || (unsigned long)fs.f_type == RAMFS_MAGIC);
}

/* Some file systems accept the flag and fail at the first transfer, so one is made. */
static bool direct_works(int fd)
{
    bool works = false;
    char *block = aligned_alloc(ALIGNMENT_BYTES, 2 * ALIGNMENT_BYTES);

    if (block && set_direct(fd)) {
        char *back = block + ALIGNMENT_BYTES;

        memset(block, 'P', ALIGNMENT_BYTES);
        memset(back, 0, ALIGNMENT_BYTES);
        works = pwrite(fd, block, ALIGNMENT_BYTES, 0) == ALIGNMENT_BYTES &&
                pread(fd, back, ALIGNMENT_BYTES, 0) == ALIGNMENT_BYTES &&
                memcmp(block, back, ALIGNMENT_BYTES) == 0;
    }
    free(block);
    return works;
}

int mim_scratch_probe(const mim_scratch *scratch, int *fd)
{
    return open_unnamed(scratch->folder, fd);
}

bool mim_scratch_takes_direct(mim_scratch *scratch)
{
    int fd = -1;
    bool works;

    if (scratch->is_direct)
        return true;
    if (!may_write(scratch, ALIGNMENT_BYTES, ALIGNMENT_BYTES, true) ||
        open_unnamed(scratch->folder, &fd) != MIM_OK)
        return false;
    works = direct_works(fd);
    close(fd);
    return works;
}

/* Also proves that a file can be made here at all. */
static int choose_io_mode(mim_scratch *scratch, mim_io_mode wanted)
{
    int rc, fd = -1;

    if ((rc = open_unnamed(scratch->folder, &fd)) != MIM_OK)
        return rc;
    /* In memory there is no device to reach past the page cache. */
    if (wanted == MIM_IO_DIRECT || (wanted == MIM_IO_AUTO && !scratch->is_memory)) {
        if (!may_write(scratch, ALIGNMENT_BYTES, ALIGNMENT_BYTES, true))
            rc = mim_fail(MIM_EUNSUP, "%s", mim_scratch_refusal(scratch));
        else
            scratch->is_direct = direct_works(fd);
    }
    if (rc == MIM_OK && wanted == MIM_IO_DIRECT && !scratch->is_direct)
        rc = mim_fail(MIM_EUNSUP, "scratch folder %s: its file system refuses O_DIRECT",
                      scratch->folder);
    close(fd);
    return rc;
}

int mim_scratch_create(const mim_scratch_options *options, mim_scratch **scratch)
{
    int rc = MIM_OK;
    char text[REFUSAL_BYTES];
    mim_scratch *s = NULL;

    if (!options || !options->folder || !scratch)
        return mim_fail(MIM_EINVAL, "mim_scratch_create: no folder or no place for the scratch");
    if ((rc = check_folder(options->folder)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)) || !(s->folder = mim_strdup(options->folder))) {
        free(s);
        return mim_fail(MIM_ENOMEM, "scratch handle");
    }
    s->min_free_bytes = options->min_free_bytes;
    s->max_written_bytes = options->max_written_bytes;
    s->is_memory = is_memory_folder(s->folder);
    s->shared_fd = -1;
    atomic_init(&s->written_bytes, 0);
    atomic_init(&s->is_low, false);
    atomic_init(&s->is_refused, false);
    pthread_mutex_init(&s->refusal_lock, NULL);
    pthread_mutex_init(&s->shared_lock, NULL);
    mim_scratch_sweep(s->folder);
    if (!leaves_floor(s, 0, sizeof text, text)) {
        rc = mim_fail(MIM_EUNSUP, "%s", text);
        goto done;
    }
    if ((rc = choose_io_mode(s, options->io_mode)) != MIM_OK)
        goto done;
    *scratch = s;
    s = NULL;
done:
    mim_scratch_destroy(&s);
    return rc;
}

void mim_scratch_destroy(mim_scratch **scratch)
{
    mim_scratch *s = scratch ? *scratch : NULL;

    if (!s)
        return;
    if (s->shared_fd >= 0)
        close(s->shared_fd);
    pthread_mutex_destroy(&s->refusal_lock);
    pthread_mutex_destroy(&s->shared_lock);
    free(s->folder);
    free(s);
    *scratch = NULL;
}
