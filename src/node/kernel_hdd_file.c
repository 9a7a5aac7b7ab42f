/* A file made, written, flushed, closed and removed for each block: small synchronous writes with
 * all that a file system adds to them.
 *
 * Nothing is left to be looked at afterwards, so the first file and then one in 1024 is read back
 * before it goes. Always through the page cache: the flush reaches the device. One operation = one
 * file; bytes = its content. What the device sees beyond that (inodes, journal) is the file
 * system's. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/kernel_family.h"

enum { FILES_A_CHECK = 1024 };

static const char file_name[] = "file";

typedef struct file_state {
    uint64_t *block; /* [op_bytes] */
    mim_scratch *scratch;
    mim_scratch_room *room;
    uint64_t op_bytes;
    uint64_t n_files;
    uint32_t crc; /* of the block behind its stamp */
} file_state;

static uint32_t block_crc(const file_state *s)
{
    return mim_crc32c_ref(0, s->block + 1, s->op_bytes - sizeof *s->block);
}

static void destroy(void *state)
{
    file_state *s = state;

    if (!s)
        return;
    mim_scratch_room_destroy(&s->room);
    free(s->block);
    free(s);
}

static int check(const mim_stressor *stressor, const mim_kernel_place *place)
{
    if (!place->scratch)
        return mim_fail(MIM_EINVAL, "kernel hdd_file: no scratch folder");
    if (stressor->op_bytes == 0 || stressor->op_bytes % MIM_PAGE_BYTES != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel hdd_file: files of %" PRIu64 " bytes, expected a multiple of %d",
                        stressor->op_bytes, MIM_PAGE_BYTES);
    return MIM_OK;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *block = NULL;
    file_state *s = NULL;

    if ((rc = mim_kernel_check("hdd_file", stressor, place, state)) != MIM_OK ||
        (rc = check(stressor, place)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel hdd_file");
    s->scratch = place->scratch;
    s->op_bytes = stressor->op_bytes;
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &block)) != MIM_OK)
        goto done;
    s->block = block;
    mim_kernel_fill_random(s->op_bytes / sizeof *s->block, place->seed + place->row, s->block);
    s->crc = block_crc(s);
    if ((rc = mim_scratch_room_create(place->scratch, s->op_bytes, &s->room)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int fail_file(const file_state *s, const char *what)
{
    return mim_fail(MIM_EIO, "%s/%s: %s: %s", mim_scratch_room_path(s->room), file_name, what,
                    strerror(errno));
}

/* From the device, not from memory. */
static int read_back(const file_state *s, int fd)
{
    int rc;
    void *back = NULL;

    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &back)) == MIM_OK &&
        (rc = mim_kernel_read_at(fd, 0, s->op_bytes, back)) == MIM_OK &&
        memcmp(s->block, back, s->op_bytes) != 0)
        rc = mim_fail(MIM_ECHECK, "hdd_file: file %" PRIu64 " does not read back as written",
                      s->n_files);
    free(back);
    return rc;
}

static int fill_and_flush(const file_state *s, int fd)
{
    int rc = mim_kernel_write_at(fd, 0, s->op_bytes, s->block);

    if (rc != MIM_OK)
        return mim_fail_in(rc, "%s", mim_scratch_room_path(s->room));
    if (fsync(fd) != 0)
        return fail_file(s, "flushing it");
    return s->n_files % FILES_A_CHECK == 1 ? read_back(s, fd) : MIM_OK;
}

static int operation(file_state *s)
{
    int rc, fd, folder = mim_scratch_room_fd(s->room);

    if (!mim_scratch_may_write(s->scratch, s->op_bytes))
        return mim_fail(MIM_EUNSUP, "%s", mim_scratch_refusal(s->scratch));
    s->block[0] = ++s->n_files;
    if ((fd = openat(folder, file_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
        return fail_file(s, "creating it");
    rc = fill_and_flush(s, fd);
    if (close(fd) != 0 && rc == MIM_OK)
        rc = fail_file(s, "closing it");
    if (unlinkat(folder, file_name, 0) != 0 && rc == MIM_OK)
        rc = fail_file(s, "removing it");
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    file_state *s = state;

    for (size_t i = 0; i < n; i++) {
        int rc = operation(s);

        if (rc != MIM_OK)
            return rc;
        work->n_ops++;
        work->n_bytes += s->op_bytes;
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const file_state *s = state;

    if (block_crc(s) != s->crc)
        return mim_fail(MIM_ECHECK, "hdd_file: the %" PRIu64 " bytes to write have changed",
                        s->op_bytes);
    if (faccessat(mim_scratch_room_fd(s->room), file_name, F_OK, 0) == 0)
        return mim_fail(MIM_ECHECK, "hdd_file: file %" PRIu64 " is still there", s->n_files);
    return MIM_OK;
}

const mim_kernel mim_kernel_hdd_file = {
    .name = "hdd_file", .create = create, .destroy = destroy, .run = run, .verify = verify};
