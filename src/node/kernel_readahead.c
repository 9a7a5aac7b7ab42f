/* Reads of a file that was asked for ahead: the page cache is told what will be needed and what no
 * longer is, and the device works while the thread copies.
 *
 * The original drops, asks for and reads its whole file at a time. Here one operation is a piece of
 * it, so that it fits a slot on a slow disk, too: the piece before is dropped, the next one asked
 * for, this one read in 64 KiB. Always through the page cache. Bytes = those read. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/kernel_family.h"

enum { FILL = 'X', CHUNK_BYTES = 64 << 10 };

typedef struct ahead_state {
    unsigned char *chunk; /* [CHUNK_BYTES] */
    int fd;
    uint64_t op_bytes, file_bytes;
    uint64_t offset; /* of the next piece */
    uint64_t n_read; /* bytes */
} ahead_state;

static void destroy(void *state)
{
    ahead_state *s = state;

    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->chunk);
    free(s);
}

static int check(const mim_stressor *stressor, const mim_kernel_place *place)
{
    if (!place->scratch)
        return mim_fail(MIM_EINVAL, "kernel readahead: no scratch folder");
    if (stressor->op_bytes == 0 || stressor->op_bytes % CHUNK_BYTES != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel readahead: pieces of %" PRIu64 " bytes, expected a multiple of %d",
                        stressor->op_bytes, CHUNK_BYTES);
    /* Of fewer pieces the next one would be one just dropped. */
    if (stressor->file_bytes / 3 < stressor->op_bytes ||
        stressor->file_bytes % stressor->op_bytes != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel readahead: file of %" PRIu64
                        " bytes, expected 3 or more whole pieces of %" PRIu64,
                        stressor->file_bytes, stressor->op_bytes);
    return MIM_OK;
}

static void advise(const ahead_state *s, uint64_t offset, int advice)
{
    posix_fadvise(s->fd, (off_t)(offset % s->file_bytes), (off_t)s->op_bytes, advice);
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *chunk = NULL;
    ahead_state *s = NULL;

    if ((rc = mim_kernel_check("readahead", stressor, place, state)) != MIM_OK ||
        (rc = check(stressor, place)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel readahead");
    s->fd = -1;
    s->op_bytes = stressor->op_bytes;
    s->file_bytes = stressor->file_bytes;
    if ((rc = mim_kernel_buffer(CHUNK_BYTES, FILL, &chunk)) != MIM_OK)
        goto done;
    s->chunk = chunk;
    if ((rc = mim_scratch_file(place->scratch, s->file_bytes, FILL, &s->fd)) != MIM_OK)
        goto done;
    if (mim_scratch_is_direct(place->scratch) &&
        (rc = mim_kernel_set_direct(s->fd, false)) != MIM_OK)
        goto done;
    advise(s, 0, POSIX_FADV_WILLNEED);
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    ahead_state *s = state;

    for (size_t i = 0; i < n; i++) {
        advise(s, s->offset + s->file_bytes - s->op_bytes, POSIX_FADV_DONTNEED);
        advise(s, s->offset + s->op_bytes, POSIX_FADV_WILLNEED);
        for (uint64_t at = 0; at < s->op_bytes; at += CHUNK_BYTES) {
            int rc = mim_kernel_read_at(s->fd, s->offset + at, CHUNK_BYTES, s->chunk);

            if (rc != MIM_OK)
                return rc;
        }
        s->n_read += s->op_bytes;
        s->offset = (s->offset + s->op_bytes) % s->file_bytes;
        work->n_ops++;
        work->n_bytes += s->op_bytes;
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const ahead_state *s = state;

    for (uint64_t i = 0; i < CHUNK_BYTES; i++)
        if (s->chunk[i] != FILL)
            return mim_fail(MIM_ECHECK,
                            "readahead: byte %" PRIu64 " of the last 64 KiB is %d, expected %d", i,
                            s->chunk[i], FILL);
    return MIM_OK;
}

const mim_kernel mim_kernel_readahead = {
    .name = "readahead", .create = create, .destroy = destroy, .run = run, .verify = verify};
