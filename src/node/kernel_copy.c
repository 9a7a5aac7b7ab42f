/* memcpy, memmove and memcmp over two buffers, in the pieces of the original's L1, L2 and LLC
 * stressors.
 *
 * Both offsets advance by the piece's length, except that at L2 and LLC sizes the second one gets
 * 64 bytes more, so that the two drift apart; each returns to 0 where the piece would not fit. A
 * batch is a fixed amount of that walk; pieces above 256 KiB are done in parts, which continue in
 * the next batch. One operation = one whole piece; bytes = its length. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/kernel_family.h"

enum {
    MAX_PIECES = 8,
    COMPARED_FILL = 0xAB,
    DRIFT_BYTES = 64,
    BATCH_BYTES = 384 << 10, /* some 10 us */
    PART_BYTES = 256 << 10
};

/* Which pieces are used follows from the size of one buffer. */
typedef struct pieces {
    const char *level;
    uint64_t min_buffer_bytes;
    size_t n;
    uint32_t length[MAX_PIECES];
    uint32_t drift_bytes;
} pieces;

static const pieces piece_table[] = {
    {"LLC", 4 << 20, 5, {4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}, DRIFT_BYTES},
    {"L2", 128 << 10, 4, {1 << 10, 4 << 10, 16 << 10, 64 << 10}, DRIFT_BYTES},
    {"L1", 2 << 10, 8, {16, 32, 64, 128, 256, 512, 1024, 2048}, 0},
};

typedef struct copy_state {
    unsigned char *first, *second; /* copied from first to second */
    uint64_t n_bytes;              /* of each buffer */
    const pieces *pieces;
    size_t index;           /* of the piece at hand */
    uint64_t done_in_piece; /* bytes of it already done */
    uint64_t first_offset, second_offset;
    int (*part)(unsigned char *first, unsigned char *second, size_t n_bytes);
    int differs; /* memcmp: any result that was not 0 */
    uint64_t last_first, last_second, last_bytes;
} copy_state;

static int copy_part(unsigned char *first, unsigned char *second, size_t n_bytes)
{
    memcpy(second, first, n_bytes);
    MIM_KEEP(second);
    return 0;
}

static int move_part(unsigned char *first, unsigned char *second, size_t n_bytes)
{
    memmove(second, first, n_bytes);
    MIM_KEEP(second);
    return 0;
}

static int compare_part(unsigned char *first, unsigned char *second, size_t n_bytes)
{
    MIM_KEEP(first);
    return memcmp(first, second, n_bytes);
}

static void destroy(void *state)
{
    copy_state *s = state;

    if (!s)
        return;
    free(s->first);
    free(s->second);
    free(s);
}

static int create(const char *kernel, const mim_stressor *stressor, const mim_kernel_place *place,
                  copy_state **state)
{
    int rc;
    void *first = NULL, *second = NULL;
    size_t i = 0, n_kinds = sizeof piece_table / sizeof piece_table[0];
    copy_state *s = NULL;

    if ((rc = mim_kernel_check(kernel, stressor, place, (void *const *)state)) != MIM_OK)
        return rc;
    while (i < n_kinds && stressor->memory_bytes / 2 < piece_table[i].min_buffer_bytes)
        i++;
    if (i == n_kinds)
        return mim_fail(MIM_EINVAL,
                        "kernel %s: two buffers in %" PRIu64 " bytes, expected %d or more", kernel,
                        stressor->memory_bytes, 4 << 10);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel %s", kernel);
    s->pieces = &piece_table[i];
    s->n_bytes = stressor->memory_bytes / 2;
    if ((rc = mim_kernel_buffer(s->n_bytes, COMPARED_FILL, &first)) != MIM_OK)
        goto done;
    s->first = first;
    if ((rc = mim_kernel_buffer(s->n_bytes, COMPARED_FILL, &second)) != MIM_OK)
        goto done;
    s->second = second;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int create_changing(const char *kernel, const mim_stressor *stressor,
                           const mim_kernel_place *place,
                           int (*part)(unsigned char *, unsigned char *, size_t), void **state)
{
    copy_state *s = NULL;
    int rc = create(kernel, stressor, place, state ? &s : NULL);

    if (rc != MIM_OK)
        return rc;
    s->part = part;
    /* With equal bytes everywhere no check could tell a copy from none; the speed is the same. */
    for (uint64_t i = 0; i < s->n_bytes; i++)
        s->first[i] = (unsigned char)(i * 2654435761u >> 24);
    *state = s;
    return MIM_OK;
}

static int create_copy(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create_changing("memcpy", stressor, place, copy_part, state);
}

static int create_move(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create_changing("memmove", stressor, place, move_part, state);
}

static int create_compare(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    copy_state *s = NULL;
    int rc = create("memcmp", stressor, place, state ? &s : NULL);

    if (rc != MIM_OK)
        return rc;
    s->part = compare_part;
    *state = s;
    return MIM_OK;
}

/* Does the rest of the piece at hand, at most max_bytes of it. */
static uint64_t step(copy_state *s, uint64_t max_bytes, uint64_t *n_ops)
{
    uint64_t length = s->pieces->length[s->index];
    uint64_t n = length - s->done_in_piece;

    if (s->done_in_piece == 0) {
        if (s->first_offset + length > s->n_bytes)
            s->first_offset = 0;
        if (s->second_offset + length > s->n_bytes)
            s->second_offset = 0;
    }
    n = n > max_bytes ? max_bytes : n;
    s->last_first = s->first_offset + s->done_in_piece;
    s->last_second = s->second_offset + s->done_in_piece;
    s->last_bytes = n;
    s->differs |= s->part(s->first + s->last_first, s->second + s->last_second, n);
    s->done_in_piece += n;
    if (s->done_in_piece == length) {
        s->done_in_piece = 0;
        s->first_offset += length;
        s->second_offset += length + s->pieces->drift_bytes;
        s->index = (s->index + 1) % s->pieces->n;
        (*n_ops)++;
    }
    return n;
}

static int run(void *state, size_t n, mim_work *work)
{
    copy_state *s = state;

    for (size_t i = 0; i < n; i++)
        for (uint64_t left = BATCH_BYTES, done; left > 0; left -= done) {
            done = step(s, left < PART_BYTES ? left : PART_BYTES, &work->n_ops);
            work->n_bytes += done;
        }
    return MIM_OK;
}

static int verify_copy(void *state)
{
    const copy_state *s = state;

    if (memcmp(s->first + s->last_first, s->second + s->last_second, s->last_bytes) != 0)
        return mim_fail(MIM_ECHECK,
                        "copy: %" PRIu64 " bytes copied from offset %" PRIu64 " to %" PRIu64
                        " are not those of the source",
                        s->last_bytes, s->last_first, s->last_second);
    return MIM_OK;
}

/* Every comparison was of equal bytes; one that is not must be seen as such. */
static int verify_compare(void *state)
{
    copy_state *s = state;
    uint64_t n = s->last_bytes > 0 ? s->last_bytes : 1;
    unsigned char *byte = s->second + s->last_second + n - 1;
    int seen;

    if (s->differs)
        return mim_fail(MIM_ECHECK, "memcmp: buffers filled with %d compared as different",
                        COMPARED_FILL);
    *byte ^= 1;
    seen = compare_part(s->first + s->last_first, s->second + s->last_second, n);
    *byte ^= 1;
    if (seen == 0)
        return mim_fail(MIM_ECHECK, "memcmp: a changed byte after %" PRIu64 " was not seen", n - 1);
    return MIM_OK;
}

const mim_kernel mim_kernel_memcpy = {
    .name = "memcpy", .create = create_copy, .destroy = destroy, .run = run, .verify = verify_copy};
const mim_kernel mim_kernel_memmove = {.name = "memmove",
                                       .create = create_move,
                                       .destroy = destroy,
                                       .run = run,
                                       .verify = verify_copy};
const mim_kernel mim_kernel_memcmp = {.name = "memcmp",
                                      .create = create_compare,
                                      .destroy = destroy,
                                      .run = run,
                                      .verify = verify_compare};
