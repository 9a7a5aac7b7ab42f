/* report/compare: distances, noise floors, accepted slots, table and figure of hand-made series. */
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

#include "core/text.h"
#include "report/compare.h"
#include "support/compare_cases.h"

static void test_same_is_zero(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS);
    for (size_t i = 0; i < N_SLOTS; i++) {
        set(wanted, i, cpu0.name, 10.0 * (double)i);
        set(wanted, i, cpu1.name, 5.0);
        set(wanted, i, io_read.name, 100.0 * (double)(i % 3));
        set(wanted, i, io_write.name, 1.0 / 3.0);
    }
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, wanted, "itself");
    json_t *json = result(compare);
    assert_true(json_number_value(at(json, "files/0/nl1_mean")) == 0.0);
    assert_true(json_number_value(at(json, "files/0/families/cpu/dtw")) == 0.0);
    assert_true(json_number_value(at(json, "files/0/families/io_write/mse")) == 0.0);
    assert_number(json, "files/0/families/cpu/n_slots", N_SLOTS);
    assert_int_equal(json_array_size(at(json, "notes")), 0);
    assert_int_equal(json_array_size(at(json, "left_out")), 0);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
}

/* Constant differences: core 0 by 10 points in all slots, core 1 by 40 in half of them; reads by
 * 250 of 1000 KB/s, writes by 100 of 2000 KB/s. */
static void test_closed_form(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS), *measured = make_standard(N_SLOTS);
    fill(wanted, cpu0.name, 50.0);
    fill(measured, cpu0.name, 60.0);
    for (size_t i = 0; i < N_SLOTS; i += 2)
        set(measured, i, cpu1.name, 40.0);
    fill(wanted, io_read.name, 500.0);
    fill(measured, io_read.name, 250.0);
    fill(measured, io_write.name, 100.0);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "m");
    json_t *json = result(compare);

    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/nl1", 0.1);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/mse", 0.01);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/dtw", 0.1);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/range", 100.0);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/wanted_mean", 50.0);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/measured_mean", 60.0);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_01/nl1", 0.2);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_01/mse", 0.08);
    assert_number(json, "files/0/families/cpu/nl1", 0.15);
    assert_number(json, "files/0/families/cpu/mse", 0.045);
    assert_number(json, "files/0/families/io_read/nl1", 0.25);
    assert_number(json, "files/0/families/io_read/dtw", 0.25);
    assert_number(json, "files/0/families/io_write/nl1", 0.05);
    assert_null_at(json, "files/0/families/memory");
    assert_null_at(json, "files/0/families/cache");
    /* families weigh the same, however many metrics they have */
    assert_number(json, "files/0/nl1_mean", (0.15 + 0.25 + 0.05) / 3.0);
    assert_number(json, "labels/m/nl1_mean", (0.15 + 0.25 + 0.05) / 3.0);
    assert_number(json, "labels/m/n_runs", 1);
    assert_null_at(json, "labels/m/spread");
    assert_null_at(json, "labels/m/floor_mean");
    assert_null_at(json, "files/0/n_accepted");
    assert_null_at(json, "files/0/is_measurable");
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

/* A peak that comes one slot late costs two slots of L1 and nothing once time may bend. */
static void test_time_shift(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(20), *measured = make_standard(20);
    set(wanted, 10, cpu0.name, 80.0);
    set(measured, 11, cpu0.name, 80.0);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "late");
    json_t *json = result(compare);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/nl1", 2 * 0.8 / 20.0);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/dtw", 0.0);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

/* Three runs at 10, 20 and 40 % on core 0 (wanted 0, core 1 exact): floors are means over pairs. */
static void test_noise_floor(void **state)
{
    (void)state;
    static const double levels[] = {10.0, 20.0, 40.0};
    mim_series *wanted = make_standard(N_SLOTS);
    mim_compare *compare = make_compare(wanted, &node);
    for (size_t i = 0; i < N_OF(levels); i++) {
        mim_series *run = make_standard(N_SLOTS);
        fill(run, cpu0.name, levels[i]);
        fill(run, io_read.name, i == 2 ? 300.0 : 0.0);
        add(compare, run, "repeated");
        mim_series_destroy(&run);
    }
    add(compare, wanted, "other");
    json_t *json = result(compare);
    /* differences of core 0: .1, .3, .2; core 1: 0; so cpu is half of 0.2 */
    assert_number(json, "labels/repeated/n_runs", 3);
    assert_number(json, "labels/repeated/families/cpu/nl1", (0.05 + 0.1 + 0.2) / 3.0);
    assert_null_at(json, "labels/repeated/families/memory");
    assert_null_at(json, "labels/repeated/n_accepted");
    assert_number(json, "labels/repeated/floor/cpu", 0.1);
    assert_number(json, "labels/repeated/floor/io_read", (0.0 + 0.3 + 0.3) / 3.0);
    assert_number(json, "labels/repeated/floor/io_write", 0.0);
    assert_null_at(json, "labels/repeated/floor/memory");
    assert_number(json, "labels/repeated/floor_mean", (0.1 + 0.2 + 0.0) / 3.0);
    /* means over families of the runs: .05/3, .1/3, (.2 + .3)/3 */
    assert_number(json, "labels/repeated/nl1_mean", (0.05 + 0.1 + 0.5) / 9.0);
    assert_number(json, "labels/repeated/spread", (0.5 - 0.05) / 3.0);
    assert_number(json, "labels/other/n_runs", 1);
    assert_null_at(json, "labels/other/floor/cpu");
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
}

/* Without ceilings rates are normalised by the wanted maximum; a rate that is always 0 then has no
 * range. With ceilings it has one, and noise counts. */
static void test_unknown_ceilings(void **state)
{
    (void)state;
    const mim_node_limits unknown = {
        .n_cores = 2, .n_sockets = 1, .io_read_max_kbs = NAN, .io_write_max_kbs = 0.0};
    mim_series *wanted = make_standard(N_SLOTS), *measured = make_standard(N_SLOTS);
    set(wanted, 0, io_read.name, 400.0);
    fill(measured, io_write.name, 200.0);
    mim_compare *compare = make_compare(wanted, &unknown);
    add(compare, measured, "m");
    json_t *json = result(compare);
    assert_number(json, "files/0/families/io_read/nl1", 1.0 / N_SLOTS);
    assert_true(has_note(json, "io_read: no ceiling"));
    assert_null_at(json, "files/0/families/io_write");
    assert_string_equal(json_string_value(at(json, "left_out/0/metric")), "io_write");
    assert_null_at(json, "left_out/0/file");
    json_decref(json);
    mim_compare_destroy(&compare);

    compare = make_compare(wanted, &node);
    add(compare, measured, "m");
    json = result(compare);
    assert_number(json, "files/0/families/io_write/nl1", 0.1);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

static char *table_text(const mim_compare *compare, bool is_verbose)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_int_equal(mim_compare_table(compare, is_verbose, out), MIM_OK);
    fclose(out);
    return text;
}

/* A series of N slots at 10 %, but 100 % where `is_disturbed`; it tells so by its steal. */
static mim_series *make_disturbed(size_t n, bool (*is_disturbed)(size_t slot))
{
    const column columns[] = {cpu0,
                              cpu1,
                              io_read,
                              io_write,
                              {"others_cpu_pct", "%", MIM_FAMILY_KERNEL, -1},
                              {"steal_pct", "%", MIM_FAMILY_KERNEL, -1}};
    mim_series *s = make_series(n, N_OF(columns), columns);
    for (size_t i = 0; i < n; i++) {
        set(s, i, cpu0.name, is_disturbed(i) ? 100.0 : 10.0);
        set(s, i, cpu1.name, is_disturbed(i) ? 100.0 : 10.0);
        set(s, i, "steal_pct", is_disturbed(i) ? 5.0 : 0.5);
        set(s, i, "others_cpu_pct", 1.0);
    }
    return s;
}

static bool every_second(size_t slot) { return slot % 2 == 1; }
static bool all_but_seven(size_t slot) { return slot >= 7; }

static void test_only_accepted_slots(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(120), *even = make_disturbed(120, every_second);
    mim_series *few = make_disturbed(120, all_but_seven);
    mim_compare *compare = make_compare(wanted, &node);
    mim_compare_only_accepted(compare);
    add(compare, even, "even");
    add(compare, few, "few");
    json_t *json = result(compare);
    assert_number(json, "files/0/families/cpu/nl1", 0.1);
    assert_number(json, "files/0/families/cpu/n_slots", 60);
    assert_number(json, "files/0/n_slots", 120);
    assert_number(json, "files/0/n_accepted", 60);
    assert_true(json_is_true(at(json, "files/0/is_measurable")));
    assert_number(json, "files/1/n_accepted", 7);
    assert_number(json, "files/1/families/cpu/nl1", 0.1);
    assert_true(json_is_false(at(json, "files/1/is_measurable")));
    assert_number(json, "labels/few/n_accepted", 7);
    assert_true(json_is_false(at(json, "labels/few/is_measurable")));
    char *text = table_text(compare, false);
    assert_non_null(strstr(text, "not measurable now: 7 accepted slots, 50 needed"));
    assert_null(strstr(text, "60 accepted slots, 50 needed"));
    free(text);
    json_decref(json);
    mim_compare_destroy(&compare);

    /* Not restricted: all slots count, the number of accepted ones is still told. */
    compare = make_compare(wanted, &node);
    add(compare, even, "even");
    json = result(compare);
    assert_number(json, "files/0/families/cpu/nl1", 0.55);
    assert_number(json, "files/0/n_accepted", 60);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&even);
    mim_series_destroy(&few);
    mim_series_destroy(&wanted);
}

static bool always(size_t slot) { return slot < SIZE_MAX; }

/* Both sides are there, but others disturbed every slot: the reason is not that a side is absent.
 * Without the restriction nothing is left out. */
static void test_no_accepted_slot(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS), *none = make_disturbed(N_SLOTS, always);
    for (size_t i = 0; i < N_SLOTS; i++)
        set(none, i, io_read.name, NAN);
    for (int is_restricted = 0; is_restricted < 2; is_restricted++) {
        mim_compare *compare = make_compare(wanted, &node);
        if (is_restricted)
            mim_compare_only_accepted(compare);
        add(compare, none, "none");
        json_t *json = result(compare);
        const size_t n = json_array_size(at(json, "left_out"));
        assert_int_equal(n, is_restricted ? 4 : 1);
        for (size_t i = 0; i < n; i++) {
            const char *reason =
                json_string_value(at(json_array_get(at(json, "left_out"), i), "reason"));
            assert_string_equal(reason, is_restricted
                                            ? "no accepted slot: others disturbed every one"
                                            : "no slot in which both sides are present");
        }
        json_decref(json);
        mim_compare_destroy(&compare);
    }
    mim_series_destroy(&wanted);
    mim_series_destroy(&none);
}

/* Restricted, but the file does not tell: everything counts, and that is said. */
static void test_unknown_acceptance(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS);
    mim_compare *compare = make_compare(wanted, &node);
    mim_compare_only_accepted(compare);
    add(compare, wanted, "m");
    json_t *json = result(compare);
    assert_null_at(json, "files/0/n_accepted");
    assert_number(json, "files/0/families/cpu/n_slots", N_SLOTS);
    assert_true(has_note(json, "does not tell which slots were undisturbed"));
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
}

/* A model's ranges: 0 to 50 for core 0, 10 to 10 for core 1, 0 to 5000 KB/s for reads; never
 * measured: writes. */
static void test_ranges_of_a_corpus(void **state)
{
    (void)state;
    static const char *const names[] = {"io_read", "core_b", "core_a", "io_write"};
    static const double minimum[] = {0.0, 10.0, 0.0, NAN}, maximum[] = {5000.0, 10.0, 50.0, NAN};
    static const size_t thread_metric[] = {2, 1};
    const mim_compare_ranges ranges = {.source = "model.h5",
                                       .n_metrics = N_OF(names),
                                       .metrics = names,
                                       .minimum = minimum,
                                       .maximum = maximum,
                                       .n_threads = N_OF(thread_metric),
                                       .thread_metric = thread_metric};
    const mim_node_limits unknown = {
        .n_cores = 2, .n_sockets = 1, .io_read_max_kbs = NAN, .io_write_max_kbs = NAN};
    mim_series *wanted = make_standard(N_SLOTS), *measured = make_standard(N_SLOTS);
    set(wanted, 0, io_write.name, 400.0);
    fill(measured, cpu0.name, 25.0);
    fill(measured, cpu1.name, 25.0);
    fill(measured, io_read.name, 500.0);
    mim_compare *compare = make_compare(wanted, &unknown);
    assert_int_equal(mim_compare_use_ranges(compare, &ranges), MIM_OK);
    add(compare, measured, "m");
    json_t *json = result(compare);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/range", 50.0);
    assert_number(json, "files/0/families/cpu/nl1", 0.5);
    assert_number(json, "labels/m/families/cpu/nl1", 0.5);
    /* always 0 in the trace and no ceiling: without the model it had no range at all */
    assert_number(json, "files/0/metrics/io_read/range", 5000.0);
    assert_number(json, "files/0/families/io_read/nl1", 0.1);
    assert_number(json, "files/0/metrics/io_write/range", 400.0);
    assert_int_equal(json_array_size(at(json, "left_out")), 1);
    assert_string_equal(json_string_value(at(json, "left_out/0/metric")), cpu1.name);
    assert_string_equal(json_string_value(at(json, "left_out/0/reason")),
                        "constant in the training corpus");
    assert_true(has_note(json, "model.h5 does not know io_write: normalised as without it"));
    assert_true(has_note(json, "io_write: no ceiling of this node known"));
    assert_false(has_note(json, "io_read: no ceiling"));
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

static void test_table(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS), *measured = make_standard(N_SLOTS);
    fill(measured, cpu0.name, 50.0);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "single");
    add(compare, wanted, "zero");
    add(compare, measured, "single");
    add(compare, wanted, "single");
    assert_int_equal(mim_compare_note(compare, "a note with %d", 42), MIM_OK);
    assert_int_equal(mim_compare_note(compare, "a note with %d", 42), MIM_OK);
    char *text = table_text(compare, false), *verbose = table_text(compare, true);
    /* one row a label, in order of appearance; core 0 differs by half in two of three runs */
    assert_non_null(strstr(
        text, "\nlabel   runs      cpu  io_read io_write     mean   spread    floor  accepted\n"
              "single     3   0.1667   0.0000   0.0000   0.0556   0.0833   0.0556         -\n"
              "zero       1   0.0000   0.0000   0.0000   0.0000        -        -         -\n"
              "zero: no noise floor without a repetition\n"));
    assert_null(strstr(text, "dtw"));
    assert_null(strstr(text, cpu0.name));
    assert_non_null(strstr(verbose, "single  cpu          0.1667   0.0833"));
    assert_non_null(strstr(verbose, cpu0.name));
    char *note = strstr(text, "a note with 42");
    assert_non_null(note);
    assert_null(strstr(note + 1, "a note with 42")); /* said once */
    free(text);
    free(verbose);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

/* Thousands of slots: time warping on means of neighbours stays exact for constant differences. */
static void test_long_series(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(20000), *measured = make_standard(20000);
    fill(measured, cpu0.name, 25.0);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "m");
    json_t *json = result(compare);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/dtw", 0.25);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

static void test_names_of_any_bytes(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS);
    mim_compare *compare = make_compare(wanted, &node);
    assert_int_equal(mim_compare_add(compare, wanted, "\xff.txt", "l\xc3"), MIM_OK);
    json_t *json = result(compare);
    assert_string_equal(json_string_value(at(json, "files/0/file")), "?.txt");
    assert_number(json, "labels/l?/n_runs", 1);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
}

static void test_figure(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    char *folder = mim_format("%s/mim-compare-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
    char *path = mim_join_path(folder, "figure.png"), *bad = mim_join_path(folder, "no/a.png");
    mim_series *wanted = make_standard(N_SLOTS), *measured = make_standard(N_SLOTS - 3);
    fill(wanted, io_write.name, 1500.0);
    set(measured, 2, cpu1.name, NAN);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "single");
    add(compare, wanted, "single");
    assert_int_equal(mim_compare_figure(compare, path), MIM_OK);
    FILE *file = fopen(path, "rb");
    char head[4] = "";
    assert_non_null(file);
    assert_int_equal(fread(head, 1, 4, file), 4);
    assert_memory_equal(head, "\x89PNG", 4);
    fclose(file);
    assert_int_equal(mim_compare_figure(compare, bad), MIM_EIO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    mim_compare_destroy(&compare);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
    free(path);
    free(bad);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_is_zero),
        cmocka_unit_test(test_closed_form),
        cmocka_unit_test(test_time_shift),
        cmocka_unit_test(test_noise_floor),
        cmocka_unit_test(test_unknown_ceilings),
        cmocka_unit_test(test_no_accepted_slot),
        cmocka_unit_test(test_only_accepted_slots),
        cmocka_unit_test(test_unknown_acceptance),
        cmocka_unit_test(test_ranges_of_a_corpus),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_long_series),
        cmocka_unit_test(test_names_of_any_bytes),
        cmocka_unit_test(test_figure),
    };
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
