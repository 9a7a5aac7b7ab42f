/* Reads and writes that stay in the page cache: what applications do with files that fit memory.
 *
 * A private file goes round in blocks. It has no name, so what is dirty when it is closed never
 * reaches the device; before that the kernel writes dirty pages back when they are some 30 s old,
 * which the scratch guard is told of once a region and 5 s at most. One operation = one block;
 * bytes = its length. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "node/kernel_family.h"

enum { FILL = 'C' };

/* The kernel looks for old dirty pages this often (dirty_writeback_centisecs). */
static const int64_t flusher_ns = 5000000000;

typedef struct cache_state {
    uint64_t *block; /* [op_bytes] */
    int fd;
    mim_scratch *scratch;
    uint64_t op_bytes, file_bytes;
    uint64_t offset, last_offset; /* of the next block, of the last one done */
    uint64_t n_done;              /* blocks */
    int64_t asked_ns;             /* when the guard was last asked */
} cache_state;

static void destroy(void *state)
{
    cache_state *s = state;

    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->block);
    free(s);
}

static int check(const char *kernel, const mim_stressor *stressor, const mim_kernel_place *place)
{
    if (!place->scratch)
        return mim_fail(MIM_EINVAL, "kernel %s: no scratch folder", kernel);
    if (stressor->op_bytes == 0 || stressor->op_bytes % MIM_PAGE_BYTES != 0 ||
        stressor->file_bytes < stressor->op_bytes || stressor->file_bytes % stressor->op_bytes != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel %s: file of %" PRIu64 " bytes in blocks of %" PRIu64
                        ", expected whole blocks of a multiple of %d",
                        kernel, stressor->file_bytes, stressor->op_bytes, MIM_PAGE_BYTES);
    return MIM_OK;
}

/* mim_scratch_file leaves its file on the device only. */
static int fill_cache(const cache_state *s)
{
    int rc = MIM_OK;

    for (uint64_t at = 0; rc == MIM_OK && at < s->file_bytes; at += s->op_bytes)
        rc = mim_kernel_read_at(s->fd, at, s->op_bytes, s->block);
    return rc;
}

static int create(const char *kernel, const mim_stressor *stressor, const mim_kernel_place *place,
                  void **state)
{
    int rc;
    void *block = NULL;
    cache_state *s = NULL;

    if ((rc = mim_kernel_check(kernel, stressor, place, state)) != MIM_OK ||
        (rc = check(kernel, stressor, place)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel %s", kernel);
    s->fd = -1;
    s->scratch = place->scratch;
    s->op_bytes = stressor->op_bytes;
    s->file_bytes = stressor->file_bytes;
    s->asked_ns = mim_clock_mono_ns();
    if ((rc = mim_kernel_buffer(s->op_bytes, FILL, &block)) != MIM_OK)
        goto done;
    s->block = block;
    if ((rc = mim_scratch_file(place->scratch, s->file_bytes, FILL, &s->fd)) != MIM_OK)
        goto done;
    if ((mim_scratch_is_direct(place->scratch) &&
         (rc = mim_kernel_set_direct(s->fd, false)) != MIM_OK) ||
        (rc = fill_cache(s)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int create_read(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create("cache_read", stressor, place, state);
}

static int create_write(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create("cache_write", stressor, place, state);
}

static void next_block(cache_state *s, mim_work *work)
{
    s->last_offset = s->offset;
    s->offset = (s->offset + s->op_bytes) % s->file_bytes;
    s->n_done++;
    work->n_ops++;
    work->n_bytes += s->op_bytes;
}

static int run_read(void *state, size_t n, mim_work *work)
{
    cache_state *s = state;

    for (size_t i = 0; i < n; i++) {
        int rc = mim_kernel_read_at(s->fd, s->offset, s->op_bytes, s->block);

        if (rc != MIM_OK)
            return rc;
        next_block(s, work);
    }
    return MIM_OK;
}

static int ask_guard(cache_state *s)
{
    int64_t now = s->offset == 0 ? mim_clock_mono_ns() : s->asked_ns;

    if (now - s->asked_ns < flusher_ns)
        return MIM_OK;
    if (!mim_scratch_may_write(s->scratch, s->file_bytes))
        return mim_fail(MIM_EUNSUP, "%s", mim_scratch_refusal(s->scratch));
    s->asked_ns = now;
    return MIM_OK;
}

static int run_write(void *state, size_t n, mim_work *work)
{
    cache_state *s = state;

    for (size_t i = 0; i < n; i++) {
        int rc = ask_guard(s);

        s->block[0] = s->n_done + 1;
        s->block[1] = s->offset;
        if (rc == MIM_OK)
            rc = mim_kernel_write_at(s->fd, s->offset, s->op_bytes, s->block);
        if (rc != MIM_OK)
            return rc;
        next_block(s, work);
    }
    return MIM_OK;
}

static int verify_read(void *state)
{
    const cache_state *s = state;
    const unsigned char *bytes = (const unsigned char *)s->block;

    for (uint64_t i = 0; i < s->op_bytes; i++)
        if (bytes[i] != FILL)
            return mim_fail(MIM_ECHECK,
                            "cache_read: byte %" PRIu64 " of the last block is %d, expected %d", i,
                            bytes[i], FILL);
    return MIM_OK;
}

static int verify_write(void *state)
{
    const cache_state *s = state;
    int rc;
    void *back = NULL;

    if (s->n_done == 0)
        return MIM_OK;
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &back)) == MIM_OK &&
        (rc = mim_kernel_read_at(s->fd, s->last_offset, s->op_bytes, back)) == MIM_OK &&
        memcmp(s->block, back, s->op_bytes) != 0)
        rc = mim_fail(MIM_ECHECK,
                      "cache_write: block %" PRIu64 " at %" PRIu64 " does not read back as written",
                      s->n_done, s->last_offset);
    free(back);
    return rc;
}

const mim_kernel mim_kernel_cache_read = {.name = "cache_read",
                                          .create = create_read,
                                          .destroy = destroy,
                                          .run = run_read,
                                          .verify = verify_read};
const mim_kernel mim_kernel_cache_write = {.name = "cache_write",
                                           .create = create_write,
                                           .destroy = destroy,
                                           .run = run_write,
                                           .verify = verify_write};
