/* c += a * b over 1024 floats with a = 0.5 i and b = 0.3 i: the FMA units out of the L1 cache.
 *
 * c starts again from 0 after every 1024 passes, so that its values stay exact enough to be checked
 * and finite for ever. One operation = one pass; bytes = loads and stores, 16 a float. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/kernel_family.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { N_FLOATS = 1024, PASSES_A_BATCH = 200, PASSES_A_BATCH_REF = 40, PASSES_A_ROUND = 1024 };

typedef struct simd_state {
    float *a, *b, *c; /* [N_FLOATS] each, in one buffer */
    mim_simd_pass pass;
    size_t n_passes;  /* of one batch */
    size_t n_since_0; /* passes since c was 0 */
} simd_state;

void mim_simd_pass_ref(size_t n, const float *a, const float *b, float *c)
{
    for (size_t i = 0; i < n; i++)
        c[i] += a[i] * b[i];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void simd_pass_avx2(size_t n, const float *a,
                                                               const float *b, float *c)
{
    for (size_t i = 0; i < n; i += 32)
        for (size_t j = i; j < i + 32; j += 8)
            _mm256_storeu_ps(c + j, _mm256_fmadd_ps(_mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j),
                                                    _mm256_loadu_ps(c + j)));
}
#endif

mim_simd_pass mim_simd_pass_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return simd_pass_avx2;
#endif
    return mim_simd_pass_ref;
}

static void destroy(void *state)
{
    simd_state *s = state;

    if (!s)
        return;
    free(s->a);
    free(s);
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *buffer = NULL;
    simd_state *s = NULL;

    if ((rc = mim_kernel_check("simd", stressor, place, state)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel simd");
    if ((rc = mim_kernel_buffer(3 * N_FLOATS * sizeof(float), 0, &buffer)) != MIM_OK)
        goto done;
    s->a = buffer;
    s->b = s->a + N_FLOATS;
    s->c = s->b + N_FLOATS;
    for (size_t i = 0; i < N_FLOATS; i++) {
        s->a[i] = 0.5f * (float)i;
        s->b[i] = 0.3f * (float)i;
    }
    s->pass = mim_simd_pass_best();
    s->n_passes = s->pass == mim_simd_pass_ref ? PASSES_A_BATCH_REF : PASSES_A_BATCH;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    simd_state *s = state;
    size_t n_passes = n * s->n_passes;

    for (size_t i = 0; i < n_passes; i++) {
        if (s->n_since_0 == PASSES_A_ROUND) {
            memset(s->c, 0, N_FLOATS * sizeof *s->c);
            s->n_since_0 = 0;
        }
        s->pass(N_FLOATS, s->a, s->b, s->c);
        MIM_KEEP(s->c);
        s->n_since_0++;
    }
    work->n_ops += n_passes;
    work->n_bytes += (uint64_t)n_passes * N_FLOATS * 4 * sizeof(float);
    return MIM_OK;
}

/* After k passes c[i] = k a[i] b[i] up to k roundings of a float. */
static int verify(void *state)
{
    const simd_state *s = state;
    const double tolerance = PASSES_A_ROUND * 0x1p-23;

    for (size_t i = 0; i < N_FLOATS; i++) {
        double expected = (double)s->n_since_0 * (double)s->a[i] * (double)s->b[i];

        if (!(fabs((double)s->c[i] - expected) <= tolerance * expected))
            return mim_fail(MIM_ECHECK, "simd: element %zu is %g after %zu passes, expected %g", i,
                            (double)s->c[i], s->n_since_0, expected);
    }
    return MIM_OK;
}

const mim_kernel mim_kernel_simd = {
    .name = "simd", .create = create, .destroy = destroy, .run = run, .verify = verify};
