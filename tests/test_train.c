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
#include "tests/support/bench.h"
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

/* Loss of a fresh model: the mean square of what it shall predict. */
static void test_first_loss(void **state)
{
    (void)state;
    mim_model *model = toy_model(3, MIM_PREDICT_X0);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = make_trainer(&options, model);
    double expected = 0, loss = 0, norm = 0;
    mim_order *order = NULL;
    assert_int_equal(mim_order_create(3, TOY_MAX, NULL, &order), MIM_OK);
    for (size_t i = 0; i < options.batch; i++) {
        const size_t e = mim_order_at(order, i);
        for (size_t k = 0; k < TOY_T * TOY_S; k++) {
            const double x0 = 2 * (double)data.action[e * TOY_T * TOY_S + k] - 1;
            expected += x0 * x0 / (double)(options.batch * TOY_T * TOY_S);
        }
    }
    mim_order_destroy(&order);
    assert_int_equal(mim_trainer_step(trainer, &loss, &norm), MIM_OK);
    assert_true(fabs(loss - expected) < 1e-6);
    assert_true(norm > 0);
    assert_int_equal(model->step, 1);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
}

/* All shards' gradient, summed from the last to the first, and their loss. */
static double *gradient_of(const mim_train_options *options, size_t *n, double *loss)
{
    mim_model *model = toy_model(4, MIM_PREDICT_V);
    mim_trainer *trainer = make_trainer(options, model);
    *n = mim_trainer_n_values(trainer);
    for (size_t i = 0; i < *n; i++) /* a fresh one has few gradients */
        model->params->values[i] +=
            (float)(0.2 * mim_rng_u01(1, MIM_STREAM_TEST, 8, 0, (uint32_t)i) - 0.1);
    double *gradient = calloc(*n, sizeof *gradient), *part = calloc(*n, sizeof *part), own = 1;
    assert_true(gradient && part);
    *loss = 0;
    for (size_t shard = options->n_shards; shard-- > 0;) {
        assert_int_equal(mim_trainer_shards(trainer, shard, 1, part, &own, NULL), MIM_OK);
        *loss += own;
        for (size_t i = 0; i < *n; i++)
            gradient[i] += part[i];
    }
    assert_int_equal(mim_trainer_shards(trainer, 0, 0, part, &own, NULL), MIM_OK);
    assert_true(own == 0 && part[0] == 0 && memcmp(part, part + 1, (*n - 1) * sizeof *part) == 0);
    free(part);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
    return gradient;
}

/* The sum does not depend on how a batch is cut: shards, and what of them goes through the network
 * at a time. */
static void test_shards(void **state)
{
    (void)state;
    enum { N_WAYS = 5 };
    static const struct {
        size_t n_shards, micro_batch;
    } ways[N_WAYS] = {{1, 0}, {8, 0}, {1, 1}, {2, 3}, {4, 1000}};
    double *gradients[N_WAYS] = {NULL}, losses[N_WAYS] = {0};
    for (int k = 0; k < N_WAYS; k++) {
        mim_train_options options = toy_options();
        double worst = 0, largest = 0;
        size_t n = 0;
        options.n_shards = ways[k].n_shards;
        options.micro_batch = ways[k].micro_batch;
        gradients[k] = gradient_of(&options, &n, &losses[k]);
        for (size_t i = 0; i < n; i++) {
            worst = fmax(worst, fabs(gradients[0][i] - gradients[k][i]));
            largest = fmax(largest, fabs(gradients[0][i]));
        }
        assert_true(largest > 1e-3);
        assert_true(worst < 2e-6 * largest);
        assert_true(fabs(losses[0] - losses[k]) < 1e-6 * losses[0]);
    }
    for (int k = 0; k < N_WAYS; k++)
        free(gradients[k]);
}

/* A variance is one of the whole shard. */
static void test_variance_of_shards(void **state)
{
    (void)state;
    double *gradients[2] = {NULL}, losses[2] = {0};
    size_t n = 0;
    for (int k = 0; k < 2; k++) {
        mim_train_options options = toy_options();
        options.n_shards = 2;
        options.objective.variance = 0.5;
        options.micro_batch = k ? 1 : 0;
        gradients[k] = gradient_of(&options, &n, &losses[k]);
    }
    assert_memory_equal(&losses[1], &losses[0], sizeof *losses);
    assert_memory_equal(gradients[1], gradients[0], n * sizeof(double));
    free(gradients[0]);
    free(gradients[1]);
}

/* Small ones take less memory. */
static void test_micro_batches_save_memory(void **state)
{
    (void)state;
    size_t bytes[2];
    for (size_t k = 0; k < 2; k++) {
        mim_model *model = toy_model(4, MIM_PREDICT_V);
        mim_train_options options = toy_options();
        options.n_shards = 1;
        options.micro_batch = k;
        mim_trainer *trainer = make_trainer(&options, model);
        bytes[k] = mim_trainer_n_bytes(trainer);
        mim_trainer_destroy(&trainer);
        mim_model_destroy(&model);
    }
    assert_true(2 * bytes[1] < bytes[0]);
}

/* Lanes change neither a gradient nor a loss, not by a bit; 8 shards make rounds of 3, 3 and 2. */
static void check_lanes(mim_precision precision)
{
    enum { N_WAYS = 4 };
    static const struct {
        size_t n_lanes;
        int n_threads;
    } ways[N_WAYS] = {{1, 1}, {1, 2}, {2, 2}, {3, 3}};
    double *gradients[N_WAYS] = {NULL}, losses[N_WAYS] = {0};
    size_t n = 0, bytes[N_WAYS] = {0};
    for (int k = 0; k < N_WAYS; k++) {
        mim_model *model = toy_model(4, MIM_PREDICT_V);
        mim_train_options options = toy_options();
        options.n_shards = 8;
        options.micro_batch = 1;
        options.n_lanes = ways[k].n_lanes;
        options.precision = precision;
        bench_set_threads(ways[k].n_threads);
        mim_trainer *trainer = make_trainer(&options, model);
        n = mim_trainer_n_values(trainer);
        bytes[k] = mim_trainer_n_bytes(trainer);
        for (size_t i = 0; i < n; i++) /* a fresh one has few gradients */
            model->params->values[i] +=
                (float)(0.2 * mim_rng_u01(1, MIM_STREAM_TEST, 8, 0, (uint32_t)i) - 0.1);
        assert_non_null(gradients[k] = calloc(n, sizeof(double)));
        assert_int_equal(mim_trainer_shards(trainer, 0, 8, gradients[k], &losses[k], NULL), MIM_OK);
        mim_trainer_destroy(&trainer);
        mim_model_destroy(&model);
    }
    bench_set_threads(1);
    assert_true(losses[0] > 0);
    assert_true(bytes[3] > bytes[2] && bytes[2] > bytes[0]);
    for (int k = 1; k < N_WAYS; k++) {
        assert_memory_equal(&losses[k], &losses[0], sizeof *losses);
        assert_memory_equal(gradients[k], gradients[0], n * sizeof(double));
    }
    for (int k = 0; k < N_WAYS; k++)
        free(gradients[k]);
}

static void test_lanes(void **state)
{
    (void)state;
    check_lanes(MIM_PRECISION_F32);
    check_lanes(MIM_PRECISION_BF16);
}

/* What a trainer tells of a gradient while it computes the rest. */
typedef struct told {
    const double *gradient, *wanted; /* wanted: the same without telling */
    size_t n, n_early;               /* values in all, and told of */
    uint8_t *times;
} told;

static void count(void *context, size_t first, size_t n)
{
    told *t = context;
    assert_true(n > 0 && first + n <= t->n);
    for (size_t i = first; i < first + n; i++) {
        assert_int_equal(t->times[i]++, 0);
        assert_memory_equal(&t->gradient[i], &t->wanted[i], sizeof *t->gradient);
    }
    t->n_early += n;
}

/* Values are told of once at most, complete, and all of blocks, their conditions' weights included,
 * while others are computed. */
static void test_ready(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2 * MIM_N_NETWORKS; k++) {
        const size_t n_lanes = 1 + k % 2;
        double *sums[2], loss = 0;
        mim_model *model = toy_model_of(&toy_networks[k / 2], 4, MIM_PREDICT_X0);
        mim_train_options options = toy_options();
        options.n_lanes = n_lanes;
        options.micro_batch = 4; /* two of a shard */
        bench_set_threads((int)n_lanes);
        assert_non_null(model);
        mim_trainer *trainer = make_trainer(&options, model);
        const size_t n = mim_trainer_n_values(trainer);
        told t = {.n = n, .times = calloc(n, 1)};
        const mim_grads_ready ready = {count, &t};
        for (int i = 0; i < 2; i++)
            assert_non_null(sums[i] = calloc(n, sizeof *sums[i]));
        assert_non_null(t.times);
        assert_int_equal(mim_trainer_shards(trainer, 0, 3, sums[0], &loss, NULL), MIM_OK);
        t.wanted = sums[0];
        t.gradient = sums[1];
        assert_int_equal(mim_trainer_shards(trainer, 0, 3, sums[1], &loss, &ready), MIM_OK);
        assert_memory_equal(sums[1], sums[0], n * sizeof **sums);
        assert_true(t.n_early < n);
        if (n_lanes == 1) /* else it takes both */
            assert_true(t.n_early > n / 5 * 4);
        bench_set_threads(1);
        free(sums[0]);
        free(sums[1]);
        free(t.times);
        mim_trainer_destroy(&trainer);
        mim_model_destroy(&model);
    }
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
    static const struct {
        mim_prediction prediction;
        mim_output output;
        double snr_gamma;
    } cases[] = {{MIM_PREDICT_X0, MIM_OUTPUT_FREE, 0},   {MIM_PREDICT_V, MIM_OUTPUT_FREE, 0},
                 {MIM_PREDICT_FLOW, MIM_OUTPUT_FREE, 0}, {MIM_PREDICT_X0, MIM_OUTPUT_SIMPLEX, 0},
                 {MIM_PREDICT_V, MIM_OUTPUT_FREE, 5},    {MIM_PREDICT_V, MIM_OUTPUT_SIMPLEX, 5}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const mim_architecture size = {.width = 16, .n_blocks = 1, .n_heads = 2, .mlp_ratio = 2};
        const bool is_flow = cases[k].prediction == MIM_PREDICT_FLOW;
        mim_model *model = toy_model_with(&size, 1, cases[k].prediction, cases[k].output);
        mim_train_options options = toy_options();
        options.objective.snr_gamma = cases[k].snr_gamma;
        mim_trainer *trainer = make_trainer(&options, model);
        const double before = mim_trainer_validate(trainer, &data.examples, 0, 64, 8, true) / 64;
        double loss = 0;
        for (int step = 0; step < 600; step++)
            if (mim_trainer_step(trainer, &loss, NULL) != MIM_OK)
                fail_msg("%s", mim_error());
        const double after = mim_trainer_validate(trainer, &data.examples, 0, 64, 8, true) / 64;
        const double again = mim_trainer_validate(trainer, &data.examples, 0, 32, 8, true) +
                             mim_trainer_validate(trainer, &data.examples, 32, 32, 8, true);
        print_message("%s, %s: loss %.5f before, %.5f after\n",
                      mim_prediction_name(cases[k].prediction), mim_output_name(cases[k].output),
                      before, after);
        assert_true(after < (is_flow ? 0.1 : 0.03) * before);
        assert_true(fabs(again / 64 - after) < 1e-6 * after); /* in parts, or at once */
        check_plans(model, is_flow ? MIM_SOLVER_EULER : MIM_SOLVER_DDPM, 8, 1, 1);
        check_plans(model, is_flow ? MIM_SOLVER_HEUN : MIM_SOLVER_DDIM, 6, 1, 1);
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
        double hide_all, jitter, swap_sockets, variance;
        const char *part;
    } cases[] = {{0, 1, 0, 0, 0, 0, "batch of 0"},
                 {10, 3, 0, 0, 0, 0, "3 equal shards"},
                 {8, 2, -0.1, 0, 0, 0, "hide_all"},
                 {8, 2, NAN, 0, 0, 0, "hide_all"},
                 {8, 2, 0, 2, 0, 0, "jitter"},
                 {8, 2, 0, 0, 1.5, 0, "swap_sockets"},
                 {8, 2, 0, 0, 0.5, 0, "two or more sockets"},
                 {8, 2, 0, 0, 0, -1, "variance"},
                 {8, 8, 0, 0, 0, 1, "no variance"},
                 {MIM_TRAIN_MAX_BATCH + 1, 1, 0, 0, 0, 0, "batch of"}};
    mim_model *model = toy_model(1, MIM_PREDICT_V);
    mim_trainer *trainer = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_train_options options = toy_options();
        options.batch = cases[i].batch;
        options.n_shards = cases[i].n_shards;
        options.hide_all = cases[i].hide_all;
        options.jitter = cases[i].jitter;
        options.swap_sockets = cases[i].swap_sockets;
        options.objective.variance = cases[i].variance;
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

/* A gradient that is not finite changes nothing but the step's number; too many in a row end it,
 * and one that is finite begins the row anew. */
static void test_bad_gradient(void **state)
{
    (void)state;
    static const struct {
        float value;
        int rc;
    } steps[] = {{NAN, MIM_OK}, {INFINITY, MIM_OK},  {NAN, MIM_OK}, {1e-3f, MIM_OK},
                 {NAN, MIM_OK}, {-INFINITY, MIM_OK}, {NAN, MIM_OK}, {NAN, MIM_ECHECK}};
    mim_model *model = toy_model(1, MIM_PREDICT_V);
    const mim_train_options options = toy_options(); /* 3 in a row */
    mim_trainer *trainer = make_trainer(&options, model);
    const size_t n = mim_trainer_n_values(trainer);
    double *gradient = calloc(n, sizeof *gradient), norm = 0;
    float *before = malloc(n * sizeof *before);
    uint64_t n_skipped = 0;
    assert_true(gradient && before);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const bool is_bad = !isfinite(steps[i].value);
        memcpy(before, model->params->values, n * sizeof *before);
        gradient[n / 2] = (double)steps[i].value;
        assert_int_equal(mim_trainer_apply(trainer, gradient, &norm), steps[i].rc);
        n_skipped += is_bad;
        assert_int_equal(!isfinite(norm), is_bad);
        assert_int_equal(memcmp(before, model->params->values, n * sizeof *before) == 0, is_bad);
        assert_int_equal(model->step, i + 1);
        assert_int_equal(model->course.n_skipped, n_skipped);
    }
    assert_non_null(strstr(mim_error(), "step 7 is not finite, and so it was in the 3 steps"));
    free(gradient);
    free(before);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
}

/* What training goes on from after a step that was left out is as good as ever. */
static void test_goes_on_after_a_bad_step(void **state)
{
    (void)state;
    mim_model *model = toy_model(1, MIM_PREDICT_X0);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = make_trainer(&options, model);
    double *gradient = calloc(mim_trainer_n_values(trainer), sizeof *gradient), loss = 0, norm = 0;
    assert_non_null(gradient);
    gradient[0] = NAN;
    for (int i = 0; i < 200; i++)
        assert_int_equal(i % 7 == 3 ? mim_trainer_apply(trainer, gradient, &norm)
                                    : mim_trainer_step(trainer, &loss, &norm),
                         MIM_OK);
    assert_int_equal(model->course.n_skipped, 29);
    assert_true(loss < 0.1);
    free(gradient);
    mim_trainer_destroy(&trainer);
    mim_model_destroy(&model);
}

/* Terms that are minimised beside the squared error do what they are for: with a heavy weight on
 * sparsity plans of idle threads shrink; weights of examples draw those that count. */
static void test_terms_and_weights(void **state)
{
    (void)state;
    const mim_weighting weighting = {
        .high_io = 1, .tail = 1, .previous = 1, .target_percent = 90, .target_sigma = 5};
    double losses[3];
    for (int k = 0; k < 3; k++) {
        mim_model *model = toy_model(5, MIM_PREDICT_X0);
        mim_train_options options = toy_options();
        options.objective.sparsity = k == 1 ? 1 : 0;
        options.objective.row_sum = k == 1 ? 1 : 0;
        options.weighting = k == 2 ? &weighting : NULL;
        mim_trainer *trainer = make_trainer(&options, model);
        assert_int_equal(mim_trainer_step(trainer, &losses[k], NULL), MIM_OK);
        for (int i = 0; i < 100; i++) {
            double loss;
            assert_int_equal(mim_trainer_step(trainer, &loss, NULL), MIM_OK);
        }
        mim_trainer_destroy(&trainer);
        mim_model_destroy(&model);
    }
    /* fresh answers are x_0 = 0, weights of 1/2: rows of 3 stressors sum to 1.5 */
    assert_true(losses[1] > losses[0] + 0.5);
    /* busy threads have 0.6 of the first stressor, more than others: x_0 closer to 0 */
    assert_true(losses[2] < losses[0]);
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
        cmocka_unit_test(test_first_loss),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_variance_of_shards),
        cmocka_unit_test(test_micro_batches_save_memory),
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bad_gradient),
        cmocka_unit_test(test_goes_on_after_a_bad_step),
        cmocka_unit_test(test_terms_and_weights),
        cmocka_unit_test(test_signals_do_no_harm),
    };
    bench_set_threads(1); /* toys: threads would only wait for one another */
    return cmocka_run_group_tests(tests, fill_data, NULL);
}
