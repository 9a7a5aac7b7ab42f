/* Writes of blocks going round a private, preallocated region, one block an operation.
 *
 * With O_DIRECT every write reaches the device. Otherwise write-back of the block is started at
 * once and the block's previous write-back is waited for first: without that, a device slower than
 * memory would see only some of the rewrites, and dirty pages would grow beyond the region. One
 * operation = one block; bytes = its length. */
#define _GNU_SOURCE /* sync_file_range */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/kernel_family.h"

enum { FILL = 'W' };

/* A block comes round again long after its write-back; more would only take longer to prepare. */
static const uint64_t default_region_bytes = UINT64_C(64) << 20;

typedef struct write_state {
    uint64_t *block; /* [op_bytes] */
    int fd;
    bool is_direct;
    mim_scratch *scratch;
    uint64_t op_bytes, region_bytes;
    uint64_t offset;      /* of the next write */
    uint64_t last_offset; /* of the last one that was done */
    uint64_t n_written;   /* blocks */
} write_state;

static void destroy(void *state)
{
    write_state *s = state;

    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->block);
    free(s);
}

static int check(const mim_stressor *stressor, const mim_kernel_place *place)
{
    if (!place->scratch)
        return mim_fail(MIM_EINVAL, "kernel hdd_write: no scratch folder");
    if (stressor->op_bytes == 0 || stressor->op_bytes % MIM_PAGE_BYTES != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel hdd_write: writes of %" PRIu64 " bytes, expected a multiple of %d",
                        stressor->op_bytes, MIM_PAGE_BYTES);
    if (stressor->file_bytes > 0 && stressor->file_bytes < stressor->op_bytes)
        return mim_fail(MIM_EINVAL,
                        "kernel hdd_write: region of %" PRIu64 " bytes for writes of %" PRIu64,
                        stressor->file_bytes, stressor->op_bytes);
    return MIM_OK;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *block = NULL;
    uint64_t region;
    write_state *s = NULL;

    if ((rc = mim_kernel_check("hdd_write", stressor, place, state)) != MIM_OK ||
        (rc = check(stressor, place)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel hdd_write");
    s->fd = -1;
    s->scratch = place->scratch;
    s->is_direct = mim_scratch_is_direct(place->scratch);
    s->op_bytes = stressor->op_bytes;
    region = stressor->file_bytes > 0 ? stressor->file_bytes : default_region_bytes;
    s->region_bytes = region < s->op_bytes ? s->op_bytes : region / s->op_bytes * s->op_bytes;
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &block)) != MIM_OK)
        goto done;
    s->block = block;
    mim_kernel_fill_random(s->op_bytes / sizeof *s->block, place->seed + place->row, s->block);
    if ((rc = mim_scratch_file(place->scratch, s->region_bytes, FILL, &s->fd)) != MIM_OK)
        goto done;
    if (stressor->parameter == MIM_STRESSOR_DIRECT && !s->is_direct) {
        if ((rc = mim_kernel_set_direct(s->fd, true)) != MIM_OK)
            goto done;
        s->is_direct = true;
    }
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

/* Every page tells which write it belongs to, so that a lost one is seen. */
static void stamp(write_state *s)
{
    for (uint64_t at = 0; at < s->op_bytes; at += MIM_PAGE_BYTES) {
        s->block[at / sizeof *s->block] = s->n_written + 1;
        s->block[at / sizeof *s->block + 1] = s->offset + at;
    }
}

/* ENOSYS, EINVAL, ESPIPE: the file system has no such call, and then writes back in its own time.
 */
static int sync_range(const write_state *s, unsigned flags)
{
    while (sync_file_range(s->fd, (off_t)s->offset, (off_t)s->op_bytes, flags) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == ENOSYS || errno == EINVAL || errno == ESPIPE)
            break;
        return mim_fail(MIM_EIO,
                        "scratch file in %s: write-back of %" PRIu64 " bytes at %" PRIu64 ": %s",
                        mim_scratch_folder(s->scratch), s->op_bytes, s->offset, strerror(errno));
    }
    return MIM_OK;
}

static int operation(write_state *s)
{
    int rc;

    if (!mim_scratch_may_write(s->scratch, s->op_bytes))
        return mim_fail(MIM_EUNSUP, "%s", mim_scratch_refusal(s->scratch));
    stamp(s);
    if (!s->is_direct && (rc = sync_range(s, SYNC_FILE_RANGE_WAIT_BEFORE)) != MIM_OK)
        return rc;
    if ((rc = mim_kernel_write_at(s->fd, s->offset, s->op_bytes, s->block)) != MIM_OK)
        return mim_fail_in(rc, "%s", mim_scratch_folder(s->scratch));
    if (!s->is_direct && (rc = sync_range(s, SYNC_FILE_RANGE_WRITE)) != MIM_OK)
        return rc;
    s->last_offset = s->offset;
    s->n_written++;
    s->offset += s->op_bytes;
    if (s->offset >= s->region_bytes)
        s->offset = 0;
    return MIM_OK;
}

static int run(void *state, size_t n, mim_work *work)
{
    write_state *s = state;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if ((rc = operation(s)) != MIM_OK)
            return rc;
        work->n_ops++;
        work->n_bytes += s->op_bytes;
    }
    return MIM_OK;
}

/* The block still holds what the last write gave, its stamps included. */
static int verify(void *state)
{
    const write_state *s = state;
    void *back = NULL;
    int rc;

    if (s->n_written == 0)
        return MIM_OK;
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &back)) != MIM_OK ||
        (rc = mim_kernel_read_at(s->fd, s->last_offset, s->op_bytes, back)) != MIM_OK)
        goto done;
    if (memcmp(s->block, back, s->op_bytes) != 0)
        rc = mim_fail(MIM_ECHECK,
                      "write: block %" PRIu64 " at %" PRIu64 " does not read back as written",
                      s->n_written, s->last_offset);
done:
    free(back);
    return rc;
}

static int check_node(const mim_stressor *stressor, mim_scratch *scratch)
{
    if (!scratch || stressor->parameter != MIM_STRESSOR_DIRECT || mim_scratch_takes_direct(scratch))
        return MIM_OK;
    return mim_fail(MIM_EUNSUP, "scratch folder %s: its file system refuses O_DIRECT",
                    mim_scratch_folder(scratch));
}

const mim_kernel mim_kernel_hdd_write = {.name = "hdd_write",
                                         .create = create,
                                         .destroy = destroy,
                                         .run = run,
                                         .verify = verify,
                                         .check_node = check_node};
