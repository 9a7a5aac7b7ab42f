#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/summary.h"
#include "core/version.h"

static const mim_option options[] = {
    {"run", "slots", MIM_OPTION_INT, "", "3", 1, 1000, NULL, NULL, "slots to run"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
/* The same setting, explained in other words. */
static const mim_option reworded[] = {
    {"run", "slots", MIM_OPTION_INT, "", "3", 1, 2000, NULL, NULL, "how many slots to run"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

/* Prints the summary and parses what was printed. */
static json_t *printed(mim_summary *summary, const char *status)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    assert_int_equal(mim_summary_print(summary, status, out), MIM_OK);
    assert_int_equal(fclose(out), 0);
    assert_true(n > 2 && text[n - 1] == '\n' && text[n - 2] == '}');
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    free(text);
    return root;
}

static const char *text_at(const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    assert_non_null(text);
    return text;
}

static void test_all_keys(void **state)
{
    (void)state;
    mim_summary *summary = NULL;
    const uint64_t seed = INT64_MAX;
    assert_int_equal(mim_summary_create("mimesys_test", seed, 4, NULL, &summary), MIM_OK);
    json_object_set_new(mim_summary_figures(summary), "loss", mim_json_real(0.25));
    json_object_set_new(mim_summary_figures(summary), "unknown", mim_json_real(NAN));
    json_object_set_new(mim_summary_figures(summary), "endless", mim_json_real(INFINITY));
    json_t *root = printed(summary, "stopped"), *figures = json_object_get(root, "figures");
    assert_int_equal(json_object_size(root), 10);
    assert_string_equal(text_at(root, "schema"), "mimesys_summary");
    assert_int_equal(json_integer_value(json_object_get(root, "schema_version")), 1);
    assert_string_equal(text_at(root, "program"), "mimesys_test");
    assert_string_equal(text_at(root, "version"), MIM_VERSION);
    assert_string_equal(text_at(root, "status"), "stopped");
    assert_true(json_integer_value(json_object_get(root, "seed")) == INT64_MAX);
    assert_int_equal(json_integer_value(json_object_get(root, "ranks")), 4);
    assert_true(json_is_null(json_object_get(root, "config_hash")));
    assert_true(json_is_real(json_object_get(root, "wall_s")));
    assert_true(json_real_value(json_object_get(root, "wall_s")) >= 0.0);
    assert_int_equal(json_object_size(figures), 3);
    assert_true(json_real_value(json_object_get(figures, "loss")) == 0.25);
    assert_true(json_is_null(json_object_get(figures, "unknown")));
    assert_true(json_is_null(json_object_get(figures, "endless")));
    json_decref(root);
    mim_summary_destroy(&summary);
    assert_null(summary);
    mim_summary_destroy(&summary);
}

static void hash_of(const mim_option *table, const char *assignment, char hash[17])
{
    const mim_option *const tables[] = {table, NULL};
    mim_config *config = NULL;
    mim_summary *summary = NULL;
    assert_int_equal(mim_config_create(tables, &config), MIM_OK);
    assert_int_equal(mim_config_set(config, "test", assignment), MIM_OK);
    assert_int_equal(mim_summary_create("mimesys_test", 1, 1, config, &summary), MIM_OK);
    json_t *root = printed(summary, "done");
    const char *text = text_at(root, "config_hash");
    assert_int_equal(strlen(text), 16);
    memcpy(hash, text, 17);
    json_decref(root);
    mim_summary_destroy(&summary);
    mim_config_destroy(&config);
}

/* FNV-1a 64 of "[run]\nslots = 3\n", worked out with an independent program. */
static void test_hash_of_settings(void **state)
{
    (void)state;
    char three[17], again[17], four[17], other_words[17];
    hash_of(options, "run.slots=3", three);
    hash_of(options, "run.slots=3", again);
    hash_of(options, "run.slots=4", four);
    hash_of(reworded, "run.slots=3", other_words);
    assert_string_equal(three, "9f9064957523e53b");
    assert_string_equal(again, three);
    assert_string_equal(other_words, three);
    assert_string_not_equal(four, three);
}

static void test_file(void **state)
{
    (void)state;
    char path[256];
    const char *parent = getenv("TMPDIR");
    mim_summary *summary = NULL;
    snprintf(path, sizeof path, "%s/mimesys-test-XXXXXX", parent ? parent : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(mim_summary_create("mimesys_test", 1, 1, NULL, &summary), MIM_OK);
    assert_int_equal(mim_summary_write(summary, "failed", path), MIM_OK);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    assert_string_equal(text_at(root, "status"), "failed");
    json_decref(root);
    assert_int_equal(mim_summary_write(summary, "done", path), MIM_OK); /* replaces */
    root = json_load_file(path, 0, NULL);
    assert_string_equal(text_at(root, "status"), "done");
    json_decref(root);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, -1, SEEK_END), 0);
    assert_int_equal(fgetc(in), '\n');
    fclose(in);
    unlink(path);
    assert_int_equal(mim_summary_write(summary, "done", "/no/such/folder/s.json"), MIM_EIO);
    mim_summary_destroy(&summary);
}

static void test_json_file(void **state)
{
    (void)state;
    char path[256];
    const char *parent = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/mimesys-test-XXXXXX", parent ? parent : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    json_t *object = json_pack("{s:f}", "third", 1.0 / 3.0);
    assert_int_equal(mim_json_write(object, path), MIM_OK);
    json_t *again = json_load_file(path, 0, NULL);
    assert_true(fabs(json_real_value(json_object_get(again, "third")) - 1.0 / 3.0) < 1e-12);
    assert_int_equal(mim_json_write(object, "/no/such/folder/s.json"), MIM_EIO);
    json_decref(object);
    json_decref(again);
    unlink(path);
}

static void test_refusals(void **state)
{
    (void)state;
    mim_summary *summary = NULL;
    assert_int_equal(mim_summary_create("x", UINT64_MAX, 1, NULL, &summary), MIM_EINVAL);
    assert_null(summary);
    assert_string_equal(mim_error(), "seed: expected at most 9223372036854775807, found "
                                     "18446744073709551615");
    assert_int_equal(mim_summary_create("x", 1, 1, NULL, &summary), MIM_OK);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_int_equal(mim_summary_print(summary, "done", full), MIM_EIO);
    fclose(full);
    mim_summary_destroy(&summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_keys), cmocka_unit_test(test_hash_of_settings),
        cmocka_unit_test(test_file),     cmocka_unit_test(test_json_file),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
