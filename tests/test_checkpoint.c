/* diffusion/checkpoint: round trip, resuming to the bit, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/h5.h"
#include "core/text.h"
#include "diffusion/checkpoint.h"
#include "tests/support/flipped.h"
#include "tests/support/toy.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/mimesys_test_checkpoint.%d.h5", (int)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path) == 0 ? 0 : -1;
}

static void train(mim_model *model, int n_steps)
{
    toy *data = malloc(sizeof *data);
    assert_non_null(data);
    toy_fill(data, 64);
    const mim_train_options options = toy_options();
    mim_trainer *trainer = NULL;
    double loss;
    assert_int_equal(mim_trainer_create(&options, model, &data->examples, &trainer), MIM_OK);
    for (int i = 0; i < n_steps; i++)
        assert_int_equal(mim_trainer_step(trainer, &loss, NULL), MIM_OK);
    mim_trainer_destroy(&trainer);
    free(data);
}

static void write_model(const mim_model *model, bool is_slim)
{
    if (mim_checkpoint_write(model, is_slim, path) != MIM_OK)
        fail_msg("%s", mim_error());
}

static mim_model *read_model(bool for_training)
{
    mim_model *model = NULL;
    if (mim_checkpoint_read(path, for_training, &model) != MIM_OK)
        fail_msg("%s", mim_error());
    return model;
}

static void assert_same_domain(const mim_domain *a, const mim_domain *b)
{
    assert_int_equal(a->n_metrics, b->n_metrics);
    assert_int_equal(a->n_threads, b->n_threads);
    assert_int_equal(a->n_stressors, b->n_stressors);
    assert_int_equal(a->n_sockets, b->n_sockets);
    assert_int_equal(a->n_node_metrics, b->n_node_metrics);
    assert_string_equal(a->host_class, b->host_class);
    assert_string_equal(a->sizes, b->sizes);
    assert_int_equal(a->normalisation, b->normalisation);
    for (size_t i = 0; i < a->n_metrics; i++)
        assert_string_equal(a->metrics[i], b->metrics[i]);
    for (size_t i = 0; i < a->n_stressors; i++)
        assert_string_equal(a->actions[i], b->actions[i]);
    assert_memory_equal(a->minimum, b->minimum, a->n_metrics * sizeof *a->minimum);
    assert_memory_equal(a->maximum, b->maximum, a->n_metrics * sizeof *a->maximum);
    assert_memory_equal(a->thread_metric, b->thread_metric, a->n_threads * sizeof(size_t));
    assert_memory_equal(a->socket, b->socket, a->n_threads * sizeof(size_t));
    assert_memory_equal(a->node_metric, b->node_metric, a->n_node_metrics * sizeof(size_t));
}

static void assert_same_params(const mim_params_f *a, const mim_params_f *b, bool with_optimiser)
{
    const size_t n_bytes = a->n_values * sizeof(float);
    assert_int_equal(a->n_values, b->n_values);
    assert_memory_equal(a->ema, b->ema, n_bytes);
    if (!with_optimiser)
        return;
    assert_memory_equal(a->values, b->values, n_bytes);
    assert_memory_equal(a->moment_1, b->moment_1, n_bytes);
    assert_memory_equal(a->moment_2, b->moment_2, n_bytes);
}

static void set_sizes(mim_model *model, const char *word)
{
    free(model->domain->sizes);
    assert_non_null(model->domain->sizes = mim_strdup(word));
}

static void test_round_trip(void **state)
{
    (void)state;
    mim_model *model = toy_model(UINT64_MAX - 1, MIM_PREDICT_V);
    train(model, 7);
    model->corpus_hash = UINT64_C(0xfedcba9876543210);
    free(model->config);
    model->config = mim_strdup("[train]\nbatch = 32\n");
    assert_int_equal(mim_response_create(model->domain, &model->response), MIM_OK);
    for (size_t i = 0; i < 3 * (3 * TOY_S + 1); i++) /* CPU, io_read and the cache */
        model->response->mean[i] = 0.1 * (double)i - 1.4;
    model->response->deviation[2] = 0.25;
    write_model(model, false);
    mim_model *back = read_model(true);
    assert_same_domain(model->domain, back->domain);
    assert_memory_equal(model->response->mean, back->response->mean,
                        6 * (3 * TOY_S + 1) * sizeof(double)); /* the deviation stands behind */
    assert_same_params(model->params, back->params, true);
    assert_int_equal(mim_architecture_difference(&model->architecture, &back->architecture),
                     SIZE_MAX);
    assert_int_equal(back->process.schedule, MIM_SCHEDULE_COSINE);
    assert_int_equal(back->process.n_timesteps, 100);
    assert_int_equal(back->process.prediction, MIM_PREDICT_V);
    assert_true(back->seed == UINT64_MAX - 1 && back->step == 7);
    assert_true(back->corpus_hash == model->corpus_hash);
    assert_string_equal(back->config, model->config);
    mim_model_destroy(&back);
    mim_model_destroy(&model);
}

/* An instance that updates a part gets that part of the optimiser's numbers, and all values. */
static void test_part(void **state)
{
    (void)state;
    mim_model *model = toy_model(3, MIM_PREDICT_V), *back = NULL;
    const mim_part part = {1, 3};
    train(model, 25); /* the average is no copy any more */
    write_model(model, false);
    assert_int_equal(mim_checkpoint_read_part(path, &part, &back), MIM_OK);
    const mim_params_f *a = model->params, *b = back->params;
    const size_t first = b->first_own, n_bytes = b->n_own * sizeof(float);
    assert_true(back->step == 25 && first > 0 && b->n_own > 0 && first + b->n_own < b->n_values);
    assert_memory_equal(b->values, a->values, a->n_values * sizeof(float));
    assert_memory_equal(b->moment_1, a->moment_1 + first, n_bytes);
    assert_memory_equal(b->moment_2, a->moment_2 + first, n_bytes);
    assert_memory_equal(b->own_ema, a->ema + first, n_bytes);
    mim_model_destroy(&back);
    write_model(model, true);
    assert_int_equal(mim_checkpoint_read_part(path, &part, &back), MIM_EDATA);
    mim_model_destroy(&model);
}

/* What a process may be beside, how metrics are normalised, of which working sets plans are, and
 * how training has gone; a slim file has no course. */
static void test_processes(void **state)
{
    (void)state;
    static const struct {
        mim_prediction prediction;
        mim_output output;
    } cases[] = {{MIM_PREDICT_FLOW, MIM_OUTPUT_FREE},
                 {MIM_PREDICT_FLOW, MIM_OUTPUT_SIMPLEX},
                 {MIM_PREDICT_EPS, MIM_OUTPUT_SIMPLEX}};
    const mim_architecture size = {.width = 16, .n_blocks = 1, .n_heads = 2, .mlp_ratio = 2};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_model *model = toy_model_with(&size, 8, cases[i].prediction, cases[i].output);
        model->domain->normalisation = MIM_NORMALISE_LOG;
        set_sizes(model, "node");
        model->course = (mim_course){3, UINT64_C(1) << 40, 2, 0.12345678901234567};
        model->best_ema = calloc(model->params->n_values, sizeof *model->best_ema);
        assert_non_null(model->best_ema);
        for (size_t v = 0; v < model->params->n_values; v++)
            model->best_ema[v] = (float)v / 7;
        for (int is_slim = 0; is_slim < 2; is_slim++) {
            write_model(model, is_slim);
            mim_model *back = read_model(!is_slim);
            assert_same_domain(model->domain, back->domain);
            assert_int_equal(back->process.prediction, cases[i].prediction);
            assert_int_equal(back->process.output, cases[i].output);
            assert_int_equal(back->process.schedule, model->process.schedule);
            const mim_course none = {0};
            const mim_course *expected = is_slim ? &none : &model->course;
            assert_true(back->course.n_skipped == expected->n_skipped &&
                        back->course.best_step == expected->best_step &&
                        back->course.n_since_best == expected->n_since_best &&
                        back->course.best_loss == expected->best_loss);
            if (is_slim)
                assert_null(back->best_ema);
            else
                assert_memory_equal(back->best_ema, model->best_ema,
                                    model->params->n_values * sizeof *model->best_ema);
            mim_model_destroy(&back);
        }
        mim_model_destroy(&model);
    }
}

/* 6 steps at once, or 2, stored, read, and 4 more: the same to the bit. */
static void test_resuming(void **state)
{
    (void)state;
    mim_model *straight = toy_model(8, MIM_PREDICT_X0), *first = toy_model(8, MIM_PREDICT_X0);
    train(straight, 6);
    train(first, 2);
    write_model(first, false);
    mim_model *second = read_model(true);
    train(second, 4);
    assert_int_equal(second->step, 6);
    assert_same_params(straight->params, second->params, true);
    mim_model_destroy(&straight);
    mim_model_destroy(&first);
    mim_model_destroy(&second);
}

static void test_slim(void **state)
{
    (void)state;
    mim_model *model = toy_model(8, MIM_PREDICT_X0), *back = NULL;
    train(model, 2);
    write_model(model, true);
    assert_int_equal(mim_checkpoint_read(path, true, &back), MIM_EDATA);
    assert_null(back);
    back = read_model(false);
    assert_same_params(model->params, back->params, false);
    assert_memory_equal(back->params->values, model->params->ema,
                        model->params->n_values * sizeof(float));
    mim_model_destroy(&back);
    mim_model_destroy(&model);
}

static const mim_architecture cells = {.kind = MIM_NETWORK_CELL_TOKEN,
                                       .width = 8,
                                       .n_blocks = 1,
                                       .n_heads = 2,
                                       .mlp_ratio = 2,
                                       .dropout = 0.1,
                                       .encoder = MIM_CONTEXT_CONCAT,
                                       .encoder_width = 8,
                                       .context_width = 8,
                                       .has_masks = true,
                                       .thread = MIM_THREAD_BIAS,
                                       .quiet_rows = "1-2"};
static const mim_architecture unet = {.kind = MIM_NETWORK_UNET,
                                      .width = 8,
                                      .n_heads = 2,
                                      .head_width = 4,
                                      .multipliers = "1,2",
                                      .dropout = 0.1,
                                      .encoder_width = 8,
                                      .context_width = 8};

/* Other kinds of networks: the same architecture comes back, and training goes on to the bit,
 * dropout included. */
static void test_other_networks(void **state)
{
    (void)state;
    const mim_architecture *const kinds[] = {&cells, &unet};
    for (size_t i = 0; i < 2; i++) {
        mim_model *straight = toy_model_of(kinds[i], 8, MIM_PREDICT_EPS);
        mim_model *first = toy_model_of(kinds[i], 8, MIM_PREDICT_EPS);
        train(straight, 4);
        train(first, 2);
        write_model(first, false);
        mim_model *second = read_model(true);
        assert_int_equal(mim_architecture_difference(&first->architecture, &second->architecture),
                         SIZE_MAX);
        assert_same_params(first->params, second->params, true);
        train(second, 2);
        assert_same_params(straight->params, second->params, true);
        mim_model_destroy(&straight);
        mim_model_destroy(&first);
        mim_model_destroy(&second);
    }
}

/* The tensors of p in reverse order, as a file of another version might hold them. */
static void reverse(mim_params_f *p)
{
    const mim_tensors *l = p->layout;
    const size_t n = l->n_tensors;
    float *const arrays[] = {p->values, p->ema, p->moment_1, p->moment_2};
    mim_tensor *turned = calloc(n, sizeof *turned);
    float *kept = calloc(p->n_values, sizeof *kept);
    size_t at = 0;
    assert_non_null(turned);
    assert_non_null(kept);
    for (size_t i = 0; i < n; i++) {
        turned[i] = l->tensors[n - 1 - i];
        turned[i].offset = at;
        at += turned[i].n_values;
    }
    for (size_t a = 0; a < 4; a++) {
        memcpy(kept, arrays[a], p->n_values * sizeof *kept);
        for (size_t i = 0; i < n; i++)
            memcpy(arrays[a] + turned[i].offset, kept + l->tensors[n - 1 - i].offset,
                   turned[i].n_values * sizeof *kept);
    }
    memcpy(l->tensors, turned, n * sizeof *turned);
    free(turned);
    free(kept);
}

static void test_other_order(void **state)
{
    (void)state;
    mim_model *model = toy_model(8, MIM_PREDICT_X0);
    train(model, 3);
    reverse(model->params);
    write_model(model, false);
    mim_model *back = read_model(true);
    assert_string_equal(back->params->layout->tensors[0].name, "thread.weight");
    assert_string_equal(model->params->layout->tensors[0].name, "last.bias");
    reverse(model->params);
    assert_same_params(model->params, back->params, true);
    mim_model_destroy(&model);
    mim_model_destroy(&back);
}

static bool names_file_once(void)
{
    const char *name = strstr(mim_error(), path);
    return name && !strstr(name + 1, path);
}

/* A model whose parts contradict each other is written as it is, and must not be read. */
static void refuse(const mim_model *model, const char *part)
{
    mim_model *back = NULL;
    write_model(model, false);
    const int rc = mim_checkpoint_read(path, false, &back);
    if (rc != MIM_EDATA || !strstr(mim_error(), part) || !names_file_once())
        fail_msg("exit %d, \"%s\" has no \"%s\"", rc, mim_error(), part);
    assert_null(back);
}

static void test_refusals(void **state)
{
    (void)state;
    mim_model *model = toy_model(8, MIM_PREDICT_X0), *back = NULL;
    model->architecture.mlp_ratio = 3;
    refuse(model, "mlp1");
    model->architecture.mlp_ratio = 2;
    model->architecture.n_blocks = 2;
    refuse(model, "");
    model->architecture.n_blocks = 1;
    model->architecture.width = 1 << 30;
    refuse(model, "width");
    model->architecture.width = 16;
    set_sizes(model, "huge");
    refuse(model, "stressor_sizes: expected original or node, found huge");
    set_sizes(model, "original");
    model->architecture.n_stressors = 2;
    refuse(model, "3 stressors");
    model->architecture.n_stressors = 3;
    model->process.n_timesteps = MIM_SCHEDULE_MAX_STEPS + 1;
    refuse(model, "timesteps");
    model->process.n_timesteps = 100;
    model->params->ema[5] = NAN;
    refuse(model, "value 5 of ema");
    model->params->ema[5] = 0;
    const double kept = model->domain->minimum[0];
    model->domain->minimum[0] = 200;
    refuse(model, "avg_cpu_utilizations_core_00: range 200 to 100");
    model->domain->minimum[0] = kept;
    model->domain->thread_metric[1] = 0;
    refuse(model, "another thread's");
    model->domain->thread_metric[1] = 77;
    refuse(model, "metric 77");
    model->domain->thread_metric[1] = 1;
    model->domain->socket[1] = 9;
    refuse(model, "socket 9");
    model->domain->socket[1] = 0;
    assert_int_equal(mim_response_create(model->domain, &model->response), MIM_OK);
    model->response->mean[3] = NAN;
    refuse(model, "value 3 of response_mean");
    model->response->mean[3] = 0;
    model->response->deviation[0] = 1e9;
    refuse(model, "value 0 of response_deviation");
    model->response->deviation[0] = 0;
    model->response->n_rows = 2;
    refuse(model, "response_mean is 2 by 10, expected 3 by 10");
    model->response->n_rows = 3;
    write_model(model, false); /* nothing else was wrong */
    back = read_model(true);
    mim_model_destroy(&back);
    mim_model_destroy(&model);
}

/* A network of cells for other threads than the domain's, or with fields that are not known. */
static void test_refused_networks(void **state)
{
    (void)state;
    mim_model *model = toy_model_of(&cells, 8, MIM_PREDICT_EPS);
    model->architecture.n_threads = 3;
    refuse(model, "");
    model->architecture.n_threads = 2;
    model->architecture.encoder = MIM_CONTEXT_CONCAT_SYM;
    refuse(model, "context1");
    model->architecture.encoder = MIM_CONTEXT_CONCAT;
    strcpy(model->architecture.quiet_rows, "7");
    refuse(model, "rows \"7\"");
    strcpy(model->architecture.quiet_rows, "1-2");
    write_model(model, false); /* nothing else was wrong */
    mim_model *back = read_model(true);
    mim_model_destroy(&back);
    mim_model_destroy(&model);
    model =
        toy_model(8, MIM_PREDICT_X0); /* to which threads are no size, but a number all the same */
    model->architecture.n_threads = 3;
    refuse(model, "2 threads are named, the network has 3, 2 and 3");
    mim_model_destroy(&model);
}

static void test_other_files(void **state)
{
    (void)state;
    mim_model *back = NULL;
    mim_h5 *file = NULL;
    assert_int_equal(mim_checkpoint_read("/nonexistent/c.h5", true, &back), MIM_EIO);
    assert_int_equal(mim_h5_create(path, "mimesys_plan", 1, NULL, &file), MIM_OK);
    assert_int_equal(mim_h5_commit(&file), MIM_OK);
    assert_int_equal(mim_checkpoint_read(path, true, &back), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "mimesys_plan"));
    assert_int_equal(mim_h5_create(path, MIM_CHECKPOINT_SCHEMA, 99, NULL, &file), MIM_OK);
    assert_int_equal(mim_h5_commit(&file), MIM_OK);
    assert_int_equal(mim_checkpoint_read(path, true, &back), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "version 99"));
    assert_int_equal(mim_h5_create(path, MIM_CHECKPOINT_SCHEMA, 1, NULL, &file), MIM_OK);
    assert_int_equal(mim_h5_commit(&file), MIM_OK);
    assert_int_equal(mim_checkpoint_read(path, true, &back), MIM_EDATA);
    assert_non_null(strstr(mim_error(), ": no dataset architecture"));
    assert_true(names_file_once());
    const char *const lines[] = {"kind thread_token", "colour 1"};
    assert_int_equal(
        mim_h5_create(path, MIM_CHECKPOINT_SCHEMA, MIM_CHECKPOINT_VERSION, NULL, &file), MIM_OK);
    assert_int_equal(mim_h5_put_texts(file, "network", 2, lines, "", ""), MIM_OK);
    assert_int_equal(mim_h5_commit(&file), MIM_OK);
    assert_int_equal(mim_checkpoint_read(path, true, &back), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "a setting \"colour\" is not known"));
    assert_true(names_file_once());
    FILE *text = fopen(path, "w");
    assert_non_null(text);
    fputs("no HDF5", text);
    fclose(text);
    assert_int_equal(mim_checkpoint_read(path, true, &back), MIM_EDATA);
    assert_null(back);
}

/* One byte of any dataset. */
static void test_damage(void **state)
{
    (void)state;
    flipped_place places[FLIPPED_MAX];
    mim_model *model = toy_model(8, MIM_PREDICT_X0), *back = NULL;
    train(model, 2);
    assert_int_equal(mim_response_create(model->domain, &model->response), MIM_OK);
    write_model(model, false);
    const size_t n = flipped_places(path, places);
    assert_true(n > 20);
    for (size_t i = 0; i < n; i++) {
        const uint64_t place = places[i].place + places[i].n_bytes / 2;
        assert_int_equal(flip_byte(path, place), 0);
        if (mim_checkpoint_read(path, true, &back) != MIM_EDATA ||
            !strstr(mim_error(), places[i].name) || !strstr(mim_error(), "is damaged"))
            fail_msg("%s: \"%s\"", places[i].name, mim_error());
        assert_int_equal(flip_byte(path, place), 0);
    }
    back = read_model(true);
    mim_model_destroy(&back);
    mim_model_destroy(&model);
}

static void remove_dataset(const char *name)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0 && H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    assert_true(H5Fclose(file) >= 0);
}

/* One dataset after the other, by its name; what is optional is not missed. */
static void test_missing(void **state)
{
    (void)state;
    static const char *const needed[] = {"network", "ema", "seed", "metric_names", "tensor_shapes"};
    flipped_place places[FLIPPED_MAX];
    mim_model *model = toy_model(8, MIM_PREDICT_X0), *back = NULL;
    size_t n_missed = 0;
    write_model(model, false);
    const size_t n = flipped_places(path, places);
    for (size_t i = 0; i < n; i++) {
        char *expected = mim_format("%s: no dataset %s", path, places[i].name);
        assert_non_null(expected);
        write_model(model, false);
        remove_dataset(places[i].name);
        const int rc = mim_checkpoint_read(path, false, &back);
        if (rc != MIM_OK && (rc != MIM_EDATA || strcmp(mim_error(), expected) != 0))
            fail_msg("exit %d, \"%s\", expected \"%s\"", rc, mim_error(), expected);
        for (size_t k = 0; rc != MIM_OK && k < sizeof needed / sizeof *needed; k++)
            n_missed += strcmp(needed[k], places[i].name) == 0;
        mim_model_destroy(&back);
        free(expected);
    }
    assert_int_equal(n_missed, sizeof needed / sizeof *needed);
    mim_model_destroy(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes),      cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_part),           cmocka_unit_test(test_resuming),
        cmocka_unit_test(test_slim),           cmocka_unit_test(test_other_order),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_other_networks), cmocka_unit_test(test_refused_networks),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
