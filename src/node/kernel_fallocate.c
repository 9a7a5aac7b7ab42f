/* A file made, its space allocated, flushed, closed and removed: work of the file system's
 * allocator and journal, with hardly a byte of data.
 *
 * One operation = one file; bytes = the space allocated. */
#define _GNU_SOURCE /* fallocate */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/kernel_family.h"

static const char file_name[] = "file";

typedef struct allocate_state {
    unsigned char *zeros; /* one page: what allocated space reads as */
    mim_scratch *scratch;
    mim_scratch_room *room;
    uint64_t op_bytes;
    uint64_t n_files, n_short; /* made; of them with less space than asked for */
} allocate_state;

static void destroy(void *state)
{
    allocate_state *s = state;

    if (!s)
        return;
    mim_scratch_room_destroy(&s->room);
    free(s->zeros);
    free(s);
}

static int check(const mim_stressor *stressor, const mim_kernel_place *place)
{
    if (!place->scratch)
        return mim_fail(MIM_EINVAL, "kernel fallocate: no scratch folder");
    if (stressor->op_bytes == 0 || stressor->op_bytes % MIM_PAGE_BYTES != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel fallocate: files of %" PRIu64 " bytes, expected a multiple of %d",
                        stressor->op_bytes, MIM_PAGE_BYTES);
    return MIM_OK;
}

static int check_node(const mim_stressor *stressor, mim_scratch *scratch)
{
    int rc, fd = -1;

    (void)stressor;
    if (!scratch || (rc = mim_scratch_probe(scratch, &fd)) != MIM_OK)
        return scratch ? rc : MIM_OK;
    if (fallocate(fd, 0, 0, MIM_PAGE_BYTES) != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        rc = mim_fail(MIM_EUNSUP, "scratch folder %s: its file system allocates no space",
                      mim_scratch_folder(scratch));
    close(fd);
    return rc;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *zeros = NULL;
    allocate_state *s = NULL;

    if ((rc = mim_kernel_check("fallocate", stressor, place, state)) != MIM_OK ||
        (rc = check(stressor, place)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel fallocate");
    s->scratch = place->scratch;
    s->op_bytes = stressor->op_bytes;
    if ((rc = mim_kernel_buffer(MIM_PAGE_BYTES, 0, &zeros)) != MIM_OK)
        goto done;
    s->zeros = zeros;
    if ((rc = mim_scratch_room_create(place->scratch, s->op_bytes, &s->room)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int fail_file(const allocate_state *s, const char *what)
{
    return mim_fail(MIM_EIO, "%s/%s: %s: %s", mim_scratch_room_path(s->room), file_name, what,
                    strerror(errno));
}

static int allocate_and_flush(allocate_state *s, int fd)
{
    struct stat st;

    while (fallocate(fd, 0, 0, (off_t)s->op_bytes) != 0) {
        if (errno == EINTR)
            continue;
        return fail_file(s, "allocating its space");
    }
    if (fsync(fd) != 0 || fstat(fd, &st) != 0)
        return fail_file(s, "flushing it");
    s->n_short += (uint64_t)st.st_size != s->op_bytes || (uint64_t)st.st_blocks * 512 < s->op_bytes;
    return MIM_OK;
}

static int open_file(const allocate_state *s, int *fd)
{
    int f = openat(mim_scratch_room_fd(s->room), file_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
                   0600);

    if (f < 0)
        return fail_file(s, "creating it");
    *fd = f;
    return MIM_OK;
}

static int close_file(const allocate_state *s, int fd, int rc)
{
    if (close(fd) != 0 && rc == MIM_OK)
        rc = fail_file(s, "closing it");
    if (unlinkat(mim_scratch_room_fd(s->room), file_name, 0) != 0 && rc == MIM_OK)
        rc = fail_file(s, "removing it");
    return rc;
}

static int operation(allocate_state *s)
{
    int rc, fd = -1;

    if (!mim_scratch_may_allocate(s->scratch, s->op_bytes))
        return mim_fail(MIM_EUNSUP, "%s", mim_scratch_refusal(s->scratch));
    if ((rc = open_file(s, &fd)) != MIM_OK)
        return rc;
    s->n_files++;
    return close_file(s, fd, allocate_and_flush(s, fd));
}

static int run(void *state, size_t n, mim_work *work)
{
    allocate_state *s = state;

    for (size_t i = 0; i < n; i++) {
        int rc = operation(s);

        if (rc != MIM_OK)
            return rc;
        work->n_ops++;
        work->n_bytes += s->op_bytes;
    }
    return MIM_OK;
}

/* Space that was given reads as zeros, up to its last page. */
static int verify_zeros(const allocate_state *s, int fd)
{
    int rc;
    void *back = NULL;

    if (fallocate(fd, 0, 0, (off_t)s->op_bytes) != 0)
        return errno == ENOSPC ? MIM_OK : fail_file(s, "allocating its space");
    if ((rc = mim_kernel_buffer(MIM_PAGE_BYTES, 1, &back)) == MIM_OK &&
        (rc = mim_kernel_read_at(fd, s->op_bytes - MIM_PAGE_BYTES, MIM_PAGE_BYTES, back)) ==
            MIM_OK &&
        memcmp(back, s->zeros, MIM_PAGE_BYTES) != 0)
        rc = mim_fail(MIM_ECHECK, "fallocate: allocated space does not read as zeros");
    free(back);
    return rc;
}

static int verify(void *state)
{
    const allocate_state *s = state;
    int rc, fd = -1;

    if (s->n_short > 0)
        return mim_fail(MIM_ECHECK,
                        "fallocate: %" PRIu64 " of %" PRIu64 " files had less than %" PRIu64
                        " bytes of space",
                        s->n_short, s->n_files, s->op_bytes);
    if ((rc = open_file(s, &fd)) != MIM_OK)
        return rc;
    return close_file(s, fd, verify_zeros(s, fd));
}

const mim_kernel mim_kernel_fallocate = {.name = "fallocate",
                                         .create = create,
                                         .destroy = destroy,
                                         .run = run,
                                         .verify = verify,
                                         .check_node = check_node};
