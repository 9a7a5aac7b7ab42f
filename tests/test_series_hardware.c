/* trace/series: what our own types tell of the processor's counters. Values by hand. */
#include "support/series_text.h"

#include "trace/stats.h"

static bool has(const mim_series *s, const char *metric)
{
    return mim_series_find(s, metric) != SIZE_MAX;
}

/* ---- instructions -------------------------------------------------------------------------------
 */

/* IPC is instructions of all CPUs a cycle of all CPUs, not the mean of the CPUs' own. */
static void test_instructions(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nx_perf 0 1000 2000 0 0 0 0\nx_perf 1 5 5 5 5 0 0\n"
                              "2 0 n\nx_perf 0 4000 8000 90 40 2000000000 2000000000\n"
                              "x_perf 1 1005 1005 25 15 2000000000 2000000000\n");
    assert_int_equal(s->n_metrics, 2); /* cycles and instructions have none of their own */
    expect(s, 0, "pqos_ipc", (6000.0 + 1000) / (3000 + 1000));
    expect(s, 0, "pqos_misses", (40.0 + 10) / 2);
    const size_t ipc = mim_series_find(s, "pqos_ipc");
    assert_string_equal(s->metrics[ipc].unit, "instructions/cycle");
    assert_int_equal(s->metrics[ipc].family, MIM_FAMILY_CACHE);
    assert_int_equal(s->metrics[ipc].tier, MIM_TIER_PERF);
    mim_series_destroy(&s);
}

/* Counters that shared the registers: each interval, CPU and counter by its own part of the time.
 */
static void test_multiplexed(void **state)
{
    (void)state;
    mim_series *s = series_of(
        "0 0 n\nx_perf 0 0 0 0 0 100 100\nx_perf 1 0 0 0 0 0 0\n"
        "1 0 n\nx_perf 0 500 250 0 30 1000000100 250000100\nx_perf 1 100 100 0 8 1000000000 "
        "1000000000\n"
        "2 0 n\nx_perf 0 600 350 0 40 2000000100 1250000100\nx_perf 1 200 100 0 8 2000000000 "
        "1500000000\n");
    expect(s, 0, "pqos_ipc", (4 * 250.0 + 100) / (4 * 500.0 + 100));
    expect(s, 0, "pqos_misses", 4 * 30.0 + 8);
    expect(s, 1, "pqos_ipc", 100.0 / (100 + 2 * 100));
    expect(s, 1, "pqos_misses", 10);
    mim_series_destroy(&s);
}

/* A counter that never ran may have missed anything; one that ran a moment longer than wanted was
 * read in between. */
static void test_never_ran(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nx_perf 0 10 10 1 1 0 0\n"
                              "1 0 n\nx_perf 0 10 10 1 1 1000000000 0\n"
                              "2 0 n\nx_perf 0 30 50 1 3 2000000000 1000000010\n"
                              "3 0 n\nx_perf 0 10 50 1 3 3000000000 2000000010\n"
                              "4 0 n\nx_perf 0 10 50 1 3 4000000000 3000000010\n");
    expect_absent(s, 0, "pqos_ipc");
    expect_absent(s, 0, "pqos_misses");
    expect(s, 1, "pqos_ipc", 2);
    expect(s, 1, "pqos_misses", 2);
    expect_absent(s, 2, "pqos_ipc"); /* cycles went back by more than jitter */
    expect(s, 2, "pqos_misses", 0);
    expect_absent(s, 3, "pqos_ipc"); /* no cycle: no ratio */
    mim_series_destroy(&s);
}

/* A counter that the processor does not have stands at 0: absent is not zero. */
static void test_dead_counters(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nx_perf 0 10 20 0 0 0 0\nx_resctrl 0 0 0 0\nx_llc 0 0\n"
                              "x_imc 0 0 0\nx_energy package-0 0\n"
                              "1 0 n\nx_perf 0 20 30 0 0 1000000000 1000000000\n"
                              "x_resctrl 0 0 0 0\nx_llc 0 0\nx_imc 0 0 0\nx_energy package-0 0\n");
    assert_int_equal(s->n_metrics, 1);
    expect(s, 0, "pqos_ipc", 1);
    mim_series_destroy(&s);
    s = series_of("0 0 n\nx_perf 0 0 20 0 5 0 0\n1 0 n\nx_perf 0 0 30 0 9 1000000000 1000000000\n");
    assert_int_equal(s->n_metrics, 1); /* instructions without cycles are no IPC */
    expect(s, 0, "pqos_misses", 4);
    mim_series_destroy(&s);
}

/* A CPU that comes or goes makes the sums of that slot unknown. */
static void test_a_cpu_comes(void **state)
{
    (void)state;
    mim_series *s = series_of("0 0 n\nx_perf 0 10 10 1 1 0 0\n"
                              "1 0 n\nx_perf 0 20 20 1 2 1000000000 1000000000\n"
                              "x_perf 1 20 20 1 2 1000000000 1000000000\n"
                              "2 0 n\nx_perf 0 30 40 1 3 2000000000 2000000000\n"
                              "x_perf 1 30 40 1 3 2000000000 2000000000\n");
    expect_absent(s, 0, "pqos_ipc");
    expect_absent(s, 0, "pqos_misses");
    expect(s, 1, "pqos_ipc", 2);
    expect(s, 1, "pqos_misses", 2);
    mim_series_destroy(&s);
}

/* ---- cache and memory ---------------------------------------------------------------------------
 */

static void test_cache(void **state)
{
    (void)state;
    mim_series *s =
        series_of("0 0 n\nx_llc 0 0\nx_llc 1 0\nx_resctrl 0 999 0 0\nx_resctrl 1 1 0 0\n"
                  "2 0 n\nx_llc 0 6000000\nx_llc 1 2000000\n"
                  "x_resctrl 0 2048 0 0\nx_resctrl 1 1024 0 0\n");
    assert_int_equal(s->n_metrics, 2); /* nothing moved: no bandwidth */
    expect(s, 0, "l3_cache_usage", 4);
    expect(s, 0, "pqos_llc_kb", 3); /* at the end of the slot */
    assert_string_equal(s->metrics[mim_series_find(s, "pqos_llc_kb")].unit, "KB");
    mim_series_destroy(&s);
}

/* Other makers' types come first; resctrl's total only where reads and writes are not told. */
static void test_which_bandwidth(void **state)
{
    (void)state;
    static const struct {
        const char *first, *last;
        const char *metric[2];
        double value[2];
    } cases[] = {
        {"x_imc 0 0 0\nx_imc 1 0 0\nx_resctrl 0 1 0 0\n",
         "x_imc 0 3000000000 1000000000\nx_imc 1 1000000000 0\nx_resctrl 0 1 9000000000 0\n",
         {"memory_bandwidth_read", "memory_bandwidth_write"},
         {4, 1}},
        {"x_resctrl 0 1 0 0\nx_resctrl 1 1 0 0\n",
         "x_resctrl 0 1 9000000000 8000000000\nx_resctrl 1 1 1000000000 0\n",
         {"memory_bandwidth", NULL},
         {10, 0}},
        {"x_imc 0 0 0\nintel_x86_uncore_imc_spr 0 0 0\n",
         "x_imc 0 7 7\nintel_x86_uncore_imc_spr 0 15625000 0\n",
         {"memory_bandwidth_read", "memory_bandwidth_write"},
         {1, 0}},
        {"amd_x86_uncore_df_milan 0 0 0 0 0\nx_resctrl 0 1 0 0\n",
         "amd_x86_uncore_df_milan 0 1000000000 0 0 0\nx_resctrl 0 1 9000000000 0\n",
         {"memory_bandwidth", NULL},
         {1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[1024];
        size_t n = 0;
        snprintf(body, sizeof body, "0 0 n\n%s1 0 n\n%s", cases[i].first, cases[i].last);
        mim_series *s = series_of(body);
        for (size_t m = 0; m < s->n_metrics; m++)
            n += s->metrics[m].family == MIM_FAMILY_MEMORY;
        assert_int_equal(n, cases[i].metric[1] ? 2 : 1);
        for (size_t k = 0; k < 2 && cases[i].metric[k]; k++) {
            expect(s, 0, cases[i].metric[k], cases[i].value[k]);
            assert_string_equal(s->metrics[mim_series_find(s, cases[i].metric[k])].unit, "GB/s");
        }
        mim_series_destroy(&s);
    }
}

static const char of_peak[] = "$hpcperfstats 2.4\n$hostname n\n%s"
                              "!x_imc read_bytes,E,U=B write_bytes,E,U=B\n"
                              "!x_resctrl llc_occupancy,U=B mbm_total_bytes,E mbm_local_bytes,E\n\n"
                              "0 0 n\nx_imc 0 0 0\n1 0 n\nx_imc 0 50000000000 25000000000\n";

static int read_peak(const char *header, const mim_series_options *options, mim_series **s)
{
    char text[1024];
    mim_stats *stats = NULL;
    snprintf(text, sizeof text, of_peak, header);
    int rc = mim_stats_parse("t", text, strlen(text), &stats);
    if (rc == MIM_OK)
        rc = mim_series_create(stats, options, s);
    mim_stats_destroy(&stats);
    return rc;
}

static void test_peak_of_header(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        double option, read;
        const char *unit;
    } cases[] = {
        {"", 0, 50, "GB/s"},
        {"$x_peak_bandwidth_gb_s 200\n", 0, 25, "%"},
        {"$x_peak_bandwidth_gb_s 115.2\n", 0, 100 * 50 / 115.2, "%"},
        {"$x_peak_bandwidth_gb_s 200\n", 100, 50, "%"}, /* who reads it knows better */
        {"", 100, 50, "%"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_series_options options = {.peak_bandwidth_gb_s = cases[i].option};
        mim_series *s = NULL;
        assert_int_equal(read_peak(cases[i].header, &options, &s), MIM_OK);
        expect(s, 0, "memory_bandwidth_read", cases[i].read);
        expect(s, 0, "memory_bandwidth_write", cases[i].read / 2);
        assert_string_equal(s->metrics[mim_series_find(s, "memory_bandwidth_read")].unit,
                            cases[i].unit);
        mim_series_destroy(&s);
    }
}

static void test_bad_peak(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "$x_peak_bandwidth_gb_s 0\n",     "$x_peak_bandwidth_gb_s -1\n",
        "$x_peak_bandwidth_gb_s\n",       "$x_peak_bandwidth_gb_s many\n",
        "$x_peak_bandwidth_gb_s nan\n",   "$x_peak_bandwidth_gb_s 1e30\n",
        "$x_peak_bandwidth_gb_s 115 GB\n"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        mim_series *s = NULL;
        assert_int_equal(read_peak(headers[i], NULL, &s), MIM_EDATA);
        assert_null(s);
        assert_non_null(strstr(mim_error(), "x_peak_bandwidth_gb_s: expected"));
    }
}

/* ---- energy -------------------------------------------------------------------------------------
 */

/* Whole packages only: their parts are told again, or beside them, by other domains. */
static void test_energy(void **state)
{
    (void)state;
    mim_series *s =
        series_of("0 0 n\nx_energy package-0 0\nx_energy package-1 5\nx_energy package-0:dram 0\n"
                  "x_energy package-1:core 0\nx_energy psys 0\nx_energy package- 0\n"
                  "2 0 n\nx_energy package-0 100000000\nx_energy package-1 60000005\n"
                  "x_energy package-0:dram 7000000\nx_energy package-1:core 9000000\n"
                  "x_energy psys 400000000\nx_energy package- 90000000\n"
                  "4 0 n\nx_energy package-0 99000000\nx_energy package-1 60000005\n"
                  "x_energy package-0:dram 7000000\nx_energy package-1:core 9000000\n"
                  "x_energy psys 400000000\nx_energy package- 90000000\n");
    assert_int_equal(s->n_metrics, 1);
    expect(s, 0, "energy_w", 80);
    expect_absent(s, 1, "energy_w"); /* a register that wrapped at a width that nobody told */
    assert_int_equal(s->metrics[0].family, MIM_FAMILY_ENERGY);
    assert_string_equal(s->metrics[0].unit, "W");
    assert_false(mim_family_is_target(s->metrics[0].family));
    mim_series_destroy(&s);
    s = series_of("0 0 n\nx_energy package-0-die-0 0\nx_energy package-0-die-1 0\n"
                  "x_energy package-0-die-1:dram 0\nx_energy package-0-die- 0\n"
                  "x_energy package-0-dice-1 0\n"
                  "1 0 n\nx_energy package-0-die-0 30000000\nx_energy package-0-die-1 12000000\n"
                  "x_energy package-0-die-1:dram 5000000\nx_energy package-0-die- 90000000\n"
                  "x_energy package-0-dice-1 90000000\n");
    expect(s, 0, "energy_w", 42); /* all dies of a package */
    mim_series_destroy(&s);
    s = series_of("0 0 n\nx_energy psys 0\n1 0 n\nx_energy psys 5\n");
    assert_false(has(s, "energy_w"));
    mim_series_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instructions),    cmocka_unit_test(test_multiplexed),
        cmocka_unit_test(test_never_ran),       cmocka_unit_test(test_dead_counters),
        cmocka_unit_test(test_a_cpu_comes),     cmocka_unit_test(test_cache),
        cmocka_unit_test(test_which_bandwidth), cmocka_unit_test(test_peak_of_header),
        cmocka_unit_test(test_bad_peak),        cmocka_unit_test(test_energy),
    };
    return cmocka_run_group_tests_name("series_hardware", tests, NULL, NULL);
}
