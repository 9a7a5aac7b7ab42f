/* nn/convolution: the published vectors, plain loops as reference, gradients against finite
 * differences in double, float beside double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "nn/convolution.h"
#include "support/gradient.h"

enum { MOST = 512 };

/* Straight from the definition, an output at a time (a transpose: an input at a time). */
static void reference(const mim_convolution *c, const double *x, const double *weight,
                      const double *bias, double *y)
{
    const size_t n_y = mim_convolution_n_positions(c), k = c->width;
    for (size_t s = 0; s < c->n_samples; s++)
        for (size_t p = 0; p < n_y; p++)
            for (size_t o = 0; o < c->n_out; o++)
                y[(s * n_y + p) * c->n_out + o] = bias[o];
    for (size_t s = 0; s < c->n_samples; s++)
        for (size_t p = 0; p < c->n_positions; p++)
            for (size_t q = 0; q < n_y; q++)
                for (size_t i = 0; i < c->n_in; i++)
                    for (size_t o = 0; o < c->n_out; o++) {
                        const size_t from = c->is_transposed ? q : p, to = c->is_transposed ? p : q;
                        /* the long side's position `from` is tap j of the short side's `to` */
                        const size_t j = from + c->padding - to * c->stride;
                        if (from + c->padding < to * c->stride || j >= k)
                            continue;
                        const double w = c->is_transposed ? weight[(i * c->n_out + o) * k + j]
                                                          : weight[(o * c->n_in + i) * k + j];
                        y[(s * n_y + q) * c->n_out + o] +=
                            w * x[(s * c->n_positions + p) * c->n_in + i];
                    }
}

static const mim_convolution shapes[] = {
    {2, 5, 3, 4, 3, 1, 1, false}, {2, 6, 3, 2, 4, 2, 1, false}, {1, 4, 2, 3, 1, 1, 0, false},
    {2, 3, 3, 2, 4, 2, 1, true},  {1, 4, 2, 3, 1, 1, 0, true},  {3, 1, 2, 2, 3, 1, 1, false},
    {1, 7, 1, 2, 5, 3, 2, false}, {2, 4, 2, 3, 5, 3, 2, true},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

typedef struct trial {
    mim_convolution c;
    double x[MOST], weight[MOST], bias[8], factors[MOST], work[MOST];
} trial;

static void make(trial *t, const mim_convolution *c)
{
    t->c = *c;
    mim_test_fill(MOST, 1, t->x);
    mim_test_fill(MOST, 2, t->weight);
    mim_test_fill(8, 3, t->bias);
    mim_test_fill(MOST, 4, t->factors);
    assert_true(mim_convolution_n_work(c) <= MOST);
}

static size_t n_y(const mim_convolution *c)
{
    return c->n_samples * mim_convolution_n_positions(c) * c->n_out;
}

static double loss(void *context)
{
    trial *t = context;
    double y[MOST];
    mim_convolution_forward_d(&mim_gemm_plain, &t->c, t->x, t->weight, t->bias, y, t->work);
    return mim_test_dot(n_y(&t->c), y, t->factors);
}

/* The specification's: kernels of one channel. */
static void test_vectors(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4}, w4[] = {1, 0, -1, 2}, w3[] = {1, 0, -1}, half = 0.5, zero = 0;
    double y[8], work[32];
    const mim_convolution down = {1, 4, 1, 1, 4, 2, 1, false};
    const mim_convolution up = {1, 2, 1, 1, 4, 2, 1, true};
    const mim_convolution same = {1, 4, 1, 1, 3, 1, 1, false};
    assert_int_equal(mim_convolution_n_positions(&down), 2);
    assert_int_equal(mim_convolution_n_positions(&up), 4);
    assert_int_equal(mim_convolution_n_positions(&same), 4);
    mim_convolution_forward_d(&mim_gemm_plain, &down, x, w4, &half, y, work);
    assert_true(y[0] == 4.5 && y[1] == -1.5);
    mim_convolution_forward_d(&mim_gemm_plain, &up, x, w4, &half, y, work);
    assert_true(y[0] == 0.5 && y[1] == 1.5 && y[2] == 2.5 && y[3] == -1.5);
    mim_convolution_forward_d(&mim_gemm_plain, &same, x, w3, &zero, y, work);
    assert_true(y[0] == -2 && y[1] == -2 && y[2] == -2 && y[3] == 3);
    assert_true(mim_convolution_flop(&down) == 2 * 2 * 4);
    assert_true(mim_convolution_flop(&up) == 2 * 2 * 4);
}

static void test_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        trial t;
        double y[MOST], z[MOST];
        make(&t, &shapes[i]);
        reference(&t.c, t.x, t.weight, t.bias, y);
        mim_convolution_forward_d(&mim_gemm_plain, &t.c, t.x, t.weight, t.bias, z, t.work);
        for (size_t k = 0; k < n_y(&t.c); k++)
            assert_true(fabs(y[k] - z[k]) < 1e-13);
    }
    /* a kernel that does not fit has no place */
    const mim_convolution large = {1, 1, 1, 1, 4, 2, 1, false};
    assert_int_equal(mim_convolution_n_positions(&large), 0);
}

static void test_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        trial t;
        double dx[MOST], dw[MOST], db[8];
        make(&t, &shapes[i]);
        const size_t n_x = t.c.n_samples * t.c.n_positions * t.c.n_in;
        const size_t n_w = t.c.n_in * t.c.n_out * t.c.width;
        for (int into = MIM_SET; into <= MIM_ADD; into++) {
            for (size_t k = 0; k < MOST; k++)
                dx[k] = dw[k] = 1;
            for (size_t k = 0; k < 8; k++)
                db[k] = 1;
            mim_convolution_backward_d(&mim_gemm_plain, &t.c, t.x, t.weight, t.factors,
                                       (mim_into)into, dx, dw, db, t.work);
            for (size_t k = 0; k < n_w; k++)
                dw[k] -= 1;
            for (size_t k = 0; k < 8; k++)
                db[k] -= 1;
            for (size_t k = 0; k < n_x && into == MIM_ADD; k++)
                dx[k] -= 1;
            assert_true(mim_test_gradient(n_x, t.x, dx, loss, &t) < 1e-8);
            assert_true(mim_test_gradient(n_w, t.weight, dw, loss, &t) < 1e-8);
            assert_true(mim_test_gradient(t.c.n_out, t.bias, db, loss, &t) < 1e-8);
        }
        mim_convolution_backward_d(&mim_gemm_plain, &t.c, t.x, t.weight, t.factors, MIM_SET, NULL,
                                   dw, db, t.work);
    }
}

static void test_float_follows_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        trial t;
        double y[MOST], dx[MOST], dw[MOST] = {0}, db[8] = {0};
        float x[MOST], w[MOST], b[8], f[MOST], work[MOST];
        make(&t, &shapes[i]);
        for (size_t k = 0; k < MOST; k++) {
            x[k] = (float)t.x[k];
            w[k] = (float)t.weight[k];
            f[k] = (float)t.factors[k];
            b[k % 8] = (float)t.bias[k % 8];
        }
        mim_convolution_forward_d(&mim_gemm_plain, &t.c, t.x, t.weight, t.bias, y, t.work);
        mim_convolution_backward_d(&mim_gemm_plain, &t.c, t.x, t.weight, t.factors, MIM_SET, dx, dw,
                                   db, t.work);
        const mim_gemm *const gemms[2] = {&mim_gemm_plain, &mim_gemm_onednn};
        for (size_t g = 0; g < 2; g++) {
            float z[MOST], dz[MOST], dv[MOST] = {0}, dc[8] = {0};
            mim_convolution_forward_f(gemms[g], &t.c, x, w, b, z, work);
            mim_convolution_backward_f(gemms[g], &t.c, x, w, f, MIM_SET, dz, dv, dc, work);
            for (size_t k = 0; k < n_y(&t.c); k++)
                assert_true(fabs((double)z[k] - y[k]) < 1e-5);
            for (size_t k = 0; k < t.c.n_samples * t.c.n_positions * t.c.n_in; k++)
                assert_true(fabs((double)dz[k] - dx[k]) < 1e-5);
            for (size_t k = 0; k < t.c.n_in * t.c.n_out * t.c.width; k++)
                assert_true(fabs((double)dv[k] - dw[k]) < 1e-5);
            for (size_t k = 0; k < t.c.n_out; k++)
                assert_true(fabs((double)dc[k] - db[k]) < 1e-5);
        }
    }
}

/* ---- RMS norm ------------------------------------------------------------------------------- */

enum { B = 2, L = 3, C = 5, N = B * L };

typedef struct norm {
    double x[N * C], gain[C], scale[B * C], shift[B * C], factors[N * C];
    bool is_modulated;
} norm;

static double norm_loss(void *context)
{
    norm *n = context;
    double y[N * C], lengths[N];
    mim_rms_norm_forward_d(B, L, C, n->x, n->gain, n->is_modulated ? n->scale : NULL,
                           n->is_modulated ? n->shift : NULL, C, y, lengths);
    return mim_test_dot(N * C, y, n->factors);
}

static void test_rms_norm(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4}, gain[] = {1, 1, 1, 1}, zeros[4] = {0};
    const double expected[] = {0.3651483717, 0.7302967433, 1.0954451150, 1.4605934867};
    double y[4], dx[4], dgain[4] = {0}, length;
    mim_rms_norm_forward_d(1, 1, 4, x, gain, NULL, NULL, 0, y, &length);
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(y[i] - expected[i]) < 1e-10);
    /* a row of zeros stays one, and its gradient finite: the length is a constant there */
    mim_rms_norm_forward_d(1, 1, 4, zeros, gain, NULL, NULL, 0, y, &length);
    mim_rms_norm_backward_d(1, 1, 4, zeros, &length, gain, NULL, 0, x, MIM_SET, dx, dgain, NULL,
                            NULL);
    for (size_t i = 0; i < 4; i++)
        assert_true(y[i] == 0 && fabs(dx[i] / (2e12 * x[i]) - 1) < 1e-12 && dgain[i] == 0);
}

static void test_rms_norm_gradients(void **state)
{
    (void)state;
    for (int is_modulated = 0; is_modulated < 2; is_modulated++) {
        norm n = {.is_modulated = is_modulated};
        double y[N * C], lengths[N], dx[N * C], dgain[C], dscale[B * C], dshift[B * C];
        mim_test_fill(N * C, 1, n.x);
        mim_test_fill(C, 2, n.gain);
        mim_test_fill(B * C, 3, n.scale);
        mim_test_fill(B * C, 4, n.shift);
        mim_test_fill(N * C, 5, n.factors);
        for (size_t i = 0; i < N * C; i++)
            dx[i] = 1;
        for (size_t i = 0; i < B * C; i++)
            dgain[i % C] = dscale[i] = dshift[i] = 1;
        const double *scale = is_modulated ? n.scale : NULL, *shift = is_modulated ? n.shift : NULL;
        mim_rms_norm_forward_d(B, L, C, n.x, n.gain, scale, shift, C, y, lengths);
        mim_rms_norm_backward_d(B, L, C, n.x, lengths, n.gain, scale, C, n.factors, MIM_ADD, dx,
                                dgain, dscale, dshift);
        for (size_t i = 0; i < N * C; i++)
            dx[i] -= 1;
        for (size_t i = 0; i < C; i++)
            dgain[i] -= 1;
        for (size_t i = 0; i < B * C; i++) {
            dscale[i] -= 1;
            dshift[i] -= 1;
        }
        assert_true(mim_test_gradient(N * C, n.x, dx, norm_loss, &n) < 1e-7);
        assert_true(mim_test_gradient(C, n.gain, dgain, norm_loss, &n) < 1e-8);
        if (is_modulated) {
            assert_true(mim_test_gradient(B * C, n.scale, dscale, norm_loss, &n) < 1e-8);
            assert_true(mim_test_gradient(B * C, n.shift, dshift, norm_loss, &n) < 1e-8);
        }
        float fx[N * C], fgain[C], fscale[B * C], fshift[B * C], fy[N * C], flengths[N];
        for (size_t i = 0; i < N * C; i++)
            fx[i] = (float)n.x[i];
        for (size_t i = 0; i < B * C; i++) {
            fgain[i % C] = (float)n.gain[i % C];
            fscale[i] = (float)n.scale[i];
            fshift[i] = (float)n.shift[i];
        }
        mim_rms_norm_forward_f(B, L, C, fx, fgain, is_modulated ? fscale : NULL,
                               is_modulated ? fshift : NULL, C, fy, flengths);
        for (size_t i = 0; i < N * C; i++)
            assert_true(fabs((double)fy[i] - y[i]) < 1e-5);
        /* in place */
        double d[N * C], again[N * C];
        memcpy(d, n.factors, sizeof d);
        mim_rms_norm_backward_d(B, L, C, n.x, lengths, n.gain, scale, C, n.factors, MIM_SET, again,
                                dgain, dscale, dshift);
        mim_rms_norm_backward_d(B, L, C, n.x, lengths, n.gain, scale, C, d, MIM_SET, d, dgain,
                                dscale, dshift);
        assert_memory_equal(d, again, sizeof d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_reference),
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_float_follows_double),
        cmocka_unit_test(test_rms_norm),  cmocka_unit_test(test_rms_norm_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
