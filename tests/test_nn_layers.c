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

enum { n_samples = 2, n_tokens = 5, width = 11, n_rows = n_samples * n_tokens, ld = 3 * width };

static const double tolerance = 1e-6;

/* ---- linear --------------------------------------------------------------------------------- */

enum { n_in = 7, n_out = 6, ld_x = 9, ld_y = 8 };

typedef struct linear {
    double x[n_rows * ld_x], weight[n_out * n_in], bias[n_out], y[n_rows * ld_y], dy[n_rows * ld_y];
} linear;

static double linear_loss(void *context)
{
    linear *l = context;
    memset(l->y, 0, sizeof l->y);
    mim_linear_forward_d(&mim_gemm_plain, n_rows, n_in, n_out, l->x, ld_x, l->weight, l->bias,
                         MIM_SET, l->y, ld_y);
    return mim_test_dot(N_OF(l->y), l->y, l->dy);
}

static void test_linear_gradients(void **state)
{
    (void)state;
    linear l;
    double dx[n_rows * ld_x] = {0}, dweight[n_out * n_in] = {0}, dbias[n_out] = {0};
    mim_test_fill(N_OF(l.x), 1, l.x);
    mim_test_fill(N_OF(l.weight), 2, l.weight);
    mim_test_fill(N_OF(l.bias), 3, l.bias);
    mim_test_fill(N_OF(l.dy), 4, l.dy);
    mim_linear_backward_d(&mim_gemm_plain, n_rows, n_in, n_out, l.x, ld_x, l.weight, l.dy, ld_y,
                          MIM_SET, dx, ld_x, dweight, dbias);
    assert_true(mim_test_gradient(N_OF(l.x), l.x, dx, linear_loss, &l) <= tolerance);
    assert_true(mim_test_gradient(N_OF(l.weight), l.weight, dweight, linear_loss, &l) <= tolerance);
    assert_true(mim_test_gradient(N_OF(l.bias), l.bias, dbias, linear_loss, &l) <= tolerance);
}

/* What is added to: outputs and input gradients where asked, parameters' gradients always. */
static void test_linear_adds(void **state)
{
    (void)state;
    const double x[] = {1, 2}, w[] = {3, 4}, b[] = {5}, dy[] = {2};
    double y[] = {100}, dx[] = {10, 20}, dw[] = {1, 1}, db[] = {1};
    mim_linear_forward_d(&mim_gemm_plain, 1, 2, 1, x, 2, w, b, MIM_ADD, y, 1);
    assert_true(y[0] == 116);
    mim_linear_forward_d(&mim_gemm_plain, 1, 2, 1, x, 2, w, NULL, MIM_SET, y, 1);
    assert_true(y[0] == 11);
    mim_linear_backward_d(&mim_gemm_plain, 1, 2, 1, x, 2, w, dy, 1, MIM_ADD, dx, 2, dw, db);
    assert_true(dx[0] == 16 && dx[1] == 28 && dw[0] == 3 && dw[1] == 5 && db[0] == 3);
    mim_linear_backward_d(&mim_gemm_plain, 1, 2, 1, NULL, 2, w, dy, 1, MIM_SET, dx, 2, NULL, NULL);
    assert_true(dx[0] == 6 && dx[1] == 8);
}

/* ---- norms ---------------------------------------------------------------------------------- */

typedef struct norm {
    double x[n_rows * width], cond[n_samples * ld], y[n_rows * width], dy[n_rows * width];
    double stats[2 * n_rows];
    int is_affine;
} norm;

static double norm_loss(void *context)
{
    norm *n = context;
    if (n->is_affine)
        mim_layer_norm_forward_d(n_rows, width, 1e-5, n->x, n->cond, n->cond + width, n->y,
                                 n->stats);
    else
        mim_modulate_forward_d(n_samples, n_tokens, width, 1e-6, n->x, n->cond, n->cond + width, ld,
                               n->y, n->stats);
    return mim_test_dot(N_OF(n->y), n->y, n->dy);
}

static void fill_norm(norm *n, int is_affine)
{
    mim_test_fill(N_OF(n->x), 1, n->x);
    mim_test_fill(N_OF(n->cond), 2, n->cond);
    mim_test_fill(N_OF(n->dy), 3, n->dy);
    n->is_affine = is_affine;
}

static void test_layer_norm_gradients(void **state)
{
    (void)state;
    norm n;
    double dx[n_rows * width], dcond[n_samples * ld] = {0};
    fill_norm(&n, 1);
    norm_loss(&n);
    mim_layer_norm_backward_d(n_rows, width, n.x, n.stats, n.cond, n.dy, MIM_SET, dx, dcond,
                              dcond + width);
    assert_true(mim_test_gradient(N_OF(n.x), n.x, dx, norm_loss, &n) <= tolerance);
    assert_true(mim_test_gradient(N_OF(n.cond), n.cond, dcond, norm_loss, &n) <= tolerance);
}

static void test_modulated_norm_gradients(void **state)
{
    (void)state;
    norm n;
    double dx[n_rows * width], dcond[n_samples * ld] = {0};
    fill_norm(&n, 0);
    norm_loss(&n);
    for (size_t i = 0; i < N_OF(dx); i++)
        dx[i] = 7;
    mim_modulate_backward_d(n_samples, n_tokens, width, n.x, n.stats, n.cond, ld, n.dy, MIM_ADD, dx,
                            dcond, dcond + width);
    for (size_t i = 0; i < N_OF(dx); i++)
        dx[i] -= 7;
    assert_true(mim_test_gradient(N_OF(n.x), n.x, dx, norm_loss, &n) <= tolerance);
    assert_true(mim_test_gradient(N_OF(n.cond), n.cond, dcond, norm_loss, &n) <= tolerance);
}

/* Wider than the partial sums, with a rest. */
static void test_norm_of_wide_rows(void **state)
{
    (void)state;
    enum { wide = 150 };
    double x[2 * wide], gain[wide], bias[wide], y[2 * wide], stats[4];
    mim_test_fill(2 * wide, 1, x);
    mim_test_fill(wide, 2, gain);
    mim_test_fill(wide, 3, bias);
    mim_layer_norm_forward_d(2, wide, 1e-6, x, gain, bias, y, stats);
    for (size_t r = 0; r < 2; r++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < wide; i++)
            mean += x[r * wide + i] / wide;
        for (size_t i = 0; i < wide; i++)
            variance += pow(x[r * wide + i] - mean, 2) / wide;
        for (size_t i = 0; i < wide; i++) {
            const double xhat = (x[r * wide + i] - mean) / sqrt(variance + 1e-6);
            assert_true(fabs(y[r * wide + i] - (xhat * gain[i] + bias[i])) < 1e-12);
        }
    }
}

/* Published vector. */
static void test_layer_norm_known(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4};
    const double expected[] = {-1.3416402498, -0.4472134166, 0.4472134166, 1.3416402498};
    double y[4], stats[2];
    mim_layer_norm_forward_d(1, 4, 1e-6, x, NULL, NULL, y, stats);
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(y[i] - expected[i]) < 1e-10);
}

/* ---- gated residual ------------------------------------------------------------------------- */

typedef struct gate {
    double x[n_rows * width], y[n_rows * width], gate[n_samples * ld], dx[n_rows * width];
} gate;

static double gate_loss(void *context)
{
    const gate *g = context;
    double sum[n_rows * width];
    memcpy(sum, g->x, sizeof sum);
    mim_gate_forward_d(n_samples, n_tokens, width, g->y, g->gate + width, ld, sum);
    return mim_test_dot(N_OF(sum), sum, g->dx);
}

static void test_gate_gradients(void **state)
{
    (void)state;
    gate g;
    double dy[n_rows * width], dgate[n_samples * ld] = {0};
    mim_test_fill(N_OF(g.x), 1, g.x);
    mim_test_fill(N_OF(g.y), 2, g.y);
    mim_test_fill(N_OF(g.gate), 3, g.gate);
    mim_test_fill(N_OF(g.dx), 4, g.dx);
    mim_gate_backward_d(n_samples, n_tokens, width, g.y, g.gate + width, ld, g.dx, dy,
                        dgate + width);
    assert_true(mim_test_gradient(N_OF(g.y), g.y, dy, gate_loss, &g) <= tolerance);
    assert_true(mim_test_gradient(N_OF(g.gate), g.gate, dgate, gate_loss, &g) <= tolerance);
    assert_true(mim_test_gradient(N_OF(g.x), g.x, g.dx, gate_loss, &g) <= tolerance);
    memcpy(dy, g.y, sizeof dy); /* in place */
    mim_gate_backward_d(n_samples, n_tokens, width, dy, g.gate + width, ld, g.dx, dy, NULL);
    assert_true(mim_test_gradient(N_OF(g.y), g.y, dy, gate_loss, &g) <= tolerance);
}

/* ---- embeddings ----------------------------------------------------------------------------- */

static void test_embedding(void **state)
{
    (void)state;
    const double table[] = {1, 2, 3, 4, 5, 6}, dy[] = {1, 2, 10, 20, 100, 200};
    const uint32_t ids[] = {2, 0, 2};
    const double set[] = {5, 6, 1, 2, 5, 6}, gradient[] = {10, 20, 0, 0, 101, 202};
    double y[6], dtable[6] = {0};
    mim_embedding_forward_d(3, 2, table, ids, MIM_SET, y);
    assert_memory_equal(y, set, sizeof y);
    mim_embedding_forward_d(3, 2, table, ids, MIM_ADD, y);
    for (size_t i = 0; i < 6; i++)
        assert_true(y[i] == 2 * set[i]);
    mim_embedding_backward_d(3, 2, ids, dy, dtable);
    assert_memory_equal(dtable, gradient, sizeof gradient);
}

/* Published vectors. */
static void test_timesteps_known(void **state)
{
    (void)state;
    static const double expected[2][8] = {{0.14112000806, 0.13879810108, 6.4632590702e-3,
                                           2.9999999550e-4, -0.98999249660, 0.99032069914,
                                           0.99997911292, 0.99999995500},
                                          {-0.905578362, 0.897461922, 0.0516833956, 0.0023999977,
                                           0.4241790073, 0.4410919389, 0.9986635202, 0.99999712}};
    const double t[] = {3, 24};
    double y[2][8];
    mim_timestep_embedding_d(2, t, 8, &y[0][0]);
    for (size_t i = 0; i < 8; i++) {
        assert_true(fabs(y[0][i] - expected[0][i]) < 1e-11);
        assert_true(fabs(y[1][i] - expected[1][i]) < 1e-9);
    }
}

/* ---- dropout -------------------------------------------------------------------------------- */

/* Of a number of samples, in another order and with others between them, each is thinned alike. */
static void test_dropout_depends_on_sample_not_place(void **state)
{
    (void)state;
    enum { n = 700 };
    const uint32_t here[] = {4, 9, 1}, there[] = {1, 4};
    mim_dropout one = {.rate = 0.3, .seed = 5, .step = 17, .site = 2, .samples = here}, two = one;
    float x[3 * n], a[3 * n], b[2 * n];
    two.samples = there;
    for (size_t i = 0; i < 3 * n; i++)
        x[i] = 1;
    mim_dropout_apply_f(&one, 3, n, x, a);
    mim_dropout_apply_f(&two, 2, n, x, b);
    assert_memory_equal(a, b + n, n * sizeof *a);
    assert_memory_equal(a + 2 * n, b, n * sizeof *a);
    assert_memory_not_equal(a, a + n, n * sizeof *a);
    two.site = 3;
    mim_dropout_apply_f(&two, 2, n, x, b);
    assert_memory_not_equal(a, b + n, n * sizeof *a);
}

static void test_dropout_rate_and_scale(void **state)
{
    (void)state;
    enum { n = 40000 };
    const uint32_t sample = 0;
    const mim_dropout dropout = {.rate = 0.1, .seed = 1, .samples = &sample};
    double *x = malloc(n * sizeof *x), *again = malloc(n * sizeof *x);
    size_t n_kept = 0;
    assert_non_null(x);
    assert_non_null(again);
    for (size_t i = 0; i < n; i++)
        x[i] = again[i] = (double)i + 1;
    mim_dropout_apply_d(&dropout, 1, n, x, x);
    mim_dropout_apply_d(&dropout, 1, n, again, again);
    assert_memory_equal(x, again, n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        assert_true(x[i] == 0 || fabs(x[i] * 0.9 - (double)i - 1) < 1e-9);
        n_kept += x[i] != 0;
    }
    /* 5 standard deviations of the binomial distribution */
    assert_true(fabs((double)n_kept - 0.9 * n) < 5 * sqrt(0.09 * n));
    mim_dropout_apply_d(NULL, 1, n, x, again);
    assert_memory_equal(x, again, n * sizeof *x);
    free(x);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_gradients),
        cmocka_unit_test(test_linear_adds),
        cmocka_unit_test(test_layer_norm_gradients),
        cmocka_unit_test(test_modulated_norm_gradients),
        cmocka_unit_test(test_norm_of_wide_rows),
        cmocka_unit_test(test_layer_norm_known),
        cmocka_unit_test(test_gate_gradients),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_timesteps_known),
        cmocka_unit_test(test_dropout_depends_on_sample_not_place),
        cmocka_unit_test(test_dropout_rate_and_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
