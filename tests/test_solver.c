/* diffusion/sampler: solvers against oracles and a Gaussian whose flow is known, rows of plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "diffusion/sampler.h"

enum { N_VALUES = 6, N_SAMPLES = 3 };

/* A network that knows x_0. */
typedef struct oracle {
    const mim_schedule *schedule;
    mim_prediction prediction;
    float x0[N_SAMPLES * N_VALUES];
    size_t n_calls;
} oracle;

static int predict_known(void *context, size_t t, const float *x, float *predicted)
{
    oracle *o = context;
    float eps[N_SAMPLES * N_VALUES];
    o->n_calls++;
    for (size_t i = 0; i < N_SAMPLES * N_VALUES; i++)
        eps[i] = (float)(((double)x[i] - o->schedule->sqrt_alpha_hat[t] * (double)o->x0[i]) /
                         o->schedule->sqrt_one_minus_alpha_hat[t]);
    mim_schedule_target(o->schedule, o->prediction, t, N_SAMPLES * N_VALUES, o->x0, eps, predicted);
    return MIM_OK;
}

static bool is_of_flows(mim_solver solver)
{
    return solver == MIM_SOLVER_EULER || solver == MIM_SOLVER_HEUN;
}

static size_t n_calls_of(mim_solver solver, size_t n_steps)
{
    return solver == MIM_SOLVER_DDPM ? 25 : solver == MIM_SOLVER_HEUN ? 2 * n_steps - 1 : n_steps;
}

static void expect_known_end(const mim_schedule *s, mim_prediction prediction, mim_solver solver,
                             size_t n_steps)
{
    static const uint64_t ids[N_SAMPLES] = {0, 7, 1234567890123};
    oracle o = {.schedule = s, .prediction = prediction};
    const mim_sampling how = {solver, n_steps, 42};
    float x[N_SAMPLES * N_VALUES];
    for (size_t i = 0; i < N_SAMPLES * N_VALUES; i++)
        o.x0[i] = (float)(2 * mim_rng_u01(1, MIM_STREAM_TEST, 0, 0, (uint32_t)i) - 1);
    assert_int_equal(
        mim_diffusion_solve(s, prediction, &how, N_SAMPLES, N_VALUES, ids, predict_known, &o, x),
        MIM_OK);
    assert_true(solver == MIM_SOLVER_DPMPP ? o.n_calls <= n_steps
                                           : o.n_calls == n_calls_of(solver, n_steps));
    for (size_t i = 0; i < N_SAMPLES * N_VALUES; i++)
        if (!(fabs((double)(x[i] - o.x0[i])) <= 2e-5 * (n_steps == 1 ? 100 : 1)))
            fail_msg("%s, %s, %zu steps: %g instead of %g", mim_solver_name(solver),
                     mim_prediction_name(prediction), n_steps, (double)x[i], (double)o.x0[i]);
}

/* Every solver, prediction and number of steps that go together. */
static void test_known_end_is_reached(void **state)
{
    (void)state;
    for (int kind = 0; kind < MIM_N_SCHEDULES; kind += MIM_SCHEDULE_FLOW) {
        mim_schedule *s = NULL;
        assert_int_equal(mim_schedule_create((mim_schedule_kind)kind, 25, &s), MIM_OK);
        for (int solver = 0; solver < MIM_N_SOLVERS; solver++) {
            if (kind == MIM_SCHEDULE_FLOW ? solver == MIM_SOLVER_DDPM
                                          : is_of_flows((mim_solver)solver))
                continue;
            for (int p = 0; p < MIM_N_PREDICTIONS; p++)
                for (size_t n_steps = 1; n_steps <= 25; n_steps += 3)
                    if (p == MIM_PREDICT_X0 || mim_schedule_fits(s->kind, (mim_prediction)p))
                        expect_known_end(s, (mim_prediction)p, (mim_solver)solver, n_steps);
        }
        mim_schedule_destroy(&s);
    }
}

/* x_0 ~ N(mean, deviation^2): E[x_0 | x_t] is known, and the deterministic flow maps the start's
 * standard score to the end's: x = mean + deviation (x_T - sqrt(ah) mean) / sqrt(ah deviation^2 + 1
 * - ah). */
typedef struct gauss {
    const mim_schedule *schedule;
    double mean, deviation;
    float first[N_SAMPLES * N_VALUES];
    bool has_first;
} gauss;

static int predict_gauss(void *context, size_t t, const float *x, float *predicted)
{
    gauss *g = context;
    const double a = g->schedule->sqrt_alpha_hat[t], v = g->deviation * g->deviation;
    const double b = g->schedule->sqrt_one_minus_alpha_hat[t], noise = b * b;
    if (!g->has_first)
        memcpy(g->first, x, sizeof g->first);
    g->has_first = true;
    for (size_t i = 0; i < N_SAMPLES * N_VALUES; i++)
        predicted[i] =
            (float)(g->mean + a * v / (a * a * v + noise) * ((double)x[i] - a * g->mean));
    return MIM_OK;
}

static double gauss_error(const mim_schedule *s, mim_solver solver, size_t n_steps)
{
    static const uint64_t ids[N_SAMPLES] = {1, 2, 3};
    gauss g = {.schedule = s, .mean = 0.2, .deviation = 0.1};
    const mim_sampling how = {solver, n_steps, 7};
    float x[N_SAMPLES * N_VALUES];
    double worst = 0;
    const size_t last = s->n_steps - 1;
    const double v = g.deviation * g.deviation, ah = s->alpha_hat[last];
    const double noise = s->kind == MIM_SCHEDULE_FLOW ? 1 : 1 - ah;
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_X0, &how, N_SAMPLES, N_VALUES, ids,
                                         predict_gauss, &g, x),
                     MIM_OK);
    for (size_t i = 0; i < N_SAMPLES * N_VALUES; i++) {
        const double score = ((double)g.first[i] - sqrt(ah) * g.mean) / sqrt(ah * v + noise);
        worst = fmax(worst, fabs((double)x[i] - (g.mean + g.deviation * score)));
    }
    return worst;
}

static void test_flow_of_a_gaussian(void **state)
{
    (void)state;
    mim_schedule *s = NULL;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 1000, &s), MIM_OK);
    const double first_50 = gauss_error(s, MIM_SOLVER_DDIM, 50);
    const double first_200 = gauss_error(s, MIM_SOLVER_DDIM, 200);
    const double second_50 = gauss_error(s, MIM_SOLVER_DPMPP, 50);
    const double second_8 = gauss_error(s, MIM_SOLVER_DPMPP, 8);
    const double first_8 = gauss_error(s, MIM_SOLVER_DDIM, 8);
    print_message("DDIM 8: %g, 50: %g, 200: %g; DPM-Solver++ 8: %g, 50: %g\n", first_8, first_50,
                  first_200, second_8, second_50);
    assert_true(first_200 < 0.02);
    assert_true(first_200 < 0.5 * first_50); /* first order: a quarter of the step, less error */
    assert_true(second_50 < 0.05 * first_50);
    assert_true(second_8 < 0.05 * first_8);
    mim_schedule_destroy(&s);
}

/* The straight path's own flow: at u = 1 all is noise, so the score is that of the start. Euler's
 * method is DDIM, Heun's is of second order. */
static void test_straight_flow_of_a_gaussian(void **state)
{
    (void)state;
    mim_schedule *s = NULL;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_FLOW, 1000, &s), MIM_OK);
    const double first_10 = gauss_error(s, MIM_SOLVER_EULER, 10);
    const double first_100 = gauss_error(s, MIM_SOLVER_EULER, 100);
    const double second_10 = gauss_error(s, MIM_SOLVER_HEUN, 10);
    const double second_100 = gauss_error(s, MIM_SOLVER_HEUN, 100);
    const double ddim_all = gauss_error(s, MIM_SOLVER_DDIM, 1000);
    const double euler_all = gauss_error(s, MIM_SOLVER_EULER, 1000);
    print_message("Euler 10: %g, 100: %g; Heun 10: %g, 100: %g\n", first_10, first_100, second_10,
                  second_100);
    assert_true(first_100 < 0.2 * first_10);
    assert_true(second_10 < first_10 && second_100 < 0.1 * first_100);
    assert_true(second_100 < 0.05 * second_10);
    assert_true(fabs(ddim_all - euler_all) < 2e-5 && euler_all < 0.2 * first_100);
    mim_schedule_destroy(&s);
}

/* Ancestral sampling gives that Gaussian's mean and deviation. */
static void test_ancestral_statistics(void **state)
{
    (void)state;
    enum { N_RUNS = 400 };
    mim_schedule *s = NULL;
    double sum = 0, squares = 0;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 200, &s), MIM_OK);
    for (uint64_t run = 0; run < N_RUNS; run++) {
        const uint64_t ids[N_SAMPLES] = {3 * run, 3 * run + 1, 3 * run + 2};
        gauss g = {.schedule = s, .mean = 0.2, .deviation = 0.1};
        const mim_sampling how = {MIM_SOLVER_DDPM, 0, 99};
        float x[N_SAMPLES * N_VALUES];
        assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_X0, &how, N_SAMPLES, N_VALUES, ids,
                                             predict_gauss, &g, x),
                         MIM_OK);
        for (size_t i = 0; i < N_SAMPLES * N_VALUES; i++) {
            sum += (double)x[i];
            squares += (double)x[i] * (double)x[i];
        }
    }
    const double n = (double)N_RUNS * N_SAMPLES * N_VALUES, mean = sum / n;
    const double deviation = sqrt(squares / n - mean * mean);
    assert_true(fabs(mean - 0.2) < 5 * 0.1 / sqrt(n));
    assert_true(fabs(deviation - 0.1) < 0.1 * (5 / sqrt(2 * n) + 0.05)); /* 5 %: 200 steps */
    mim_schedule_destroy(&s);
}

/* A sample does not depend on what is sampled beside it. */
static void test_samples_stand_alone(void **state)
{
    (void)state;
    static const uint64_t ids[N_SAMPLES] = {5, 6, 7};
    static const uint64_t turned[N_SAMPLES] = {7, 5, 6};
    mim_schedule *s = NULL;
    for (int solver = 0; solver < MIM_N_SOLVERS; solver++) {
        const mim_schedule_kind kind =
            is_of_flows((mim_solver)solver) ? MIM_SCHEDULE_FLOW : MIM_SCHEDULE_COSINE;
        assert_int_equal(mim_schedule_create(kind, 25, &s), MIM_OK);
        gauss g = {.schedule = s, .mean = 0.2, .deviation = 0.1}, h = g;
        const mim_sampling how = {(mim_solver)solver, 8, 7};
        float a[N_SAMPLES * N_VALUES], b[N_SAMPLES * N_VALUES];
        assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_X0, &how, N_SAMPLES, N_VALUES, ids,
                                             predict_gauss, &g, a),
                         MIM_OK);
        assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_X0, &how, N_SAMPLES, N_VALUES, turned,
                                             predict_gauss, &h, b),
                         MIM_OK);
        assert_memory_equal(a, b + N_VALUES, 2 * N_VALUES * sizeof *a);
        assert_memory_equal(a + 2 * N_VALUES, b, N_VALUES * sizeof *a);
        assert_memory_not_equal(a, a + N_VALUES, N_VALUES * sizeof *a);
        mim_schedule_destroy(&s);
    }
}

/* The original's step at timestep 12 of 25: guidance of 3, clipped x_0, mean, sample. */
static void test_published_step(void **state)
{
    (void)state;
    static const float x[3] = {0.5f, -1.2f, 2}, z[3] = {0.3f, -0.2f, 1}, none[3] = {0, 0, 0};
    static const float with[3] = {0.1f, -0.7f, 1.1f}, without[3] = {0, -0.5f, 1.4f};
    static const double guided[3] = {0.3, -1.1, 0.5};
    static const double ends[3] = {0.4117739095, -0.5787740085, 1}; /* the last was 2.4 */
    static const double means[3] = {0.4808655659, -1.0885511156, 1.8199128929};
    static const double samples[3] = {0.5780316543, -1.1533285079, 2.1437998542};
    mim_schedule *s = NULL;
    float eps[3], x0[3], mean[3], next[3];
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 25, &s), MIM_OK);
    mim_diffusion_guide(3, 3, with, without, eps);
    mim_schedule_x0(s, MIM_PREDICT_EPS, 12, 3, x, eps, x0);
    memcpy(mean, x, sizeof mean);
    memcpy(next, x, sizeof next);
    mim_diffusion_step_back(s, 12, 3, x0, none, mean);
    mim_diffusion_step_back(s, 12, 3, x0, z, next);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fabs((double)eps[i] - guided[i]) < 3e-7);
        assert_true(fabs((double)x0[i] - ends[i]) < 5e-7);
        assert_true(fabs((double)mean[i] - means[i]) < 3e-7);
        assert_true(fabs((double)next[i] - samples[i]) < 3e-7);
    }
    assert_true(fabs(mim_diffusion_log_probability(s, 12, 3, x0, x, next) - 0.0200888425) < 1e-6);
    mim_diffusion_step_back(s, 0, 3, x0, NULL, next); /* the chain's end is x_0 */
    assert_memory_equal(next, x0, sizeof x0);
    mim_schedule_destroy(&s);
}

/* The logged chain is the plain one but for the noise of 1e-6 at its end, and its log-probabilities
 * are those of its own noise: - z^2 / 2 - log(sigma) - log(2 pi) / 2 on average. */
static void test_logged_chain(void **state)
{
    (void)state;
    enum { K = 25, N = N_SAMPLES * N_VALUES };
    static const uint64_t ids[N_SAMPLES] = {5, 6, 7};
    static float chain[(K + 1) * N];
    static double log_p[K * N_SAMPLES];
    mim_schedule *s = NULL, *flow = NULL;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, K, &s), MIM_OK);
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_FLOW, K, &flow), MIM_OK);
    gauss g = {.schedule = s, .mean = 0.2, .deviation = 0.1}, h = g;
    const mim_sampling how = {MIM_SOLVER_DDPM, 0, 7};
    float x[N];
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_X0, &how, N_SAMPLES, N_VALUES, ids,
                                         predict_gauss, &g, x),
                     MIM_OK);
    assert_int_equal(mim_diffusion_solve_logged(s, MIM_PREDICT_X0, 7, N_SAMPLES, N_VALUES, ids,
                                                predict_gauss, &h, chain, log_p),
                     MIM_OK);
    assert_memory_equal(chain, g.first, sizeof x);
    for (size_t i = 0; i < N; i++) {
        const double away = fabs((double)chain[K * N + i] - (double)x[i]);
        assert_true(away > 0 && away < 6e-6);
    }
    for (size_t i = 0; i < K; i++) {
        const size_t t = K - 1 - i;
        const double sigma = fmax(1e-6, exp(0.5 * s->posterior_log_variance[t]));
        for (size_t j = 0; j < N_SAMPLES; j++) {
            double expected = -log(sigma) - 0.5 * log(6.28318530717958647693);
            for (uint32_t k = 0; k < N_VALUES; k++) {
                const double z =
                    mim_rng_normal(7, MIM_STREAM_GENERATE, ids[j], (uint32_t)(1 + t), k);
                expected -= z * z / 2 / N_VALUES;
            }
            /* at t = 0 a float's rounding is a tenth of the deviation */
            assert_true(fabs(log_p[i * N_SAMPLES + j] - expected) < (t > 0 ? 1e-4 : 0.3));
        }
    }
    assert_int_equal(mim_diffusion_solve_logged(flow, MIM_PREDICT_FLOW, 7, N_SAMPLES, N_VALUES, ids,
                                                predict_gauss, &h, chain, log_p),
                     MIM_EINVAL);
    mim_schedule_destroy(&s);
    mim_schedule_destroy(&flow);
}

static void test_timesteps(void **state)
{
    (void)state;
    size_t t[100];
    mim_schedule *s = NULL;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 100, &s), MIM_OK);
    for (size_t n = 1; n <= 100; n++) {
        for (int solver = 0; solver < MIM_N_SOLVERS; solver++) {
            const size_t found = mim_diffusion_timesteps(s, (mim_solver)solver, n, t);
            assert_true(found == n || (solver == MIM_SOLVER_DPMPP && found < n && found > n / 3));
            assert_int_equal(t[0], 99);
            if (is_of_flows((mim_solver)solver)) /* u = 1 / n, but for the grid */
                assert_true(fabs((double)(t[found - 1] + 1) / 100 - 1 / (double)n) < 0.00501);
            else if (n > 1)
                assert_int_equal(t[found - 1], 0);
            for (size_t i = 1; i < found; i++)
                assert_true(t[i] < t[i - 1]);
        }
    }
    mim_schedule_destroy(&s);
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 25, &s), MIM_OK);
    assert_int_equal(mim_diffusion_timesteps(s, MIM_SOLVER_DDIM, 5, t), 5);
    static const size_t expected[5] = {24, 18, 12, 6, 0};
    assert_memory_equal(t, expected, sizeof expected);
    mim_schedule_destroy(&s);
}

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        float x[3];
        double expected[3];
    } cases[] = {
        {{-1, -1, -1}, {0, 0, 0}},
        {{-0.992f, -0.98f, 0}, {0, 0.01, 0.5}}, /* 0.004 is too small */
        {{1, -1, -1}, {1, 0, 0}},
        {{3, -2, -1}, {1, 0, 0}}, /* clipped */
        {{1, 1, -1}, {0.5, 0.5, 0}},
        {{1, 0, 0}, {0.5, 0.25, 0.25}},
        {{1, 1, -0.989f}, {0.4986288, 0.4986288, 0}}, /* 0.0055 becomes too small */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double w[3], sum = 0;
        mim_diffusion_weights(3, cases[i].x, 0.005, w);
        for (size_t s = 0; s < 3; s++) {
            sum += w[s];
            if (!(fabs(w[s] - cases[i].expected[s]) < 1e-6))
                fail_msg("case %zu: %.9g instead of %.9g", i, w[s], cases[i].expected[s]);
            assert_true(w[s] == 0 || w[s] >= 0.005);
        }
        assert_true(sum <= 1);
    }
    for (uint32_t i = 0; i < 2000; i++) {
        float x[20];
        double w[20], sum = 0;
        for (uint32_t s = 0; s < 20; s++)
            x[s] = (float)(3 * mim_rng_u01(3, MIM_STREAM_TEST, i, 0, s) - 1.5);
        mim_diffusion_weights(20, x, 0.005, w);
        for (size_t s = 0; s < 20; s++)
            sum += w[s];
        assert_true(sum <= 1);
    }
}

static int refuse(void *context, size_t t, const float *x, float *predicted)
{
    (void)context, (void)t, (void)x, (void)predicted;
    return mim_fail(MIM_EDATA, "the network says no");
}

static void test_refusals(void **state)
{
    (void)state;
    static const uint64_t ids[1] = {0};
    mim_schedule *s = NULL;
    mim_solver solver;
    float x[2];
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 25, &s), MIM_OK);
    const mim_sampling none = {MIM_SOLVER_DDIM, 0, 0}, many = {MIM_SOLVER_DPMPP, 26, 0};
    const mim_sampling fine = {MIM_SOLVER_DDPM, 0, 0};
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_V, &none, 1, 2, ids, refuse, NULL, x),
                     MIM_EINVAL);
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_V, &many, 1, 2, ids, refuse, NULL, x),
                     MIM_EINVAL);
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_V, &fine, 1, 2, ids, refuse, NULL, x),
                     MIM_EDATA);
    assert_string_equal(mim_error(), "the network says no");
    const mim_sampling euler = {MIM_SOLVER_EULER, 5, 0};
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_V, &euler, 1, 2, ids, refuse, NULL, x),
                     MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "euler is for models that predict flow"));
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_FLOW, &fine, 1, 2, ids, refuse, NULL, x),
                     MIM_EINVAL);
    mim_schedule_destroy(&s);
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_FLOW, 25, &s), MIM_OK);
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_FLOW, &fine, 1, 2, ids, refuse, NULL, x),
                     MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "ddpm is not for models that predict flow"));
    assert_int_equal(mim_diffusion_solve(s, MIM_PREDICT_V, &euler, 1, 2, ids, refuse, NULL, x),
                     MIM_EINVAL);
    assert_int_equal(mim_solver_find("dpm++", &solver), MIM_OK);
    assert_int_equal(solver, MIM_SOLVER_DPMPP);
    assert_int_equal(mim_solver_find("heun", &solver), MIM_OK);
    assert_int_equal(solver, MIM_SOLVER_HEUN);
    assert_int_equal(mim_solver_find("rk4", &solver), MIM_EDATA);
    mim_schedule_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_end_is_reached),
        cmocka_unit_test(test_flow_of_a_gaussian),
        cmocka_unit_test(test_straight_flow_of_a_gaussian),
        cmocka_unit_test(test_ancestral_statistics),
        cmocka_unit_test(test_samples_stand_alone),
        cmocka_unit_test(test_published_step),
        cmocka_unit_test(test_logged_chain),
        cmocka_unit_test(test_timesteps),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
