/* x_energy on a made machine, and all hardware sources together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/support/made_machine.h"

/* ---- x_energy ----------------------------------------------------------------------------------
 */

#define POWERCAP "sys/class/powercap/"

static void test_energy(void **state)
{
    (void)state;
    static const char *const devices[] = {"package-0", "package-0:dram", "package-1",
                                          "package-1:dram"};
    made_machine m;
    machine_start(&m, "skylake");
    assert_note(&m, "energy", true, "");
    machine_pass(&m, 10);
    put_file(m.folder, POWERCAP "intel-rapl:0/energy_uj", "262143328800\n");
    put_file(m.folder, POWERCAP "intel-rapl:0:0/energy_uj", "400123\n");
    machine_pass(&m, 10);
    put_file(m.folder, POWERCAP "intel-rapl:0/energy_uj", "950\n"); /* wrapped */
    machine_pass(&m, 10);
    put_file(m.folder, POWERCAP "intel-rapl:0/energy_uj", "900\n"); /* and again */
    machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    const size_t type = mim_stats_find_type(stats, "x_energy");
    assert_int_equal(mim_stats_n_devices(stats, type), 4); /* package-0 once, not twice */
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(mim_stats_device(stats, type, i), devices[i]);
    assert_string_equal(mim_stats_key(stats, type, 0)->unit, "uJ");
    assert_true(value_of(stats, 0, "x_energy", "package-0", "energy_uj") == 1000000);
    assert_true(value_of(stats, 1, "x_energy", "package-0:dram", "energy_uj") == 400123);
    assert_true(value_of(stats, 1, "x_energy", "package-0", "energy_uj") == 262143328800);
    assert_true(value_of(stats, 2, "x_energy", "package-0", "energy_uj") == 262143328800 + 1000);
    assert_true(value_of(stats, 3, "x_energy", "package-0", "energy_uj") ==
                262143328800 + 1000 + 262143328800);
    assert_true(value_of(stats, 3, "x_energy", "package-1:dram", "energy_uj") == 500000);
    mim_stats_destroy(&stats);
    machine_end(&m);
}

static void test_energy_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *range, *first, *second;
        bool is_present; /* in the second record; the third, with the same text, is there again */
    } cases[] = {
        {"262143328850\n", "1000\n", "1000\n", true},
        {"262143328850\n", "1000\n", "Error\n", false},
        {"262143328850\n", "1000\n", "\n", false},
        {"262143328850\n", "1000\n", "-5\n", false},
        {"262143328850\n", "1000\n", "5.5\n", false},
        {"262143328850\n", "1000\n", "5 6\n", false},
        {"262143328850\n", "1000\n", "262143328851\n", false}, /* beyond its range */
        {"0\n", "1000\n", "999\n", false},                     /* wrapped, but where? */
        {"none\n", "1000\n", "999\n", false},
        {"none\n", "1000\n", "1001\n", true},
        {"900\n", "1000\n", "999\n", false},
        {"1000\n", "10\n", "20\n", false}, /* lasts a microsecond: how often did it wrap? */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, "skylake");
        put_file(m.folder, POWERCAP "intel-rapl:1/max_energy_range_uj", cases[i].range);
        put_file(m.folder, POWERCAP "intel-rapl:1/energy_uj", cases[i].first);
        machine_open(&m);
        shell("sleep 0.01");
        machine_pass(&m, 10);
        put_file(m.folder, POWERCAP "intel-rapl:1/energy_uj", cases[i].second);
        shell("sleep 0.01");
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (has_row(stats, 1, "x_energy", "package-1") != cases[i].is_present)
            fail_msg("range %s: %s after %s", cases[i].range, cases[i].second, cases[i].first);
        assert_true(has_row(stats, 1, "x_energy", "package-0"));
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

static void test_energy_tiers(void **state)
{
    (void)state;
    static const struct {
        const char *change;
        bool is_read;
        const char *note, *device; /* one that is there, NULL = none */
    } cases[] = {
        {"rm -r intel-rapl:*", true, "", "package-0"}, /* of intel-rapl-mmio */
        {"rm -r intel-rapl*:*", false, "no energy domain", NULL},
        {"rm -r ../powercap", false, "no energy domain", NULL},
        {"rm */energy_uj", false, "no energy domain", NULL},
        {"rm */name", false, "no energy domain", NULL},
        {"rm intel-rapl:0/name", true, "", "package-1:dram"},
        {"echo 'package 0' > intel-rapl:0/name", true, "", "package-1"},
        {"rm intel-rapl:0/energy_uj", true, "", "package-0:dram"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, "skylake");
        shell("cd '%s'/sys/class/powercap; %s", m.folder, cases[i].change);
        machine_open(&m);
        assert_note(&m, "energy", cases[i].is_read, cases[i].note);
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (cases[i].device)
            assert_true(has_row(stats, 0, "x_energy", cases[i].device));
        else
            assert_int_equal(mim_stats_find_type(stats, "x_energy"), SIZE_MAX);
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

/* ---- all together ------------------------------------------------------------------------------
 */

/* Counters that began with this process are not in a record behind another process's; the rest is.
 */
static void test_break(void **state)
{
    (void)state;
    static const char *const own[][2] = {
        {"x_perf", "0"}, {"x_imc", "0"}, {"x_llc", "1"}, {"x_energy", "package-0"}};
    made_machine m;
    machine_start(&m, "skylake");
    machine_pass(&m, 10);
    mim_sampler_break(m.sampler);
    machine_pass(&m, 10);
    machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        for (size_t record = 0; record < 3; record++)
            assert_int_equal(has_row(stats, record, own[i][0], own[i][1]), record != 1);
    assert_true(has_row(stats, 1, "x_resctrl", "0"));
    assert_true(has_row(stats, 1, "cpu", "0"));
    mim_stats_destroy(&stats);
    machine_end(&m);
}

static void test_whole_probe(void **state)
{
    (void)state;
    made_machine m;
    machine_start(&m, "skylake");
    assert_string_equal(mim_sampler_tiers(m.sampler),
                        "1:yes 2:yes 3:yes(without msr: not used, the other sources give the same "
                        "figures)");
    char *table = mim_probe_table(mim_sampler_probe(m.sampler));
    assert_non_null(strstr(table, "tier 2  perf      x_perf       read\n"));
    assert_non_null(
        strstr(table, "tier 2  imc       x_imc        read: 2 x uncore_imc in 4 groups\n"));
    assert_non_null(strstr(table, "tier 3  energy    x_energy     read\n"));
    free(table);
    assert_true(find_source(m.sampler, "resctrl")->is_read);
    assert_false(find_source(m.sampler, "msr")->is_read);
    machine_end(&m);
}

/* A strict file has none of it; the header tells the peak when it is known. */
static void test_header(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "skylake");
    for (int is_strict = 0; is_strict < 2; is_strict++) {
        const mim_sampler_options options = {.hostname = "fixture-node",
                                             .perf = &m.fake.calls,
                                             .is_strict = is_strict,
                                             .peak_bandwidth_gb_s = 281.4};
        m.sampler = open_in(m.folder, &options);
        assert_int_equal(mim_sampler_header(m.sampler), MIM_OK);
        machine_pass(&m, 10);
        char *text = text_of(m.sampler);
        assert_int_equal(strstr(text, "\n$x_peak_bandwidth_gb_s 281.4\n") != NULL, !is_strict);
        assert_int_equal(strstr(text, "\nx_perf 0 ") != NULL, !is_strict);
        assert_int_equal(strstr(text, "$x_") || strstr(text, "!x_"), !is_strict);
        free(text);
        mim_sampler_destroy(&m.sampler);
    }
    machine_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_energy),       cmocka_unit_test(test_energy_unknown),
        cmocka_unit_test(test_energy_tiers), cmocka_unit_test(test_break),
        cmocka_unit_test(test_whole_probe),  cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
