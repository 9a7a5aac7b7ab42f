/* CRC-32C over short pieces of a large buffer: every piece starts cold.
 *
 * Lengths cycle 16, 32 ... 2048; the start moves on by a stride after each and returns to 0 where
 * the piece would not end before the buffer does. "compute" starts each piece from zero, "extend"
 * chains them. One operation = one piece; bytes = its length. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/kernel_family.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

enum {
    N_LENGTHS = 8,
    FIRST_LENGTH = 16,
    FILL = 'x',
    /* About 10 us each; the plain version does one byte where the instruction does eight. */
    PIECES_A_BATCH = 200,
    PIECES_A_BATCH_REF = 16,
    MIN_BYTES = 4096
};

typedef struct crc_state {
    unsigned char *buffer;
    uint64_t n_bytes, stride;
    uint64_t start;
    size_t length_index;
    size_t n_pieces; /* of one batch */
    bool is_chained;
    mim_crc32c crc32c;
    uint32_t crc; /* of the last piece, or of all of them */
    uint64_t last_start, last_length;
    uint32_t crc_before;
} crc_state;

/* Two table look-ups a byte, on purpose: the plain version that the fast one is tested against. */
uint32_t mim_crc32c_ref(uint32_t crc, const void *bytes, size_t n_bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const unsigned char *p = bytes;

    crc = ~crc;
    for (size_t i = 0; i < n_bytes; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *bytes,
                                                               size_t n_bytes)
{
    const unsigned char *p = bytes;
    uint64_t wide = (uint32_t)~crc, word;
    uint32_t narrow;

    for (; n_bytes >= sizeof word; n_bytes -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    narrow = (uint32_t)wide;
    for (; n_bytes > 0; n_bytes--, p++)
        narrow = _mm_crc32_u8(narrow, *p);
    return ~narrow;
}
#endif

mim_crc32c mim_crc32c_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42;
#endif
    return mim_crc32c_ref;
}

static void destroy(void *state)
{
    crc_state *s = state;

    if (!s)
        return;
    free(s->buffer);
    free(s);
}

/* The original's strides: 64 KiB in its 256 MiB buffer, 32 KiB in 16 MiB, 4 KiB in 1 MiB. */
static uint64_t default_stride(uint64_t n_bytes)
{
    if (n_bytes >= UINT64_C(64) << 20)
        return 64 << 10;
    return n_bytes >= UINT64_C(4) << 20 ? 32 << 10 : 4 << 10;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, bool is_chained,
                  void **state)
{
    int rc;
    void *buffer = NULL;
    crc_state *s = NULL;

    if ((rc = mim_kernel_check("crc", stressor, place, state)) != MIM_OK)
        return rc;
    if (stressor->memory_bytes < MIN_BYTES)
        return mim_fail(MIM_EINVAL, "kernel crc: buffer of %" PRIu64 " bytes, expected %d or more",
                        stressor->memory_bytes, MIN_BYTES);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel crc");
    if ((rc = mim_kernel_buffer(stressor->memory_bytes, FILL, &buffer)) != MIM_OK)
        goto done;
    s->buffer = buffer;
    s->n_bytes = stressor->memory_bytes;
    s->stride = stressor->parameter > 0 ? stressor->parameter : default_stride(s->n_bytes);
    s->is_chained = is_chained;
    s->crc32c = mim_crc32c_best();
    s->n_pieces = s->crc32c == mim_crc32c_ref ? PIECES_A_BATCH_REF : PIECES_A_BATCH;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int create_compute(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create(stressor, place, false, state);
}

static int create_extend(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create(stressor, place, true, state);
}

static uint64_t piece(crc_state *s)
{
    uint64_t length = (uint64_t)FIRST_LENGTH << s->length_index;

    if (s->start + length >= s->n_bytes)
        s->start = 0;
    s->crc_before = s->is_chained ? s->crc : 0;
    s->crc = s->crc32c(s->crc_before, s->buffer + s->start, length);
    s->last_start = s->start;
    s->last_length = length;
    s->start += s->stride;
    s->length_index = (s->length_index + 1) % N_LENGTHS;
    return length;
}

static int run(void *state, size_t n, mim_work *work)
{
    crc_state *s = state;
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < n * s->n_pieces; i++)
        n_bytes += piece(s);
    MIM_KEEP(s);
    work->n_ops += n * s->n_pieces;
    work->n_bytes += n_bytes;
    return MIM_OK;
}

static int verify(void *state)
{
    const crc_state *s = state;
    const unsigned char *last = s->buffer + s->last_start;
    uint32_t expected = mim_crc32c_ref(s->crc_before, last, s->last_length);

    if (s->crc != expected)
        return mim_fail(MIM_ECHECK,
                        "crc: %" PRIu64 " bytes gave %08" PRIx32 ", the reference %08" PRIx32,
                        s->last_length, s->crc, expected);
    for (uint64_t i = 0; i < s->last_length; i++)
        if (last[i] != FILL)
            return mim_fail(MIM_ECHECK, "crc: buffer byte %" PRIu64 " changed from %d to %d",
                            s->last_start + i, FILL, last[i]);
    return MIM_OK;
}

const mim_kernel mim_kernel_crc_compute = {.name = "crc_compute",
                                           .create = create_compute,
                                           .destroy = destroy,
                                           .run = run,
                                           .verify = verify};
const mim_kernel mim_kernel_crc_extend = {.name = "crc_extend",
                                          .create = create_extend,
                                          .destroy = destroy,
                                          .run = run,
                                          .verify = verify};
