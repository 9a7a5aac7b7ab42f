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

#define N_OF(a) (sizeof(a) / sizeof *(a))
enum { N_SLOTS = 10 };

/* ---- hand-made series ----------------------------------------------------------------------- */

typedef struct column {
    const char *name, *unit;
    mim_family family;
    int core;
} column;

static const column cpu0 = {"avg_cpu_utilizations_core_00", "%", MIM_FAMILY_CPU, 0};
static const column cpu1 = {"avg_cpu_utilizations_core_01", "%", MIM_FAMILY_CPU, 1};
static const column io_read = {"io_read", "KB/s", MIM_FAMILY_IO_READ, -1};
static const column io_write = {"io_write", "KB/s", MIM_FAMILY_IO_WRITE, -1};

/* All values 0; columns must come sorted by name. */
static mim_series *make_series(size_t n_slots, size_t n, const column *columns)
{
    mim_series *s = calloc(1, sizeof *s);
    s->n_slots = n_slots;
    s->n_metrics = n;
    s->n_records = n_slots + 1;
    s->metrics = calloc(n, sizeof *s->metrics);
    s->values = calloc(n_slots * n, sizeof *s->values);
    s->start_s = calloc(n_slots, sizeof *s->start_s);
    s->length_s = calloc(n_slots, sizeof *s->length_s);
    s->hostname = mim_strdup("node-a");
    for (size_t m = 0; m < n; m++) {
        snprintf(s->metrics[m].name, sizeof s->metrics[m].name, "%s", columns[m].name);
        s->metrics[m].unit = columns[m].unit;
        s->metrics[m].family = columns[m].family;
        s->metrics[m].tier = MIM_TIER_PROC;
        s->metrics[m].core = columns[m].core;
    }
    for (size_t i = 0; i < n_slots; i++) {
        s->start_s[i] = 1700000000.0 + (double)i;
        s->length_s[i] = 1.0;
    }
    return s;
}

static mim_series *make_standard(size_t n_slots)
{
    const column columns[] = {cpu0, cpu1, io_read, io_write};
    return make_series(n_slots, N_OF(columns), columns);
}

static void set(mim_series *s, size_t slot, const char *name, double value)
{
    size_t m = mim_series_find(s, name);
    assert_true(m != SIZE_MAX && slot < s->n_slots);
    s->values[slot * s->n_metrics + m] = value;
}

static void fill(mim_series *s, const char *name, double value)
{
    for (size_t i = 0; i < s->n_slots; i++)
        set(s, i, name, value);
}

static const mim_node_limits node = {
    .n_cores = 2, .n_sockets = 1, .io_read_max_kbs = 1000.0, .io_write_max_kbs = 2000.0};

static mim_compare *make_compare(const mim_series *wanted, const mim_node_limits *limits)
{
    mim_compare *compare = NULL;
    assert_int_equal(mim_compare_create(wanted, "wanted.txt", limits, &compare), MIM_OK);
    return compare;
}

static void add(mim_compare *compare, const mim_series *measured, const char *label)
{
    assert_int_equal(mim_compare_add(compare, measured, "measured.txt", label), MIM_OK);
}

/* ---- reading the result --------------------------------------------------------------------- */

static json_t *result(const mim_compare *compare)
{
    json_t *json = NULL;
    assert_int_equal(mim_compare_json(compare, &json), MIM_OK);
    return json;
}

/* A value by path, parts separated by '/'; whole numbers index arrays. */
static json_t *at(json_t *json, const char *path)
{
    char *copy = mim_strdup(path), *save = NULL;
    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        json = json_is_array(json) ? json_array_get(json, strtoul(part, NULL, 10))
                                   : json_object_get(json, part);
        if (!json)
            fail_msg("%s: nothing at %s", path, part);
    }
    free(copy);
    return json;
}

static void assert_number(json_t *json, const char *path, double expected)
{
    json_t *found = at(json, path);
    if (!json_is_number(found) || fabs(json_number_value(found) - expected) > 1e-12)
        fail_msg("%s: expected %.15g, found %.15g", path, expected, json_number_value(found));
}

static void assert_null_at(json_t *json, const char *path)
{
    if (!json_is_null(at(json, path)))
        fail_msg("%s: expected null", path);
}

static bool has_note(json_t *json, const char *part)
{
    size_t i;
    json_t *note;
    json_array_foreach(json_object_get(json, "notes"), i, note)
    {
        if (strstr(json_string_value(note), part))
            return true;
    }
    return false;
}

/* ---- tests ---------------------------------------------------------------------------------- */

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

static void test_table(void **state)
{
    (void)state;
    mim_series *wanted = make_standard(N_SLOTS), *measured = make_standard(N_SLOTS);
    fill(measured, cpu0.name, 50.0);
    mim_compare *compare = make_compare(wanted, &node);
    add(compare, measured, "single");
    add(compare, measured, "single");
    assert_int_equal(mim_compare_note(compare, "a note with %d", 42), MIM_OK);
    assert_int_equal(mim_compare_note(compare, "a note with %d", 42), MIM_OK);
    char *text = table_text(compare, false), *verbose = table_text(compare, true);
    assert_non_null(strstr(text, "single  cpu          0.2500   0.1250"));
    assert_non_null(strstr(text, "2 runs"));
    assert_null(strstr(text, cpu0.name));
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
        cmocka_unit_test(test_absent_is_not_zero),
        cmocka_unit_test(test_unknown_ceilings),
        cmocka_unit_test(test_information_and_missing_metrics),
        cmocka_unit_test(test_pairing_of_cores),
        cmocka_unit_test(test_cores_are_paired_by_rows),
        cmocka_unit_test(test_rows_in_another_order),
        cmocka_unit_test(test_rows_that_do_not_match),
        cmocka_unit_test(test_shorter_side_counts),
        cmocka_unit_test(test_no_accepted_slot),
        cmocka_unit_test(test_only_accepted_slots),
        cmocka_unit_test(test_unknown_acceptance),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_long_series),
        cmocka_unit_test(test_names_of_any_bytes),
        cmocka_unit_test(test_rows_crowd_on_some_cpus),
        cmocka_unit_test(test_nothing_in_common),
        cmocka_unit_test(test_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
