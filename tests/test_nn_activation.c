#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nn/layers.h"
#include "nn/vector_internal.h"
#include "support/gradient.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static const mim_activation all[] = {MIM_IDENTITY, MIM_RELU, MIM_LEAKY_RELU, MIM_TANH,
                                     MIM_SIGMOID,  MIM_SILU, MIM_GELU,       MIM_MISH};

static double value(mim_activation f, double x)
{
    double y;
    mim_activation_forward_d(f, 1, &x, &y);
    return y;
}

static double slope(mim_activation f, double x)
{
    double y, one = 1;
    mim_activation_backward_d(f, 1, &x, &one, &y);
    return y;
}

/* Published vectors. */
static void test_known_values(void **state)
{
    (void)state;
    static const struct {
        mim_activation f;
        double x, value, slope;
    } cases[] = {
        {MIM_MISH, -2, -0.2525014826957, -0.1083550924204},
        {MIM_MISH, -1, -0.3034014613741, 0.0592167558774},
        {MIM_MISH, 0, 0, 0.6},
        {MIM_MISH, 0.5, 0.3752452113049, 0.8864243753577},
        {MIM_MISH, 1, 0.8650983882673, 1.0490362200998},
        {MIM_MISH, 2, 1.9439589595340, 1.0693179342795},
        {MIM_SILU, 1, 0.7310585786300, 0.9276705118715},
        {MIM_GELU, 1, 0.8413447460685, 1.0833154705877},
        {MIM_GELU, -1, -0.1586552539315, -0.0833154705877},
        {MIM_RELU, -3, 0, 0},
        {MIM_RELU, 3, 3, 1},
        {MIM_LEAKY_RELU, -3, -0.03, 0.01},
        {MIM_TANH, 1, 0.76159415595576, 0.41997434161403},
        {MIM_SIGMOID, -2, 0.11920292202212, 0.10499358540351},
        {MIM_IDENTITY, -7, -7, 1},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_true(fabs(value(cases[i].f, cases[i].x) - cases[i].value) < 1e-12);
        assert_true(fabs(slope(cases[i].f, cases[i].x) - cases[i].slope) < 1e-12);
    }
}

typedef struct sum {
    mim_activation f;
    double x[400], dy[400];
} sum;

static double loss(void *context)
{
    const sum *s = context;
    double y[400];
    mim_activation_forward_d(s->f, 400, s->x, y);
    return mim_test_dot(400, y, s->dy);
}

static void test_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(all); i++) {
        sum s = {.f = all[i]};
        double dx[400];
        mim_test_fill(400, 1, s.dy);
        for (size_t j = 0; j < 400; j++) /* -15.96 .. 15.96, never at a kink */
            s.x[j] = 0.08 * ((double)j - 199.5);
        memcpy(dx, s.dy, sizeof dx); /* in place */
        mim_activation_backward_d(s.f, 400, s.x, dx, dx);
        assert_true(mim_test_gradient(400, s.x, dx, loss, &s) <= 1e-6);
    }
}

/* The vector code of float against the C library in double, over all that float tells apart. */
static void test_float_is_near_double(void **state)
{
    (void)state;
    enum { n = 60001 };
    float *x = malloc(4 * n * sizeof *x), *y = x + n, *one = x + 2 * n, *d = x + 3 * n;
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(((double)i - 30000) * 1e-3);
        one[i] = 1;
    }
    for (size_t f = 0; f < N_OF(all); f++) {
        mim_activation_forward_f(all[f], n, x, y);
        mim_activation_backward_f(all[f], n, x, one, d);
        for (size_t i = 0; i < n; i++) {
            const double v = value(all[f], (double)x[i]), s = slope(all[f], (double)x[i]);
            /* relative; tails of GELU go through exp(-x^2/2), where x^2 is rounded */
            const double loose = all[f] == MIM_GELU && x[i] < -1 ? 1e-7 * pow((double)x[i], 2) : 0;
            const double bound = (1e-6 + loose) * fabs(v) + 1e-36;
            if (!(fabs((double)y[i] - v) <= bound))
                fail_msg("activation %d at %.9g: %.9g, expected %.9g", (int)all[f], (double)x[i],
                         (double)y[i], v);
            if (!(fabs((double)d[i] - s) <= 1e-6))
                fail_msg("slope %d at %.9g: %.9g, expected %.9g", (int)all[f], (double)x[i],
                         (double)d[i], s);
        }
    }
    free(x);
}

static void test_extremes_stay_finite_and_nan_stays(void **state)
{
    (void)state;
    const float x[] = {-FLT_MAX, -200, -88, 88, 200, 1e15f}, nan = NAN;
    float y[N_OF(x)], one[N_OF(x)] = {1, 1, 1, 1, 1, 1};
    for (size_t f = 0; f < N_OF(all); f++) {
        mim_activation_forward_f(all[f], N_OF(x), x, y);
        for (size_t i = 0; i < N_OF(x); i++)
            assert_true(isfinite(y[i]));
        mim_activation_backward_f(all[f], N_OF(x), x, one, y);
        for (size_t i = 0; i < N_OF(x); i++)
            assert_true(isfinite(y[i]));
        mim_activation_forward_f(all[f], 1, &nan, y);
        assert_true(isnan(y[0]));
    }
}

/* The short exponential of attention in bf16; what a query does not see is exactly 0. */
static void test_exp_for_half(void **state)
{
    (void)state;
    for (int i = -8700; i <= 100; i++) {
        const float x = (float)i / 100;
        assert_true(fabs((double)mim_exp_h(x) / exp((double)x) - 1) < 4e-6);
    }
    assert_true(mim_exp_h(-INFINITY) == 0 && mim_exp_h(-88) == 0 && mim_exp_h(0) == 1);
    assert_true(isnan(mim_exp_h(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_float_is_near_double),
        cmocka_unit_test(test_extremes_stay_finite_and_nan_stays),
        cmocka_unit_test(test_exp_for_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
