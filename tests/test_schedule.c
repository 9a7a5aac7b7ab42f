/* diffusion/schedule: published values of the cosine schedule (25 steps), and identities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "diffusion/schedule.h"

static void assert_near(double found, double expected, double relative)
{
    if (!(fabs(found - expected) <= relative * fmax(1e-300, fabs(expected))))
        fail_msg("found %.12g, expected %.12g", found, expected);
}

static void test_published_values(void **state)
{
    (void)state;
    static const struct {
        size_t t;
        double beta, ah, root, root_1m, recip, recip_m1, mean_0, mean_t, variance, log_variance;
    } rows[] = {{0, 5.4300217621e-3, 0.99456997824, 0.99728129344, 0.073688681370, 1.0027261181,
                 0.073889565417, 1, 0, 0, -46.051701860},
                {1, 0.013176877052, 0.98146465191, 0.99068897840, 0.13614458522, 1.0093985315,
                 0.13742414440, 0.70897254963, 0.29101842263, 3.8602312091e-3, -5.5570281986},
                {12, 0.11866120632, 0.46270686202, 0.68022559641, 0.73300282263, 1.4701005156,
                 1.0775878275, 0.16002174125, 0.82994557582, 0.10490276368, -2.2547214181},
                {23, 0.74902612179, 3.8809998422e-3, 0.062297671242, 0.99805761365, 16.051964384,
                 16.020785268, 0.093506820801, 0.49514767443, 0.74031652988, -0.30067744116},
                {24, 0.999, 3.8809998422e-6, 1.9700253405e-3, 0.99999805950, 507.60768374,
                 507.60669873, 0.062235615107, 0.031500170863, 0.99512674324, -4.8851697906e-3}};
    mim_schedule *s = NULL;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 25, &s), MIM_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t t = rows[i].t;
        assert_near(s->beta[t], rows[i].beta, 1e-9);
        assert_near(s->alpha_hat[t], rows[i].ah, 1e-9);
        assert_near(s->sqrt_alpha_hat[t], rows[i].root, 1e-9);
        assert_near(s->sqrt_one_minus_alpha_hat[t], rows[i].root_1m, 1e-9);
        assert_near(s->sqrt_recip_alpha_hat[t], rows[i].recip, 1e-9);
        assert_near(s->sqrt_recip_alpha_hat_m1[t], rows[i].recip_m1, 1e-9);
        assert_near(s->posterior_mean_0[t], rows[i].mean_0, 1e-9);
        assert_near(s->posterior_mean_t[t], rows[i].mean_t, 1e-9);
        assert_near(s->posterior_variance[t], rows[i].variance, 1e-9);
        assert_near(s->posterior_log_variance[t], rows[i].log_variance, 1e-9);
    }
    static const size_t times[5] = {1, 6, 12, 18, 24};
    static const double sigma[5] = {0.062130759, 0.201536862, 0.323886961, 0.489415195,
                                    0.997560396};
    for (size_t i = 0; i < 5; i++)
        assert_near(exp(0.5 * s->posterior_log_variance[times[i]]), sigma[i], 1e-8);
    for (size_t t = 0; t < 24; t++)
        assert_true(s->beta[t] < 0.999); /* only the last one is clipped */
    mim_schedule_destroy(&s);
}

static void test_noising(void **state)
{
    (void)state;
    static const float x0[3] = {-1, 0, 1}, eps[3] = {0.5f, -1, 2};
    static const double at_12[3] = {-0.3137241851, -0.7330028226, 2.1462312417};
    static const double at_0[3] = {-0.9604369528, -0.0736886814, 1.1446586562};
    mim_schedule *s = NULL;
    float xt[3];
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 25, &s), MIM_OK);
    mim_schedule_noise(s, 12, 3, x0, eps, xt);
    for (size_t i = 0; i < 3; i++)
        assert_near(xt[i], at_12[i], 1e-6);
    memcpy(xt, x0, sizeof xt);
    mim_schedule_noise(s, 0, 3, xt, eps, xt); /* in place */
    for (size_t i = 0; i < 3; i++)
        assert_near(xt[i], at_0[i], 1e-6);
    mim_schedule_destroy(&s);
}

/* What is predicted leads back to x_0 for each quantity and schedule that go together; the
 * published formulas of the flow: x_t = (1 - u) x_0 + u eps, velocity eps - x_0. */
static void test_predictions_lead_back(void **state)
{
    (void)state;
    static const float x0[4] = {-1, 0.25f, 1, -0.5f}, eps[4] = {0.5f, -1, 2, 0.125f};
    for (int kind = 0; kind < MIM_N_SCHEDULES; kind++) {
        mim_schedule *s = NULL;
        assert_int_equal(mim_schedule_create((mim_schedule_kind)kind, 25, &s), MIM_OK);
        for (int p = 0; p < MIM_N_PREDICTIONS; p++) {
            assert_int_equal(mim_schedule_fits((mim_schedule_kind)kind, (mim_prediction)p),
                             (kind == MIM_SCHEDULE_FLOW) == (p == MIM_PREDICT_FLOW));
            if (!mim_schedule_fits((mim_schedule_kind)kind, (mim_prediction)p))
                continue;
            for (size_t t = 0; t < 25; t++) {
                float xt[4], y[4], back[4];
                mim_schedule_noise(s, t, 4, x0, eps, xt);
                mim_schedule_target(s, (mim_prediction)p, t, 4, x0, eps, y);
                mim_schedule_x0(s, (mim_prediction)p, t, 4, xt, y, back);
                /* float's rounding of x_t and eps, magnified by sqrt(1/ah) where eps is known */
                const double magnified = p == MIM_PREDICT_EPS ? s->sqrt_recip_alpha_hat[t] : 1;
                for (size_t i = 0; i < 4; i++)
                    assert_true(fabs((double)(back[i] - x0[i])) <= 6e-7 * magnified);
                const double u = (double)(t + 1) / 25;
                for (size_t i = 0; p == MIM_PREDICT_FLOW && i < 4; i++) {
                    assert_true(fabs((double)y[i] - (double)(eps[i] - x0[i])) < 1e-7);
                    assert_true(fabs((double)xt[i] -
                                     ((1 - u) * (double)x0[i] + u * (double)eps[i])) < 1e-6);
                }
            }
        }
        mim_schedule_destroy(&s);
    }
}

static void test_properties(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 25, 100, 1000};
    for (int kind = 0; kind < MIM_SCHEDULE_FLOW; kind++) {
        for (size_t k = 0; k < 5; k++) {
            mim_schedule *s = NULL;
            assert_int_equal(mim_schedule_create((mim_schedule_kind)kind, sizes[k], &s), MIM_OK);
            for (size_t t = 0; t < s->n_steps; t++) {
                const double before = t ? s->alpha_hat[t - 1] : 1;
                assert_true(s->beta[t] > 0 && s->beta[t] <= 0.999);
                assert_near(s->alpha_hat[t], before * (1 - s->beta[t]), 1e-14);
                /* the posterior's mean of a noiseless path is the path itself */
                assert_near(s->posterior_mean_0[t] + s->posterior_mean_t[t] * s->sqrt_alpha_hat[t],
                            sqrt(before), 1e-9);
            }
            mim_schedule_destroy(&s);
        }
    }
    mim_schedule *s = NULL; /* the published linear schedule */
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_LINEAR, 1000, &s), MIM_OK);
    assert_near(s->beta[0], 1e-4, 1e-12);
    assert_near(s->beta[999], 0.02, 1e-12);
    mim_schedule_destroy(&s);
}

/* Signal to noise: published for 25 steps; of the flow ((1 - u) / u)^2, 0 where all is noise. */
static void test_signal_to_noise(void **state)
{
    (void)state;
    static const struct {
        mim_schedule_kind kind;
        size_t t;
        double snr, relative;
    } cases[] = {{MIM_SCHEDULE_COSINE, 0, 183, 1e-2},     {MIM_SCHEDULE_COSINE, 12, 0.861, 1e-3},
                 {MIM_SCHEDULE_COSINE, 23, 3.9e-3, 1e-2}, {MIM_SCHEDULE_COSINE, 24, 3.9e-6, 1e-2},
                 {MIM_SCHEDULE_FLOW, 4, 16, 1e-12},       {MIM_SCHEDULE_FLOW, 24, 0, 0},
                 {MIM_SCHEDULE_FLOW, 19, 0.0625, 1e-12}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_schedule *s = NULL;
        assert_int_equal(mim_schedule_create(cases[i].kind, 25, &s), MIM_OK);
        assert_near(mim_schedule_snr(s, cases[i].t), cases[i].snr, cases[i].relative);
        mim_schedule_destroy(&s);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    mim_schedule *s = NULL;
    mim_schedule_kind kind;
    mim_prediction prediction;
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, 0, &s), MIM_EINVAL);
    assert_int_equal(mim_schedule_create(MIM_SCHEDULE_COSINE, MIM_SCHEDULE_MAX_STEPS + 1, &s),
                     MIM_EINVAL);
    assert_null(s);
    assert_int_equal(mim_schedule_find("cosine", &kind), MIM_OK);
    assert_int_equal(kind, MIM_SCHEDULE_COSINE);
    assert_int_equal(mim_schedule_find("cosin", &kind), MIM_EDATA);
    assert_int_equal(mim_prediction_find("v", &prediction), MIM_OK);
    assert_int_equal(prediction, MIM_PREDICT_V);
    assert_int_equal(mim_prediction_find("", &prediction), MIM_EDATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_values),      cmocka_unit_test(test_noising),
        cmocka_unit_test(test_predictions_lead_back), cmocka_unit_test(test_properties),
        cmocka_unit_test(test_signal_to_noise),       cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
