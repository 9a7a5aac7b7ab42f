#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rng.h"
#include "nn/gemm.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static float *numbers(size_t n, uint32_t salt)
{
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(2 * mim_rng_u01(3, MIM_STREAM_TEST, salt, 0, (uint32_t)i) - 1);
    return x;
}

/* The definition, in double; *size is the sum of the terms' sizes. */
static double element(const mim_gemm_shape *g, float alpha, const float *a, const float *b,
                      float beta, double old, size_t i, size_t j, double *size)
{
    double sum = beta == 0 ? 0 : (double)beta * old;
    *size = fabs(sum);
    for (size_t p = 0; p < g->k; p++) {
        const double x = (double)(g->is_ta ? a[p * g->ld_a + i] : a[i * g->ld_a + p]);
        const double y = (double)(g->is_tb ? b[j * g->ld_b + p] : b[p * g->ld_b + j]);
        sum += (double)alpha * x * y;
        *size += fabs((double)alpha * x * y);
    }
    return sum;
}

static void compare(const mim_gemm *gemm, const mim_gemm_shape *g, float alpha, float beta)
{
    const size_t n_a = (g->is_ta ? g->k : g->m) * g->ld_a;
    const size_t n_b = (g->is_tb ? g->n : g->k) * g->ld_b, n_c = g->m * g->ld_c;
    float *a = numbers(n_a, 1), *b = numbers(n_b, 2), *c = numbers(n_c, 3), *old = numbers(n_c, 3);
    gemm->run_f(g, alpha, a, b, beta, c);
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->ld_c; j++) {
            const float got = c[i * g->ld_c + j];
            double size, expected;
            if (j >= g->n) { /* between the rows nothing is written */
                assert_true(got == old[i * g->ld_c + j]);
                continue;
            }
            expected = element(g, alpha, a, b, beta, (double)old[i * g->ld_c + j], i, j, &size);
            if (!(fabs((double)got - expected) <= 1e-6 * sqrt((double)g->k + 1) * size))
                fail_msg("%s ta %d tb %d m %zu n %zu k %zu at %zu,%zu: %g, expected %g", gemm->name,
                         g->is_ta, g->is_tb, g->m, g->n, g->k, i, j, (double)got, expected);
        }
    free(a);
    free(b);
    free(c);
    free(old);
}

static void test_products_are_the_definition(void **state)
{
    (void)state;
    static const mim_gemm *const all[] = {&mim_gemm_plain, &mim_gemm_onednn};
    static const size_t sizes[][3] = {{1, 1, 1},   {3, 5, 2},   {1, 64, 33}, {17, 1, 40},
                                      {21, 20, 7}, {64, 48, 0}, {0, 3, 3},   {96, 130, 70}};
    static const float factors[][2] = {{1, 0}, {1, 1}, {-0.5f, 0.25f}, {0, 2}};
    for (size_t l = 0; l < N_OF(all); l++)
        for (size_t s = 0; s < N_OF(sizes); s++)
            for (int t = 0; t < 4; t++)
                for (size_t f = 0; f < N_OF(factors); f++) {
                    mim_gemm_shape g = {.is_ta = t & 1,
                                        .is_tb = t & 2,
                                        .m = sizes[s][0],
                                        .n = sizes[s][1],
                                        .k = sizes[s][2]};
                    g.ld_a = (g.is_ta ? g.m : g.k) + 3;
                    g.ld_b = (g.is_tb ? g.k : g.n) + 1;
                    g.ld_c = g.n + 2;
                    compare(all[l], &g, factors[f][0], factors[f][1]);
                }
}

static void test_beta_zero_ignores_what_was_there(void **state)
{
    (void)state;
    static const mim_gemm *const all[] = {&mim_gemm_plain, &mim_gemm_onednn};
    const mim_gemm_shape g = {.m = 2, .n = 2, .k = 2, .ld_a = 2, .ld_b = 2, .ld_c = 2};
    const mim_gemm_batch once = {.n_outer = 1, .n_inner = 1};
    const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, expected[] = {19, 22, 43, 50};
    for (size_t l = 0; l < N_OF(all); l++) {
        float c[] = {NAN, NAN, NAN, NAN};
        all[l]->run_f(&g, 1, a, b, 0, c);
        assert_memory_equal(c, expected, sizeof c);
        for (size_t i = 0; i < 4; i++)
            c[i] = NAN;
        all[l]->run_batch_f(&g, &once, 1, a, b, 0, c);
        assert_memory_equal(c, expected, sizeof c);
    }
}

/* Heads side by side in a row, as attention has them. */
static void test_batches_are_single_products(void **state)
{
    (void)state;
    enum { n_samples = 3, n_heads = 4, n_tokens = 5, width = 6, ld = n_heads * width + 1 };
    static const mim_gemm *const all[] = {&mim_gemm_plain, &mim_gemm_onednn};
    float *x = numbers(n_samples * n_tokens * ld, 1), *y = numbers(n_samples * n_tokens * ld, 2);
    float scores[n_samples][n_heads][n_tokens][n_tokens];
    const mim_gemm_shape g = {.is_tb = true,
                              .m = n_tokens,
                              .n = n_tokens,
                              .k = width,
                              .ld_a = ld,
                              .ld_b = ld,
                              .ld_c = n_tokens};
    const mim_gemm_batch batch = {n_samples,
                                  n_heads,
                                  {n_tokens * ld, width},
                                  {n_tokens * ld, width},
                                  {n_heads * n_tokens * n_tokens, n_tokens * n_tokens}};
    for (size_t l = 0; l < N_OF(all); l++) {
        for (size_t i = 0; i < sizeof scores / sizeof(float); i++)
            (&scores[0][0][0][0])[i] = 1;
        all[l]->run_batch_f(&g, &batch, 0.5f, x, y, 2, &scores[0][0][0][0]);
        for (size_t s = 0; s < n_samples; s++)
            for (size_t h = 0; h < n_heads; h++)
                for (size_t i = 0; i < n_tokens; i++)
                    for (size_t j = 0; j < n_tokens; j++) {
                        double size, expected = element(&g, 0.5f, x + s * n_tokens * ld + h * width,
                                                        y + s * n_tokens * ld + h * width, 2, 1, i,
                                                        j, &size);
                        assert_true(fabs((double)scores[s][h][i][j] - expected) <= 3e-6 * size);
                    }
    }
    free(x);
    free(y);
}

static void test_found_by_name(void **state)
{
    (void)state;
    char text[64];
    assert_ptr_equal(mim_gemm_find("plain"), &mim_gemm_plain);
    assert_ptr_equal(mim_gemm_find("onednn"), &mim_gemm_onednn);
    assert_ptr_equal(mim_gemm_find(NULL), &mim_gemm_onednn);
    assert_null(mim_gemm_find("fast"));
    mim_gemm_describe(&mim_gemm_onednn, sizeof text, text);
    assert_int_equal(strncmp(text, "oneDNN 2.", 9), 0);
    mim_gemm_describe(&mim_gemm_onednn, 7, text);
    assert_string_equal(text, "oneDNN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_are_the_definition),
        cmocka_unit_test(test_beta_zero_ignores_what_was_there),
        cmocka_unit_test(test_batches_are_single_products),
        cmocka_unit_test(test_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
