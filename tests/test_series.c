/* trace/series: the hand-made examples of both dialects, the slot rules, windows of slots, rows,
 * and writing. */
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

#include "core/h5.h"
#include "support/series_text.h"
#include "trace/series.h"
#include "trace/series_write.h"

/* ---- the hand-made examples ---------------------------------------------------------------------
 */

static void test_two_cpus_one_disk(void **state)
{
    (void)state;
    mim_series *s = NULL;
    assert_int_equal(mim_series_read("tests/data/dialects/hpcperfstats-2.4.txt", NULL, &s), MIM_OK);
    assert_int_equal(s->n_slots, 1);
    assert_int_equal(s->n_records, 2);
    assert_string_equal(s->hostname, "nodeA");
    assert_true(s->start_s[0] == 1700000000.0 && s->length_s[0] == 2.0);
    expect(s, 0, "avg_cpu_utilizations_core_00", 80);
    expect(s, 0, "avg_cpu_utilizations_core_01", 30);
    expect(s, 0, "io_read", 1024);
    expect(s, 0, "io_write", 2048);
    expect(s, 0, "context_switches", 600);
    assert_int_equal(s->n_metrics, 5);
    size_t core = mim_series_find(s, "avg_cpu_utilizations_core_01");
    assert_int_equal(s->metrics[core].core, 1);
    assert_int_equal(s->metrics[core].family, MIM_FAMILY_CPU);
    assert_string_equal(s->metrics[core].unit, "%");
    size_t read = mim_series_find(s, "io_read");
    assert_int_equal(s->metrics[read].family, MIM_FAMILY_IO_READ);
    assert_int_equal(s->metrics[read].core, -1);
    assert_string_equal(s->metrics[read].unit, "KB/s");
    mim_series_destroy(&s);
}

static void test_uncore_example(void **state)
{
    (void)state;
    mim_series *s = NULL;
    assert_int_equal(mim_series_read("tests/data/dialects/hpcperfstats-2.4-uncore.txt", NULL, &s),
                     MIM_OK);
    assert_int_equal(s->n_slots, 2);
    static const struct {
        const char *metric;
        double first, second;
    } rows[] = {
        {"avg_cpu_utilizations_core_00", 95.0, 7.5},
        {"avg_cpu_utilizations_core_01", 10.0, 0.0},
        {"io_read", 1024, 0},
        {"io_write", 512, 1024},
        {"l3_cache_usage", 5.0, 0.5},
        {"memory_bandwidth_read", 8e6 * 64 / 1e9 / 115 * 100, 2e6 * 64 / 1e9 / 2 / 115 * 100},
        {"memory_bandwidth_write", 2e6 * 64 / 1e9 / 115 * 100, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        expect(s, 0, rows[i].metric, rows[i].first);
        expect(s, 1, rows[i].metric, rows[i].second);
    }
    /* As published, to the printed digits. */
    assert_true(fabs(at(s, 0, "memory_bandwidth_read") - 0.445217) < 5e-7);
    assert_true(fabs(at(s, 0, "memory_bandwidth_write") - 0.111304) < 5e-7);
    assert_true(fabs(at(s, 1, "memory_bandwidth_read") - 0.0556522) < 5e-8);
    mim_series_destroy(&s);
}

static void test_other_dialects(void **state)
{
    (void)state;
    mim_series *s = NULL;
    assert_int_equal(mim_series_read("tests/data/dialects/tacc_stats-2.3.5.txt", NULL, &s), MIM_OK);
    expect(s, 0, "avg_cpu_utilizations_core_01", 50);
    expect(s, 0, "avg_cpu_utilizations_core_00", 0);
    expect(s, 0, "mem_used_mb", 512);
    mim_series_destroy(&s);
    assert_int_equal(mim_series_read("tests/data/dialects/hpcperfstats-3.0.txt", NULL, &s), MIM_OK);
    assert_int_equal(s->n_slots, 2);
    expect(s, 0, "avg_cpu_utilizations_core_00", 25);
    expect(s, 1, "avg_cpu_utilizations_core_00", 0);
    expect(s, 0, "net_rx", 1);
    expect(s, 0, "net_tx", 2);
    expect(s, 0, "mem_used_mb", 1000);
    expect(s, 0, "context_switches", 100);
    mim_series_destroy(&s);
}

/* ---- slots --------------------------------------------------------------------------------------
 */

static void test_slot_rules(void **state)
{
    (void)state;
    static const struct {
        double times[12];
        size_t n_times, n_slots;
        double starts[12], end;
    } cases[] = {
        {{0, 1, 2, 3}, 4, 3, {0, 1, 2}, 3},
        {{0, 0.04, 1, 2, 3}, 5, 3, {0, 1, 2}, 3},                   /* dropped at the start */
        {{0, 1, 2, 3, 3.01}, 5, 3, {0, 1, 2}, 3.01},                /* replaces at the end */
        {{0, 1, 1.2, 2, 3, 4}, 6, 4, {0, 1.2, 2, 3}, 4},            /* replaces inside */
        {{0, 1, 1.3, 2, 3, 4}, 6, 5, {0, 1, 1.3, 2, 3}, 4},         /* more than a quarter */
        {{0, 0.5, 1, 1.5, 2, 2.5}, 6, 5, {0, 0.5, 1, 1.5, 2}, 2.5}, /* two samplers in turn */
        {{0, .05, 1, 1.05, 2, 2.05, 3, 3.05}, 8, 3, {0, 1.05, 2.05}, 3.05}, /* nearly at once */
        {{0, .05, 1, 1.05, 2, 2.05, 3}, 7, 3, {0, 1.05, 2.05}, 3},  /* whichever comes last */
        {{0, 1, 2, 100, 101, 102}, 6, 5, {0, 1, 2, 100, 101}, 102}, /* a gap stays a slot */
        {{0, 0, 1, 1, 2}, 5, 2, {0, 1}, 2},                         /* at the same time */
        {{0, 1}, 2, 1, {0}, 1},
        {{0, 0.001}, 2, 1, {0}, 0.001},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char body[1024] = "";
        for (size_t i = 0; i < cases[c].n_times; i++)
            snprintf(body + strlen(body), sizeof body - strlen(body), "%.6f 0 n\n",
                     cases[c].times[i]);
        mim_series *s = series_of(body);
        assert_int_equal(s->n_slots, cases[c].n_slots);
        assert_int_equal(s->n_records, cases[c].n_times);
        for (size_t i = 0; i < s->n_slots; i++) {
            double end = i + 1 < s->n_slots ? cases[c].starts[i + 1] : cases[c].end;
            assert_true(fabs(s->start_s[i] - cases[c].starts[i]) < 1e-9);
            assert_true(fabs(s->start_s[i] + s->length_s[i] - end) < 1e-9);
        }
        mim_series_destroy(&s);
    }
}

/* A replaced record's values are not lost: the slot goes on to the record that replaced it. */
static void test_replaced_record_keeps_the_sum(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nblock sda 0 0\n1 0 n\nblock sda 100 0\n1.1 0 n\n"
                              "block sda 300 0\n2 0 n\nblock sda 400 0\n3 0 n\nblock sda 400 0\n");
    assert_int_equal(s->n_slots, 3);
    expect(s, 0, "io_read", 150 / 1.1);
    expect(s, 1, "io_read", 50 / 0.9);
    mim_series_destroy(&s);
}

static void test_too_few_records(void **state)
{
    (void)state;
    static const char *const bodies[] = {"1 0 n\n", "1 0 n\n1 0 n\n"};
    for (size_t i = 0; i < 2; i++) {
        char text[4096];
        mim_stats *stats = NULL;
        mim_series *s = NULL;
        snprintf(text, sizeof text, "%s%s", HEADER, bodies[i]);
        assert_int_equal(mim_stats_parse("t", text, strlen(text), &stats), MIM_OK);
        assert_int_equal(mim_series_create(stats, NULL, &s), MIM_EDATA);
        assert_non_null(strstr(mim_error(), "at least 2 records"));
        assert_null(s);
        mim_stats_destroy(&stats);
    }
}

static void test_gap_note(void **state)
{
    (void)state;
    char *note = NULL;
    mim_series *s = series_of("0 0 n\n1 0 n\n2 0 n\n3 0 n\n4.4 0 n\n");
    assert_int_equal(mim_series_gap_note(s, &note), MIM_OK);
    assert_null(note);
    mim_series_destroy(&s);
    s = series_of("0 0 n\n1 0 n\n2 0 n\n32 0 n\n33 0 n\n35 0 n\n36 0 n\n");
    assert_int_equal(mim_series_gap_note(s, &note), MIM_OK);
    assert_string_equal(note, "2 slots are longer than 1.5 times the median of 1 s, the longest "
                              "30 s: the recording has gaps");
    free(note);
    mim_series_destroy(&s);
}

/* ---- the series itself --------------------------------------------------------------------------
 */

static void test_cut(void **state)
{
    (void)state;
    mim_series *s = NULL, *cut = NULL;
    assert_int_equal(mim_series_read("tests/data/traces/stats-sort.txt", NULL, &s), MIM_OK);
    for (size_t i = 1; i < s->n_metrics; i++)
        assert_true(strcmp(s->metrics[i - 1].name, s->metrics[i].name) < 0);
    assert_int_equal(mim_series_cut(s, 10, 5, &cut), MIM_OK);
    assert_int_equal(cut->n_slots, 5);
    assert_int_equal(cut->n_metrics, s->n_metrics);
    assert_true(cut->start_s[4] == s->start_s[14] && cut->length_s[0] == s->length_s[10]);
    for (size_t m = 0; m < s->n_metrics; m++)
        for (size_t i = 0; i < 5; i++)
            assert_true(mim_series_at(cut, i, m) == mim_series_at(s, 10 + i, m));
    mim_series_destroy(&cut);
    assert_int_equal(mim_series_cut(s, 50, SIZE_MAX, &cut), MIM_OK);
    assert_int_equal(cut->n_slots, s->n_slots - 50);
    mim_series_destroy(&cut);
    assert_int_equal(mim_series_cut(s, s->n_slots, 1, &cut), MIM_OK);
    assert_int_equal(cut->n_slots, 0);
    assert_true(isnan(mim_series_median_length_s(cut)));
    assert_true(isnan(mim_series_figures(cut, 0).mean));
    mim_series_destroy(&cut);
    assert_int_equal(mim_series_cut(s, s->n_slots + 1, 1, &cut), MIM_EINVAL);
    assert_null(cut);
    mim_series_destroy(&s);
}

/* What --first and --slots of a program leave. */
static void test_window(void **state)
{
    (void)state;
    mim_series *s = series_of(
        "0 0 n\nblock sda 1 0\n1 0 n\nblock sda 2 0\n2 0 n\nblock sda 3 0\n3 0 n\nblock sda 4 0\n");
    mim_series *window = NULL;
    assert_int_equal(mim_series_window(s, "a.txt", 1, SIZE_MAX, &window), MIM_OK);
    assert_int_equal(window->n_slots, 2);
    assert_true(window->start_s[0] == 1.0);
    mim_series_destroy(&window);
    assert_int_equal(mim_series_window(s, "a.txt", 0, 1, &window), MIM_OK);
    assert_int_equal(window->n_slots, 1);
    mim_series_destroy(&window);
    assert_int_equal(mim_series_window(s, "a.txt", 3, 1, &window), MIM_EUSAGE);
    assert_null(window);
    assert_string_equal(mim_error(), "--first 3: a.txt has 3 slots only");
    mim_series_destroy(&s);
}

/* Which CPU each row of a plan ran on: as the last record that has all rows tells. */
static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *first, *last; /* rows of x_thr */
        size_t n_rows, n_cpus;
        int cpus[3];
    } cases[] = {
        {"", "", 0, 0, {0}},
        {"x_thr 0 34 0 0\nx_thr 1 32 0 0\n", "x_thr 0 34 5 5\nx_thr 1 32 5 5\n", 2, 2, {34, 32}},
        {"x_thr 1 7 0 0\nx_thr 0 9 0 0\n", "x_thr 1 5 0 0\nx_thr 0 3 0 0\n", 2, 2, {3, 5}},
        {"x_thr 0 1 0 0\nx_thr 1 2 0 0\n", "x_thr 0 3 0 0\n", 2, 2, {1, 2}}, /* cut file */
        {"x_thr 0 8 0 0\nx_thr 1 8 0 0\nx_thr 2 0 0 0\n", "", 3, 2, {8, 8, 0}},
        {"x_thr 0 65535 0 0\n", "", 1, 1, {65535}},
        /* no rows of ours, or no CPUs */
        {"x_thr 0 65536 0 0\n", "", 0, 0, {0}},
        {"x_thr 0 18446744073709551615 0 0\n", "", 0, 0, {0}},
        {"x_thr 1 3 0 0\n", "", 0, 0, {0}},
        {"x_thr a 3 0 0\nx_thr 0 3 0 0\n", "", 0, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[1024];
        mim_series *cut = NULL;
        snprintf(body, sizeof body, "0 0 n\nblock sda 0 0\n%s1 0 n\nblock sda 1 1\n%s",
                 cases[i].first, cases[i].last);
        mim_series *s = series_of(body);
        assert_int_equal(mim_series_cut(s, 0, 1, &cut), MIM_OK);
        assert_int_equal(s->n_rows, cases[i].n_rows);
        assert_int_equal(cut->n_rows, cases[i].n_rows);
        assert_int_equal(mim_series_n_row_cpus(s), cases[i].n_cpus);
        for (size_t r = 0; r < s->n_rows; r++) {
            assert_int_equal(s->row_cpus[r], cases[i].cpus[r]);
            assert_int_equal(cut->row_cpus[r], cases[i].cpus[r]);
        }
        mim_series_destroy(&cut);
        mim_series_destroy(&s);
    }
}

static void test_figures_weigh_by_time(void **state)
{
    (void)state;
    mim_series *s =
        series_of("0 0 n\nblock sda 0 0\n1 0 n\nblock sda 2 0\n4 0 n\nblock sda 32 0\n");
    mim_metric_figures f = mim_series_figures(s, mim_series_find(s, "io_read"));
    assert_true(fabs(f.mean - 4) < 1e-12); /* 1 KB/s for 1 s, 5 KB/s for 3 s */
    assert_true(f.min == 1 && f.max == 5 && f.n_absent == 0);
    assert_true(mim_series_median_length_s(s) == 2);
    mim_series_destroy(&s);
}

/* A small text must not ask for a lot of memory: 12000 metrics by 12000 slots. */
static void test_too_many_values(void **state)
{
    (void)state;
    char *text = malloc(2000000), *p = text;
    mim_stats *stats = NULL;
    mim_series *s = NULL;
    p += sprintf(p, "%s0 0 n\n", HEADER);
    for (int i = 0; i < 12000; i++)
        p += sprintf(p, "cpu %d 0 0 0 0 0 0 0\n", i);
    for (int i = 1; i < 12001; i++)
        p += sprintf(p, "%d 0 n\n", i);
    assert_int_equal(mim_stats_parse("t", text, (size_t)(p - text), &stats), MIM_OK);
    assert_int_equal(mim_series_create(stats, NULL, &s), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "12000 slots of 12000 metrics"));
    mim_stats_destroy(&stats);
    free(text);
}

/* Written as HDF5 and CSV and read back by other code: every bit of every value, absent ones too.
 */
static void test_write(void **state)
{
    (void)state;
    char path[512], line[4096];
    const char *base = getenv("TMPDIR");
    mim_series *s = series_of("0 0 n\nblock sda 0 0\ncpu 0 1 0 0 2 0 0 0\n"
                              "1.25 0 n\nblock sda 30 0\ncpu 0 2 0 0 4 0 0 0\n"
                              "2.5 0 n\nblock sda 0 7\ncpu 0 2 0 0 9 0 0 0\n");
    snprintf(path, sizeof path, "%s/mimesys-test-series-%d.h5", base ? base : "/tmp",
             (int)getpid());
    assert_int_equal(mim_series_write_h5(s, path), MIM_OK);
    mim_h5 *file = NULL;
    double *values = NULL;
    size_t shape[2] = {0}, n = 0;
    char **names = NULL;
    assert_int_equal(mim_h5_open(path, &file), MIM_OK);
    assert_int_equal(mim_h5_get_real(file, "values", 2, 100, shape, &values), MIM_OK);
    assert_int_equal(mim_h5_get_texts(file, "metric_names", 100, &n, &names), MIM_OK);
    assert_int_equal(shape[0], 2);
    assert_int_equal(shape[1], s->n_metrics);
    assert_int_equal(n, s->n_metrics);
    for (size_t m = 0; m < n; m++)
        assert_string_equal(names[m], s->metrics[m].name);
    for (size_t i = 0; i < 2 * n; i++)
        assert_true(values[i] == s->values[i] || (isnan(values[i]) && isnan(s->values[i])));
    mim_h5_free_texts(n, &names);
    mim_h5_destroy(&file);
    free(values);
    unlink(path);
    assert_int_equal(mim_series_write_csv(s, path), MIM_OK);
    FILE *csv = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, csv));
    assert_string_equal(line, "start_s,length_s,avg_cpu_utilizations_core_00 [%],io_read [KB/s],"
                              "io_write [KB/s]\n");
    assert_non_null(fgets(line, sizeof line, csv));
    assert_string_equal(line, "0.000000,1.25,33.333333333333336,12,0\n");
    assert_non_null(fgets(line, sizeof line, csv));
    assert_string_equal(line, "1.250000,1.25,0,,2.7999999999999998\n");
    fclose(csv);
    unlink(path);
    assert_int_equal(mim_series_write_csv(s, "tests/data/none/x.csv"), MIM_EIO);
    mim_series_destroy(&s);
}

static void test_families(void **state)
{
    (void)state;
    assert_true(mim_metric_is_target("memory_bandwidth_read") &&
                mim_metric_is_target("l3_cache_usage") && mim_metric_is_target("pqos_ipc"));
    assert_false(mim_metric_is_target("mem_used_mb") || mim_metric_is_target("energy_w") ||
                 mim_metric_is_target(""));
    static const char *const names[] = {"cpu",      "io_read", "io_write", "memory", "cache",
                                        "capacity", "network", "kernel",   "energy"};
    for (int i = 0; i < MIM_N_FAMILIES; i++) {
        assert_string_equal(mim_family_name((mim_family)i), names[i]);
        assert_int_equal(mim_family_is_target((mim_family)i), i < 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_cpus_one_disk),
        cmocka_unit_test(test_uncore_example),
        cmocka_unit_test(test_other_dialects),
        cmocka_unit_test(test_slot_rules),
        cmocka_unit_test(test_replaced_record_keeps_the_sum),
        cmocka_unit_test(test_too_few_records),
        cmocka_unit_test(test_gap_note),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_figures_weigh_by_time),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
