/* trace/series: the hand-made examples of both dialects, the slot rules, counters that wrap, jitter
 * or start again, devices that come and go, and which disks count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/h5.h"
#include "trace/series.h"
#include "trace/series_write.h"

#define HEADER                                                                                     \
    "$hpcperfstats 2.4\n$hostname n\n"                                                             \
    "!block rd_sectors,E wr_sectors,E\n"                                                           \
    "!cpu user,E nice,E system,E idle,E iowait,E irq,E softirq,E\n"                                \
    "!imc CTL0,C CTR0,E,W=48\n"                                                                    \
    "!mem MemTotal,U=KB MemFree,U=KB FilePages,U=KB\n"                                             \
    "!net rx_bytes,E tx_bytes,E\n"                                                                 \
    "!intel_hsw_imc CTR0,E,W=48 CTR1,E,W=48\n"                                                     \
    "!intel_hsw_cbo CTR0,E,W=48 CTR1,E,W=48 CTR2,E,W=48 CTR3,E,W=48\n"                             \
    "!intel_skx_imc CTR0,E,W=48 CTR1,E,W=48\n"                                                     \
    "!amd_x86_uncore_df_milan dram_chan0_bytes,E,W=48 dram_chan1_bytes,E,W=48 "                    \
    "dram_chan2_bytes,E,W=48 dram_chan3_bytes,E,W=48\n"                                            \
    "!intel_x86_uncore_imc_spr dram_cas_reads,E,W=48 dram_cas_writes,E,W=48\n"                     \
    "!x_psi some_us,E full_us,E\n"                                                                 \
    "!x_cpu steal,E,U=cs guest,E,U=cs guest_nice,E,U=cs\n"                                         \
    "!x_slot slot begin_us,E late_us own_cpu_us,E\n"                                               \
    "!x_thr cpu cpu_us,E paced_cpu_us,E\n\n"

static mim_series *series_with(const char *body, const mim_series_options *options)
{
    char text[16384];
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    snprintf(text, sizeof text, "%s%s", HEADER, body);
    if (mim_stats_parse("text", text, strlen(text), &stats) != MIM_OK ||
        mim_series_create(stats, options, &series) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_stats_destroy(&stats);
    return series;
}

static mim_series *series_of(const char *body) { return series_with(body, NULL); }

static double at(const mim_series *s, size_t slot, const char *metric)
{
    size_t m = mim_series_find(s, metric);
    if (m == SIZE_MAX)
        fail_msg("no metric %s", metric);
    return mim_series_at(s, slot, m);
}

static void expect(const mim_series *s, size_t slot, const char *metric, double expected)
{
    double found = at(s, slot, metric);
    if (!(fabs(found - expected) <= 1e-9 * fmax(1.0, fabs(expected))))
        fail_msg("slot %zu: %s: expected %.12g, found %.12g", slot, metric, expected, found);
}

static void expect_absent(const mim_series *s, size_t slot, const char *metric)
{
    if (!isnan(at(s, slot, metric)))
        fail_msg("slot %zu: %s: expected absent, found %g", slot, metric, at(s, slot, metric));
}

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

/* ---- counters -----------------------------------------------------------------------------------
 */

/* Without a declared width: up to 5 back keeps the highest, more is a restart. */
static void test_steps_back(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nblock sda 1000 0\n1 0 n\nblock sda 995 0\n"
                              "2 0 n\nblock sda 1010 0\n3 0 n\nblock sda 1004 0\n"
                              "4 0 n\nblock sda 1014 0\n");
    expect(s, 0, "io_read", 0);
    expect(s, 1, "io_read", 5); /* from 1000, not from 995 */
    expect_absent(s, 2, "io_read");
    expect(s, 3, "io_read", 5); /* from 1004 on */
    expect(s, 2, "io_write", 0);
    size_t m = mim_series_find(s, "io_read");
    mim_metric_figures f = mim_series_figures(s, m);
    assert_int_equal(f.n_absent, 1);
    assert_true(fabs(f.mean - 10.0 / 3) < 1e-12 && f.min == 0 && f.max == 5);
    mim_series_destroy(&s);
}

/* Idle time of a container that jitters: never below 0 % nor above 100 %. */
static void test_idle_jitter(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\ncpu 0 0 0 0 500 0 0 0\n1 0 n\ncpu 0 100 0 0 498 0 0 0\n"
                              "2 0 n\ncpu 0 150 0 0 550 0 0 0\n3 0 n\ncpu 0 150 0 0 550 0 0 0\n"
                              "4 0 n\ncpu 0 150 0 0 100 0 0 0\n5 0 n\ncpu 0 150 0 0 200 0 0 0\n");
    expect(s, 0, "avg_cpu_utilizations_core_00", 100);
    expect(s, 1, "avg_cpu_utilizations_core_00", 50);
    expect_absent(s, 2, "avg_cpu_utilizations_core_00"); /* no time was accounted */
    expect_absent(s, 3, "avg_cpu_utilizations_core_00"); /* restarted */
    expect(s, 4, "avg_cpu_utilizations_core_00", 0);
    mim_series_destroy(&s);
}

/* What no device can do is a counter set anew, and so is the step back after it. What a container's
 * CPU times do in a second, 56 to 144 hundredths, stays. */
static void test_implausible_growth(void **state)
{
    (void)state;
    mim_series *s =
        series_of("0 0 n\nblock sda 0 0\nnet eth0 0 0\ncpu 0 0 0 0 0 0 0 0\n"
                  "1 0 n\nblock sda 9223372036854775808 2\nnet eth0 9223372036854775808 1024\n"
                  "cpu 0 28 0 0 28 0 0 0\n"
                  "2 0 n\nblock sda 4 4\nnet eth0 2048 2048\ncpu 0 100 0 0 100 0 0 0\n"
                  "3 0 n\nblock sda 6 6\nnet eth0 3072 3072\ncpu 0 10100 0 0 200 0 0 0\n"
                  "4 0 n\nblock sda 2000000006 8\nnet eth0 4096 4096\ncpu 0 10150 0 0 250 0 0 0\n");
    expect_absent(s, 0, "io_read");
    expect_absent(s, 1, "io_read");
    expect(s, 2, "io_read", 1);
    expect(s, 3, "io_read", 1e9); /* at the bound */
    expect(s, 0, "io_write", 1);
    expect_absent(s, 0, "net_rx");
    expect(s, 2, "net_rx", 1);
    expect(s, 0, "net_tx", 1);
    expect(s, 0, "avg_cpu_utilizations_core_00", 50);
    expect(s, 1, "avg_cpu_utilizations_core_00", 50);
    expect_absent(s, 2, "avg_cpu_utilizations_core_00"); /* 101 s of CPU time in 1 s */
    expect(s, 3, "avg_cpu_utilizations_core_00", 50);
    mim_series_destroy(&s);
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

/* With a width the difference is modulo 2^width, whatever the direction. */
static void test_wrap(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nintel_hsw_imc a 281474976710655 281474976710650\n"
                              "1 0 n\nintel_hsw_imc a 999 281474976710655\n"
                              "2 0 n\nintel_hsw_imc a 1999 4\n");
    double unit = 64 / 1e9 / 59 * 100;
    expect(s, 0, "memory_bandwidth_read", 1000 * unit);
    expect(s, 0, "memory_bandwidth_write", 5 * unit);
    expect(s, 1, "memory_bandwidth_read", 1000 * unit);
    expect(s, 1, "memory_bandwidth_write", 5 * unit);
    mim_series_destroy(&s);
}

/* ---- what is there and what is not --------------------------------------------------------------
 */

static void test_missing_types(void **state)
{
    (void)state;
    /* cbo is not in the first record, net never, block not in the third. */
    mim_series *s = series_of("0 0 n\nblock sda 0 0\n"
                              "1 0 n\nblock sda 2 0\nintel_hsw_cbo 0/0 1000000 0 0 0\n"
                              "2 0 n\nintel_hsw_cbo 0/0 2000000 0 0 1000000\n"
                              "3 0 n\nblock sda 9 0\nintel_hsw_cbo 0/0 2000000 0 0 1000000\n"
                              "4 0 n\nblock sda 11 0\nintel_hsw_cbo 0/0 2000000 0 0 1000000\n");
    assert_int_equal(s->n_metrics, 3);
    expect_absent(s, 0, "l3_cache_usage");
    expect(s, 1, "l3_cache_usage", 2);
    expect(s, 2, "l3_cache_usage", 0);
    expect(s, 0, "io_read", 1);
    expect_absent(s, 1, "io_read");
    expect_absent(s, 2, "io_read");
    expect(s, 3, "io_read", 1);
    mim_series_destroy(&s);
}

/* A sum is known where the same devices are at both ends of the slot. */
static void test_devices_come_and_go(void **state)
{
    (void)state;
    mim_series *s =
        series_of("0 0 n\nblock sda 0 0\nmem 0 4096 1024 1024\n"
                  "1 0 n\nblock sda 2 0\nblock sdb 1000 0\nmem 0 4096 1024 1024\nmem 1 2048 0 0\n"
                  "2 0 n\nblock sda 4 0\nblock sdb 1006 0\nmem 0 4096 1024 1024\nmem 1 2048 0 0\n"
                  "3 0 n\nblock sda 6 0\nmem 0 4096 1024 1024\n"
                  "4 0 n\nblock sda 8 0\nmem 0 4096 1024 1024\n");
    expect_absent(s, 0, "io_read");
    expect(s, 1, "io_read", 4);
    expect_absent(s, 2, "io_read");
    expect(s, 3, "io_read", 1);
    expect(s, 0, "mem_used_mb", 4); /* a gauge, at the end of the slot */
    expect(s, 1, "mem_used_mb", 4);
    expect_absent(s, 2, "mem_used_mb");
    expect(s, 3, "mem_used_mb", 2);
    mim_series_destroy(&s);
}

static void test_network(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nnet lo 0 0\nnet eth0 0 0\nnet ib0 0 0\n"
                              "2 0 n\nnet lo 8192 4096\nnet eth0 2048 0\nnet ib0 2048 1024\n");
    expect(s, 0, "net_rx", 2);
    expect(s, 0, "net_tx", 0.5);
    expect(s, 0, "net_lo", 2);
    mim_series_destroy(&s);
}

static void test_many_cores(void **state)
{
    (void)state;
    static const struct {
        int n;
        const char *first, *last;
    } cases[] = {{1, "00", "00"}, {99, "00", "98"}, {100, "000", "099"}, {192, "000", "191"}};
    for (size_t c = 0; c < 4; c++) {
        char *body = malloc(200000), *p = body;
        for (int record = 0; record < 2; record++) {
            p += sprintf(p, "%d 0 n\n", record);
            for (int i = cases[c].n - 1; i >= 0; i--) /* core i is busy for i parts of 200 */
                p += sprintf(p, "cpu %d %d 0 0 %d 0 0 0\n", i, record * i, record * (200 - i));
        }
        char *text = malloc(210000);
        sprintf(text, "%s%s", HEADER, body);
        mim_stats *stats = NULL;
        mim_series *s = NULL;
        assert_int_equal(mim_stats_parse("t", text, strlen(text), &stats), MIM_OK);
        assert_int_equal(mim_series_create(stats, NULL, &s), MIM_OK);
        assert_int_equal(mim_series_n_cores(s), cases[c].n);
        assert_non_null(strstr(s->metrics[0].name, cases[c].first));
        assert_non_null(strstr(s->metrics[cases[c].n - 1].name, cases[c].last));
        for (int i = 0; i < cases[c].n; i++) {
            assert_int_equal(s->metrics[i].core, i);
            assert_true(fabs(mim_series_at(s, 0, (size_t)i) - 0.5 * i) < 1e-9);
        }
        mim_series_destroy(&s);
        mim_stats_destroy(&stats);
        free(text);
        free(body);
    }
}

/* ---- disks --------------------------------------------------------------------------------------
 */

static void test_whole_disks(void **state)
{
    (void)state;
    static const struct {
        const char *devices; /* with the number of sectors each reads */
        double expected;     /* sum of those that count */
    } cases[] = {
        {"sda 1,sda1 2,sda2 4,sdb 8", 9},
        {"vda1 1,vda2 2", 3}, /* some machines have the partition only */
        {"nvme0n1 1,nvme0n1p1 2,nvme1n1 4,nvme1n1p12 8", 5},
        {"nvme3n1 1,nvme3c3n1 2,nvme4c0n1 4", 5},
        {"mmcblk0 1,mmcblk0p1 2,mmcblk0boot0 4", 5},
        {"sda 1,dm-0 2,dm-11 4,md0 8,md127 16,md_d0 32", 1},
        {"sda 1,ram0 2,loop7 4,zram0 8", 1},
        {"xvda 1,xvdb 2,xvdb1 4,sr0 8,hdz9 16", 27},
        {"sdaa 1,sda 2,sdaa1 4", 3},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char body[2048] = "", second[1024] = "";
        snprintf(body, sizeof body, "0 0 n\n");
        snprintf(second, sizeof second, "1 0 n\n");
        for (const char *p = cases[c].devices; *p;) {
            char name[64];
            int sectors, used;
            assert_int_equal(sscanf(p, "%63s %d%n", name, &sectors, &used), 2);
            snprintf(body + strlen(body), sizeof body - strlen(body), "block %s 0 0\n", name);
            snprintf(second + strlen(second), sizeof second - strlen(second), "block %s %d 0\n",
                     name, sectors);
            p += used;
            p += *p == ',';
        }
        strcat(body, second);
        mim_series *s = series_of(body);
        expect(s, 0, "io_read", 0.5 * cases[c].expected);
        mim_series_destroy(&s);
    }
}

static void test_chosen_disks(void **state)
{
    (void)state;
    const char *body = "0 0 n\nblock sda 0 0\nblock sda1 0 0\nblock dm-0 0 0\n"
                       "1 0 n\nblock sda 2 0\nblock sda1 20 0\nblock dm-0 200 0\n";
    mim_series *s = series_with(body, &(mim_series_options){.disks = "sda1,dm-0"});
    expect(s, 0, "io_read", 110);
    mim_series_destroy(&s);
    s = series_with(body, &(mim_series_options){.disks = "sda,sda"});
    expect(s, 0, "io_read", 1);
    mim_series_destroy(&s);
    static const char *const bad[] = {"sdz", "sda,", ",", "sda;sda1", ""};
    for (size_t i = 0; i < 5; i++) {
        char text[4096];
        mim_stats *stats = NULL;
        snprintf(text, sizeof text, "%s%s", HEADER, body);
        assert_int_equal(mim_stats_parse("t", text, strlen(text), &stats), MIM_OK);
        int rc = mim_series_create(stats, &(mim_series_options){.disks = bad[i]}, &s);
        if (rc != (strcmp(bad[i], "sda,") == 0 ? MIM_OK : MIM_EUSAGE))
            fail_msg("disks '%s': code %d", bad[i], rc);
        mim_series_destroy(&s);
        mim_stats_destroy(&stats);
    }
}

/* Only virtual disks: nothing is known about disks. */
static void test_no_disk(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nblock loop0 0 0\n1 0 n\nblock loop0 8 0\n");
    assert_int_equal(mim_series_find(s, "io_read"), SIZE_MAX);
    assert_int_equal(s->n_metrics, 0);
    mim_series_destroy(&s);
}

/* ---- uncore -------------------------------------------------------------------------------------
 */

static void test_uncore_families(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        double peak;
        const char *metric, *unit;
        double expected;
    } cases[] = {
        {"0 0 n\nintel_skx_imc a 0 0\n1 0 n\nintel_skx_imc a 1000000000 0\n", 0,
         "memory_bandwidth_read", "%", 64.0 / 115 * 100},
        {"0 0 n\nintel_hsw_imc a 0 0\nintel_hsw_imc b 0 0\n"
         "1 0 n\nintel_hsw_imc a 0 500000000\nintel_hsw_imc b 0 250000000\n",
         0, "memory_bandwidth_write", "%", 48.0 / 59 * 100},
        {"0 0 n\nintel_x86_uncore_imc_spr a 0 0\n1 0 n\nintel_x86_uncore_imc_spr a 1000000000 0\n",
         0, "memory_bandwidth_read", "GB/s", 64.0},
        {"0 0 n\nintel_x86_uncore_imc_spr a 0 0\n1 0 n\nintel_x86_uncore_imc_spr a 1000000000 0\n",
         640, "memory_bandwidth_read", "%", 10.0},
        {"0 0 n\namd_x86_uncore_df_milan 0 0 0 0 0\n"
         "2 0 n\namd_x86_uncore_df_milan 0 1000000000 2000000000 3000000000 4000000000\n",
         0, "memory_bandwidth", "GB/s", 5.0},
        {"0 0 n\namd_x86_uncore_df_milan 0 0 0 0 0\n"
         "2 0 n\namd_x86_uncore_df_milan 0 1000000000 2000000000 3000000000 4000000000\n",
         50, "memory_bandwidth", "%", 10.0},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mim_series *s =
            series_with(cases[c].body, &(mim_series_options){.peak_bandwidth_gb_s = cases[c].peak});
        expect(s, 0, cases[c].metric, cases[c].expected);
        const mim_metric *m = &s->metrics[mim_series_find(s, cases[c].metric)];
        assert_string_equal(m->unit, cases[c].unit);
        assert_int_equal(m->family, MIM_FAMILY_MEMORY);
        assert_int_equal(m->tier, MIM_TIER_MSR);
        mim_series_destroy(&s);
    }
}

/* Peaks of the original's machine classes by number of CPUs. */
static void test_peaks(void **state)
{
    (void)state;
    static const struct {
        int n_cpus;
        double peak;
    } cases[] = {{20, 59}, {16, 68.3}, {32, 68.3}, {56, 281.4}, {112, 281.4}, {24, 59}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char body[12000] = "", *p = body;
        for (int record = 0; record < 2; record++) {
            p += sprintf(p, "%d 0 n\nintel_hsw_imc a %d 0\n", record, record * 1000000000);
            for (int i = 0; i < cases[c].n_cpus; i++)
                p += sprintf(p, "cpu %d %d 0 0 0 0 0 0\n", i, record);
        }
        mim_series *s = series_of(body);
        expect(s, 0, "memory_bandwidth_read", 64.0 / cases[c].peak * 100);
        mim_series_destroy(&s);
    }
}

/* Counters that were never set going say nothing, and the next family is looked at. */
static void test_dead_uncore(void **state)
{
    (void)state;
    mim_series *s =
        series_of("0 0 n\nintel_hsw_cbo 0/0 0 0 0 0\nintel_hsw_imc a 0 0\nintel_skx_imc a 7 7\n"
                  "1 0 n\nintel_hsw_cbo 0/0 0 0 0 0\nintel_hsw_imc a 0 0\nintel_skx_imc a 7 7\n");
    assert_int_equal(mim_series_find(s, "l3_cache_usage"), SIZE_MAX);
    expect(s, 0, "memory_bandwidth_read", 0);
    mim_series_destroy(&s);
}

/* ---- own types ----------------------------------------------------------------------------------
 */

static void test_stalls_and_disturbance(void **state)
{
    (void)state;
    /* Two CPUs, 2 s: 400 cs in all. idle 100 + iowait 20, steal 8, own 1.6 s: others 400-120-8-160.
     */
    mim_series *s = series_of(
        "0 0 n\ncpu 0 0 0 0 0 0 0 0\ncpu 1 0 0 0 0 0 0 0\nx_cpu 0 0 0 0\nx_cpu 1 0 0 0\n"
        "x_psi cpu 0 0\nx_psi memory 0 0\nx_slot - 0 0 0 5\n"
        "2 0 n\ncpu 0 90 0 0 40 20 0 0\ncpu 1 90 0 0 60 0 0 0\nx_cpu 0 8 0 0\nx_cpu 1 0 9 0\n"
        "x_psi cpu 500000 0\nx_psi memory 20000 2000\nx_slot - 1 0 0 1600005\n");
    expect(s, 0, "steal_pct", 2);
    expect(s, 0, "others_cpu_pct", 100.0 * (400 - 120 - 8 - 160) / 400);
    expect(s, 0, "psi_cpu_some", 25);
    expect(s, 0, "psi_cpu_full", 0);
    expect(s, 0, "psi_memory_some", 1);
    expect(s, 0, "psi_memory_full", 0.1);
    assert_int_equal(mim_series_find(s, "psi_io_some"), SIZE_MAX);
    assert_int_equal(mim_series_find(s, "own_cpu"), SIZE_MAX);
    mim_series_destroy(&s);
}

/* Without the executor's rows nobody knows what was ours. */
static void test_steal_alone(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\ncpu 0 0 0 0 0 0 0 0\nx_cpu 0 0 0 0\n"
                              "1 0 n\ncpu 0 50 0 0 50 0 0 0\nx_cpu 0 1 0 0\n"
                              "2 0 n\ncpu 0 50 0 0 150 0 0 0\n");
    expect(s, 0, "steal_pct", 1);
    expect_absent(s, 1, "steal_pct");
    assert_int_equal(mim_series_find(s, "others_cpu_pct"), SIZE_MAX);
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
    static const char *const names[] = {"cpu",   "io_read",  "io_write", "memory",
                                        "cache", "capacity", "network",  "kernel"};
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
        cmocka_unit_test(test_steps_back),
        cmocka_unit_test(test_idle_jitter),
        cmocka_unit_test(test_implausible_growth),
        cmocka_unit_test(test_gap_note),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_missing_types),
        cmocka_unit_test(test_devices_come_and_go),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_many_cores),
        cmocka_unit_test(test_whole_disks),
        cmocka_unit_test(test_chosen_disks),
        cmocka_unit_test(test_no_disk),
        cmocka_unit_test(test_uncore_families),
        cmocka_unit_test(test_peaks),
        cmocka_unit_test(test_dead_uncore),
        cmocka_unit_test(test_stalls_and_disturbance),
        cmocka_unit_test(test_steal_alone),
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
