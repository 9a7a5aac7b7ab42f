/* diffusion/train_store: which checkpoints stay, what a failed write leaves, damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "diffusion/checkpoint.h"
#include "diffusion/train_folder.h"
#include "diffusion/train_store.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/toy.h"

enum { MAX_STEPS = 12 };

static mim_train_store *create(uint64_t milestone_every)
{
    mim_train_store *store = NULL;
    assert_int_equal(mim_train_store_create(folder, milestone_every, &store), MIM_OK);
    assert_null(mim_train_store_newest(store));
    return store;
}

/* The folder holds these checkpoints, newest first, and nothing else. */
static void assert_steps(size_t n, const uint64_t *expected)
{
    size_t n_found = 0;
    uint64_t *found = NULL;
    assert_int_equal(mim_train_folder_steps(folder, &n_found, &found), MIM_OK);
    assert_int_equal(n_names(), n);
    assert_int_equal(n_found, n);
    if (n > 0)
        assert_memory_equal(found, expected, n * sizeof *expected);
    free(found);
}

static void remove_all(void)
{
    size_t n = 0;
    uint64_t *steps = NULL;
    assert_int_equal(mim_train_folder_steps(folder, &n, &steps), MIM_OK);
    for (size_t i = 0; i < n; i++) {
        char *path = mim_train_folder_checkpoint(folder, steps[i]);
        assert_int_equal(remove(path), 0);
        free(path);
    }
    free(steps);
}

static void put(mim_train_store *store, mim_model *model, uint64_t step)
{
    model->step = step;
    if (mim_train_store_put(store, model) != MIM_OK)
        fail_msg("%s", mim_error());
}

static void settle(mim_train_store *store)
{
    if (mim_train_store_wait(store) != MIM_OK)
        fail_msg("%s", mim_error());
}

static void test_what_stays(void **state)
{
    static const struct {
        uint64_t milestone_every, puts[MAX_STEPS], stay[MAX_STEPS]; /* 0 ends them */
    } cases[] = {
        {0, {10}, {10}},
        {0, {10, 20, 30, 40}, {40, 30}},
        {20, {10, 20, 30, 40, 50, 60, 70}, {70, 60, 40, 20}},
        {25, {10, 20, 25, 30, 40, 50}, {50, 40, 25}},
        {1, {1, 2, 3, 4}, {4, 3, 2, 1}},
        {0, {10, 20, 20}, {20, 10}},
        {0, {70, 80, 10, 20, 30}, {80, 70, 30, 20}}, /* later ones are of another course */
    };
    mim_model *model = toy_model(1, MIM_PREDICT_X0);
    (void)state;
    assert_non_null(model);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_train_store *store = create(cases[i].milestone_every);
        size_t n = 0;
        uint64_t last = 0;
        for (size_t k = 0; k < MAX_STEPS && cases[i].puts[k]; k++)
            put(store, model, last = cases[i].puts[k]);
        settle(store);
        char *newest = mim_train_folder_checkpoint(folder, last);
        assert_string_equal(mim_train_store_newest(store), newest);
        free(newest);
        while (cases[i].stay[n])
            n++;
        assert_steps(n, cases[i].stay);
        mim_train_store_destroy(&store);
        remove_all();
    }
    mim_model_destroy(&model);
}

/* What is written is the model as it was at put, and destroy waits for it. */
static void test_content(void **state)
{
    mim_model *model = toy_model(1, MIM_PREDICT_X0), *back = NULL;
    mim_train_store *store = create(0);
    (void)state;
    assert_non_null(model);
    const float before = model->params->values[0];
    put(store, model, 7);
    model->params->values[0] = before + 1;
    mim_train_store_destroy(&store);
    char *path = mim_train_folder_checkpoint(folder, 7);
    assert_int_equal(mim_checkpoint_read(path, true, &back), MIM_OK);
    assert_true(back->params->values[0] == before && back->step == 7);
    mim_model_destroy(&back);
    mim_model_destroy(&model);
    free(path);
    remove_all();
}

/* What could not be read again is not written, and removes nothing. */
static void test_not_finite(void **state)
{
    mim_model *model = toy_model(1, MIM_PREDICT_X0);
    mim_train_store *store = create(0);
    (void)state;
    assert_non_null(model);
    put(store, model, 10);
    put(store, model, 20);
    model->step = 30;
    model->params->moment_2[3] = NAN;
    assert_int_equal(mim_train_store_put(store, model), MIM_ECHECK);
    assert_non_null(strstr(mim_error(), "after step 30 value 3 of moment_2"));
    assert_steps(2, (uint64_t[]){20, 10});
    mim_train_store_destroy(&store);
    mim_model_destroy(&model);
    remove_all();
}

/* A write that fails is told of at the next call, and removes nothing. */
static void test_failed_write(void **state)
{
    mim_model *model = toy_model(1, MIM_PREDICT_X0);
    mim_train_store *store = create(0);
    char *blocked = mim_train_folder_checkpoint(folder, 30);
    (void)state;
    assert_non_null(model);
    put(store, model, 10);
    put(store, model, 20);
    settle(store);
    assert_int_equal(mkdir(blocked, 0777), 0); /* no file can take this name */
    put(store, model, 30);
    model->step = 40;
    assert_int_equal(mim_train_store_put(store, model), MIM_EIO);
    assert_non_null(strstr(mim_error(), blocked));
    assert_int_equal(rmdir(blocked), 0);
    assert_steps(2, (uint64_t[]){20, 10});
    assert_int_equal(mim_train_store_wait(store), MIM_OK);
    assert_non_null(strstr(mim_train_store_newest(store), "20.h5"));
    mim_train_store_destroy(&store);
    mim_model_destroy(&model);
    free(blocked);
    remove_all();
}

/* The newest that is whole, whatever lies behind it. */
static void test_damaged(void **state)
{
    mim_model *model = toy_model(1, MIM_PREDICT_X0);
    mim_train_store *store = create(0);
    mim_log *log = NULL;
    char *newest = mim_train_folder_checkpoint(folder, 20), *path = NULL, *bytes = NULL;
    size_t n = 0;
    (void)state;
    assert_non_null(model);
    assert_int_equal(mim_log_create(stderr, MIM_LOG_ERROR, 0, 1, &log), MIM_OK);
    put(store, model, 10);
    put(store, model, 20);
    settle(store);
    assert_int_equal(mim_train_folder_newest(folder, log, &path), MIM_OK);
    assert_string_equal(path, newest);
    free(path);
    assert_int_equal(mim_read_file(newest, 1 << 26, &bytes, &n), MIM_OK);
    assert_int_equal(mim_atomic_write(newest, bytes, n / 2), MIM_OK);
    assert_int_equal(mim_train_folder_newest(folder, log, &path), MIM_OK);
    assert_non_null(strstr(path, "10.h5"));
    free(path);
    free(bytes);
    free(newest);
    mim_log_destroy(&log);
    mim_train_store_destroy(&store);
    mim_model_destroy(&model);
    remove_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_what_stays),   WITH_FOLDER(test_content), WITH_FOLDER(test_not_finite),
        WITH_FOLDER(test_failed_write), WITH_FOLDER(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
