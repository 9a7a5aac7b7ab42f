/* Large sweeps: memset, and p = 1.000001 p + 1e-7 over doubles.
 *
 * Not paced, a batch is a part of a sweep and the next batch goes on where it ended, and one
 * operation is a whole sweep; paced (memset in bursts), it is as many parts as op_bytes hold, which
 * is a whole sweep too unless the buffer was made larger. Bytes = bytes set, or read plus written.
 * Buffers are rounded down to whole parts. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/kernel_family.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    PART_BYTES = 512 << 10, /* some 10 us, several times that from busy memory */
    MIN_BYTES = 4096,
    /* After this many sweeps the values start again from 1: factor^n would overflow in a day. */
    SWEEPS_A_ROUND = 1 << 20
};

static const double stream_factor = 1.000001, stream_term = 1e-7;

typedef struct sweep_state {
    unsigned char *buffer;
    uint64_t n_bytes, part_bytes;
    uint64_t offset;   /* where the next part starts */
    uint64_t n_sweeps; /* whole ones since the values' start */
    bool is_paced;
    uint64_t op_bytes; /* paced: of one operation, whole parts */
    mim_stream_sweep sweep;
    double factor, term; /* of the sweep at hand */
} sweep_state;

void mim_stream_sweep_ref(size_t n, double factor, double term, double *p)
{
    for (size_t i = 0; i < n; i++)
        p[i] = factor * p[i] + term;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void stream_sweep_avx2(size_t n, double factor,
                                                                  double term, double *p)
{
    const __m256d f = _mm256_set1_pd(factor), t = _mm256_set1_pd(term);

    for (size_t i = 0; i < n; i += 16)
        for (size_t j = i; j < i + 16; j += 4)
            _mm256_storeu_pd(p + j, _mm256_fmadd_pd(f, _mm256_loadu_pd(p + j), t));
}
#endif

mim_stream_sweep mim_stream_sweep_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return stream_sweep_avx2;
#endif
    return mim_stream_sweep_ref;
}

static void destroy(void *state)
{
    sweep_state *s = state;

    if (!s)
        return;
    free(s->buffer);
    free(s);
}

static int create(const char *kernel, const mim_stressor *stressor, const mim_kernel_place *place,
                  sweep_state **state)
{
    int rc;
    void *buffer = NULL;
    sweep_state *s = NULL;

    if ((rc = mim_kernel_check(kernel, stressor, place, (void *const *)state)) != MIM_OK)
        return rc;
    if (stressor->memory_bytes < MIN_BYTES)
        return mim_fail(MIM_EINVAL, "kernel %s: buffer of %" PRIu64 " bytes, expected %d or more",
                        kernel, stressor->memory_bytes, MIN_BYTES);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel %s", kernel);
    s->part_bytes = stressor->memory_bytes < PART_BYTES ? MIN_BYTES : PART_BYTES;
    s->is_paced = stressor->is_paced;
    s->n_bytes = stressor->memory_bytes / s->part_bytes * s->part_bytes;
    s->op_bytes = stressor->op_bytes / s->part_bytes * s->part_bytes;
    if (s->op_bytes == 0)
        s->op_bytes = s->n_bytes;
    if ((rc = mim_kernel_buffer(s->n_bytes, 0, &buffer)) != MIM_OK)
        goto done;
    s->buffer = buffer;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int create_memset(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    sweep_state *s = NULL;
    int rc = create("memset", stressor, place, state ? &s : NULL);

    if (rc == MIM_OK)
        *state = s;
    return rc;
}

static int create_stream(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    sweep_state *s = NULL;
    int rc = create("stream", stressor, place, state ? &s : NULL);

    if (rc != MIM_OK)
        return rc;
    s->sweep = mim_stream_sweep_best();
    s->factor = 0;
    s->term = 1;
    s->sweep((size_t)(s->n_bytes / sizeof(double)), s->factor, s->term,
             (double *)(void *)s->buffer);
    s->factor = stream_factor;
    s->term = stream_term;
    *state = s;
    return MIM_OK;
}

/* The byte that sweep n (from 0) sets: never that of the sweep before. */
static unsigned char sweep_byte(uint64_t n) { return (unsigned char)(n + 1); }

static void set_part(sweep_state *s)
{
    memset(s->buffer + s->offset, sweep_byte(s->n_sweeps), s->part_bytes);
    MIM_KEEP(s->buffer);
}

static void stream_part(sweep_state *s)
{
    double *p = (double *)(void *)(s->buffer + s->offset);

    s->sweep(s->part_bytes / sizeof *p, s->factor, s->term, p);
    MIM_KEEP(p);
}

/* The sweep that starts the values again does the same work: p = 0 p + 1. */
static void next_sweep(sweep_state *s)
{
    s->offset = 0;
    if (s->sweep && s->n_sweeps == SWEEPS_A_ROUND) {
        s->n_sweeps = 0;
        s->factor = stream_factor;
        s->term = stream_term;
        return;
    }
    s->n_sweeps++;
    if (s->sweep && s->n_sweeps == SWEEPS_A_ROUND) {
        s->factor = 0;
        s->term = 1;
    }
}

static void run_parts(sweep_state *s, size_t n, void (*part)(sweep_state *), uint64_t bytes_a_byte,
                      mim_work *work)
{
    uint64_t n_parts = s->is_paced ? n * (s->op_bytes / s->part_bytes) : n;

    for (uint64_t i = 0; i < n_parts; i++) {
        part(s);
        s->offset += s->part_bytes;
        if (s->offset == s->n_bytes) {
            next_sweep(s);
            work->n_ops += !s->is_paced;
        }
    }
    work->n_ops += s->is_paced ? n : 0;
    work->n_bytes += n_parts * s->part_bytes * bytes_a_byte;
}

static int run_memset(void *state, size_t n, mim_work *work)
{
    run_parts(state, n, set_part, 1, work);
    return MIM_OK;
}

static int run_stream(void *state, size_t n, mim_work *work)
{
    run_parts(state, n, stream_part, 2, work);
    return MIM_OK;
}

/* Bytes below `offset` were set by the sweep at hand, the others by the one before (0 at first). */
static int verify_memset(void *state)
{
    const sweep_state *s = state;
    const unsigned char before = s->n_sweeps > 0 ? sweep_byte(s->n_sweeps - 1) : 0;

    for (uint64_t i = 0; i < s->n_bytes; i++) {
        unsigned char expected = i < s->offset ? sweep_byte(s->n_sweeps) : before;

        if (s->buffer[i] != expected)
            return mim_fail(MIM_ECHECK, "memset: byte %" PRIu64 " is %d, expected %d", i,
                            s->buffer[i], expected);
    }
    return MIM_OK;
}

/* p after n sweeps: f^n + t (f^n - 1) / (f - 1). */
static double stream_value(uint64_t n_sweeps)
{
    double power = exp((double)n_sweeps * log1p(stream_factor - 1));

    return power + stream_term * (power - 1) / (stream_factor - 1);
}

static int verify_stream(void *state)
{
    const sweep_state *s = state;
    const double *p = (const double *)(const void *)s->buffer;
    double before = stream_value(s->n_sweeps), after = stream_value(s->n_sweeps + 1);

    if (s->factor == 0) /* in the sweep that starts the values again */
        after = 1;
    for (uint64_t i = 0; i < s->n_bytes / sizeof *p; i++) {
        double expected = i * sizeof *p < s->offset ? after : before;

        /* Far below the step of one sweep, 1.1e-6, far above the roundings of a round. */
        if (!(fabs(p[i] - expected) <= 1e-8 * expected))
            return mim_fail(MIM_ECHECK,
                            "stream: element %" PRIu64 " is %.12g after %" PRIu64
                            " sweeps, expected %.12g",
                            i, p[i], s->n_sweeps, expected);
    }
    return MIM_OK;
}

const mim_kernel mim_kernel_memset = {.name = "memset",
                                      .create = create_memset,
                                      .destroy = destroy,
                                      .run = run_memset,
                                      .verify = verify_memset};
const mim_kernel mim_kernel_stream = {.name = "stream",
                                      .create = create_stream,
                                      .destroy = destroy,
                                      .run = run_stream,
                                      .verify = verify_stream};
