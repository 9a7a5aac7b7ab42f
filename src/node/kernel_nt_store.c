/* Stores that go past the caches, in sweeps over a buffer: memory writes without the reads that
 * usual stores cause.
 *
 * The word is the original's 0xCAFEBABE for the first sweep and one more for each next, so that a
 * sweep that was not made is seen. A fence ends every part, not every sweep: a part must be in
 * memory before its time is up. One operation = one whole sweep; bytes = bytes stored. */
#include <inttypes.h>
#include <stdlib.h>

#include "node/kernel_sweep.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define FIRST_WORD 0xCAFEBABEu

typedef struct store_state {
    uint32_t *buffer;
    mim_sweep sweep;
    mim_nt_store store;
} store_state;

void mim_nt_store_ref(size_t n_bytes, uint32_t word, void *p)
{
    uint32_t *words = p;

    for (size_t i = 0; i < n_bytes / sizeof word; i++)
        words[i] = word;
}

#if defined(__x86_64__)
__attribute__((target("avx"))) static void nt_store_avx(size_t n_bytes, uint32_t word, void *p)
{
    const __m256i wide = _mm256_set1_epi32((int)word);
    char *bytes = p;

    for (size_t i = 0; i < n_bytes; i += 64) {
        _mm256_stream_si256((__m256i *)(void *)(bytes + i), wide);
        _mm256_stream_si256((__m256i *)(void *)(bytes + i + 32), wide);
    }
    _mm_sfence();
}
#endif

mim_nt_store mim_nt_store_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx"))
        return nt_store_avx;
#endif
    return mim_nt_store_ref;
}

static void destroy(void *state)
{
    store_state *s = state;

    if (!s)
        return;
    free(s->buffer);
    free(s);
}

static uint32_t sweep_word(uint64_t n_sweeps) { return FIRST_WORD + (uint32_t)n_sweeps; }

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *buffer = NULL;
    store_state *s = NULL;

    if ((rc = mim_kernel_check("nt_store", stressor, place, state)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel nt_store");
    if ((rc = mim_sweep_begin("nt_store", stressor->memory_bytes, &s->sweep)) != MIM_OK ||
        (rc = mim_kernel_buffer(s->sweep.n_bytes, 0, &buffer)) != MIM_OK)
        goto done;
    s->buffer = buffer;
    s->store = mim_nt_store_best();
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    store_state *s = state;

    for (size_t i = 0; i < n; i++) {
        s->store(s->sweep.part_bytes, sweep_word(s->sweep.n_sweeps),
                 s->buffer + s->sweep.offset / sizeof *s->buffer);
        MIM_KEEP(s->buffer);
        work->n_ops += mim_sweep_next(&s->sweep);
        work->n_bytes += s->sweep.part_bytes;
    }
    return MIM_OK;
}

/* Below the offset the words of the sweep at hand, above it those of the one before. */
static int verify(void *state)
{
    const store_state *s = state;
    const uint32_t now = sweep_word(s->sweep.n_sweeps);
    const uint32_t before = s->sweep.n_sweeps > 0 ? sweep_word(s->sweep.n_sweeps - 1) : 0;

    for (uint64_t i = 0; i < s->sweep.n_bytes / sizeof *s->buffer; i++) {
        uint32_t expected = i * sizeof *s->buffer < s->sweep.offset ? now : before;

        if (s->buffer[i] != expected)
            return mim_fail(MIM_ECHECK,
                            "nt_store: word %" PRIu64 " is %08" PRIx32 ", expected %08" PRIx32, i,
                            s->buffer[i], expected);
    }
    return MIM_OK;
}

const mim_kernel mim_kernel_nt_store = {
    .name = "nt_store", .create = create, .destroy = destroy, .run = run, .verify = verify};
