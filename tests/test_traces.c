/* The ten recorded traces against figures that another program computed from the same text, and the
 * real and synthetic samples of the dialects where they are at hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "trace/series.h"
#include "trace/stats.h"

typedef struct figures {
    const char *name, *job;
    size_t n_records;
    double span_s, dt_mean, dt_min, dt_max;
    double cpu_mean, user, sys, iowait, cpu_max; /* % */
    double rd_max, wr_max, rd_tot, wr_tot;       /* KB/s, MiB */
    double iops_max, lo_max, anon_max, used_max; /* 1/s, KB/s, MiB */
} figures;

static const figures traces[] = {
    {"postgres", "1001", 96,      93.99,    0.989, 0.046,  1.346,   40.43, 18.75, 21.68,
     0.00,       81.13,  55509.7, 687475.7, 121.5, 7495.0, 27245.1, 0.0,   705.4, 2958.9},
    {"redis", "1002", 64,      62.01,    0.984, 0.004,  1.010, 51.17,    17.22,  33.95,
     0.00,    98.51,  73008.4, 282992.1, 75.7,  3536.4, 387.5, 191475.0, 2343.2, 6181.5},
    {"make-gcc", "1003", 75,       73.01,   0.987, 0.003, 1.012, 60.27, 52.49,  7.78,
     0.00,       100.00, 221949.9, 17105.5, 606.4, 150.0, 691.3, 0.0,   1677.0, 2831.5},
    {"compress", "1004", 95,       93.01,     0.989,  0.005,  1.026,  66.91, 61.12, 5.79,
     0.00,       96.46,  415697.7, 1967589.2, 4597.3, 3017.1, 8162.9, 0.0,   754.0, 5502.9},
    {"ffmpeg", "1005", 67,       65.01,    0.985, 0.005, 1.032, 49.81, 48.30, 1.51,
     0.00,     80.20,  188195.3, 103698.7, 449.9, 159.7, 629.7, 0.0,   855.4, 1510.0},
    {"fio", "1006", 105,       103.01,    0.990,   0.004,   1.254,   11.11, 1.63,  9.48,
     0.00,  51.01,  1706454.5, 5570019.2, 28359.3, 94665.4, 66613.6, 0.0,   619.7, 3071.4},
    {"sklearn", "1007", 88,    86.00,    0.989, 0.007, 1.005, 86.83, 85.30, 1.53,
     0.01,      100.00, 147.6, 128134.0, 0.4,   125.7, 40.9,  0.0,   732.6, 3648.2},
    {"sysbench", "1008", 96,      94.02,    0.990, 0.009,  1.324,   52.73, 42.20, 10.53,
     0.00,       96.98,  51267.7, 858758.3, 87.9,  4727.2, 31536.2, 0.0,   898.7, 2137.1},
    {"sort", "1009", 56,       54.00,     0.982,  0.005,  1.016, 49.80, 29.20, 20.60,
     1.55,   86.53,  131887.7, 1695924.7, 1918.9, 6067.2, 656.4, 0.0,   90.1,  6168.8},
    {"tar-gzip", "1010", 77,       75.01,    0.987,  0.012, 1.018,   45.30, 40.48, 4.82,
     0.00,       62.37,  455692.5, 402656.0, 2568.1, 577.1, 11793.1, 0.0,   225.8, 3657.6},
};

static double value_of(const mim_stats *s, size_t record, const char *type_name,
                       const char *device_name, const char *key_name)
{
    size_t type = mim_stats_find_type(s, type_name);
    size_t device = mim_stats_find_device(s, type, device_name);
    mim_row row = mim_stats_find_row(s, record, type, device);
    uint64_t value = 0;
    assert_true(mim_row_value(&row, mim_stats_find_key(s, type, key_name), &value));
    return (double)value;
}

static double delta(const mim_stats *s, size_t from, size_t to, const char *type,
                    const char *device, const char *key)
{
    return value_of(s, to, type, device, key) - value_of(s, from, type, device, key);
}

enum { N_CPU_KEYS = 7 };
static const char *const cpu_keys[N_CPU_KEYS] = {"user",    "nice", "system", "irq",
                                                 "softirq", "idle", "iowait"};

/* Growth of the seven fields, both CPUs together, and their sum. */
static double cpu_delta(const mim_stats *s, size_t from, size_t to, double field[N_CPU_KEYS])
{
    double total = 0.0;
    for (size_t i = 0; i < N_CPU_KEYS; i++) {
        field[i] = delta(s, from, to, "cpu", "0", cpu_keys[i]) +
                   delta(s, from, to, "cpu", "1", cpu_keys[i]);
        total += field[i];
    }
    return total;
}

static double busy(const double f[N_CPU_KEYS]) { return f[0] + f[1] + f[2] + f[3] + f[4]; }

static void expect(const char *trace, const char *what, double expected, double found,
                   double half_digit)
{
    if (!(fabs(found - expected) <= half_digit * 1.0001))
        fail_msg("%s: %s: expected %g, found %.6f", trace, what, expected, found);
}

static void check_records(const mim_stats *s, const figures *f)
{
    size_t n = mim_stats_n_records(s);
    double dt_min = INFINITY, dt_max = 0.0;
    assert_int_equal(n, f->n_records);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(mim_stats_record_job(s, i), f->job);
    char mark[32];
    snprintf(mark, sizeof mark, "begin %s", f->job);
    assert_string_equal(mim_stats_mark(s, 0, 0), mark);
    snprintf(mark, sizeof mark, "end %s", f->job);
    assert_string_equal(mim_stats_mark(s, n - 1, 0), mark);
    double span_s = mim_stats_record_time_s(s, n - 1) - mim_stats_record_time_s(s, 0);
    for (size_t i = 1; i < n; i++) {
        double dt = mim_stats_record_time_s(s, i) - mim_stats_record_time_s(s, i - 1);
        dt_min = fmin(dt_min, dt);
        dt_max = fmax(dt_max, dt);
    }
    expect(f->name, "span", f->span_s, span_s, 0.005);
    expect(f->name, "dt mean", f->dt_mean, span_s / (double)(n - 1), 0.0005);
    expect(f->name, "dt min", f->dt_min, dt_min, 0.0005);
    expect(f->name, "dt max", f->dt_max, dt_max, 0.0005);
}

static void check_cpu(const mim_stats *s, const figures *f)
{
    size_t n = mim_stats_n_records(s);
    double field[N_CPU_KEYS], total = cpu_delta(s, 0, n - 1, field), highest = 0.0;
    expect(f->name, "cpu mean", f->cpu_mean, 100 * busy(field) / total, 0.005);
    expect(f->name, "user", f->user, 100 * (field[0] + field[1]) / total, 0.005);
    expect(f->name, "sys", f->sys, 100 * (field[2] + field[3] + field[4]) / total, 0.005);
    expect(f->name, "iowait", f->iowait, 100 * field[6] / total, 0.005);
    for (size_t i = 1; i < n; i++) {
        total = cpu_delta(s, i - 1, i, field);
        if (mim_stats_record_time_s(s, i) - mim_stats_record_time_s(s, i - 1) >= 0.5)
            highest = fmax(highest, 100 * busy(field) / total);
    }
    expect(f->name, "cpu max", f->cpu_max, highest, 0.005);
}

static void check_rest(const mim_stats *s, const figures *f)
{
    size_t n = mim_stats_n_records(s);
    double rd = 0, wr = 0, iops = 0, lo = 0, anon = 0, used = 0;
    for (size_t i = 0; i < n; i++) {
        anon = fmax(anon, value_of(s, i, "mem", "0", "AnonPages") / 1024);
        used = fmax(used, value_of(s, i, "mem", "0", "MemUsed") / 1024);
        double dt = i ? mim_stats_record_time_s(s, i) - mim_stats_record_time_s(s, i - 1) : 0;
        if (dt < 0.5)
            continue;
        rd = fmax(rd, delta(s, i - 1, i, "block", "vda", "rd_sectors") * 0.5 / dt);
        wr = fmax(wr, delta(s, i - 1, i, "block", "vda", "wr_sectors") * 0.5 / dt);
        iops = fmax(iops, (delta(s, i - 1, i, "block", "vda", "rd_ios") +
                           delta(s, i - 1, i, "block", "vda", "wr_ios")) /
                              dt);
        lo = fmax(lo, delta(s, i - 1, i, "net", "lo", "tx_bytes") / 1024 / dt);
    }
    expect(f->name, "rd max", f->rd_max, rd, 0.05);
    expect(f->name, "wr max", f->wr_max, wr, 0.05);
    expect(f->name, "iops max", f->iops_max, iops, 0.05);
    expect(f->name, "lo max", f->lo_max, lo, 0.05);
    expect(f->name, "anon max", f->anon_max, anon, 0.05);
    expect(f->name, "used max", f->used_max, used, 0.05);
    expect(f->name, "rd total", f->rd_tot, delta(s, 0, n - 1, "block", "vda", "rd_sectors") / 2048,
           0.05);
    expect(f->name, "wr total", f->wr_tot, delta(s, 0, n - 1, "block", "vda", "wr_sectors") / 2048,
           0.05);
}

static double total_mib(const mim_series *s, size_t metric)
{
    double kb = 0.0;
    for (size_t i = 0; i < s->n_slots; i++)
        kb += mim_series_at(s, i, metric) * s->length_s[i];
    return kb / 1024;
}

/* The series has the same figures: the last, short interval is part of the slot before it, which is
 * idle, so that highest rates stay the same. */
static void check_series(const mim_series *s, const figures *f)
{
    size_t read = mim_series_find(s, "io_read"), write = mim_series_find(s, "io_write");
    size_t lo = mim_series_find(s, "net_lo");
    assert_int_equal(s->n_records, f->n_records);
    assert_int_equal(s->n_slots, f->n_records - 2);
    assert_int_equal(mim_series_n_cores(s), 2);
    assert_string_equal(s->hostname, "node-a");
    assert_true(read != SIZE_MAX && write != SIZE_MAX && lo != SIZE_MAX);
    assert_int_equal(mim_series_find(s, "l3_cache_usage"), SIZE_MAX);
    assert_int_equal(mim_series_find(s, "memory_bandwidth_read"), SIZE_MAX);
    expect(f->name, "series: rd max", f->rd_max, mim_series_figures(s, read).max, 0.05);
    expect(f->name, "series: wr max", f->wr_max, mim_series_figures(s, write).max, 0.05);
    expect(f->name, "series: lo max", f->lo_max, mim_series_figures(s, lo).max, 0.05);
    expect(f->name, "series: rd total", f->rd_tot, total_mib(s, read), 0.05);
    expect(f->name, "series: wr total", f->wr_tot, total_mib(s, write), 0.05);
    double end_s = s->start_s[s->n_slots - 1] + s->length_s[s->n_slots - 1];
    expect(f->name, "series: span", f->span_s, end_s - s->start_s[0], 0.005);
    for (size_t m = 0; m < s->n_metrics; m++) {
        mim_metric_figures figure = mim_series_figures(s, m);
        assert_int_equal(figure.n_absent, 0);
        assert_true(figure.min >= 0);
        assert_int_equal(mim_metric_is_target(s->metrics[m].name),
                         mim_family_is_target(s->metrics[m].family));
        if (s->metrics[m].family == MIM_FAMILY_CPU)
            assert_true(figure.max <= 100);
    }
    /* Weighted by time instead of by ticks, which are 100 a second on average only. */
    double cpu = 0.5 * (mim_series_figures(s, 0).mean + mim_series_figures(s, 1).mean);
    expect(f->name, "series: cpu mean", f->cpu_mean, cpu, 0.5);
}

static void test_check_figures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        char path[128];
        mim_stats *stats = NULL;
        mim_series *series = NULL;
        snprintf(path, sizeof path, "tests/data/traces/stats-%s.txt", traces[i].name);
        if (mim_stats_read(path, &stats) != MIM_OK ||
            mim_series_create(stats, NULL, &series) != MIM_OK)
            fail_msg("%s", mim_error());
        check_records(stats, &traces[i]);
        check_cpu(stats, &traces[i]);
        check_rest(stats, &traces[i]);
        check_series(series, &traces[i]);
        mim_series_destroy(&series);
        mim_stats_destroy(&stats);
    }
}

/* ---- samples of the dialects that are not part of the project -----------------------------------
 */

static const char *dialects(void)
{
    const char *folder = getenv("MIMESYS_TEST_DIALECTS");
    if (!folder || *folder == '\0') {
        print_message("skipped: MIMESYS_TEST_DIALECTS does not name the folder of samples\n");
        skip();
    }
    return folder;
}

static void test_sample_2_3_5(void **state)
{
    (void)state;
    char path[1024];
    mim_stats *s = NULL;
    mim_series *series = NULL;
    snprintf(path, sizeof path, "%s/tacc_stats-2.3.5-sample.txt", dialects());
    if (mim_stats_read(path, &s) != MIM_OK || mim_series_create(s, NULL, &series) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_int_equal(mim_stats_dialect(s), MIM_DIALECT_TACC_2_3);
    assert_int_equal(mim_stats_n_records(s), 17);
    assert_int_equal(mim_stats_n_devices(s, mim_stats_find_type(s, "cpu")), 128);
    assert_int_equal(mim_stats_n_devices(s, mim_stats_find_type(s, "block")), 6);
    size_t n_rows = 0, n_proc = 0, proc = mim_stats_find_type(s, "proc");
    for (size_t r = 0; r < 17; r++) {
        n_rows += mim_stats_n_rows(s, r);
        for (size_t i = 0; i < mim_stats_n_rows(s, r); i++)
            n_proc += mim_stats_row(s, r, i).type == proc;
    }
    /* 4142 by grep; the last has no line feed: nobody can tell whether its last number is whole. */
    assert_true(mim_stats_is_truncated(s));
    assert_int_equal(n_rows, 4141);
    assert_int_equal(n_proc, 1371);
    assert_true(value_of(s, 0, "cpu", "60", "user") == 1782420);
    assert_true(value_of(s, 0, "block", "nvme3c3n1", "rd_sectors") == 19252619);
    /* The first interval is shorter, but no sample is too close. */
    assert_int_equal(series->n_slots, 16);
    assert_int_equal(mim_series_n_cores(series), 128);
    assert_string_equal(series->metrics[0].name, "avg_cpu_utilizations_core_000");
    assert_int_equal(series->metrics[127].core, 127);
    /* nvme3c3n1 is a path to nvme3n1: its bytes count once. */
    double sectors = 0;
    static const char *const disks[] = {"nvme0n1", "nvme1n1", "nvme2n1", "nvme3n1", "nvme4n1"};
    for (size_t i = 0; i < 5; i++)
        sectors += delta(s, 0, 16, "block", disks[i], "wr_sectors");
    expect("2.3.5", "written MiB", sectors / 2048,
           total_mib(series, mim_series_find(series, "io_write")), 1e-6);
    mim_series_destroy(&series);
    mim_stats_destroy(&s);
}

static char *read_sample(const char *name)
{
    char path[1024], *text = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", dialects(), name);
    if (mim_read_file(path, 1 << 20, &text, &n) != MIM_OK)
        fail_msg("%s", mim_error());
    return text;
}

static void test_samples_3_0(void **state)
{
    (void)state;
    static const char *const fragments[] = {
        "hpcperfstats-3.0-synthetic-full.txt", "hpcperfstats-3.0-synthetic-fast.txt",
        "hpcperfstats-3.0-cross-t0-fast.txt",  "hpcperfstats-3.0-cross-t0-full.txt",
        "hpcperfstats-3.0-cross-t1-fast.txt",  "hpcperfstats-3.0-cross-t1-full.txt",
        "hpcperfstats-3.0-debug-shm-fast.txt", "hpcperfstats-3.0-debug-shm-full.txt"};
    for (size_t i = 0; i < sizeof fragments / sizeof *fragments; i++) {
        char *text = read_sample(fragments[i]);
        mim_stats *none = NULL;
        assert_int_equal(mim_stats_parse("fragment", text, strlen(text), &none), MIM_EDATA);
        assert_non_null(strstr(mim_error(), "without a header"));
        free(text);
    }
    /* The schema's own record, then a fast fragment put behind it. */
    char *schema = read_sample("hpcperfstats-3.0-synthetic-schema-full.txt");
    char *fast = read_sample("hpcperfstats-3.0-synthetic-fast.txt"), both[4096];
    snprintf(both, sizeof both, "%s%s", schema, fast);
    mim_stats *s = NULL;
    if (mim_stats_parse("both", both, strlen(both), &s) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_int_equal(mim_stats_dialect(s), MIM_DIALECT_HPC_3_0);
    assert_int_equal(mim_stats_n_records(s), 2);
    assert_true(value_of(s, 0, "emit_mixed", "dev0", "tx_bytes") == 11);
    assert_true(value_of(s, 0, "emit_mixed", "dev0", "link_up") == 12);
    size_t mixed = mim_stats_find_type(s, "emit_mixed");
    mim_row row = mim_stats_find_row(s, 1, mixed, 0);
    uint64_t value;
    assert_false(mim_row_value(&row, mim_stats_find_key(s, mixed, "tx_bytes"), &value));
    assert_true(value_of(s, 1, "emit_mixed", "dev0", "link_up") == 12);
    assert_true(value_of(s, 1, "mem", "mem", "MemTotal") == 20);
    mim_stats_destroy(&s);
    free(schema);
    free(fast);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_figures),
        cmocka_unit_test(test_sample_2_3_5),
        cmocka_unit_test(test_samples_3_0),
    };
    return cmocka_run_group_tests_name("traces", tests, NULL, NULL);
}
