/* Streaming loads of a whole buffer, each word into an exclusive or: memory or cache reads and
 * hardly anything else.
 *
 * The buffer holds scattered words, not the original's 'S' everywhere: their sum would be 0 however
 * much of it was read. Each part's sum is compared with the one worked out at the start. One
 * operation = one whole sweep; bytes = bytes loaded. */
#include <inttypes.h>
#include <stdlib.h>

#include "node/kernel_sweep.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef struct scan_state {
    uint64_t *buffer;
    uint64_t *part_sums; /* [n_bytes / part_bytes] */
    mim_sweep sweep;
    mim_scan scan;
    uint64_t seed;
    uint64_t n_wrong; /* parts whose sum was another */
} scan_state;

uint64_t mim_scan_ref(size_t n_bytes, const void *p)
{
    const uint64_t *words = p;
    uint64_t sum = 0;

    for (size_t i = 0; i < n_bytes / sizeof sum; i++)
        sum ^= words[i];
    return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t scan_avx2(size_t n_bytes, const void *p)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    uint64_t lanes[4];

    for (const char *at = p, *end = at + n_bytes; at < end; at += 128) {
        /* The intrinsic lacks a const that the instruction has. */
        __m256i *wide = (__m256i *)(uintptr_t)at;

        a = _mm256_xor_si256(a, _mm256_stream_load_si256(wide));
        b = _mm256_xor_si256(b, _mm256_stream_load_si256(wide + 1));
        c = _mm256_xor_si256(c, _mm256_stream_load_si256(wide + 2));
        d = _mm256_xor_si256(d, _mm256_stream_load_si256(wide + 3));
    }
    a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    _mm256_storeu_si256((__m256i *)(void *)lanes, a);
    return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}
#endif

mim_scan mim_scan_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return scan_avx2;
#endif
    return mim_scan_ref;
}

static void destroy(void *state)
{
    scan_state *s = state;

    if (!s)
        return;
    free(s->buffer);
    free(s->part_sums);
    free(s);
}

static uint64_t word_at(const scan_state *s, uint64_t i)
{
    return (i + s->seed) * UINT64_C(0x9E3779B97F4A7C15);
}

static int fill(scan_state *s)
{
    uint64_t n_parts = s->sweep.n_bytes / s->sweep.part_bytes;
    uint64_t words_a_part = s->sweep.part_bytes / sizeof *s->buffer;

    if (!(s->part_sums = calloc(n_parts, sizeof *s->part_sums)))
        return mim_fail(MIM_ENOMEM, "kernel scan");
    for (uint64_t i = 0; i < n_parts * words_a_part; i++) {
        s->buffer[i] = word_at(s, i);
        s->part_sums[i / words_a_part] ^= s->buffer[i];
    }
    return MIM_OK;
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *buffer = NULL;
    scan_state *s = NULL;

    if ((rc = mim_kernel_check("scan", stressor, place, state)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel scan");
    s->seed = place->seed + 1;
    if ((rc = mim_sweep_begin("scan", stressor->memory_bytes, &s->sweep)) != MIM_OK ||
        (rc = mim_kernel_buffer(s->sweep.n_bytes, 0, &buffer)) != MIM_OK)
        goto done;
    s->buffer = buffer;
    if ((rc = fill(s)) != MIM_OK)
        goto done;
    s->scan = mim_scan_best();
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    scan_state *s = state;

    for (size_t i = 0; i < n; i++) {
        uint64_t part = s->sweep.offset / s->sweep.part_bytes;

        s->n_wrong += s->part_sums[part] !=
                      s->scan(s->sweep.part_bytes, s->buffer + s->sweep.offset / sizeof *s->buffer);
        work->n_ops += mim_sweep_next(&s->sweep);
        work->n_bytes += s->sweep.part_bytes;
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const scan_state *s = state;

    if (s->n_wrong > 0)
        return mim_fail(MIM_ECHECK, "scan: %" PRIu64 " parts were read with a wrong sum",
                        s->n_wrong);
    for (uint64_t i = 0; i < s->sweep.n_bytes / sizeof *s->buffer; i++)
        if (s->buffer[i] != word_at(s, i))
            return mim_fail(MIM_ECHECK,
                            "scan: word %" PRIu64 " is %016" PRIx64 ", expected %016" PRIx64, i,
                            s->buffer[i], word_at(s, i));
    return MIM_OK;
}

const mim_kernel mim_kernel_scan = {
    .name = "scan", .create = create, .destroy = destroy, .run = run, .verify = verify};
