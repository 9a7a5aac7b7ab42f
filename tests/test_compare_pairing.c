/* report/compare: which core, metric and slot of a measured file is held against which wanted one,
 * and what is left out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/compare.h"
#include "support/compare_cases.h"

static void test_absent_is_not_zero(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS), *measured = make_standard(N_SLOTS);
    fill(wanted, cpu0.name, 30.0);
    fill(measured, cpu0.name, 30.0);
    set(wanted, 1, cpu0.name, NAN);
    set(measured, 2, cpu0.name, NAN);
    set(measured, 3, cpu0.name, INFINITY);
    set(measured, 4, cpu0.name, 100.0);
    fill(measured, io_read.name, NAN); /* no common slot at all */
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "m");
    json_t *json = result(compare);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/n_slots", N_SLOTS - 3);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/n_absent", 3);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/nl1", 0.7 / 7.0);
    assert_null_at(json, "files/0/families/io_read");
    assert_number(json, "files/0/nl1_mean", (0.05 + 0.0) / 2.0); /* cpu and io_write */
    assert_int_equal(json_array_size(at(json, "left_out")), 1);
    assert_string_equal(json_string_value(at(json, "left_out/0/metric")), "io_read");
    assert_string_equal(json_string_value(at(json, "left_out/0/file")), "measured.txt");
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

/* Memory in use is shown but is no target: it must not move the mean. A metric that the measured
 * file lacks is listed. */
static void test_information_and_missing_metrics(void **state)
{
    (void)state;
    const column columns[] = {{"avg_cpu_utilizations_core_00", "%", MIM_FAMILY_CPU, 0},
                              {"mem_used", "MB", MIM_FAMILY_CAPACITY, -1},
                              {"memory_bandwidth_read", "%", MIM_FAMILY_MEMORY, -1}};
    mim_series *wanted = make_series(N_SLOTS, 3, columns);
    mim_series *measured = make_series(N_SLOTS, 2, columns);
    fill(wanted, "mem_used", 1000.0);
    fill(measured, "mem_used", 3000.0);
    fill(wanted, "memory_bandwidth_read", 20.0);
    mim_node_limits one = node;
    one.n_cores = 1;
    mim_compare *compare = make_compare(wanted, &one);
    add(compare, measured, "m");
    json_t *json = result(compare);
    assert_number(json, "files/0/families/capacity/nl1", 2.0);
    assert_number(json, "files/0/nl1_mean", 0.0);
    assert_null_at(json, "files/0/families/memory");
    assert_int_equal(json_array_size(at(json, "left_out")), 1);
    assert_string_equal(json_string_value(at(json, "left_out/0/metric")), "memory_bandwidth_read");
    assert_non_null(strstr(json_string_value(at(json, "left_out/0/reason")), "not in"));
    json_decref(json);
    mim_compare_destroy(&compare);

    /* the memory family's range is 100 % of peak */
    compare = make_compare(wanted, &one);
    fill(wanted, "memory_bandwidth_read", 70.0);
    add(compare, wanted, "m");
    json = result(compare);
    assert_number(json, "files/0/families/memory/nl1", 0.5);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

/* CPUs 11 and 102 of a node stand for the plan's cores 0 and 1. With another number of cores the
 * numbers count, however many digits the names have. */
static void test_pairing_of_cores(void **state)
{
    (void)state;
    const column columns[] = {{"avg_cpu_utilizations_core_000", "%", MIM_FAMILY_CPU, 0},
                              {"avg_cpu_utilizations_core_001", "%", MIM_FAMILY_CPU, 1},
                              {"avg_cpu_utilizations_core_102", "%", MIM_FAMILY_CPU, 102}};
    const column wanted_columns[] = {cpu0, cpu1};
    mim_series *wanted = make_series(N_SLOTS, 2, wanted_columns);
    mim_series *two = make_series(N_SLOTS, 2, columns + 1);
    mim_series *three = make_series(N_SLOTS, 3, columns);
    fill(wanted, cpu0.name, 20.0);
    fill(wanted, cpu1.name, 80.0);
    fill(two, columns[1].name, 20.0);
    fill(two, columns[2].name, 80.0);
    fill(three, columns[0].name, 20.0);
    fill(three, columns[1].name, 80.0);
    fill(three, columns[2].name, 100.0);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, two, "rank");
    add(compare, three, "number");
    json_t *json = result(compare);
    assert_number(json, "files/0/families/cpu/nl1", 0.0);
    assert_number(json, "files/1/families/cpu/nl1", 0.0);
    assert_true(has_note(json, "3 cores, wanted for 2: paired by core number"));
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&two);
    mim_series_destroy(&three);
}

static void set_rows(mim_series *s, size_t n, const int *cpus)
{
    s->n_rows = n;
    s->row_cpus = calloc(n, sizeof *s->row_cpus);
    for (size_t r = 0; r < n; r++)
        s->row_cpus[r] = cpus[r];
}

/* A node of 36 CPUs, an allocation of CPUs 32 to 35, rows 0 and 1 on 35 and 33: only these count,
 * and in this order. By number, CPUs 0 and 1 would have been compared. */
static void test_cores_are_paired_by_rows(void **state)
{
    (void)state;
    const column wanted_columns[] = {cpu0, cpu1};
    char names[36][40];
    column columns[36];
    for (int i = 0; i < 36; i++) {
        snprintf(names[i], sizeof names[i], "avg_cpu_utilizations_core_%02d", i);
        columns[i] = (column){names[i], "%", MIM_FAMILY_CPU, i};
    }
    mim_series *wanted = make_series(N_SLOTS, 2, wanted_columns);
    mim_series *measured = make_series(N_SLOTS, 36, columns);
    fill(wanted, cpu0.name, 20.0);
    fill(wanted, cpu1.name, 80.0);
    for (int i = 0; i < 36; i++)
        fill(measured, names[i], 50.0); /* others' work */
    fill(measured, names[35], 20.0);
    fill(measured, names[33], 85.0);
    set_rows(measured, 2, (const int[]){35, 33});
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "rows");
    json_t *json = result(compare);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/nl1", 0.0);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_00/measured_mean", 20.0);
    assert_number(json, "files/0/metrics/avg_cpu_utilizations_core_01/nl1", 0.05);
    assert_number(json, "files/0/families/cpu/nl1", 0.025);
    assert_true(has_note(json, "34 of 36 CPUs had no row and are left out of cpu"));
    assert_false(has_note(json, "paired by core number"));
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

/* Rows in the order of sockets on a node with as many CPUs as wanted: not by rank either. */
static void test_rows_in_another_order(void **state)
{
    (void)state;
    const column columns[] = {cpu0, cpu1};
    mim_series *wanted = make_series(N_SLOTS, 2, columns);
    mim_series *measured = make_series(N_SLOTS, 2, columns);
    fill(wanted, cpu0.name, 20.0);
    fill(wanted, cpu1.name, 80.0);
    fill(measured, cpu0.name, 80.0);
    fill(measured, cpu1.name, 20.0);
    set_rows(measured, 2, (const int[]){1, 0});
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "rows");
    json_t *json = result(compare);
    assert_number(json, "files/0/families/cpu/nl1", 0.0);
    assert_int_equal(json_array_size(at(json, "notes")), 0);
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

/* Fewer rows than wanted cores, a row on a CPU that the file lacks, several rows on a CPU. */
static void test_rows_that_do_not_match(void **state)
{
    (void)state;
    const column columns[] = {cpu0, cpu1};
    mim_series *wanted = make_series(N_SLOTS, 2, columns);
    mim_series *one = make_series(N_SLOTS, 2, columns), *lost = make_series(N_SLOTS, 2, columns);
    mim_series *crowd = make_series(N_SLOTS, 2, columns);
    fill(wanted, cpu0.name, 20.0);
    fill(wanted, cpu1.name, 80.0);
    fill(one, cpu1.name, 30.0);
    fill(crowd, cpu0.name, 20.0);
    fill(crowd, cpu1.name, 80.0);
    set_rows(one, 1, (const int[]){1});
    set_rows(lost, 2, (const int[]){0, 64});
    set_rows(crowd, 4, (const int[]){1, 1, 0, 0});
    mim_compare *compare = make_compare(wanted, &node);
    assert_int_equal(mim_compare_add(compare, one, "one.txt", "one"), MIM_OK);
    assert_int_equal(mim_compare_add(compare, lost, "lost.txt", "lost"), MIM_OK);
    assert_int_equal(mim_compare_add(compare, crowd, "crowd.txt", "crowd"), MIM_OK);
    json_t *json = result(compare);
    assert_number(json, "files/0/families/cpu/nl1", 0.1);
    assert_number(json, "files/1/families/cpu/nl1", 0.2);
    assert_number(json, "files/2/families/cpu/nl1", 0.0);
    assert_true(has_note(json, "one.txt: 1 row, wanted for 2 cores"));
    assert_true(has_note(json, "one.txt: 1 of 2 CPUs had no row"));
    assert_true(has_note(json, "crowd.txt: 4 rows on 2 CPUs"));
    assert_int_equal(json_array_size(at(json, "left_out")), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *left = json_array_get(at(json, "left_out"), i);
        assert_string_equal(json_string_value(at(left, "metric")), cpu1.name);
        assert_string_equal(json_string_value(at(left, "file")), i ? "lost.txt" : "one.txt");
        assert_string_equal(json_string_value(at(left, "reason")), "not in the measured file");
    }
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&one);
    mim_series_destroy(&lost);
    mim_series_destroy(&crowd);
}

static void test_shorter_side_counts(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS), *shorter = make_standard(4);
    mim_series *longer = make_standard(N_SLOTS + 5);
    fill(shorter, cpu0.name, 50.0);
    fill(longer, cpu0.name, 20.0);
    fill(longer, cpu1.name, 20.0);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, shorter, "short");
    add(compare, longer, "long");
    json_t *json = result(compare);
    assert_number(json, "files/0/n_slots", 4);
    assert_number(json, "files/0/families/cpu/nl1", 0.25);
    assert_number(json, "files/1/n_slots", N_SLOTS);
    assert_number(json, "files/1/families/cpu/nl1", 0.2);
    assert_true(has_note(json, "4 slots measured, 10 wanted"));
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&shorter);
    mim_series_destroy(&longer);
}

/* 8 rows on CPUs 2 and 3 of 4: the wanted cores are paired with these, by rank. */
static void test_rows_crowd_on_some_cpus(void **state)
{
    (void)state;
    const column two[] = {cpu0, cpu1};
    const column four[] = {cpu0,
                           cpu1,
                           {"avg_cpu_utilizations_core_02", "%", MIM_FAMILY_CPU, 2},
                           {"avg_cpu_utilizations_core_03", "%", MIM_FAMILY_CPU, 3}};
    mim_series *wanted = make_series(N_SLOTS, 2, two), *measured = make_series(N_SLOTS, 4, four);
    fill(wanted, cpu0.name, 20.0);
    fill(wanted, cpu1.name, 80.0);
    fill(measured, four[2].name, 20.0);
    fill(measured, four[3].name, 80.0);
    set_rows(measured, 8, (const int[]){3, 2, 3, 2, 3, 2, 3, 2});
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "crowd");
    json_t *json = result(compare);
    assert_number(json, "files/0/families/cpu/nl1", 0.0);
    assert_true(has_note(json, "8 rows on 2 CPUs"));
    assert_true(has_note(json, "paired by rank among these CPUs"));
    json_decref(json);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
}

static void test_nothing_in_common(void **state)
{
    (void)state;
    const column reads[] = {io_read}, writes[] = {io_write};
    mim_series *wanted = make_series(N_SLOTS, 1, reads), *other = make_series(N_SLOTS, 1, writes);
    mim_series *absent = make_series(N_SLOTS, 1, reads);
    fill(wanted, io_read.name, 5.0);
    fill(absent, io_read.name, NAN);
    mim_compare *compare = make_compare(wanted, &node);
    assert_int_equal(mim_compare_add(compare, other, "other.txt", "a"), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "other.txt: has no metric in common with "));
    assert_int_equal(mim_compare_add(compare, absent, "absent.txt", "a"), MIM_EDATA);
    assert_int_equal(mim_compare_add(compare, wanted, "same.txt", "a"), MIM_OK);
    mim_compare_destroy(&compare);
    mim_series_destroy(&wanted);
    mim_series_destroy(&other);
    mim_series_destroy(&absent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_is_not_zero),
        cmocka_unit_test(test_information_and_missing_metrics),
        cmocka_unit_test(test_pairing_of_cores),
        cmocka_unit_test(test_cores_are_paired_by_rows),
        cmocka_unit_test(test_rows_in_another_order),
        cmocka_unit_test(test_rows_that_do_not_match),
        cmocka_unit_test(test_shorter_side_counts),
        cmocka_unit_test(test_rows_crowd_on_some_cpus),
        cmocka_unit_test(test_nothing_in_common),
    };
    return cmocka_run_group_tests_name("compare_pairing", tests, NULL, NULL);
}
