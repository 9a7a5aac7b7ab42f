/* diffusion/objective: each term by hand, all gradients against finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/objective.h"
#include "tests/support/gradient.h"

enum { B = 3, T = 2, S = 4, N = B * T * S, K = 25 };

/* A batch by rule, and the answers of a network. */
typedef struct made {
    mim_schedule *schedule;
    mim_objective objective;
    mim_objective_batch_d batch;
    size_t t[B];
    double x0[N], eps[N], noisy[N], cpu[B * T], cpu_mask[B * T], is_conditional[B], idle[B * T];
    double predicted[N];
} made;

static void make(mim_prediction prediction, mim_output output, mim_objective_weights weights,
                 made *m)
{
    const mim_schedule_kind kind =
        prediction == MIM_PREDICT_FLOW ? MIM_SCHEDULE_FLOW : MIM_SCHEDULE_COSINE;
    const size_t t[B] = {3, 12, 20};
    memset(m, 0, sizeof *m);
    assert_int_equal(mim_schedule_create(kind, K, &m->schedule), MIM_OK);
    m->objective = (mim_objective){m->schedule, prediction, output, weights};
    memcpy(m->t, t, sizeof t);
    mim_test_fill(N, 1, m->x0);
    mim_test_fill(N, 2, m->eps);
    mim_test_fill(B * T, 3, m->cpu);
    mim_test_fill(N, 4, m->predicted);
    for (size_t i = 0; i < N; i++) {
        const size_t at = m->t[i / (T * S)];
        m->noisy[i] = m->schedule->sqrt_alpha_hat[at] * m->x0[i] +
                      m->schedule->sqrt_one_minus_alpha_hat[at] * m->eps[i];
    }
    for (size_t i = 0; i < B * T; i++)
        m->cpu_mask[i] = i != 1; /* one is not known */
    m->is_conditional[0] = m->is_conditional[2] = 1;
    m->batch = (mim_objective_batch_d){.n_samples = B,
                                       .n_threads = T,
                                       .n_stressors = S,
                                       .n_batch = 5, /* two are elsewhere */
                                       .t = m->t,
                                       .x0 = m->x0,
                                       .eps = m->eps,
                                       .noisy = m->noisy,
                                       .cpu = m->cpu,
                                       .cpu_mask = m->cpu_mask,
                                       .is_conditional = m->is_conditional,
                                       .idle = m->idle};
}

static double value_of(void *context)
{
    made *m = context;
    double predicted[N], gradient[N];
    memcpy(predicted, m->predicted, sizeof predicted);
    return mim_objective_d(&m->objective, &m->batch, predicted, gradient);
}

/* Every prediction, both outputs, every term alone and all together. */
static void test_gradients(void **state)
{
    (void)state;
    static const mim_objective_weights weights[] = {{0, 0, 0, 0}, {5, 0, 0, 0}, {0, 1, 0, 0},
                                                    {0, 0, 1, 0}, {0, 0, 0, 1}, {5, 2, 3, 4},
                                                    {0, 2, 3, 4}};
    for (int p = 0; p < MIM_N_PREDICTIONS; p++) {
        for (int output = 0; output < MIM_N_OUTPUTS; output++) {
            for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
                made m;
                double predicted[N], gradient[N], away = 0;
                if (mim_objective_check(&weights[w], (mim_prediction)p) != MIM_OK)
                    continue;
                make((mim_prediction)p, (mim_output)output, weights[w], &m);
                memcpy(predicted, m.predicted, sizeof predicted);
                const double loss = mim_objective_d(&m.objective, &m.batch, predicted, gradient);
                assert_true(loss > 0 && loss == value_of(&m));
                const double worst = mim_test_gradient(N, m.predicted, gradient, value_of, &m);
                if (!(worst < 1e-7))
                    fail_msg("%s, %s, weights %zu: %g", mim_prediction_name((mim_prediction)p),
                             mim_output_name((mim_output)output), w, worst);
                for (size_t i = 0; i < N; i++)
                    away = fmax(away, fabs(gradient[i]));
                assert_true(away > 1e-3);
                mim_schedule_destroy(&m.schedule);
            }
        }
    }
}

/* The squared error alone: its mean over 5 examples, 3 of which are here. */
static void test_squared_error(void **state)
{
    (void)state;
    for (int p = 0; p < MIM_N_PREDICTIONS; p++) {
        made m;
        double expected = 0;
        make((mim_prediction)p, MIM_OUTPUT_FREE, (mim_objective_weights){0}, &m);
        for (size_t i = 0; i < N; i++) {
            const double ah = m.schedule->alpha_hat[m.t[i / (T * S)]];
            const double wanted = p == MIM_PREDICT_X0 ? m.x0[i]
                                  : p == MIM_PREDICT_V
                                      ? sqrt(ah) * m.eps[i] - sqrt(1 - ah) * m.x0[i]
                                  : p == MIM_PREDICT_EPS ? m.eps[i]
                                                         : m.eps[i] - m.x0[i];
            expected += pow(m.predicted[i] - wanted, 2) / (5 * T * S);
        }
        assert_true(fabs(value_of(&m) - expected) < 1e-13);
        mim_schedule_destroy(&m.schedule);
    }
}

/* Minimum of signal to noise and gamma, by what is predicted (Hang et al., section 3.4). The SNR of
 * 25 steps is 183 at 0, 0.861 at 12. */
static void test_min_snr(void **state)
{
    (void)state;
    static const struct {
        mim_prediction prediction;
        mim_output output;
        double at_0, at_12, relative;
    } cases[] = {{MIM_PREDICT_X0, MIM_OUTPUT_FREE, 5, 0.861, 1e-3},
                 {MIM_PREDICT_EPS, MIM_OUTPUT_FREE, 5 / 183.16, 1, 1e-3},
                 {MIM_PREDICT_V, MIM_OUTPUT_FREE, 5 / 184.16, 0.861 / 1.861, 1e-3},
                 {MIM_PREDICT_X0, MIM_OUTPUT_SIMPLEX, 5, 0.861, 1e-3},
                 {MIM_PREDICT_EPS, MIM_OUTPUT_SIMPLEX, 5, 0.861, 1e-3},
                 {MIM_PREDICT_V, MIM_OUTPUT_SIMPLEX, 5, 0.861, 1e-3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made m;
        make(cases[i].prediction, cases[i].output, (mim_objective_weights){.snr_gamma = 5}, &m);
        assert_true(fabs(mim_objective_weight(&m.objective, 0) / cases[i].at_0 - 1) <
                    cases[i].relative);
        assert_true(fabs(mim_objective_weight(&m.objective, 12) / cases[i].at_12 - 1) <
                    cases[i].relative);
        m.objective.weights.snr_gamma = 0;
        if (cases[i].output == MIM_OUTPUT_FREE)
            assert_true(mim_objective_weight(&m.objective, 12) == 1);
        mim_schedule_destroy(&m.schedule);
    }
}

/* A simplex whose x_0 is wrong costs as much as the quantity that follows from it. */
static void test_simplex_costs_what_follows(void **state)
{
    (void)state;
    for (int p = 0; p < MIM_N_PREDICTIONS; p++) {
        made m;
        double x0[N], idle[B * T], expected = 0;
        make((mim_prediction)p, MIM_OUTPUT_SIMPLEX, (mim_objective_weights){0}, &m);
        mim_simplex_forward_d(B * T, S, m.predicted, x0, idle);
        for (size_t i = 0; i < N; i++) {
            const size_t t = m.t[i / (T * S)];
            const mim_x0_formula f = mim_schedule_x0_formula(m.schedule, (mim_prediction)p, t);
            const mim_target_formula to =
                mim_schedule_target_formula(m.schedule, (mim_prediction)p, t);
            /* solve x_0 = from_x x_t + from_y y for y */
            const double y = (x0[i] - f.from_x * m.noisy[i]) / f.from_y;
            expected += pow(y - (to.from_0 * m.x0[i] + to.from_eps * m.eps[i]), 2) / (5 * T * S);
        }
        assert_true(fabs(value_of(&m) / expected - 1) < 1e-9);
        mim_schedule_destroy(&m.schedule);
    }
}

/* ---- terms by hand -------------------------------------------------------------------------- */

/* One thread, x0 predicted, so that answers are x_0 themselves. */
static double by_hand(mim_objective_weights weights, size_t n_samples, size_t n_stressors,
                      const double *answers, const double *wanted, double cpu, double is_told,
                      double *gradient)
{
    static const size_t t[2] = {5, 5};
    double predicted[4], d[4], plain[4], idle[2];
    const double cpus[2] = {cpu, cpu}, mask[2] = {1, 1}, told[2] = {is_told, is_told};
    const double noisy[4] = {0};
    mim_schedule *s = NULL;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, K, &s), MIM_OK);
    mim_objective o = {s, MIM_PREDICT_X0, MIM_OUTPUT_FREE, weights};
    const mim_objective_batch_d b = {n_samples, 1,     n_stressors, n_samples, t,    wanted,
                                     noisy,     noisy, cpus,        mask,      told, idle};
    memcpy(predicted, answers, n_samples * n_stressors * sizeof *predicted);
    double value = mim_objective_d(&o, &b, predicted, d);
    o.weights = (mim_objective_weights){0};
    value -= mim_objective_d(&o, &b, predicted, plain);
    for (size_t i = 0; i < n_samples * n_stressors; i++)
        gradient[i] = d[i] - plain[i];
    mim_schedule_destroy(&s);
    return value;
}

static void test_variance_by_hand(void **state)
{
    (void)state;
    const double answers[2] = {1, 3}, wanted[2] = {0, 1};
    double g[2];
    /* variances 2 and 1/2: (3/2)^2; derivative 2 (3/2) 2 (y - 2) */
    assert_true(
        fabs(by_hand((mim_objective_weights){.variance = 2}, 2, 1, answers, wanted, 0, 1, g) -
             4.5) < 1e-12);
    assert_true(fabs(g[0] + 12) < 1e-12 && fabs(g[1] - 12) < 1e-12);
    assert_true(by_hand((mim_objective_weights){.variance = 2}, 1, 2, answers, wanted, 0, 1, g) ==
                0); /* of one example there is none */
}

static void test_row_sum_by_hand(void **state)
{
    (void)state;
    static const struct {
        double x0[2], cpu, is_told, value, gradient[2];
    } cases[] = {
        {{0, -0.6}, 0, 1, 0.2, {0.5, 0.5}},    /* 0.5 + 0.2 against 0.5 */
        {{-1, -0.6}, 0, 1, 0.3, {-0.5, -0.5}}, /* 0 + 0.2; -1 is still inside */
        {{-1.5, 3}, -1, 1, 1, {0, 0}},         /* clamped to 0 and 1: no gradient */
        {{0, 0}, -4, 1, 1, {0.5, 0.5}},        /* CPU below its range counts as 0 */
        {{0, 0}, -4, 0, 0, {0, 0}},            /* unconditional: nothing */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double g[2];
        const double value = by_hand((mim_objective_weights){.row_sum = 1}, 1, 2, cases[i].x0,
                                     cases[i].x0, cases[i].cpu, cases[i].is_told, g);
        assert_true(fabs(value - cases[i].value) < 1e-12);
        assert_true(fabs(g[0] - cases[i].gradient[0]) < 1e-12);
        assert_true(fabs(g[1] - cases[i].gradient[1]) < 1e-12);
    }
}

static void test_sparsity_by_hand(void **state)
{
    (void)state;
    const double x0[2] = {0, -0.6}, outside[2] = {2, -2};
    double g[2];
    const mim_objective_weights w = {.sparsity = 2};
    /* r = 0.7, u = 0.25: 2 0.7 0.75 */
    assert_true(fabs(by_hand(w, 1, 2, x0, x0, -0.5, 1, g) - 1.05) < 1e-12);
    assert_true(fabs(g[0] - 0.75) < 1e-12 && fabs(g[1] - 0.75) < 1e-12);
    assert_true(by_hand(w, 1, 2, x0, x0, 1, 1, g) == 0); /* a busy thread may do anything */
    assert_true(by_hand(w, 1, 2, x0, x0, -0.5, 0, g) == 0);
    assert_true(fabs(by_hand(w, 1, 2, outside, outside, -1, 1, g) - 2) < 1e-12);
    assert_true(g[0] == 0 && g[1] == 0);
}

/* Of eps the gradient grows by sqrt(1/ah - 1): 507.6 at the noisiest of 25 steps. */
static void test_gradient_of_eps_grows(void **state)
{
    (void)state;
    made m;
    double gradient[N], plain[N], worst = 0;
    make(MIM_PREDICT_EPS, MIM_OUTPUT_FREE, (mim_objective_weights){.sparsity = 1}, &m);
    for (size_t i = 0; i < B; i++)
        m.t[i] = K - 1;
    for (size_t i = 0; i < N; i++) { /* so that x_0 is 0.5 */
        m.predicted[i] = (m.schedule->sqrt_recip_alpha_hat[K - 1] * m.noisy[i] - 0.5) /
                         m.schedule->sqrt_recip_alpha_hat_m1[K - 1];
    }
    mim_objective_d(&m.objective, &m.batch, m.predicted, gradient);
    m.objective.weights.sparsity = 0;
    mim_objective_d(&m.objective, &m.batch, m.predicted, plain);
    for (size_t i = 0; i < N; i++) {
        const size_t row = i / S;
        const double u = fmin(1, fmax(0, 0.5 * (m.cpu[row] + 1)));
        const double expected = row == 1 || m.is_conditional[row / T] == 0
                                    ? 0
                                    : -507.60669873 * 0.5 * (1 - u) / (5 * T);
        worst = fmax(worst, fabs(gradient[i] - plain[i] - expected));
    }
    assert_true(worst < 1e-7);
    mim_schedule_destroy(&m.schedule);
}

/* Float and double are one function. */
static void test_float_is_alike(void **state)
{
    (void)state;
    for (int p = 0; p < MIM_N_PREDICTIONS; p++) {
        made m;
        float x0[N], eps[N], noisy[N], cpu[B * T], mask[B * T], told[B], idle[B * T], y[N], d[N];
        double gradient[N];
        make((mim_prediction)p, MIM_OUTPUT_FREE, (mim_objective_weights){0, 1, 1, 1}, &m);
        for (size_t i = 0; i < N; i++) {
            x0[i] = (float)m.x0[i];
            eps[i] = (float)m.eps[i];
            noisy[i] = (float)m.noisy[i];
            y[i] = (float)m.predicted[i];
        }
        for (size_t i = 0; i < B * T; i++) {
            cpu[i] = (float)m.cpu[i];
            mask[i] = (float)m.cpu_mask[i];
            told[i / T] = (float)m.is_conditional[i / T];
        }
        const mim_objective_batch_f b = {B, T, S, 5, m.t, x0, eps, noisy, cpu, mask, told, idle};
        const double narrow = mim_objective_f(&m.objective, &b, y, d);
        const double wide = mim_objective_d(&m.objective, &m.batch, m.predicted, gradient);
        assert_true(fabs(narrow / wide - 1) < 1e-5);
        for (size_t i = 0; i < N; i++)
            assert_true(fabs((double)d[i] - gradient[i]) < 1e-4);
        mim_schedule_destroy(&m.schedule);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        mim_objective_weights weights;
        mim_prediction prediction;
        const char *part;
    } cases[] = {{{-1, 0, 0, 0}, MIM_PREDICT_X0, "gamma"},
                 {{0, NAN, 0, 0}, MIM_PREDICT_X0, "variance"},
                 {{0, 0, INFINITY, 0}, MIM_PREDICT_X0, "row sums"},
                 {{0, 0, 0, -2}, MIM_PREDICT_X0, "sparsity"},
                 {{5, 0, 0, 0}, MIM_PREDICT_FLOW, "not of flow"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mim_objective_check(&cases[i].weights, cases[i].prediction), MIM_EINVAL);
        assert_non_null(strstr(mim_error(), cases[i].part));
    }
    const mim_objective_weights fine = {5, 1, 1, 1}, flow = {0, 1, 1, 1};
    assert_int_equal(mim_objective_check(&fine, MIM_PREDICT_V), MIM_OK);
    assert_int_equal(mim_objective_check(&flow, MIM_PREDICT_FLOW), MIM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),        cmocka_unit_test(test_squared_error),
        cmocka_unit_test(test_min_snr),          cmocka_unit_test(test_simplex_costs_what_follows),
        cmocka_unit_test(test_variance_by_hand), cmocka_unit_test(test_row_sum_by_hand),
        cmocka_unit_test(test_sparsity_by_hand), cmocka_unit_test(test_gradient_of_eps_grows),
        cmocka_unit_test(test_float_is_alike),   cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
