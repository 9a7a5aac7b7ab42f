/* Reads of the scratch's shared file at a moving offset, one block an operation.
 *
 * With O_DIRECT every read reaches the device; otherwise the range is first dropped from the page
 * cache, with read-ahead off so that no byte is fetched twice. Rows start spread over the file.
 * One operation = one block; bytes = its length. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/kernel_family.h"

enum { FILL = 'R' };

typedef struct read_state {
    unsigned char *block; /* [op_bytes] */
    int fd;
    bool is_direct;
    uint64_t op_bytes, file_bytes;
    uint64_t offset;  /* of the next read */
    uint64_t n_valid; /* bytes of `block` that hold what was read */
} read_state;

static void destroy(void *state)
{
    read_state *s = state;

    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->block);
    free(s);
}

/* Golden-ratio steps keep any number of rows apart. */
static uint64_t start_offset(uint64_t row, uint64_t n_blocks, uint64_t block_bytes)
{
    uint64_t fraction = (row * UINT64_C(0x9E3779B97F4A7C15)) >> 32; /* of 2^32 */

    return (fraction * n_blocks >> 32) * block_bytes;
}

static int check(const mim_stressor *stressor, const mim_kernel_place *place)
{
    if (!place->scratch)
        return mim_fail(MIM_EINVAL, "kernel hdd_read: no scratch folder");
    if (stressor->op_bytes == 0 || stressor->op_bytes % MIM_PAGE_BYTES != 0)
        return mim_fail(MIM_EINVAL,
                        "kernel hdd_read: reads of %" PRIu64 " bytes, expected a multiple of %d",
                        stressor->op_bytes, MIM_PAGE_BYTES);
    if (stressor->shared_file_bytes < stressor->op_bytes ||
        stressor->shared_file_bytes / stressor->op_bytes > UINT32_MAX)
        return mim_fail(MIM_EINVAL,
                        "kernel hdd_read: file of %" PRIu64 " bytes for reads of %" PRIu64,
                        stressor->shared_file_bytes, stressor->op_bytes);
    return MIM_OK;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *block = NULL;
    read_state *s = NULL;

    if ((rc = mim_kernel_check("hdd_read", stressor, place, state)) != MIM_OK ||
        (rc = check(stressor, place)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel hdd_read");
    s->fd = -1;
    s->is_direct = mim_scratch_is_direct(place->scratch);
    s->op_bytes = stressor->op_bytes;
    s->file_bytes = stressor->shared_file_bytes;
    s->offset = start_offset(place->row, s->file_bytes / s->op_bytes, s->op_bytes);
    if ((rc = mim_kernel_buffer(s->op_bytes, 0, &block)) != MIM_OK)
        goto done;
    s->block = block;
    if ((rc = mim_scratch_shared_file(place->scratch, s->file_bytes, &s->fd)) != MIM_OK)
        goto done;
    if (!s->is_direct)
        posix_fadvise(s->fd, 0, 0, POSIX_FADV_RANDOM);
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    read_state *s = state;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (!s->is_direct)
            posix_fadvise(s->fd, (off_t)s->offset, (off_t)s->op_bytes, POSIX_FADV_DONTNEED);
        s->n_valid = 0;
        if ((rc = mim_kernel_read_at(s->fd, s->offset, s->op_bytes, s->block)) != MIM_OK)
            return rc;
        s->n_valid = s->op_bytes;
        s->offset += s->op_bytes;
        if (s->offset + s->op_bytes > s->file_bytes)
            s->offset = 0;
        work->n_ops++;
        work->n_bytes += s->op_bytes;
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const read_state *s = state;

    for (uint64_t i = 0; i < s->n_valid; i++)
        if (s->block[i] != FILL)
            return mim_fail(MIM_ECHECK,
                            "read: byte %" PRIu64 " of the last block is %d, expected %d", i,
                            s->block[i], FILL);
    return MIM_OK;
}

const mim_kernel mim_kernel_hdd_read = {
    .name = "hdd_read", .create = create, .destroy = destroy, .run = run, .verify = verify};
