#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/layers.h"
#include "support/gradient.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

enum {
    n_samples = 2,
    n_heads = 3,
    head_width = 4,
    d = n_heads * head_width,
    n_queries = 5,
    n_keys = 6,
    ld_q = d + 1,
    ld_k = 2 * d, /* keys and values beside each other */
    n_probs = n_samples * n_heads * n_queries * n_keys,
};

static const unsigned char some_keys[n_samples * n_keys] = {1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1};
static const uint32_t samples[n_samples] = {12, 3};
static const mim_dropout dropout = {.rate = 0.25, .seed = 4, .step = 2, .samples = samples};

typedef struct attention {
    mim_attention shape;
    double q[n_samples * n_queries * ld_q], kv[n_samples * n_keys * ld_k];
    double y[n_samples * n_queries * d], dy[n_samples * n_queries * d];
    double probs[n_probs], work[n_probs];
} attention;

static void make(attention *a, bool is_causal, bool is_masked, bool is_thinned)
{
    a->shape = (mim_attention){.n_samples = n_samples,
                               .n_heads = n_heads,
                               .head_width = head_width,
                               .n_queries = n_queries,
                               .n_keys = n_keys,
                               .ld_q = ld_q,
                               .ld_k = ld_k,
                               .ld_v = ld_k,
                               .ld_y = d,
                               .is_causal = is_causal,
                               .is_key = is_masked ? some_keys : NULL,
                               .dropout = is_thinned ? &dropout : NULL};
    mim_test_fill(N_OF(a->q), 1, a->q);
    mim_test_fill(N_OF(a->kv), 2, a->kv);
    mim_test_fill(N_OF(a->dy), 3, a->dy);
    assert_int_equal(mim_attention_n_probs(&a->shape), n_probs);
}

static double loss(void *context)
{
    attention *a = context;
    mim_attention_forward_d(&mim_gemm_plain, &a->shape, a->q, a->kv, a->kv + d, a->probs, a->work,
                            a->y);
    return mim_test_dot(N_OF(a->y), a->y, a->dy);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        attention a;
        double dq[N_OF(a.q)] = {0}, dkv[N_OF(a.kv)] = {0};
        make(&a, kind & 1, kind & 2, kind & 4);
        loss(&a);
        mim_attention_backward_d(&mim_gemm_plain, &a.shape, a.q, a.kv, a.kv + d, a.probs, a.dy,
                                 a.work, dq, dkv, dkv + d);
        assert_true(mim_test_gradient(N_OF(a.q), a.q, dq, loss, &a) <= 1e-6);
        assert_true(mim_test_gradient(N_OF(a.kv), a.kv, dkv, loss, &a) <= 1e-6);
    }
}

/* The definition, a query at a time. */
static void expect(const attention *a, size_t s, size_t h, size_t i, double y[head_width])
{
    const double *q = a->q + (s * n_queries + i) * ld_q + h * head_width;
    double weights[n_keys], sum = 0;
    memset(y, 0, head_width * sizeof *y);
    for (size_t j = 0; j < n_keys; j++) {
        const double *k = a->kv + (s * n_keys + j) * ld_k + h * head_width;
        const bool is_seen = (!a->shape.is_key || a->shape.is_key[s * n_keys + j]) &&
                             (!a->shape.is_causal || j <= i);
        weights[j] = is_seen ? exp(mim_test_dot(head_width, q, k) / sqrt(head_width)) : 0;
        sum += weights[j];
    }
    for (size_t j = 0; j < n_keys && sum > 0; j++)
        for (size_t c = 0; c < head_width; c++)
            y[c] += weights[j] / sum * a->kv[(s * n_keys + j) * ld_k + d + h * head_width + c];
}

static void test_is_the_definition(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        attention a;
        make(&a, kind & 1, kind & 2, false);
        loss(&a);
        for (size_t s = 0; s < n_samples; s++)
            for (size_t h = 0; h < n_heads; h++)
                for (size_t i = 0; i < n_queries; i++) {
                    double y[head_width];
                    expect(&a, s, h, i, y);
                    for (size_t c = 0; c < head_width; c++)
                        assert_true(fabs(a.y[(s * n_queries + i) * d + h * head_width + c] - y[c]) <
                                    1e-12);
                }
    }
}

/* Sample 1's first key is masked and the first query sees no other: zeros, not NaN. */
static void test_query_without_keys(void **state)
{
    (void)state;
    attention a;
    make(&a, true, true, false);
    loss(&a);
    for (size_t c = 0; c < d; c++)
        assert_true(a.y[n_queries * d + c] == 0);
}

/* Published vector. */
static void test_known(void **state)
{
    (void)state;
    const double q[] = {1, 0, 0, 1}, k[] = {1, 1, 0, 2}, v[] = {1, 2, 3, 4};
    const double expected_p[] = {.6697615493, .3302384507, .3302384507, .6697615493};
    const double expected[] = {1.6604769013, 2.6604769013, 2.3395230987, 3.3395230987};
    const mim_attention shape = {.n_samples = 1,
                                 .n_heads = 1,
                                 .head_width = 2,
                                 .n_queries = 2,
                                 .n_keys = 2,
                                 .ld_q = 2,
                                 .ld_k = 2,
                                 .ld_v = 2,
                                 .ld_y = 2};
    double probs[4], y[4];
    mim_attention_forward_d(&mim_gemm_plain, &shape, q, k, v, probs, NULL, y);
    for (size_t i = 0; i < 4; i++) {
        assert_true(fabs(probs[i] - expected_p[i]) < 1e-10);
        assert_true(fabs(y[i] - expected[i]) < 1e-10);
    }
}

/* Float through oneDNN against double through plain loops, forward and backward, on a packed
 * projection as a network has it. */
static void test_float_is_near_double(void **state)
{
    (void)state;
    enum { n = 21, heads = 8, w = 32, wide = heads * w, ld = 3 * wide, n_all = 2 * n * ld };
    const mim_attention shape = {.n_samples = 2,
                                 .n_heads = heads,
                                 .head_width = w,
                                 .n_queries = n,
                                 .n_keys = n,
                                 .ld_q = ld,
                                 .ld_k = ld,
                                 .ld_v = ld,
                                 .ld_y = wide};
    const size_t n_p = mim_attention_n_probs(&shape), n_y = 2 * n * wide;
    double *x = calloc(2 * (n_all + n_p + n_y), sizeof *x), *dx = x + n_all, *p = dx + n_all;
    double *work = p + n_p, *y = work + n_p, *dy = y + n_y;
    float *fx = calloc(2 * (n_all + n_p + n_y), sizeof *fx), *fdx = fx + n_all, *fp = fdx + n_all;
    float *fwork = fp + n_p, *fy = fwork + n_p, *fdy = fy + n_y;
    assert_non_null(x);
    assert_non_null(fx);
    mim_test_fill(n_all, 1, x);
    mim_test_fill(n_y, 2, dy);
    for (size_t i = 0; i < n_all; i++)
        fx[i] = (float)x[i];
    for (size_t i = 0; i < n_y; i++)
        fdy[i] = (float)dy[i];
    mim_attention_forward_d(&mim_gemm_plain, &shape, x, x + wide, x + 2 * wide, p, work, y);
    mim_attention_forward_f(&mim_gemm_onednn, &shape, fx, fx + wide, fx + 2 * wide, fp, fwork, fy);
    mim_attention_backward_d(&mim_gemm_plain, &shape, x, x + wide, x + 2 * wide, p, dy, work, dx,
                             dx + wide, dx + 2 * wide);
    mim_attention_backward_f(&mim_gemm_onednn, &shape, fx, fx + wide, fx + 2 * wide, fp, fdy, fwork,
                             fdx, fdx + wide, fdx + 2 * wide);
    for (size_t i = 0; i < n_y; i++)
        assert_true(fabs((double)fy[i] - y[i]) < 1e-5);
    for (size_t i = 0; i < n_all; i++)
        assert_true(fabs((double)fdx[i] - dx[i]) < 1e-5);
    free(x);
    free(fx);
}

static double softmax_loss(void *context)
{
    double **parts = context, y[12];
    mim_softmax_forward_d(3, 4, parts[0], y);
    return mim_test_dot(12, y, parts[1]);
}

static void test_softmax(void **state)
{
    (void)state;
    double x[12], y[12], dy[12], dx[12];
    double *parts[] = {x, dy};
    mim_test_fill(12, 1, x);
    mim_test_fill(12, 2, dy);
    mim_softmax_forward_d(3, 4, x, y);
    mim_softmax_backward_d(3, 4, y, dy, dx);
    assert_true(mim_test_gradient(12, x, dx, softmax_loss, parts) <= 1e-6);

    const double large[] = {1000, 1000, -1000, 1000 + log(2)}, none[] = {-INFINITY, -INFINITY};
    const double expected[] = {0.25, 0.25, 0, 0.5};
    mim_softmax_forward_d(1, 4, large, y);
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(y[i] - expected[i]) < 1e-12);
    mim_softmax_forward_d(1, 2, none, y);
    assert_true(y[0] == 0 && y[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_is_the_definition),
        cmocka_unit_test(test_query_without_keys),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_float_is_near_double),
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
