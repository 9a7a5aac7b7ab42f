/* trace/series: counters that wrap, jitter or start again, devices that come and go, which disks
 * count, uncore counters and own types. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/series_text.h"
#include "trace/series.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_back),
        cmocka_unit_test(test_idle_jitter),
        cmocka_unit_test(test_implausible_growth),
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
    };
    return cmocka_run_group_tests_name("series_counters", tests, NULL, NULL);
}
