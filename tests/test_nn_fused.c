/* nn/adaln, nn/gelu, nn/attend, nn/half_products: against the plain layers of nn/layers.h (whose
 * gradients are checked against finite differences), and bf16 against float. Gradients of the fused
 * passes in one network: tests/test_dit.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/adaln.h"
#include "nn/attend.h"
#include "nn/gelu.h"
#include "nn/gemm_internal.h"
#include "nn/half_products.h"
#include "nn/tile_internal.h"
#include "support/gradient.h"

/* Numbers in [-1, 1] and the same as floats. */
static double *fill(size_t n, unsigned salt, float **single)
{
    double *x = calloc(n + 1, sizeof *x);
    assert_non_null(x);
    mim_test_fill(n, salt, x);
    if (single) {
        *single = calloc(n + 1, sizeof **single);
        assert_non_null(*single);
        for (size_t i = 0; i < n; i++)
            (*single)[i] = (float)x[i];
    }
    return x;
}

static float widened(mim_bf16 x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Numbers that bf16 holds exactly: the same in all three types. */
static double *fill_half(size_t n, unsigned salt, double factor, float **single, mim_bf16 **half)
{
    double *x = fill(n, salt, single);
    *half = calloc(n + 1, sizeof **half);
    assert_non_null(*half);
    for (size_t i = 0; i < n; i++)
        (*single)[i] *= (float)factor;
    mim_half_from_float(n, *single, *half);
    mim_half_to_float(n, *half, *single);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)(*single)[i];
    return x;
}

/* What is rounded to bf16 is off by half a unit of its 8 bits at most. */
static void assert_rounded(float got, float expected)
{
    if (!(fabsf(got - expected) <= fabsf(expected) * 0x1p-8f + 1e-6f))
        fail_msg("%.8g, expected %.8g rounded to bf16", (double)got, (double)expected);
}

/* ---- rounding ------------------------------------------------------------------------------- */

static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        float x, y;
    } cases[] = {{0, 0},
                 {1, 1},
                 {-2.5f, -2.5f},
                 {1 + 0x1p-8f, 1},               /* tie: to even */
                 {1 + 3 * 0x1p-8f, 1 + 0x1p-6f}, /* tie: up to even */
                 {1 + 0x1p-8f + 0x1p-20f, 1 + 0x1p-7f},
                 {3.4028235e38f, INFINITY},
                 {-INFINITY, -INFINITY},
                 {0x1p-130f, 0x1p-130f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_bf16 y;
        mim_half_from_float(1, &cases[i].x, &y);
        if (widened(y) != cases[i].y)
            fail_msg("%a became %a", (double)cases[i].x, (double)widened(y));
    }
    const float nan = NAN;
    mim_bf16 y;
    mim_half_from_float(1, &nan, &y);
    assert_true(isnan(widened(y)));
}

/* ---- products of bf16 ----------------------------------------------------------------------- */

/* Into c [2 n_c]: by the processor and by plain loops, which leave what stands between the rows. */
static void check_rounded_product(mim_half_products *products, const mim_gemm_shape *g,
                                  const mim_bf16 *a, const mim_bf16 *b, bool is_weights,
                                  mim_bf16 *c, size_t n_c)
{
    mim_half_products_run_rounded(products, g, a, b, is_weights, c);
    mim_half_product_plain_rounded(g, a, b, c + n_c);
    for (size_t i = 0; i < n_c; i++) {
        const float got = widened(c[i]), expected = widened(c[n_c + i]);
        assert_true(fabsf(got - expected) <= fabsf(expected) * 0x1p-7f + 2e-6f * (float)(g->k + 1));
    }
}

static void test_half_products(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1}, {21, 5, 7}, {96, 48, 33}, {200, 130, 300}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 48; kind++) {
            const bool is_weights = kind & 4, is_added = kind & 8;
            const mim_gemm *gemm = kind < 32 ? &mim_gemm_onednn : &mim_gemm_plain;
            mim_gemm_shape g = {.is_ta = kind & 1,
                                .is_tb = kind & 2,
                                .m = sizes[s][0],
                                .n = sizes[s][1],
                                .k = sizes[s][2]};
            g.ld_a = (g.is_ta ? g.m : g.k) + 3;
            g.ld_b = (g.is_tb ? g.k : g.n) + 1;
            g.ld_c = g.n + 2;
            const size_t n_a = (g.is_ta ? g.k : g.m) * g.ld_a, n_c = g.m * g.ld_c;
            const size_t n_b = (g.is_tb ? g.n : g.k) * g.ld_b;
            float *a, *b, *c, *expected;
            free(fill(n_a, 1, &a));
            free(fill(n_b, 2, &b));
            free(fill(n_c, 3, &c));
            free(fill(n_c, 3, &expected));
            mim_bf16 *ha = calloc(n_a + 2 * n_c, sizeof *ha), *hc = ha + n_a;
            mim_layer_weights *weights = NULL;
            mim_half_products *products = NULL;
            assert_int_equal(mim_layer_weights_create(gemm, MIM_PRECISION_BF16, n_b, &weights),
                             MIM_OK);
            assert_int_equal(mim_half_products_create(gemm, weights, &products), MIM_OK);
            mim_half_products_set_native(products, kind < 16); /* else by floats */
            const mim_bf16 *hb = mim_layer_weights_half(weights, 0);
            for (int round = 0; round < 2; round++) { /* the second time with other weights */
                for (size_t i = 0; round == 1 && i < n_b; i++)
                    b[i] = -0.5f * b[i];
                mim_half_from_float(n_a, a, ha);
                mim_layer_weights_load(weights, b);
                mim_half_products_run(products, &g, ha, hb, is_weights, is_added, c);
                mim_half_product_plain(&g, ha, hb, is_added, expected);
            }
            for (size_t i = 0; i < n_c; i++)
                assert_true(fabsf(c[i] - expected[i]) <= 2e-6f * (float)(g.k + 1));
            check_rounded_product(products, &g, ha, hb, is_weights, hc, n_c);
            mim_half_products_destroy(&products);
            mim_layer_weights_destroy(&weights);
            free(a);
            free(b);
            free(c);
            free(expected);
            free(ha);
        }
}

/* The plans that multiply bf16 where the processor can do the same with floats everywhere: pieces,
 * transposes, packed weights, addition. */
static void test_plans(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{5, 3, 4}, {300, 96, 200}, {40, 500, 300}, {672, 256, 64}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 16; kind++) {
            const bool has_weights = kind & 4, is_added = kind & 8;
            mim_gemm_shape g = {.is_ta = kind & 1,
                                .is_tb = kind & 2,
                                .m = sizes[s][0],
                                .n = sizes[s][1],
                                .k = sizes[s][2]};
            g.ld_a = (g.is_ta ? g.m : g.k) + 16;
            g.ld_b = g.is_tb ? g.k : g.n;
            g.ld_c = g.n + 2;
            const size_t n_b = (g.is_tb ? g.n : g.k) * g.ld_b, n_c = g.m * g.ld_c;
            float *a, *b, *c, *expected;
            free(fill((g.is_ta ? g.k : g.m) * g.ld_a, 1, &a));
            free(fill(n_b, 2, &b));
            free(fill(n_c, 3, &c));
            free(fill(n_c, 3, &expected));
            mim_onednn_plan *plan = NULL;
            mim_onednn_packs *packs = NULL;
            const mim_plan_kind plan_kind = {.is_added = is_added};
            if (has_weights)
                assert_int_equal(mim_onednn_packs_create(&packs), MIM_OK);
            assert_true(mim_onednn_plan_create(&g, plan_kind, packs, b, &plan));
            for (size_t i = 0; packs && i < n_b; i++) /* other weights at the same place */
                b[i] = 0.5f - b[i];
            assert_true(!packs || mim_onednn_packs_renew(packs));
            mim_onednn_plan_run(plan, a, b, c);
            mim_gemm_plain.run_f(&g, 1, a, b, is_added ? 1 : 0, expected);
            for (size_t i = 0; i < n_c; i++)
                assert_true(fabsf(c[i] - expected[i]) <= 1e-6f * (float)(g.k + 1));
            mim_onednn_plan_destroy(&plan);
            mim_onednn_packs_destroy(&packs);
            free(a);
            free(b);
            free(c);
            free(expected);
        }
}

/* ---- tiles of bf16 -------------------------------------------------------------------------- */

/* C = A B of units that hold two numbers each, added to what was there, A as it is or transposed.
 */
static void check_tile(mim_tile_multiply_h multiply, bool is_transposed)
{
    enum { M = 23, COLUMNS = 37, UNITS = 9, LD = 48 };
    mim_bf16 *a, *b;
    float *fa, *fb, *c, sum;
    free(fill_half(2 * M * UNITS, 1, 1, &fa, &a));
    free(fill_half(2 * UNITS * LD, 2, 1, &fb, &b));
    free(fill(M * LD, 3, &c));
    float *before = calloc(M * LD, sizeof *before);
    memcpy(before, c, M * LD * sizeof *c);
    const size_t step_r = is_transposed ? 1 : UNITS, step_k = is_transposed ? M : 1;
    multiply(M, COLUMNS, UNITS, (const mim_unit_h *)a, step_r, step_k, (const mim_unit_h *)b, LD,
             true, c, LD);
    for (size_t r = 0; r < M; r++)
        for (size_t i = 0; i < COLUMNS; i++) {
            sum = before[r * LD + i];
            for (size_t k = 0; k < 2 * UNITS; k++)
                sum += fa[2 * (r * step_r + k / 2 * step_k) + k % 2] *
                       fb[2 * (k / 2 * LD + i) + k % 2];
            assert_true(fabsf(c[r * LD + i] - sum) < 1e-5f);
        }
    void *const all[] = {a, b, fa, fb, c, before};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* For every processor that this one can stand for. */
static void test_tiles(void **state)
{
    (void)state;
    for (int is_transposed = 0; is_transposed < 2; is_transposed++) {
        check_tile(multiply_h_16, is_transposed);
#if defined(MIM_HAS_VERSIONS)
        if (__builtin_cpu_supports("x86-64-v3"))
            check_tile(multiply_h_32, is_transposed);
        if (__builtin_cpu_supports("x86-64-v4"))
            check_tile(multiply_h_64, is_transposed);
#endif
        check_tile(mim_tile_find_h(), is_transposed);
    }
    assert_true(mim_tile_find_d() == multiply_d_16 && mim_tile_find_f());
}

/* ---- norms ---------------------------------------------------------------------------------- */

enum { B = 3, N = 70, D = 19, LD = 3 * D, ROWS = B * N };

/* sum = x + gate (y + bias), n = modulated norm, by the plain layers. */
static void test_adaln(void **state)
{
    (void)state;
    float *fx, *fy, *fbias, *fcond;
    mim_bf16 *hy;
    double *x = fill(ROWS * D, 1, &fx), *y = fill_half(ROWS * D, 2, 1, &fy, &hy);
    double *bias = fill(D, 3, &fbias);
    double *cond = fill(B * LD, 4, &fcond), *sum = calloc(ROWS * D, sizeof *sum);
    double *n = calloc(ROWS * D, sizeof *n), *stats = calloc(2 * ROWS, sizeof *stats);
    float *fsum = calloc(ROWS * D, sizeof *fsum), *fn = calloc(ROWS * D, sizeof *fn);
    float *fstats = calloc(2 * ROWS, sizeof *fstats);
    mim_bf16 *hn = calloc(ROWS * (D + 1), sizeof *hn);
    mim_adaln shape = {B, N, 1, D, LD, D, 1e-6};
    const mim_adaln_branch_d branch = {y, bias, cond + 2 * D, NULL};
    const mim_adaln_branch_f fbranch = {fy, fbias, fcond + 2 * D, NULL};
    const mim_adaln_branch_h hbranch = {hy, fbias, fcond + 2 * D, NULL};
    mim_adaln_forward_d(&shape, x, &branch, sum, cond, cond + D, n, stats);
    mim_adaln_forward_f(&shape, fx, &fbranch, fsum, fcond, fcond + D, fn, fstats);
    shape.ld_half = D + 1;
    mim_adaln_forward_h(&shape, fx, &hbranch, fsum, fcond, fcond + D, hn, fstats);
    shape.ld_half = D;
    mim_adaln_forward_f(&shape, fx, &fbranch, fsum, fcond, fcond + D, fy, fstats); /* in place */
    assert_memory_equal(fn, fy, ROWS * D * sizeof *fn);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < D; i++)
            y[r * D + i] += bias[i];
    mim_gate_forward_d(B, N, D, y, cond + 2 * D, LD, x); /* x becomes the sum */
    mim_modulate_forward_d(B, N, D, 1e-6, x, cond, cond + D, LD, y, stats);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < D; i++) {
            const size_t at = r * D + i;
            assert_true(fabs(sum[at] - x[at]) < 1e-14);
            assert_true(fabs(n[at] - y[at]) < 1e-12);
            assert_true(fabs((double)fn[at] - y[at]) < 1e-5);
            assert_rounded(widened(hn[r * (D + 1) + i]), fn[at]);
        }
    void *const all[] = {x,   fx, y,     fy,   bias, fbias,  cond, fcond,
                         sum, n,  stats, fsum, fn,   fstats, hn,   hy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* Backward in float and bf16 beside double, with dropout and two condition rows a sample. */
static void test_adaln_backward(void **state)
{
    (void)state;
    static const uint32_t samples[B] = {4, 9, 1};
    const mim_dropout thin = {.rate = 0.3, .seed = 2, .step = 1, .site = 7, .samples = samples};
    const mim_adaln shape = {B, N, 2, D, LD, D, 1e-6};
    float *fx, *fy, *fbias, *fcond, *fdn;
    mim_bf16 *hy, *hdn;
    double *x = fill(ROWS * D, 1, &fx), *y = fill_half(ROWS * D, 2, 1, &fy, &hy);
    double *bias = fill(D, 3, &fbias), *cond = fill(2 * B * LD, 4, &fcond);
    double *dn = fill_half(ROWS * D, 5, 1, &fdn, &hdn);
    double *out = calloc(2 * ROWS * D + 4 * B * LD + D, sizeof *out);
    float *fout = calloc(4 * ROWS * D + 8 * B * LD + 2 * D, sizeof *fout);
    double *stats = calloc(2 * ROWS, sizeof *stats), *work = calloc(mim_adaln_n_work(&shape), 8);
    float *fstats = calloc(2 * ROWS, sizeof *fstats), *fwork = calloc(mim_adaln_n_work(&shape), 4);
    double *dx = out, *dy = dx + ROWS * D, *dcond = dy + ROWS * D, *dbias = dcond + 2 * B * LD;
    float *fdx = fout, *fdy = fdx + ROWS * D, *fdcond = fdy + ROWS * D;
    float *fdbias = fdcond + 2 * B * LD, *fn = fdbias + D, *hdx = fn + ROWS * D;
    float *hdcond = hdx + ROWS * D, *hdbias = hdcond + 2 * B * LD;
    mim_bf16 *hdy = calloc(2 * ROWS * D, sizeof *hdy), *hn = hdy + ROWS * D;
    double *n = calloc(2 * ROWS * D, sizeof *n), *n_again = n + ROWS * D;
    const mim_adaln_branch_d branch = {y, bias, cond + 2 * D, &thin};
    const mim_adaln_branch_f fbranch = {fy, fbias, fcond + 2 * D, &thin};
    const mim_adaln_branch_h hbranch = {hy, fbias, fcond + 2 * D, &thin};
    const mim_adaln_gradient_d gradient = {dy, dcond + 2 * D, dbias};
    const mim_adaln_gradient_f fgradient = {fdy, fdcond + 2 * D, fdbias};
    const mim_adaln_gradient_h hgradient = {hdy, hdcond + 2 * D, hdbias};
    mim_adaln_forward_d(&shape, x, NULL, NULL, cond, cond + D, n, stats);
    for (size_t i = 0; i < 2 * ROWS; i++)
        fstats[i] = (float)stats[i];
    mim_adaln_backward_d(&shape, x, stats, cond, cond + D, dn, MIM_SET, dx, n_again, dcond,
                         dcond + D, &branch, &gradient, work);
    mim_adaln_backward_f(&shape, fx, fstats, fcond, fcond + D, fdn, MIM_SET, fdx, fn, fdcond,
                         fdcond + D, &fbranch, &fgradient, fwork);
    mim_adaln_backward_h(&shape, fx, fstats, fcond, fcond + D, hdn, MIM_SET, hdx, hn, hdcond,
                         hdcond + D, &hbranch, &hgradient, fwork);
    assert_memory_equal(n, n_again, ROWS * D * sizeof *n);
    assert_memory_equal(fdx, hdx, ROWS * D * sizeof *fdx);
    for (size_t i = 0; i < ROWS * D; i++) {
        assert_true(fabs((double)fdx[i] - dx[i]) < 2e-5);
        assert_true(fabs((double)fdy[i] - dy[i]) < 2e-5);
        assert_true(fabs((double)fn[i] - n[i]) < 2e-5);
        assert_rounded(widened(hdy[i]), fdy[i]);
        assert_rounded(widened(hn[i]), fn[i]);
    }
    for (size_t i = 0; i < 2 * B * LD + D; i++)
        assert_true(fabs((double)fdcond[i] - dcond[i]) < 1e-4);
    void *const all[] = {x,   fx,   y,     fy,     bias, fbias, cond, fcond, dn, fdn,
                         out, fout, stats, fstats, work, fwork, hdy,  n,     hy, hdn};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* ---- GELU ----------------------------------------------------------------------------------- */

static void test_gelu(void **state)
{
    (void)state;
    static const uint32_t samples[B] = {4, 9, 1};
    const mim_dropout thin = {.rate = 0.3, .seed = 2, .step = 1, .site = 7, .samples = samples};
    for (int is_thin = 0; is_thin < 2; is_thin++) {
        const mim_gelu shape = {B, N, D, D, is_thin ? &thin : NULL};
        float *fx, *fbias, *fdy;
        mim_bf16 *hx, *hdy;
        double *x = fill_half(ROWS * D, 1, 1, &fx, &hx), *bias = fill(D, 2, &fbias);
        double *dy = fill_half(ROWS * D, 3, 1, &fdy, &hdy), *y = calloc(4 * ROWS * D, sizeof *y);
        double *dx = y + ROWS * D, *again = dx + ROWS * D, *plain = again + ROWS * D;
        double dbias[D] = {0}, expected[D] = {0}, *work = calloc(mim_gelu_n_work(&shape), 8);
        float *fy = calloc(2 * ROWS * D, sizeof *fy), *fdx = fy + ROWS * D, fdbias[D] = {0};
        float hdbias[D] = {0}, again_dbias[D] = {0},
              *fwork = calloc(mim_gelu_n_work(&shape), sizeof *fwork);
        mim_bf16 *hy = calloc(2 * ROWS * D, sizeof *hy), *hdx = hy + ROWS * D;
        mim_gelu_forward_d(&shape, x, bias, y);
        mim_gelu_backward_d(&shape, x, bias, dy, dx, again, dbias, work);
        mim_gelu_backward_f(&shape, fx, fbias, fdy, fdx, fy, fdbias, fwork);
        mim_gelu_backward_h(&shape, hx, fbias, hdy, hdx, hy, hdbias, fwork);
        mim_gelu_backward_h(&shape, hx, fbias, hdy, hdy, hy, again_dbias, fwork); /* in place */
        assert_memory_equal(hdx, hdy, ROWS * D * sizeof *hdx);
        assert_memory_equal(y, again, ROWS * D * sizeof *y);
        for (size_t i = 0; i < ROWS * D; i++)
            x[i] += bias[i % D];
        mim_activation_forward_d(MIM_GELU, ROWS * D, x, plain);
        mim_dropout_apply_d(shape.dropout, B, N * D, plain, plain);
        for (size_t i = 0; i < ROWS * D; i++)
            assert_true(fabs(y[i] - plain[i]) < 1e-14);
        mim_dropout_apply_d(shape.dropout, B, N * D, dy, dy);
        mim_activation_backward_d(MIM_GELU, ROWS * D, x, dy, dy);
        for (size_t i = 0; i < ROWS * D; i++) {
            expected[i % D] += dy[i];
            assert_true(fabs(dx[i] - dy[i]) < 1e-14);
            assert_true(fabs((double)fdx[i] - dy[i]) < 1e-5);
            assert_true(fabs((double)fy[i] - y[i]) < 1e-5);
            assert_rounded(widened(hdx[i]), fdx[i]);
            assert_rounded(widened(hy[i]), fy[i]);
        }
        for (size_t i = 0; i < D; i++) {
            assert_true(fabs(dbias[i] - expected[i]) < 1e-12);
            assert_true(fabs((double)fdbias[i] - dbias[i]) < 1e-4 && fdbias[i] == hdbias[i]);
        }
        mim_gelu_forward_f(&shape, fx, fbias, fdx);
        assert_memory_equal(fdx, fy, ROWS * D * sizeof *fy);
        mim_gelu_forward_h(&shape, hx, fbias, hdx);
        assert_memory_equal(hdx, hy, ROWS * D * sizeof *hy);
        void *const all[] = {x, fx, bias, fbias, dy, fdy, y, work, fy, fwork, hy, hx, hdy};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
}

/* ---- attention ------------------------------------------------------------------------------ */

enum { S = 2, H = 3, W = 5, WIDE = H * W };

/* One set of queries, keys and values as doubles and floats, biases apart. */
static void compare_attention(size_t n_q, size_t n_k, bool is_causal, bool is_masked, bool is_thin)
{
    static const uint32_t samples[S] = {12, 3};
    const mim_dropout thin = {.rate = 0.25, .seed = 4, .step = 2, .samples = samples};
    const size_t nq = S * n_q * WIDE, nk = S * n_k * WIDE, n = nq + 2 * nk;
    unsigned char *keys = calloc(S * n_k, 1);
    for (size_t i = 0; i < S * n_k; i++)
        keys[i] = i % 3 != 1 && (i < n_k || i > n_k + 1);
    const mim_attention shape = {.n_samples = S,
                                 .n_heads = H,
                                 .head_width = W,
                                 .n_queries = n_q,
                                 .n_keys = n_k,
                                 .ld_q = WIDE,
                                 .ld_k = WIDE,
                                 .ld_v = WIDE,
                                 .ld_y = WIDE,
                                 .is_causal = is_causal,
                                 .is_key = is_masked ? keys : NULL,
                                 .dropout = is_thin ? &thin : NULL};
    const size_t n_p = mim_attention_n_probs(&shape), n_sums = mim_attend_n_log_sums(&shape);
    float *fx, *fbias, *fdy;
    mim_bf16 *hx, *hdy;
    /* Peaked probabilities, so that maxima move; values are smaller, and still exact. */
    double *x = fill_half(n, 1, 3, &fx, &hx), *bias = fill(3 * WIDE, 2, &fbias);
    double *dy = fill_half(nq, 3, 1, &fdy, &hdy);
    for (size_t i = nq + nk; i < n; i++)
        fx[i] = (float)(x[i] *= 0.25);
    mim_half_from_float(n, fx, hx);
    double *y = calloc(2 * nq + 2 * n + n_sums + 6 * WIDE + 2 * n_p, sizeof *y);
    double *dx = y + nq, *sums = dx + n, *dbias = sums + n_sums, *y_ref = dbias + 3 * WIDE;
    double *dx_ref = y_ref + nq, *p = dx_ref + n, *p_work = p + n_p, expected[3 * WIDE] = {0};
    double *work = calloc(mim_attend_n_work(&shape), sizeof *work);
    float *fy = calloc(nq + n + n_sums + 3 * WIDE, sizeof *fy), *fdx = fy + nq, *fsums = fdx + n;
    float *fdbias = fsums + n_sums, *fwork = calloc(mim_attend_n_work(&shape), sizeof *fwork);
    mim_bf16 *hy = calloc(nq + n, sizeof *hy), *hdx = hy + nq;
    const mim_projection_d from = {x, x + nq, x + nq + nk, bias, bias + WIDE, bias + 2 * WIDE};
    const mim_projection_f ffrom = {fx,    fx + nq,      fx + nq + nk,
                                    fbias, fbias + WIDE, fbias + 2 * WIDE};
    const mim_projection_h hfrom = {hx,    hx + nq,      hx + nq + nk,
                                    fbias, fbias + WIDE, fbias + 2 * WIDE};
    const mim_projection_gradient_d to = {dx,    dx + nq,      dx + nq + nk,
                                          dbias, dbias + WIDE, dbias + 2 * WIDE};
    const mim_projection_gradient_f fto = {fdx,    fdx + nq,      fdx + nq + nk,
                                           fdbias, fdbias + WIDE, fdbias + 2 * WIDE};
    const mim_projection_gradient_h hto = {hdx, hdx + nq, hdx + nq + nk, NULL, NULL, NULL};
    mim_attend_forward_d(&shape, &from, y, sums, work);
    mim_attend_backward_d(&shape, &from, y, sums, dy, &to, work);
    mim_attend_forward_f(&shape, &ffrom, fy, fsums, fwork);
    mim_attend_backward_f(&shape, &ffrom, fy, fsums, fdy, &fto, fwork);
    mim_attend_forward_h(&shape, &hfrom, hy, fsums, fwork);
    for (size_t i = 0; i < nq; i++)
        assert_true(fabsf(widened(hy[i]) - fy[i]) < 0.02f * (1 + fabsf(fy[i])));
    mim_attend_backward_h(&shape, &hfrom, hy, fsums, hdy, &hto, fwork);
    for (size_t i = 0; i < n; i++)
        x[i] += bias[i % WIDE + (i < nq ? 0 : i < nq + nk ? WIDE : 2 * WIDE)];
    mim_attention_forward_d(&mim_gemm_plain, &shape, x, x + nq, x + nq + nk, p, p_work, y_ref);
    mim_attention_backward_d(&mim_gemm_plain, &shape, x, x + nq, x + nq + nk, p, dy, p_work, dx_ref,
                             dx_ref + nq, dx_ref + nq + nk);
    for (size_t i = 0; i < nq; i++) {
        assert_true(fabs(y[i] - y_ref[i]) < 1e-12);
        assert_true(fabs((double)fy[i] - y_ref[i]) < 1e-5);
    }
    for (size_t i = 0; i < n; i++) {
        expected[i % WIDE + (i < nq ? 0 : i < nq + nk ? WIDE : 2 * WIDE)] += dx_ref[i];
        assert_true(fabs(dx[i] - dx_ref[i]) < 1e-12);
        assert_true(fabs((double)fdx[i] - dx_ref[i]) < 2e-5);
        assert_true(fabs((double)widened(hdx[i]) - dx_ref[i]) < 0.02 * (1 + fabs(dx_ref[i])));
    }
    for (size_t i = 0; i < 3 * WIDE; i++) {
        assert_true(fabs(dbias[i] - expected[i]) < 1e-11);
        assert_true(fabs((double)fdbias[i] - expected[i]) < 1e-4);
    }
    void *const all[] = {keys, x, fx, bias, fbias, dy, fdy, y, work, fy, fwork, hy, hx, hdy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* One tile and many, cross shapes, every mask. */
static void test_attention(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {21, 21}, {25, 16}, {7, 130}, {150, 300}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int kind = 0; kind < 8; kind++)
            compare_attention(shapes[s][0], shapes[s][1], kind & 1, kind & 2, kind & 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding), cmocka_unit_test(test_half_products),
        cmocka_unit_test(test_plans),    cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_adaln),    cmocka_unit_test(test_adaln_backward),
        cmocka_unit_test(test_gelu),     cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
