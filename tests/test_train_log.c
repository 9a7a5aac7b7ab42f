/* report/train_log and train_figure: lines in, records out; resumed and cut logs; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "report/train_figure.h"
#include "tests/support/scratch_folder.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

/* The log of such a text; NULL, and the code, when it is refused. */
static mim_train_log *read_text(const char *text, size_t n, int *code)
{
    mim_train_log *log = NULL;
    char *path = mim_join_path(folder, MIM_TRAIN_LOG_FILE);
    assert_int_equal(mim_atomic_write(path, text, n), MIM_OK);
    *code = mim_train_log_read(path, &log);
    assert_true((*code == MIM_OK) == (log != NULL));
    unlink(path);
    free(path);
    return log;
}

static mim_train_log *read_good(const char *text)
{
    int code = 0;
    mim_train_log *log = read_text(text, strlen(text), &code);
    if (!log)
        fail_msg("%s", mim_error());
    return log;
}

static void test_records(void **state)
{
    mim_train_log *log = read_good("{\"step\": 10, \"loss\": 0.5, \"rate\": 1e-4, \"other\": []}\n"
                                   "{\"step\": 10, \"validation_loss\": 0.25}\n"
                                   "{\"step\": 20, \"loss\": null, \"norm\": 3}\n"
                                   "{\"step\": 30, \"loss\": 0.75, \"validation_loss\": 0.5}\n");
    size_t record = 9;
    (void)state;
    assert_int_equal(log->n, 3);
    assert_int_equal(log->n_lines, 4);
    assert_int_equal(log->n_replaced, 0);
    assert_false(log->is_cut);
    assert_true(log->step[0] == 10 && log->step[1] == 20 && log->step[2] == 30);
    assert_true(mim_train_log_at(log, 0, MIM_LOG_LOSS) == 0.5);
    assert_true(mim_train_log_at(log, 0, MIM_LOG_VALIDATION) == 0.25);
    assert_true(mim_train_log_at(log, 0, MIM_LOG_RATE) == 1e-4);
    assert_true(isnan(mim_train_log_at(log, 1, MIM_LOG_LOSS)));
    assert_true(mim_train_log_last(log, MIM_LOG_NORM, &record) == 3 && record == 1);
    assert_true(mim_train_log_last(log, MIM_LOG_LOSS, NULL) == 0.75);
    assert_true(mim_train_log_least(log, MIM_LOG_LOSS, &record) == 0.5 && record == 0);
    assert_true(isnan(mim_train_log_last(log, MIM_LOG_NL1, NULL)));
    assert_true(isnan(mim_train_log_least(log, MIM_LOG_NL1, NULL)));
    mim_train_log_destroy(&log);
    assert_null(log);
}

/* Steps 1 to 4, resumed after step 2: 3 and 4 are logged again, or only 3 so far. */
static void test_resumed(void **state)
{
    static const struct {
        const char *text;
        size_t n, n_replaced;
        double steps[4], losses[4];
    } cases[] = {
        {"{\"step\":1,\"loss\":9}\n{\"step\":2,\"loss\":8}\n{\"step\":3,\"loss\":7}\n"
         "{\"step\":4,\"loss\":6}\n{\"step\":3,\"loss\":5}\n{\"step\":4,\"loss\":4}\n",
         4,
         2,
         {1, 2, 3, 4},
         {9, 8, 5, 4}},
        {"{\"step\":1,\"loss\":9}\n{\"step\":2,\"loss\":8}\n{\"step\":3,\"loss\":7}\n"
         "{\"step\":4,\"loss\":6}\n{\"step\":3,\"loss\":5}\n",
         3,
         2,
         {1, 2, 3},
         {9, 8, 5}},
        {"{\"step\":1,\"loss\":9}\n{\"step\":1,\"loss\":8}\n", 1, 0, {1}, {8}},
        {"{\"step\":5,\"loss\":9}\n{\"step\":0,\"loss\":1}\n", 1, 1, {0}, {1}},
        /* a figure of the first time at the step does not live on */
        {"{\"step\":1,\"loss\":9}\n{\"step\":2,\"loss\":8}\n{\"step\":3,\"loss\":7}\n"
         "{\"step\":2,\"norm\":1}\n",
         2,
         2,
         {1, 2},
         {9, NAN}},
    };
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        mim_train_log *log = read_good(cases[i].text);
        assert_int_equal(log->n, cases[i].n);
        assert_int_equal(log->n_replaced, cases[i].n_replaced);
        for (size_t k = 0; k < log->n; k++) {
            const double loss = mim_train_log_at(log, k, MIM_LOG_LOSS);
            assert_true(log->step[k] == cases[i].steps[k]);
            assert_true(loss == cases[i].losses[k] || (isnan(loss) && isnan(cases[i].losses[k])));
        }
        mim_train_log_destroy(&log);
    }
}

/* However a last line is cut, the others count; a whole one without its end of line counts, too. */
static void test_every_cut(void **state)
{
    static const char text[] = "{\"step\":1,\"loss\":9}\n{\"step\":2,\"loss\":8.5}\n";
    const size_t first = strlen("{\"step\":1,\"loss\":9}\n"), all = strlen(text);
    (void)state;
    for (size_t n = first; n <= all; n++) {
        int code = 0;
        mim_train_log *log = read_text(text, n, &code);
        assert_int_equal(code, MIM_OK);
        assert_int_equal(log->n, n >= all - 1 ? 2 : 1);
        assert_int_equal(log->is_cut, n > first && n < all - 1);
        mim_train_log_destroy(&log);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text, *expected;
        size_t n; /* 0: as long as the text */
    } cases[] = {
        {"", "has no figures yet", 0},
        {"{\"step\":1", "has no figures yet", 0},
        {"{\"step\":1}\nrubbish\n{\"step\":2}\n", ":2: expected a JSON object: ", 0},
        {"{\"step\":1}\n\n", ":2: expected a JSON object", 0},
        {"[1]\n", ":1: expected a JSON object", 0},
        {"{\"step\":1}\n{\"loss\":1}\n", ":2: step: expected a whole number", 0},
        {"{\"step\":-1}\n", ":1: step: expected", 0},
        {"{\"step\":1.5}\n", ":1: step: expected", 0},
        {"{\"step\":9007199254740999}\n", ":1: step: expected", 0},
        {"{\"step\":1}\n{\"step\":2,\"loss\":\"x\"}\n", ":2: loss: expected a number", 0},
        {"{\"step\":1,\"step\":2}\n", ":1: expected a JSON object: duplicate", 0},
        {"{\"step\":1}\n{\"step\":2}\0\0\0\n", ":2: expected a JSON object", 25},
        {"{\"step\":1,\"loss\":1e999}\n", ":1: expected a JSON object", 0},
    };
    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        int code = 0;
        read_text(cases[i].text, cases[i].n ? cases[i].n : strlen(cases[i].text), &code);
        if (code != MIM_EDATA || !strstr(mim_error(), cases[i].expected))
            fail_msg("case %zu: %d, %s", i, code, mim_error());
    }
    mim_train_log *log = NULL;
    assert_int_equal(mim_train_log_read(folder, &log), MIM_EIO); /* nothing in it */
    assert_non_null(strstr(mim_error(), MIM_TRAIN_LOG_FILE));
    assert_null(log);
}

/* A panel a figure that any of them has: the picture grows with it. */
static void test_figure(void **state)
{
    static const char *const texts[] = {
        "{\"step\":1,\"loss\":9}\n{\"step\":2,\"loss\":8}\n",
        "{\"step\":1,\"loss\":9,\"norm\":1}\n{\"step\":2,\"loss\":7,\"nl1_mean\":0.1}\n"};
    static const char *const labels[] = {"one", "two"};
    const mim_train_log *logs[2];
    size_t sizes[2];
    char *path = mim_join_path(folder, "figure.svg");
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *bytes = NULL;
        logs[i] = read_good(texts[i]);
        assert_int_equal(mim_train_figure(i + 1, logs, labels, path), MIM_OK);
        assert_int_equal(mim_read_file(path, 1 << 24, &bytes, &sizes[i]), MIM_OK);
        free(bytes);
    }
    assert_true(sizes[1] > sizes[0] + sizes[0] / 2);
    unlink(path);
    free(path);
    path = mim_join_path(folder, "no/figure.png");
    assert_int_equal(mim_train_figure(2, logs, labels, path), MIM_EIO);
    free(path);
    for (size_t i = 0; i < 2; i++) {
        mim_train_log *log = (mim_train_log *)(uintptr_t)logs[i];
        mim_train_log_destroy(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_records),  WITH_FOLDER(test_resumed), WITH_FOLDER(test_every_cut),
        WITH_FOLDER(test_refusals), WITH_FOLDER(test_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
