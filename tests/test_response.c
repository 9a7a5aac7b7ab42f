/* diffusion/response: the fit finds a known law, also among outliers; mending reaches what can be
 * reached and stays within what a plan may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "diffusion/generator.h"
#include "diffusion/response.h"
#include "tests/support/toy.h"

enum { N = 400, N_CELLS = TOY_T * TOY_S };

static double draw(size_t i, size_t k)
{
    return mim_rng_u01(5, MIM_STREAM_TEST, i, 1, (uint32_t)k);
}

/* A machine of the law: CPU = 1 + 80 w0 + 20 w1 (+ 0 w2) of the own row, %; io_read = 900 KB/s *
 * the sum of w1 over the rows. Every 20th sample is disturbed. */
static void fill(toy *t, bool is_disturbed)
{
    toy_fill(t, N);
    for (size_t i = 0; i < N; i++) {
        float *w = t->action + i * N_CELLS, *metric = t->metric + i * TOY_D;
        metric[2] = 0;
        for (size_t k = 0; k < N_CELLS; k++)
            w[k] = (float)(draw(i, k) / (k % TOY_S == 1 ? 4 : 2));
        for (size_t row = 0; row < TOY_T; row++) {
            metric[row] = 1 + 80 * w[row * TOY_S] + 20 * w[row * TOY_S + 1];
            metric[2] += 900 * w[row * TOY_S + 1];
        }
        if (is_disturbed && i % 20 == 0)
            metric[i % 3] = i % 3 == 2 ? 1000 : 99;
    }
}

static mim_model *fitted(toy *data, bool is_disturbed)
{
    mim_model *model = toy_model(1, MIM_PREDICT_X0);
    assert_non_null(model);
    fill(data, is_disturbed);
    assert_int_equal(mim_response_fit(model->domain, &data->examples, &model->response), MIM_OK);
    return model;
}

static void law_is_found(void **state)
{
    (void)state;
    toy *data = malloc(sizeof *data);
    assert_non_null(data);
    for (int is_disturbed = 0; is_disturbed < 2; is_disturbed++) {
        mim_model *model = fitted(data, is_disturbed);
        for (size_t i = 0; i < 50; i++) {
            double weights[N_CELLS], found[TOY_D], cpu[TOY_T] = {1, 1}, reads = 0;
            for (size_t k = 0; k < N_CELLS; k++)
                weights[k] = draw(1000 + i, k) / (k % TOY_S == 1 ? 4 : 2);
            for (size_t t = 0; t < TOY_T; t++) {
                cpu[t] += 80 * weights[t * TOY_S] + 20 * weights[t * TOY_S + 1];
                reads += 900 * weights[t * TOY_S + 1];
            }
            mim_response_predict(model->response, model->domain, weights, found);
            assert_true(fabs(found[0] - cpu[0]) < 0.05 && fabs(found[1] - cpu[1]) < 0.05);
            assert_true(fabs(found[2] - reads) < 1);
            assert_true(isnan(found[3])); /* was never measured */
        }
        /* what is left over is small without disturbance, and known to be there with it */
        const double leftover = model->response->deviation[3 * TOY_S];
        assert_true(is_disturbed ? leftover > 1e-3 : leftover < 1e-3);
        mim_model_destroy(&model);
    }
    free(data);
}

static void few_samples_teach_nothing(void **state)
{
    (void)state;
    toy *data = malloc(sizeof *data);
    double weights[N_CELLS] = {0.5}, found[TOY_D];
    mim_model *model = toy_model(1, MIM_PREDICT_X0);
    assert_true(data && model);
    fill(data, false);
    data->examples.n = 3;
    assert_int_equal(mim_response_fit(model->domain, &data->examples, &model->response), MIM_OK);
    mim_response_predict(model->response, model->domain, weights, found);
    assert_true(isnan(found[0]) && isnan(found[2]));
    mim_response_mend(model->response, model->domain, (double[TOY_D]){80, 80, 0, NAN}, weights);
    assert_true(weights[0] >= 0.5 && weights[0] <= 0.5);
    mim_model_destroy(&model);
    free(data);
}

static void assert_is_plan(const double *weights)
{
    for (size_t t = 0; t < TOY_T; t++) {
        double sum = 0;
        for (size_t s = 0; s < TOY_S; s++) {
            assert_true(weights[t * TOY_S + s] >= 0);
            sum += weights[t * TOY_S + s];
        }
        assert_true(sum <= 1 + 1e-12);
    }
}

static void possible_wishes_are_met(void **state)
{
    (void)state;
    toy *data = malloc(sizeof *data);
    assert_non_null(data);
    mim_model *model = fitted(data, false);
    for (size_t i = 0; i < 200; i++) {
        const double wanted[TOY_D] = {10 + 50 * draw(i, 50), 10 + 50 * draw(i, 51),
                                      200 * draw(i, 52), NAN};
        double weights[N_CELLS], found[TOY_D];
        for (size_t k = 0; k < N_CELLS; k++) /* drafts that miss, some with an unused read */
            weights[k] = (k % TOY_S == 1 && i % 3 == 0) ? 0 : draw(i, k) / 3;
        const double before = mim_response_miss(model->response, model->domain, wanted, weights);
        mim_response_mend(model->response, model->domain, wanted, weights);
        mim_response_predict(model->response, model->domain, weights, found);
        assert_is_plan(weights);
        for (size_t m = 0; m < 2; m++)
            if (!(fabs(found[m] - wanted[m]) < 0.2))
                fail_msg("draft %zu: CPU %zu %g, wanted %g", i, m, found[m], wanted[m]);
        if (!(fabs(found[2] - wanted[2]) < 2))
            fail_msg("draft %zu: reads %g, wanted %g", i, found[2], wanted[2]);
        assert_true(mim_response_miss(model->response, model->domain, wanted, weights) <= before);
    }
    mim_model_destroy(&model);
    free(data);
}

static void impossible_wishes_stay_plans(void **state)
{
    (void)state;
    toy *data = malloc(sizeof *data);
    assert_non_null(data);
    mim_model *model = fitted(data, false);
    static const double wishes[][TOY_D] = {{100, 100, 1000, NAN}, {0, 0, 1000, NAN},
                                           {1e9, -1e9, 1e9, NAN}, {NAN, NAN, NAN, NAN},
                                           {0, 0, 0, 0},          {100, 0, INFINITY, NAN}};
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        double weights[N_CELLS] = {0.2, 0.1, 0.3, 0, 0, 0.4};
        mim_response_mend(model->response, model->domain, wishes[i], weights);
        assert_is_plan(weights);
        if (i == 3) /* nothing is asked for: nothing changes */
            assert_true(weights[0] >= 0.2 && weights[0] <= 0.2 && weights[1] >= 0.1);
        if (i == 4) /* an idle node: what has an effect goes */
            assert_true(weights[0] < 1e-3 && weights[1] < 1e-3);
    }
    mim_model_destroy(&model);
    free(data);
}

/* The whole way: generated plans are predicted to do what was asked for. */
static void generated_plans_are_mended(void **state)
{
    (void)state;
    toy *data = malloc(sizeof *data);
    assert_non_null(data);
    mim_model *model = fitted(data, false);
    mim_generation how = {.sampling = {MIM_SOLVER_DPMPP, 8, 7},
                          .guidance = 1,
                          .smallest = 0.005,
                          .n_candidates = 8,
                          .is_mended = true};
    double wanted[10 * TOY_D], mended[10 * N_CELLS], raw[10 * N_CELLS], off[2] = {0, 0};
    for (size_t i = 0; i < 10 * TOY_D; i++)
        wanted[i] = i % TOY_D == 3 ? NAN : i % TOY_D == 2 ? 250 * draw(i, 0) : 10 + 60 * draw(i, 0);
    assert_int_equal(mim_diffusion_generate(model, &how, 10, wanted, mended), MIM_OK);
    how.is_mended = false;
    assert_int_equal(mim_diffusion_generate(model, &how, 10, wanted, raw), MIM_OK);
    for (size_t i = 0; i < 10; i++) {
        assert_is_plan(mended + i * N_CELLS);
        off[0] += mim_response_miss(model->response, model->domain, wanted + i * TOY_D,
                                    mended + i * N_CELLS);
        off[1] += mim_response_miss(model->response, model->domain, wanted + i * TOY_D,
                                    raw + i * N_CELLS);
    }
    assert_true(off[0] < 10 * 0.003 && off[1] > off[0]);
    mim_model_destroy(&model);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_is_found),
        cmocka_unit_test(few_samples_teach_nothing),
        cmocka_unit_test(possible_wishes_are_met),
        cmocka_unit_test(impossible_wishes_stay_plans),
        cmocka_unit_test(generated_plans_are_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
