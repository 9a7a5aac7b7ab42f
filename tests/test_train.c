/* diffusion/train, model, generator: learning a mapping that is known in closed form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/rng.h"
#include "core/signals.h"
#include "diffusion/generator.h"
#include "tests/support/toy.h"

static toy data; /* read-only after the set-up */

static int fill_data(void **state)
{
    (void)state;
    toy_fill(&data, TOY_MAX);
    return 0;
}

static mim_trainer *make_trainer(const mim_train_options *options, mim_model *model)
{
    mim_trainer *trainer = NULL;
    if (mim_trainer_create(options, model, &data.examples, &trainer) != MIM_OK)
        fail_msg("%s", mim_error());
    return trainer;
}

/* Every example once per shuffle; shuffles differ; the seed matters. */
static void test_order_of_examples(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 7, 64, 1000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        size_t n_same_epoch = 0, n_same_seed = 0;
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            unsigned char seen[1000] = {0};
            for (size_t i = 0; i < n; i++) {
                const size_t e = mim_train_example(9, n, epoch * n + i);
                assert_true(e < n);
                assert_false(seen[e]);
                seen[e] = 1;
            }
        }
        for (size_t i = 0; i < n; i++) {
            n_same_epoch += mim_train_example(9, n, i) == mim_train_example(9, n, n + i);
            n_same_seed += mim_train_example(9, n, i) == mim_train_example(10, n, i);
        }
        if (n >= 64)
            assert_true(n_same_epoch < n / 8 && n_same_seed < n / 8);
    }
}

/* Loss of a fresh model: the mean square of what it shall predict. */
static void test_first_loss(void **state)
{
    (void)state;
    mim_model *model = toy_model(3, MIM_PREDICT_X0);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = make_trainer(&options, model);
    double expected = 0, loss = 0, norm = 0;
    for (size_t i = 0; i < options.batch; i++) {
        const size_t e = mim_train_example(3, TOY_MAX, i);
        for (size_t k = 0; k < TOY_T * TOY_S; k++) {
            const double x0 = 2 * (double)data.action[e * TOY_T * TOY_S + k] - 1;
            expected += x0 * x0 / (double)(options.batch * TOY_T * TOY_S);
        }
    }
    assert_int_equal(mim_trainer_step(trainer, &loss, &norm), MIM_OK);
    assert_true(fabs(loss - expected) < 1e-6);
    assert_true(norm > 0);
    assert_int_equal(model->step, 1);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
}

/* The sum over shards does not depend on how a batch is cut. */
static void test_shards(void **state)
{
    (void)state;
    double *gradients[2] = {NULL, NULL}, losses[2] = {0, 0}, worst = 0, largest = 0;
    size_t n = 0;
    for (int k = 0; k < 2; k++) {
        mim_model *model = toy_model(4, MIM_PREDICT_V);
        mim_train_options options = toy_options();
        options.n_shards = k ? 8 : 1;
        mim_trainer *trainer = make_trainer(&options, model);
        n = mim_trainer_n_values(trainer);
        for (size_t i = 0; i < n; i++) /* a fresh one has few gradients */
            model->params->values[i] +=
                (float)(0.2 * mim_rng_u01(1, MIM_STREAM_TEST, 8, 0, (uint32_t)i) - 0.1);
        gradients[k] = calloc(n, sizeof(double));
        assert_non_null(gradients[k]);
        for (size_t shard = options.n_shards; shard-- > 0;)
            mim_trainer_shard(trainer, shard, gradients[k], &losses[k]);
        mim_trainer_destroy(&trainer);
        mim_model_destroy(&model);
    }
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(gradients[0][i] - gradients[1][i]));
        largest = fmax(largest, fabs(gradients[0][i]));
    }
    assert_true(largest > 1e-3);
    assert_true(worst < 2e-6 * largest);
    assert_true(fabs(losses[0] - losses[1]) < 1e-6 * losses[0]);
    free(gradients[0]);
    free(gradients[1]);
}

static void check_plans(const mim_model *model, mim_solver solver, size_t n_steps, double guidance,
                        size_t n_candidates)
{
    enum { N = 12 };
    const mim_generation how = {.sampling = {solver, n_steps, 5},
                                .guidance = guidance,
                                .smallest = 0.005,
                                .n_candidates = n_candidates};
    double metrics[N * TOY_D], weights[N * TOY_T * TOY_S], expected[TOY_T * TOY_S], error = 0;
    for (size_t i = 0; i < N; i++) {
        for (size_t m = 0; m < TOY_D; m++)
            metrics[i * TOY_D + m] =
                (m == 2 ? 1000 : 100) * mim_rng_u01(77, MIM_STREAM_TEST, i, 0, (uint32_t)m);
        metrics[i * TOY_D + 3] = NAN;
    }
    if (mim_diffusion_generate(model, &how, N, metrics, weights) != MIM_OK)
        fail_msg("%s", mim_error());
    for (size_t i = 0; i < N; i++) {
        toy_action(metrics + i * TOY_D, expected);
        for (size_t t = 0; t < TOY_T; t++) {
            double sum = 0;
            for (size_t s = 0; s < TOY_S; s++) {
                const double w = weights[(i * TOY_T + t) * TOY_S + s];
                assert_true(w == 0 || (w >= 0.005 && w <= 1));
                error += fabs(w - expected[t * TOY_S + s]) / (N * TOY_T * TOY_S);
                sum += w;
            }
            assert_true(sum <= 1);
        }
    }
    print_message("%s, guidance %g: mean error of a weight %.4f\n", mim_solver_name(solver),
                  guidance, error);
    assert_true(error < 0.02); /* always the mean of training would be off by 0.078 */
}

static void test_learns(void **state)
{
    (void)state;
    static const mim_prediction predictions[] = {MIM_PREDICT_X0, MIM_PREDICT_V};
    for (size_t k = 0; k < 2; k++) {
        mim_model *model = toy_model(1, predictions[k]);
        const mim_train_options options = toy_options();
        mim_trainer *trainer = make_trainer(&options, model);
        const double before = mim_trainer_validate(trainer, &data.examples, 0, 64, 8, true) / 64;
        double loss = 0;
        for (int step = 0; step < 600; step++)
            if (mim_trainer_step(trainer, &loss, NULL) != MIM_OK)
                fail_msg("%s", mim_error());
        const double after = mim_trainer_validate(trainer, &data.examples, 0, 64, 8, true) / 64;
        const double again = mim_trainer_validate(trainer, &data.examples, 0, 32, 8, true) +
                             mim_trainer_validate(trainer, &data.examples, 32, 32, 8, true);
        print_message("%s: loss %.5f before, %.5f after\n", mim_prediction_name(predictions[k]),
                      before, after);
        assert_true(after < 0.03 * before);
        assert_true(fabs(again / 64 - after) < 1e-6 * after); /* in parts, or at once */
        check_plans(model, MIM_SOLVER_DDPM, 0, 1, 1);
        check_plans(model, MIM_SOLVER_DDIM, 6, 1, 1);
        check_plans(model, MIM_SOLVER_DPMPP, 6, 1, 1);
        check_plans(model, MIM_SOLVER_DPMPP, 6, 1.2, 3);
        mim_trainer_destroy(&trainer);
        mim_model_destroy(&model);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        size_t batch, n_shards;
        double hide_all, jitter;
        const char *part;
    } cases[] = {{0, 1, 0, 0, "batch of 0"},  {10, 3, 0, 0, "3 equal shards"},
                 {8, 2, -0.1, 0, "hide_all"}, {8, 2, NAN, 0, "hide_all"},
                 {8, 2, 0, 2, "jitter"},      {MIM_TRAIN_MAX_BATCH + 1, 1, 0, 0, "batch of"}};
    mim_model *model = toy_model(1, MIM_PREDICT_V);
    mim_trainer *trainer = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_train_options options = toy_options();
        options.batch = cases[i].batch;
        options.n_shards = cases[i].n_shards;
        options.hide_all = cases[i].hide_all;
        options.jitter = cases[i].jitter;
        assert_int_equal(mim_trainer_create(&options, model, &data.examples, &trainer), MIM_EINVAL);
        assert_non_null(strstr(mim_error(), cases[i].part));
    }
    const mim_train_options options = toy_options();
    toy bad;
    toy_fill(&bad, 8);
    bad.metric[2 * TOY_D] = NAN;
    assert_int_equal(mim_trainer_create(&options, model, &bad.examples, &trainer), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "example 2: avg_cpu_utilizations_core_00"));
    toy_fill(&bad, 8);
    bad.action[3] = 1.5f;
    assert_int_equal(mim_trainer_create(&options, model, &bad.examples, &trainer), MIM_EDATA);
    bad.examples.n = 0;
    assert_int_equal(mim_trainer_create(&options, model, &bad.examples, &trainer), MIM_EDATA);
    assert_null(trainer);
    mim_model_destroy(&model);
}

/* A gradient that is not finite changes nothing. */
static void test_bad_gradient(void **state)
{
    (void)state;
    mim_model *model = toy_model(1, MIM_PREDICT_V);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = make_trainer(&options, model);
    const size_t n = mim_trainer_n_values(trainer);
    double *gradient = calloc(n, sizeof *gradient);
    float *before = malloc(n * sizeof *before);
    assert_true(gradient && before);
    memcpy(before, model->params->values, n * sizeof *before);
    gradient[n / 2] = NAN;
    assert_int_equal(mim_trainer_apply(trainer, gradient, NULL), MIM_ECHECK);
    assert_memory_equal(before, model->params->values, n * sizeof *before);
    assert_int_equal(model->step, 0);
    free(gradient);
    free(before);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
}

/* Sends SIGUSR1 to its parent all the time, until killed. */
static pid_t start_nuisance(void)
{
    const pid_t parent = getpid(), child = fork();
    if (child == 0)
        for (;;) {
            const struct timespec pause = {0, 50000};
            if (kill(parent, SIGUSR1) != 0)
                _exit(0);
            nanosleep(&pause, NULL);
        }
    return child;
}

/* Signals once crashed training or changed its result (see core/signals.c). */
static void test_signals_do_no_harm(void **state)
{
    (void)state;
    mim_model *models[2];
    assert_int_equal(mim_signals_install(), MIM_OK);
    for (int k = 0; k < 2; k++) {
        models[k] = toy_model(2, MIM_PREDICT_V);
        assert_non_null(models[k]);
        const mim_train_options options = toy_options();
        mim_trainer *trainer = make_trainer(&options, models[k]);
        const pid_t nuisance = k ? start_nuisance() : 0;
        double loss;
        for (int i = 0; i < 1500; i++)
            assert_int_equal(mim_trainer_step(trainer, &loss, NULL), MIM_OK);
        if (k) {
            assert_int_equal(kill(nuisance, SIGKILL), 0);
            assert_int_equal(waitpid(nuisance, NULL, 0), nuisance);
            assert_int_equal(mim_signals_stop(), SIGUSR1); /* there were some */
        }
        mim_trainer_destroy(&trainer);
    }
    assert_memory_equal(models[0]->params->values, models[1]->params->values,
                        models[0]->params->n_values * sizeof(float));
    mim_model_destroy(&models[0]);
    mim_model_destroy(&models[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_examples),
        cmocka_unit_test(test_first_loss),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bad_gradient),
        cmocka_unit_test(test_signals_do_no_harm),
    };
    return cmocka_run_group_tests(tests, fill_data, NULL);
}
