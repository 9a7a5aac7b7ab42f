/* diffusion/simplex: sparsemax against its definition, its gradient against finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "core/rng.h"
#include "diffusion/simplex.h"
#include "tests/support/gradient.h"

enum { MAX = 21 };

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Algorithm 1 of the paper, by sorting; z: [n] with idle's 0 at its end. */
static void sparsemax_ref(size_t n, const double *z, double *p)
{
    double sorted[MAX + 1], sum = 0, tau = 0;
    for (size_t i = 0; i < n; i++)
        sorted[i] = z[i];
    qsort(sorted, n, sizeof *sorted, falling);
    for (size_t k = 0; k < n; k++) {
        sum += sorted[k];
        if (1 + (double)(k + 1) * sorted[k] > sum)
            tau = (sum - 1) / (double)(k + 1);
    }
    for (size_t i = 0; i < n; i++)
        p[i] = fmax(0, z[i] - tau);
}

static void test_known_rows(void **state)
{
    (void)state;
    static const struct {
        double z[3], share[3], idle;
    } cases[] = {
        {{0, 0, 0}, {0.25, 0.25, 0.25}, 0.25},          /* all alike */
        {{-5, -1, -1}, {0, 0, 0}, 1},                   /* idle, exactly; -1 is the edge */
        {{2, 0, 0}, {1, 0, 0}, 0},                      /* one takes all */
        {{1, 0, -3}, {1, 0, 0}, 0},                     /* just so: 0 and idle tie at the edge */
        {{0.5, 0.5, 0.5}, {1. / 3, 1. / 3, 1. / 3}, 0}, /* idle falls at 1/3 */
        {{0.2, -0.4, -9}, {0.6, 0, 0}, 0.4},            /* two are left */
        {{1e8, 1e8, -1e8}, {0.5, 0.5, 0}, 0},           /* large ones */
        {{0.25, 0.25, -0.75}, {5. / 12, 5. / 12, 0}, 1. / 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double x0[3], idle;
        mim_simplex_forward_d(1, 3, cases[i].z, x0, &idle);
        for (size_t s = 0; s < 3; s++) {
            assert_true(fabs(0.5 * (x0[s] + 1) - cases[i].share[s]) < 1e-7);
            if (cases[i].share[s] == 0)
                assert_true(x0[s] == -1); /* exactly */
        }
        assert_true(fabs(idle - cases[i].idle) < 1e-7);
    }
}

static void test_against_sorting(void **state)
{
    (void)state;
    size_t n_zeros = 0, n_idle = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        const size_t n = 1 + i % (MAX - 1);
        double z[MAX + 1] = {0}, wanted[MAX + 1], x0[MAX], idle, sum = 0;
        float zf[MAX], x0f[MAX], idle_f;
        for (uint32_t s = 0; s < n; s++) {
            z[s] = 2 * mim_rng_normal(3, MIM_STREAM_TEST, i, 0, s) / (1 + i % 4);
            if (i % 3 == 0)
                z[s] = 0.25 * floor(4 * z[s]); /* ties */
            zf[s] = (float)z[s];
        }
        z[n] = 0;
        sparsemax_ref(n + 1, z, wanted);
        mim_simplex_forward_d(1, n, z, x0, &idle);
        mim_simplex_forward_f(1, n, zf, x0f, &idle_f);
        for (size_t s = 0; s < n; s++) {
            const double share = 0.5 * (x0[s] + 1);
            assert_true(fabs(share - wanted[s]) < 1e-12);
            assert_true(fabs((double)x0f[s] - x0[s]) < 1e-5);
            assert_true(share >= 0);
            n_zeros += x0[s] == -1;
            sum += share;
        }
        assert_true(fabs(idle - wanted[n]) < 1e-12);
        assert_true(fabs(sum + idle - 1) < 1e-12);
        n_idle += idle > 0;
    }
    assert_true(n_zeros > 5000 && n_idle > 300); /* the cases that matter do happen */
}

typedef struct loss_of {
    size_t n_rows, n;
    double *z, *weights;
} loss_of;

static double loss(void *context)
{
    const loss_of *c = context;
    double x0[8 * MAX], idle[8];
    mim_simplex_forward_d(c->n_rows, c->n, c->z, x0, idle);
    return mim_test_dot(c->n_rows * c->n, x0, c->weights);
}

static void test_gradient(void **state)
{
    (void)state;
    double z[8 * MAX], weights[8 * MAX], x0[8 * MAX], idle[8], grad[8 * MAX];
    for (unsigned n = 1; n < MAX; n += 4) {
        loss_of c = {8, n, z, weights};
        size_t n_zeros = 0;
        mim_test_fill(8 * n, n, z);
        mim_test_fill(8 * n, 100 + n, weights);
        mim_simplex_forward_d(8, n, z, x0, idle);
        mim_simplex_backward_d(8, n, x0, idle, weights, grad);
        assert_true(mim_test_gradient(8 * n, z, grad, loss, &c) < 1e-6);
        for (size_t i = 0; i < 8 * n; i++)
            n_zeros += x0[i] == -1 && grad[i] == 0;
        assert_true(n == 1 || n_zeros > 0);
        mim_simplex_backward_d(8, n, x0, idle, weights, weights); /* in place */
        assert_memory_equal(weights, grad, 8 * n * sizeof *grad);
    }
}

/* Equal logits keep equal shares and equal gradients; one at the edge has none. */
static void test_ties(void **state)
{
    (void)state;
    const double z[4] = {0.5, 0.5, 0.5, 1. / 6}, d[4] = {1, 2, 3, 4};
    double x0[4], idle, grad[4];
    mim_simplex_forward_d(1, 4, z, x0, &idle);
    assert_true(x0[0] == x0[1] && x0[1] == x0[2]);
    assert_true(fabs(x0[3] + 1) < 1e-12 && idle == 0); /* the threshold is 1/6 */
    mim_simplex_backward_d(1, 4, x0, &idle, d, grad);
    if (x0[3] == -1) {
        assert_true(fabs(grad[0] + 2) < 1e-12 && fabs(grad[1]) < 1e-12);
        assert_true(fabs(grad[2] - 2) < 1e-12 && grad[3] == 0);
    }
    /* rows of equal logits at many sizes end, and sum to 1 */
    for (size_t n = 1; n <= MAX; n++) {
        for (int k = -3; k <= 3; k++) {
            float row[MAX], out[MAX], rest;
            double sum = 0;
            for (size_t s = 0; s < n; s++)
                row[s] = (float)k / (float)n;
            mim_simplex_forward_f(1, n, row, out, &rest);
            for (size_t s = 0; s < n; s++) {
                assert_true(out[s] == out[0]);
                sum += 0.5 * ((double)out[s] + 1);
            }
            assert_true(fabs(sum + (double)rest - 1) < 1e-5);
        }
    }
}

/* What is not a number does not pass for a share. */
static void test_not_finite(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        float z[6] = {0.1f, bad[i], 0, 0.1f, 0.2f, 0.3f}, x0[6], idle[2], grad[6] = {0};
        mim_simplex_forward_f(2, 3, z, x0, idle);
        assert_true(isnan(x0[0]) && isnan(x0[1]) && isnan(x0[2]) && isnan(idle[0]));
        assert_true(isfinite(x0[3]) && isfinite(idle[1]));
        mim_simplex_backward_f(2, 3, x0, idle, grad, grad);
        assert_true(isnan(grad[0]) && isfinite(grad[3]));
    }
}

static void test_names(void **state)
{
    (void)state;
    mim_output output = MIM_OUTPUT_FREE;
    assert_int_equal(mim_output_find("simplex", &output), MIM_OK);
    assert_int_equal(output, MIM_OUTPUT_SIMPLEX);
    assert_int_equal(mim_output_find("softmax", &output), MIM_EDATA);
    assert_string_equal(mim_output_name(MIM_OUTPUT_FREE), "free");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_rows), cmocka_unit_test(test_against_sorting),
        cmocka_unit_test(test_gradient),   cmocka_unit_test(test_ties),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
