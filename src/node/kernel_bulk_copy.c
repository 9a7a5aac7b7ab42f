/* Copies of one large buffer to another, in sweeps.
 *
 * The original gives the whole buffer to one memcpy. C libraries store past the caches where a copy
 * is larger than most of the last-level cache, which parts of a sweep are not; so a stressor says
 * which of the two it means. The source's parts are stamped with the sweep, so that one that was
 * not copied is seen. One operation = one whole sweep; bytes = bytes copied. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/kernel_sweep.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef struct copy_state {
    uint64_t *source, *target;
    mim_sweep sweep;
    mim_bulk_copy copy;
} copy_state;

void mim_bulk_copy_ref(size_t n_bytes, const void *source, void *target)
{
    memcpy(target, source, n_bytes);
    MIM_KEEP(target);
}

#if defined(__x86_64__)
__attribute__((target("avx"))) static void bulk_copy_avx(size_t n_bytes, const void *source,
                                                         void *target)
{
    const __m256i *from = source;
    __m256i *to = target;

    for (size_t i = 0; i < n_bytes / sizeof *to; i += 2) {
        __m256i a = _mm256_load_si256(from + i), b = _mm256_load_si256(from + i + 1);

        _mm256_stream_si256(to + i, a);
        _mm256_stream_si256(to + i + 1, b);
    }
    _mm_sfence();
}
#endif

mim_bulk_copy mim_bulk_copy_streaming(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx"))
        return bulk_copy_avx;
#endif
    return mim_bulk_copy_ref;
}

static void destroy(void *state)
{
    copy_state *s = state;

    if (!s)
        return;
    free(s->source);
    free(s->target);
    free(s);
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *source = NULL, *target = NULL;
    copy_state *s = NULL;

    if ((rc = mim_kernel_check("bulk_copy", stressor, place, state)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel bulk_copy");
    if ((rc = mim_sweep_begin("bulk_copy", stressor->memory_bytes / 2, &s->sweep)) != MIM_OK ||
        (rc = mim_kernel_buffer(s->sweep.n_bytes, 0, &source)) != MIM_OK)
        goto done;
    s->source = source;
    if ((rc = mim_kernel_buffer(s->sweep.n_bytes, 0, &target)) != MIM_OK)
        goto done;
    s->target = target;
    mim_kernel_fill_random(s->sweep.n_bytes / sizeof *s->source, place->seed + place->row,
                           s->source);
    memcpy(s->target, s->source, s->sweep.n_bytes);
    s->copy = stressor->parameter == MIM_STRESSOR_STREAMING ? mim_bulk_copy_streaming()
                                                            : mim_bulk_copy_ref;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    copy_state *s = state;

    for (size_t i = 0; i < n; i++) {
        uint64_t at = s->sweep.offset / sizeof *s->source;

        s->source[at] = s->sweep.n_sweeps + 1;
        s->copy(s->sweep.part_bytes, s->source + at, s->target + at);
        work->n_ops += mim_sweep_next(&s->sweep);
        work->n_bytes += s->sweep.part_bytes;
    }
    return MIM_OK;
}

/* The stamp of the last copy of the part at `offset`, where it was copied at all. */
static int check_stamp(const copy_state *s, uint64_t offset)
{
    uint64_t expected = s->sweep.n_sweeps + (offset < s->sweep.offset ? 1 : 0);
    uint64_t found = s->target[offset / sizeof *s->target];

    if (expected > 0 && found != expected)
        return mim_fail(MIM_ECHECK,
                        "bulk_copy: at %" PRIu64 " the copy is of sweep %" PRIu64
                        ", expected %" PRIu64,
                        offset, found, expected);
    return MIM_OK;
}

static int verify(void *state)
{
    const copy_state *s = state;
    int rc = MIM_OK;

    for (uint64_t at = 0; rc == MIM_OK && at < s->sweep.n_bytes; at += s->sweep.part_bytes)
        rc = check_stamp(s, at);
    if (rc == MIM_OK && memcmp(s->source, s->target, s->sweep.n_bytes) != 0)
        rc = mim_fail(MIM_ECHECK, "bulk_copy: the copy of %" PRIu64 " bytes is not like its source",
                      s->sweep.n_bytes);
    return rc;
}

const mim_kernel mim_kernel_bulk_copy = {
    .name = "bulk_copy", .create = create, .destroy = destroy, .run = run, .verify = verify};
