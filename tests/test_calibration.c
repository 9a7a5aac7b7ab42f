/* Calibrations: round trips, every range of the reader with its sentence, where they are kept, and
 * a quick measurement on this machine. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "node/calibration.h"
#include "node/ceiling.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static const char sample[] = "tests/data/calibration.json";
static const char reads[] = "BM_STRESS_NG_HddRead_1MB_NoSleep"; /* second stressor of the sample */

typedef struct fixture {
    char *folder, *path; /* scratch folder, and a file in it */
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const char *base = getenv("TMPDIR");
    assert_non_null(f);
    f->folder = mim_format("%s/mim-calibration-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    f->path = mim_join_path(f->folder, "c.json");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0); /* nothing else was left */
    free(f->path);
    free(f->folder);
    free(f);
    return 0;
}

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return root;
}

/* ---- round trips ------------------------------------------------------------------------------
 */

/* 9 digits are written. */
static bool is_near(double found, double expected)
{
    return isfinite(expected) ? fabs(found - expected) <= 5e-9 * fabs(expected) : isnan(found);
}

static void make_costs(size_t n, mim_cost *costs)
{
    static const double figures[6] = {1.0 / 3e5, 3e5, 1e12 / 7.0, 1.0 / 3.1e5, 0.0, 0.01};
    memset(costs, 0, n * sizeof *costs);
    for (size_t i = 0; i < n; i++) {
        double *const values[6] = {
            &costs[i].op_s,         &costs[i].ops_per_s,           &costs[i].bytes_per_s,
            &costs[i].cpu_s_per_op, &costs[i].device_bytes_per_op, &costs[i].spread};
        snprintf(costs[i].stressor, sizeof costs[i].stressor, "stressor_%zu", i);
        costs[i].n_repeats = i + 1;
        costs[i].is_unstable = i % 2 == 1;
        for (size_t v = 0; v < 6; v++)
            *values[v] = v + 1 == i ? NAN : figures[v];
    }
}

static void expect_same_cost(const mim_cost *found, const mim_cost *expected)
{
    assert_string_equal(found->stressor, expected->stressor);
    assert_int_equal(found->n_repeats, expected->n_repeats);
    assert_int_equal(found->is_unstable, expected->is_unstable);
    assert_true(is_near(found->op_s, expected->op_s));
    assert_true(is_near(found->ops_per_s, expected->ops_per_s));
    assert_true(is_near(found->bytes_per_s, expected->bytes_per_s));
    assert_true(is_near(found->cpu_s_per_op, expected->cpu_s_per_op));
    assert_true(is_near(found->device_bytes_per_op, expected->device_bytes_per_op));
    assert_true(is_near(found->spread, expected->spread));
}

static void expect_same(const mim_calibration *found, const mim_calibration *expected)
{
    assert_string_equal(found->machine_key, expected->machine_key);
    assert_string_equal(found->cpu_model, expected->cpu_model);
    assert_string_equal(found->kernel, expected->kernel);
    assert_string_equal(found->scratch_folder, expected->scratch_folder);
    assert_string_equal(found->io_mode, expected->io_mode);
    assert_string_equal(found->sizes, expected->sizes);
    assert_int_equal(found->n_cpus, expected->n_cpus);
    assert_int_equal(found->n_sockets, expected->n_sockets);
    assert_true(is_near(found->measured_real_s, expected->measured_real_s));
    assert_true(is_near(found->io_read_max_kbs, expected->io_read_max_kbs));
    assert_true(is_near(found->io_write_max_kbs, expected->io_write_max_kbs));
    assert_true(is_near(found->memory_read_max_gb_s, expected->memory_read_max_gb_s));
    assert_true(is_near(found->memory_write_max_gb_s, expected->memory_write_max_gb_s));
    assert_int_equal(found->n_costs, expected->n_costs);
    for (size_t i = 0; i < found->n_costs; i++)
        expect_same_cost(&found->costs[i], &expected->costs[i]);
}

/* Cost i lacks its figure i - 1, cost 0 lacks none; texts as long as they may be, and empty. */
static void test_round_trip(void **state)
{
    const fixture *f = *state;
    mim_cost costs[7];
    make_costs(N_OF(costs), costs);
    mim_calibration made = {.machine_key = "0123456789abcdef",
                            .cpu_model = "",
                            .kernel = "6.1 \"quoted\" \xc3\xa4",
                            .io_mode = "buffered",
                            .sizes = "node",
                            .measured_real_s = 1700000000.0,
                            .n_cpus = 192,
                            .n_sockets = 2,
                            .io_read_max_kbs = 123456.789,
                            .io_write_max_kbs = NAN,
                            .memory_read_max_gb_s = 204.8,
                            .memory_write_max_gb_s = NAN,
                            .n_costs = N_OF(costs),
                            .costs = costs};
    memset(made.scratch_folder, 'x', sizeof made.scratch_folder - 1);
    mim_calibration *found = NULL;
    assert_int_equal(mim_calibration_write(&made, f->path), MIM_OK);
    if (mim_calibration_read(f->path, &found) != MIM_OK)
        fail_msg("%s", mim_error());
    expect_same(found, &made);
    assert_ptr_equal(mim_calibration_cost(found, "stressor_3"), &found->costs[3]);
    assert_null(mim_calibration_cost(found, "stressor_"));
    mim_calibration_destroy(&found);
    assert_null(found);
    mim_calibration_destroy(&found);

    /* What nobody measured stands as null, never as 0. */
    json_t *root = load(f->path);
    const json_t *array = json_object_get(root, "stressors");
    assert_true(json_is_null(json_object_get(root, "io_write_max_kbs")));
    assert_true(json_is_real(json_object_get(root, "io_read_max_kbs")));
    assert_true(json_is_null(json_object_get(json_array_get(array, 1), "op_s")));
    assert_true(json_is_real(json_object_get(json_array_get(array, 0), "op_s")));
    assert_true(json_is_null(json_object_get(json_array_get(array, 6), "spread")));
    json_decref(root);
}

static void test_no_stressors(void **state)
{
    const fixture *f = *state;
    const mim_calibration made = {.io_mode = "direct",
                                  .sizes = "original",
                                  .measured_real_s = NAN,
                                  .n_cpus = 1,
                                  .n_sockets = 1,
                                  .io_read_max_kbs = INFINITY, /* no number in JSON either */
                                  .io_write_max_kbs = 1.0,
                                  .memory_read_max_gb_s = NAN,
                                  .memory_write_max_gb_s = 0.5};
    mim_calibration *found = NULL;
    assert_int_equal(mim_calibration_write(&made, f->path), MIM_OK);
    assert_int_equal(mim_calibration_read(f->path, &found), MIM_OK);
    expect_same(found, &made);
    mim_calibration_destroy(&found);
}

/* Against a file of version 1 as a person wrote it: what it did not have gets its default. */
static void test_sample(void **state)
{
    (void)state;
    mim_calibration *c = NULL;
    assert_int_equal(mim_calibration_read(sample, &c), MIM_OK);
    assert_string_equal(c->machine_key, "0123456789abcdef");
    assert_string_equal(c->io_mode, "direct");
    assert_int_equal(c->n_cpus, 4);
    assert_true(c->io_read_max_kbs == 1024000.0 && c->io_write_max_kbs == 512000.0);
    assert_int_equal(c->n_costs, 3);
    const mim_cost *cost = mim_calibration_cost(c, reads);
    assert_non_null(cost);
    assert_int_equal(cost->n_repeats, 7);
    assert_true(cost->op_s == 0.002 && cost->ops_per_s == 500.0 && cost->spread == 0.01);
    assert_true(cost->bytes_per_s == 524288000.0 && cost->cpu_s_per_op == 0.0002);
    assert_true(cost->device_bytes_per_op == 1048576.0);
    assert_true(isnan(c->costs[0].device_bytes_per_op));
    assert_string_equal(c->sizes, "original");
    assert_true(isnan(c->memory_read_max_gb_s) && isnan(c->memory_write_max_gb_s));
    assert_false(cost->is_unstable);
    mim_calibration_destroy(&c);
}

static void test_cannot_be_written(void **state)
{
    const fixture *f = *state;
    const mim_calibration made = {.io_mode = "direct", .n_cpus = 1, .n_sockets = 1};
    char *path = mim_join_path(f->path, "c.json"); /* below a file */
    assert_int_equal(mim_atomic_write(f->path, "", 0), MIM_OK);
    assert_int_equal(mim_calibration_write(&made, path), MIM_EIO);
    assert_non_null(strstr(mim_error(), path));
    free(path);
}

/* ---- what the reader refuses ------------------------------------------------------------------
 */

/* Reads the fixture's file; `says` is what follows its path in the sentence, NULL: it is taken. */
static void expect_read(const fixture *f, const char *what, const char *says)
{
    mim_calibration *c = NULL;
    const int rc = mim_calibration_read(f->path, &c);
    char *expected = mim_format("%s%s", f->path, says ? says : "");
    if (rc != (says ? MIM_EDATA : MIM_OK))
        fail_msg("%s: code %d: %s", what, rc, rc == MIM_OK ? "was taken" : mim_error());
    if (says && strncmp(mim_error(), expected, strlen(expected)) != 0)
        fail_msg("%s: expected '%s', found '%s'", what, expected, mim_error());
    assert_true(!c == (rc != MIM_OK)); /* untouched on failure */
    mim_calibration_destroy(&c);
    free(expected);
}

/* The sample with one value replaced, or taken away where `value` is NULL. */
static void read_changed(const fixture *f, bool in_cost, const char *key, const char *value,
                         const char *says)
{
    json_t *root = load(sample);
    json_t *object = in_cost ? json_array_get(json_object_get(root, "stressors"), 1) : root;
    assert_non_null(json_object_get(object, key));
    if (value)
        json_object_set_new(object, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(object, key);
    assert_int_equal(json_dump_file(root, f->path, 0), 0);
    json_decref(root);
    char *what = mim_format("%s = %s", key, value ? value : "(none)");
    char *sentence = says && in_cost && strcmp(key, "stressor") != 0
                         ? mim_format(": %s: %s: %s", reads, key, says)
                     : says ? mim_format(": %s: %s", key, says)
                            : NULL;
    expect_read(f, what, sentence);
    free(sentence);
    free(what);
}

static void test_ranges_of_a_cost(void **state)
{
    static const char op[] = "expected null or a number above 0 up to 3600",
                      rate[] = "expected null or a number above 0 up to 1e+09",
                      bytes[] = "expected null or a number from 0 up to 1e+13",
                      cpu[] = "expected null or a number from 0 up to 3600",
                      device[] = "expected null or a number from 0 up to 1e+12",
                      spread[] = "expected null or a number from 0 up to 1e+09",
                      repeats[] = "expected a whole number from 1 to 1000000",
                      name[] = "expected a text of less than 128 bytes";
    static const struct {
        const char *key, *value, *says; /* NULL = taken */
    } cases[] = {
        {"op_s", "0", op},
        {"op_s", "-1e-6", op},
        {"op_s", "3600.1", op},
        {"op_s", "\"1\"", op},
        {"op_s", "true", op},
        {"op_s", NULL, op},
        {"op_s", "1e-9", NULL},
        {"op_s", "3600", NULL},
        {"op_s", "null", NULL},
        {"ops_per_s", "0", rate},
        {"ops_per_s", "1e10", rate},
        {"ops_per_s", NULL, rate},
        {"ops_per_s", "1e9", NULL},
        {"ops_per_s", "null", NULL},
        {"bytes_per_s", "-1", bytes},
        {"bytes_per_s", "1e14", bytes},
        {"bytes_per_s", "[]", bytes},
        {"bytes_per_s", "0", NULL},
        {"bytes_per_s", "1e13", NULL},
        {"bytes_per_s", "null", NULL},
        {"cpu_s_per_op", "-1e-9", cpu},
        {"cpu_s_per_op", "1e4", cpu},
        {"cpu_s_per_op", "0", NULL},
        {"cpu_s_per_op", "3600", NULL},
        {"cpu_s_per_op", "null", NULL},
        {"device_bytes_per_op", "-4096", device},
        {"device_bytes_per_op", "1e13", device},
        {"device_bytes_per_op", "0", NULL},
        {"device_bytes_per_op", "1e12", NULL},
        {"device_bytes_per_op", "null", NULL},
        {"spread", "-0.1", spread},
        {"spread", "1e10", spread},
        {"spread", "0", NULL},
        {"spread", "null", NULL},
        {"n_repeats", "0", repeats},
        {"n_repeats", "-1", repeats},
        {"n_repeats", "1000001", repeats},
        {"n_repeats", "7.0", repeats},
        {"n_repeats", "null", repeats},
        {"n_repeats", "1", NULL},
        {"n_repeats", "1000000", NULL},
        {"stressor", "7", name},
        {"stressor", NULL, name},
        {"stressor", "\"another\"", NULL},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        read_changed(*state, true, cases[i].key, cases[i].value, cases[i].says);
}

static void test_ranges_of_the_machine(void **state)
{
    static const char key[] = "expected a text of less than 17 bytes",
                      text[] = "expected a text of less than 128 bytes",
                      folder[] = "expected a text of less than 256 bytes",
                      mode[] = "expected a text of less than 16 bytes",
                      version[] = "expected a whole number from 1 to 2",
                      when[] = "expected null or a number from 0 up to 1e+12",
                      cpus[] = "expected a whole number from 1 to 1048576",
                      sockets[] = "expected a whole number from 1 to 4", /* as many as CPUs */
        ceiling[] = "expected null or a number from 1 up to 1e+12";
    static const struct {
        const char *key, *value, *says; /* NULL = taken */
    } cases[] = {
        {"schema_version", "0", version},
        {"schema_version", "3", version},
        {"schema_version", "\"1\"", version},
        {"schema_version", NULL, version},
        {"machine_key", "\"0123456789abcdef0\"", key},
        {"machine_key", "null", key},
        {"machine_key", "\"\"", NULL},
        {"cpu_model", "7", text},
        {"kernel", NULL, text},
        {"scratch_folder", "null", folder},
        {"io_mode", "null", mode},
        {"io_mode", "\"a mode with a long name\"", mode},
        {"io_mode", "\"other\"", "expected direct or buffered, found other"},
        {"io_mode", "\"\"", "expected direct or buffered, found "},
        {"io_mode", "\"buffered\"", NULL},
        {"measured_real_s", "-1", when},
        {"measured_real_s", "1e13", when},
        {"measured_real_s", "null", NULL},
        {"n_cpus", "0", cpus},
        {"n_cpus", "1048577", cpus},
        {"n_cpus", "4.0", cpus},
        {"n_cpus", "1048576", NULL},
        {"n_sockets", "0", sockets},
        {"n_sockets", "5", sockets},
        {"n_sockets", "4", NULL},
        {"io_read_max_kbs", "0.5", ceiling},
        {"io_read_max_kbs", "0", ceiling},
        {"io_read_max_kbs", "1e13", ceiling},
        {"io_read_max_kbs", NULL, ceiling},
        {"io_read_max_kbs", "1", NULL},
        {"io_read_max_kbs", "null", NULL},
        {"io_write_max_kbs", "-1", ceiling},
        {"io_write_max_kbs", "1e13", ceiling},
        {"io_write_max_kbs", "1e12", NULL},
        {"io_write_max_kbs", "null", NULL},
        {"stressors", "{}", "expected an array of at most 4096"},
        {"stressors", NULL, "expected an array of at most 4096"},
        {"stressors", "[7]", "expected objects"},
        {"stressors", "[]", NULL},
    };
    for (size_t i = 0; i < N_OF(cases); i++)
        read_changed(*state, false, cases[i].key, cases[i].value, cases[i].says);
}

/* What version 2 added, in a file of that version. */
static void test_ranges_of_version_2(void **state)
{
    static const char sizes[] = "sizes: expected a text of less than 16 bytes",
                      reads_max[] = "memory_read_max_gb_s: expected null or a number from 0.001",
                      writes_max[] = "memory_write_max_gb_s: expected null or a number from 0.001";
    static const struct {
        const char *key, *value, *says; /* NULL = taken */
    } cases[] = {
        {"sizes", "\"node\"", NULL},
        {"sizes", "\"adapted\"", "sizes: expected original or node, found adapted"},
        {"sizes", NULL, sizes},
        {"sizes", "1", sizes},
        {"sizes", "\"a way to choose sizes with a long name\"", sizes},
        {"memory_read_max_gb_s", "null", NULL},
        {"memory_read_max_gb_s", "800", NULL},
        {"memory_read_max_gb_s", "0", reads_max},
        {"memory_read_max_gb_s", NULL, reads_max},
        {"memory_write_max_gb_s", "1e7", writes_max},
        {"memory_write_max_gb_s", NULL, writes_max},
        {"memory_write_max_gb_s", "0.001", NULL},
    };
    const fixture *f = *state;
    mim_calibration *c = NULL;
    assert_int_equal(mim_calibration_read(sample, &c), MIM_OK);
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(mim_calibration_write(c, f->path), MIM_OK);
        json_t *root = load(f->path);
        if (cases[i].value)
            json_object_set_new(root, cases[i].key,
                                json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(root, cases[i].key);
        assert_int_equal(json_dump_file(root, f->path, 0), 0);
        json_decref(root);
        char *says = cases[i].says ? mim_format(": %s", cases[i].says) : NULL;
        expect_read(f, cases[i].key, says);
        free(says);
    }
    assert_int_equal(mim_calibration_write(c, f->path), MIM_OK);
    json_t *root = load(f->path);
    json_object_set_new(json_array_get(json_object_get(root, "stressors"), 1), "is_unstable",
                        json_integer(1));
    assert_int_equal(json_dump_file(root, f->path, 0), 0);
    json_decref(root);
    char *says = mim_format(": %s: is_unstable: expected true or false", reads);
    expect_read(f, "is_unstable", says);
    free(says);
    mim_calibration_destroy(&c);
}

/* 127 bytes of a name are taken, 128 would not fit. */
static void test_longest_name(void **state)
{
    char value[131];
    for (size_t n = 127; n <= 128; n++) {
        snprintf(value, sizeof value, "\"%0*d\"", (int)n, 0);
        read_changed(*state, true, "stressor", value,
                     n < 128 ? NULL : "expected a text of less than 128 bytes");
    }
}

static void test_too_many_stressors(void **state)
{
    const fixture *f = *state;
    json_t *root = load(sample), *array = json_object_get(root, "stressors");
    for (int i = 3; i < 4096; i++) {
        json_t *copy = json_copy(json_array_get(array, 1));
        char name[32];
        snprintf(name, sizeof name, "stressor_%d", i);
        json_object_set_new(copy, "stressor", json_string(name));
        json_array_append_new(array, copy);
    }
    assert_int_equal(json_dump_file(root, f->path, 0), 0);
    expect_read(f, "4096 stressors", NULL);
    json_array_append_new(array, json_object());
    assert_int_equal(json_dump_file(root, f->path, 0), 0);
    expect_read(f, "4097 stressors", ": stressors: expected an array of at most 4096");
    json_decref(root);
}

static void test_stressor_twice(void **state)
{
    const fixture *f = *state;
    json_t *root = load(sample), *array = json_object_get(root, "stressors");
    json_object_set_new(json_array_get(array, 2), "stressor", json_string(reads));
    assert_int_equal(json_dump_file(root, f->path, 0), 0);
    json_decref(root);
    char *says = mim_format(": %s: stands twice", reads);
    expect_read(f, "a stressor twice", says);
    free(says);
}

/* Files that are something else. */
static void test_other_files(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", ":1: not JSON: "},
        {"{\n\"schema\": oops}", ":2: not JSON: "},
        {"{\"schema\": NaN}", ":1: not JSON: "},
        {"{\n\n\"n_cpus\": 1,\n\"n_cpus\": 2}", ":4: not JSON: "},
        {"[]", ": expected schema mimesys_calibration"},
        {"{}", ": expected schema mimesys_calibration"},
        {"{\"schema\": \"mimesys_summary\"}", ": expected schema mimesys_calibration"},
        {"{\"schema\": 1}", ": expected schema mimesys_calibration"},
        {"{\"schema\": \"a schema of which the name is very long\"}",
         ": expected schema mimesys_calibration"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(mim_atomic_write(f->path, cases[i].text, strlen(cases[i].text)), MIM_OK);
        expect_read(f, cases[i].text, cases[i].says);
    }
    mim_calibration *c = NULL;
    assert_int_equal(mim_calibration_read(f->folder, &c), MIM_EIO);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mim_calibration_read(f->path, &c), MIM_EIO);
    assert_non_null(strstr(mim_error(), f->path));
    assert_null(c);
}

/* ---- where it is kept -------------------------------------------------------------------------
 */

static const char *const variables[] = {"MIMESYS_CALIBRATION", "XDG_CACHE_HOME", "HOME"};

static void set_variable(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void test_path(void **state)
{
    (void)state;
    static const mim_machine machine = {.key = "0123456789abcdef", .n_cpus = 12};
    static const char in_cache[] = "/cache/mimesys/calibration-0123456789abcdef-12cpus.json",
                      in_home[] = "/home/.cache/mimesys/calibration-0123456789abcdef-12cpus.json";
    static const struct {
        const char *values[3]; /* of the variables, NULL = not set */
        const char *expected;  /* NULL = refused */
    } cases[] = {
        {{"here/c.json", "/cache", "/home"}, "here/c.json"},
        {{"here/c.json", NULL, NULL}, "here/c.json"},
        {{NULL, "/cache", "/home"}, in_cache},
        {{"", "/cache", NULL}, in_cache},
        {{NULL, NULL, "/home"}, in_home},
        {{"", "", "/home"}, in_home},
        {{NULL, NULL, NULL}, NULL},
        {{"", "", ""}, NULL},
    };
    char *before[3];
    for (size_t v = 0; v < 3; v++)
        before[v] = getenv(variables[v]) ? mim_strdup(getenv(variables[v])) : NULL;
    for (size_t i = 0; i < N_OF(cases); i++) {
        char *path = NULL;
        for (size_t v = 0; v < 3; v++)
            set_variable(variables[v], cases[i].values[v]);
        const int rc = mim_calibration_path(&machine, &path);
        assert_int_equal(rc, cases[i].expected ? MIM_OK : MIM_EUSAGE);
        if (cases[i].expected)
            assert_string_equal(path, cases[i].expected);
        else
            assert_null(path);
        for (size_t v = 0; rc != MIM_OK && v < 3; v++)
            assert_non_null(strstr(mim_error(), variables[v]));
        free(path);
    }
    for (size_t v = 0; v < 3; v++) {
        set_variable(variables[v], before[v]);
        free(before[v]);
    }
}

/* ---- measuring --------------------------------------------------------------------------------
 */

static bool is_figure(double value) { return isfinite(value) && value > 0.0; }

/* A stressor of the CPU that ends in moments; a name that no kernel has is passed over. */
static void test_calibrate(void **state)
{
    const fixture *f = *state;
    static const char *const names[] = {"BM_LIBC_Memcpy_Fleet_L1", "BM_Nobody"};
    const mim_calibrate_options options = {.seconds_each = 0.05, .n_repeats = 3};
    mim_machine *machine = NULL;
    mim_actions *actions = NULL;
    mim_calibration *c = NULL, *found = NULL;
    assert_int_equal(mim_machine_create(0, &machine), MIM_OK);
    assert_int_equal(mim_actions_from_names(N_OF(names), names, &actions), MIM_OK);
    if (mim_calibrate(machine, actions, NULL, &options, NULL, &c) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_string_equal(c->machine_key, machine->key);
    assert_string_equal(c->cpu_model, machine->cpu_model);
    assert_int_equal(c->n_cpus, machine->n_cpus);
    assert_int_equal(c->n_sockets, machine->n_sockets);
    assert_string_equal(c->scratch_folder, "");
    assert_true(c->measured_real_s > 1.7e9); /* after 2023 */
    assert_true(isnan(c->io_read_max_kbs) && isnan(c->io_write_max_kbs));
    assert_int_equal(c->n_costs, 1);
    const mim_cost *cost = &c->costs[0];
    assert_string_equal(cost->stressor, names[0]);
    assert_int_equal(cost->n_repeats, 3);
    assert_true(is_figure(cost->op_s) && is_figure(cost->ops_per_s));
    assert_true(is_figure(cost->bytes_per_s) && is_figure(cost->cpu_s_per_op));
    assert_true(fabs(cost->op_s * cost->ops_per_s - 1.0) < 1e-12); /* no pause between */
    assert_true(isfinite(cost->spread) && cost->spread >= 0.0);
    assert_true(isnan(cost->device_bytes_per_op));

    /* What was measured can be kept: every figure is in the ranges of the reader. */
    assert_int_equal(mim_calibration_write(c, f->path), MIM_OK);
    if (mim_calibration_read(f->path, &found) != MIM_OK)
        fail_msg("%s", mim_error());
    expect_same(found, c);
    mim_calibration_destroy(&found);
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
    mim_machine_destroy(&machine);
}

/* No measurement agrees with itself to a billionth: refused by name (or because others were at
 * work), kept with a mark when that is allowed. */
static void test_unstable(void **state)
{
    static const char *const names[] = {"BM_LIBC_Memcpy_Fleet_L1"};
    mim_calibrate_options options = {.seconds_each = 0.02, .n_repeats = 3, .max_spread = 1e-9};
    mim_machine *machine = NULL;
    mim_actions *actions = NULL;
    mim_calibration *c = NULL;
    (void)state;
    assert_int_equal(mim_machine_create(1, &machine), MIM_OK);
    assert_int_equal(mim_actions_from_names(1, names, &actions), MIM_OK);
    const int rc = mim_calibrate(machine, actions, NULL, &options, NULL, &c);
    assert_true(rc == MIM_ECHECK || rc == MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), names[0]));
    assert_non_null(
        strstr(mim_error(), rc == MIM_ECHECK ? "unstable: spread of " : "not measurable now: "));
    assert_non_null(strstr(mim_error(), "calibrate.allow_unstable"));
    assert_null(c);
    options.allow_unstable = true;
    assert_int_equal(mim_calibrate(machine, actions, NULL, &options, NULL, &c), MIM_OK);
    assert_true(c->costs[0].is_unstable && c->costs[0].n_repeats >= 3);
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
    mim_machine_destroy(&machine);
}

/* Peaks of memory are between a slow disk and what no machine has; all CPUs together do not set
 * bytes much slower than one of them alone, however busy they are. */
static void test_memory_peaks(void **state)
{
    static const char *const names[] = {"BM_DIRECTMEMSET_32MB_NoSleep"};
    const mim_calibrate_options options = {.seconds_each = 0.1, .n_repeats = 5};
    mim_machine *machine = NULL;
    mim_actions *actions = NULL;
    mim_calibration *c = NULL;
    (void)state;
    assert_int_equal(mim_machine_create(0, &machine), MIM_OK);
    assert_int_equal(mim_actions_from_names(1, names, &actions), MIM_OK);
    assert_int_equal(mim_calibrate(machine, actions, NULL, &options, NULL, &c), MIM_OK);
    const double reads_s = mim_ceiling_memory_bytes_per_s(machine, MIM_MEMORY_READ, NULL),
                 writes_s = mim_ceiling_memory_bytes_per_s(machine, MIM_MEMORY_WRITE, NULL);
    print_message("memory of all CPUs: %.1f GB/s read, %.1f GB/s written, one alone sets %.1f\n",
                  1e-9 * reads_s, 1e-9 * writes_s, 1e-9 * c->costs[0].bytes_per_s);
    assert_true(reads_s > 1e8 && reads_s < 1e13 && writes_s > 1e8 && writes_s < 1e13);
    assert_true(writes_s > 0.25 * c->costs[0].bytes_per_s);
    machine->memory_available_bytes = 1 << 20;
    assert_true(isnan(mim_ceiling_memory_bytes_per_s(machine, MIM_MEMORY_READ, NULL)));
    mim_calibration_destroy(&c);
    mim_actions_destroy(&actions);
    mim_machine_destroy(&machine);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_no_stressors),
        cmocka_unit_test(test_sample),
        TEST(test_cannot_be_written),
        TEST(test_ranges_of_a_cost),
        TEST(test_ranges_of_the_machine),
        TEST(test_ranges_of_version_2),
        TEST(test_longest_name),
        TEST(test_too_many_stressors),
        TEST(test_stressor_twice),
        TEST(test_other_files),
        cmocka_unit_test(test_path),
        TEST(test_calibrate),
        cmocka_unit_test(test_unstable),
        cmocka_unit_test(test_memory_peaks),
    };
    return cmocka_run_group_tests_name("calibration", tests, NULL, NULL);
}
