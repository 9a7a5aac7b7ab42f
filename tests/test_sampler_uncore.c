/* x_imc and x_llc on made machines of several kinds, with counters that count by rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/support/made_machine.h"

/* ---- x_imc and x_llc ---------------------------------------------------------------------------
 */

/* The traffic of a unit: its events give 10, 20, 30 ... counts a microsecond by their place in the
 * group, the CPU adds one. */
static uint64_t count_uncore(const mim_perf_event *event, int cpu, uint64_t us)
{
    return event->type < 11 ? 0 : (10 * (event->config & 0xff) + (uint64_t)cpu) * us;
}

static uint64_t count_by_umask(const mim_perf_event *event, int cpu, uint64_t us)
{
    return event->type < 11 ? 0 : ((event->config >> 8 & 0xff) + (uint64_t)cpu) * us;
}

static void test_imc_skylake(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "skylake");
    m.fake.count = count_by_umask; /* reads 3 a us, writes 12, and the CPU's number */
    machine_open(&m);
    assert_note(&m, "imc", true, "2 x uncore_imc in 4 groups");
    machine_pass(&m, 10);
    machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_keys(stats, "x_imc", "read_bytes write_bytes");
    /* two controllers a socket, opened on CPU 0 and CPU 2, 64 bytes a count */
    assert_true(value_of(stats, 0, "x_imc", "0", "read_bytes") == 2 * 3 * 10000 * 64);
    assert_true(value_of(stats, 0, "x_imc", "0", "write_bytes") == 2 * 12 * 10000 * 64);
    assert_true(value_of(stats, 0, "x_imc", "1", "read_bytes") == 2 * 5 * 10000 * 64);
    assert_true(value_of(stats, 1, "x_imc", "1", "write_bytes") == 2 * 14 * 20000 * 64);
    assert_int_equal(mim_stats_n_devices(stats, mim_stats_find_type(stats, "x_imc")), 2);
    mim_stats_destroy(&stats);
    machine_end(&m);
}

static bool is_same(const mim_perf_event *a, const mim_perf_event *b)
{
    return a->type == b->type && a->config == b->config && a->config1 == b->config1 &&
           a->config2 == b->config2;
}

/* Every event as the processor knows it: type, config, config1 of each counter on CPU 0. */
static void test_encodings(void **state)
{
    (void)state;
    static const struct {
        const char *machine;
        mim_perf_event event;
        size_t n; /* times on CPU 0 */
    } cases[] = {
        {"skylake", {14, 0x0304, 0, 0}, 1},
        {"skylake", {15, 0x0c04, 0, 0}, 1},
        {"skylake", {20, 0x1134, UINT64_C(0xf1) << 17, 0}, 1},
        {"skylake", {21, 0x1134, UINT64_C(0xf1) << 17, 0}, 1},
        {"icelake", {30, 0x0f04, 0, 0}, 1},
        {"icelake", {30, 0x3004, 0, 0}, 1},
        {"icelake", {40, 0x20ff, 0, 0}, 0}, /* the same traffic a second time */
        {"icelake", {50, UINT64_C(0x1fff0000ff34), 0, 0}, 1},
        {"granite", {30, 0xcf05, 0, 0}, 1},
        {"granite", {30, 0xf006, 0, 0}, 1},
        {"hybrid", {12, 0x01, 0, 0}, 1},
        {"zen2", {12, 0xff04, 0, 0}, 1},
        {"zen4", {13, 0x010a, 0, 0}, 1},
        {"zen4", {13, 0x020a, 0, 0}, 1},
        {"zen4", {11, 0x0f00fe1f, 0, 0}, 0}, /* amd_df: only without amd_umc */
        {"zen4", {12, 0xff04, 0, 0}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        size_t n = 0;
        machine_start(&m, cases[i].machine);
        for (size_t f = 0; f < FAKE_PERF_MAX_FDS; f++) {
            const fake_perf_counter *c = &m.fake.counters[f];
            n += c->is_open && c->cpu == 0 && is_same(&c->event, &cases[i].event);
        }
        if (n != cases[i].n)
            fail_msg("%s: %zu counters of type %u, config 0x%llx", cases[i].machine, n,
                     cases[i].event.type, (unsigned long long)cases[i].event.config);
        machine_end(&m);
    }
}

/* The other families: units, scales, sub-channels, reasons. */
static void test_imc_families(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *change; /* shell, in the folder of the units */
        const char *note;
        uint64_t read_bytes, write_bytes; /* of socket 0 after 10 ms; 0 = not read */
    } cases[] = {
        /* counts a us: 10 times the event's code, and the number of the CPU */
        {"icelake", "true", "1 x uncore_imc in 1 groups", 40 * 640000, 40 * 640000},
        {"icelake", "rm -r uncore_imc_0", "1 x uncore_imc_free_running in 1 groups",
         2550 * UINT64_C(40000), 2550 * UINT64_C(40000)},
        {"granite", "true", "1 x uncore_imc in 1 groups", (50 + 60) * 640000, (50 + 60) * 640000},
        {"hybrid", "true", "1 x uncore_imc in 1 groups", 10 * 640000, 20 * 640000},
        {"hybrid",
         "mv uncore_imc uncore_imc_free_running_0; cd uncore_imc_free_running_0/events; "
         "for f in data_reads* data_writes*; do mv $f $(echo $f | sed 's/s\\(\\.\\|$\\)/\\1/'); "
         "done",
         "1 x uncore_imc_free_running in 1 groups", 10 * 640000, 20 * 640000},
        {"zen4", "true", "2 x amd_umc in 2 groups", 100 * 640000, 100 * 640000},
        /* 12 channels, codes 0x1f, 0x5f ... of which the fake sees the low byte */
        {"zen4", "rm -r amd_umc_0 amd_umc_1", "1 x amd_df in 24 groups",
         UINT64_C(19200000) * (0x1f + 0x5f + 0x9f + 0xdf),
         UINT64_C(19200000) * (0x1f + 0x5f + 0x9f + 0xdf)},
        {"zen2", "true", "counts reads and writes together", 0, 0},
        {"zen2", "rm -r amd_df", "no counters of a memory controller", 0, 0},
        {"skylake", "echo > uncore_imc_0/cpumask; echo > uncore_imc_1/cpumask",
         "no counters of a memory controller", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, cases[i].machine);
        shell("cd '%s'/sys/bus/event_source/devices && { %s; }", m.folder, cases[i].change);
        m.fake.count = count_uncore;
        machine_open(&m);
        assert_note(&m, "imc", cases[i].read_bytes > 0, cases[i].note);
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (cases[i].read_bytes > 0) {
            if (value_of(stats, 0, "x_imc", "0", "read_bytes") != cases[i].read_bytes)
                fail_msg("case %zu: %llu bytes", i,
                         (unsigned long long)value_of(stats, 0, "x_imc", "0", "read_bytes"));
            assert_true(value_of(stats, 0, "x_imc", "0", "read_bytes") == cases[i].read_bytes);
            assert_true(value_of(stats, 0, "x_imc", "0", "write_bytes") == cases[i].write_bytes);
        } else {
            assert_int_equal(mim_stats_find_type(stats, "x_imc"), SIZE_MAX);
        }
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

static void test_llc(void **state)
{
    (void)state;
    static const struct {
        const char *machine, *change, *note;
        uint64_t lookups; /* of socket 0 after 10 ms */
    } cases[] = {
        {"skylake", "true", "2 x uncore_cha in 4 groups", 2 * 520 * 10000},
        {"icelake", "true", "1 x uncore_cha in 1 groups", 520 * 10000},
        {"skylake", /* as Haswell has it */
         "for i in 0 1; do mv uncore_cha_$i uncore_cbox_$i; "
         "echo config1:17-23 > uncore_cbox_$i/format/filter_state; done",
         "2 x uncore_cbox in 4 groups", 2 * 520 * 10000},
        {"skylake",
         "for i in 0 1; do mv uncore_cha_$i uncore_cbox_$i; "
         "rm uncore_cbox_$i/format/filter_state; done",
         "not known here", 0},
        /* two complexes on CPUs 0 and 2 of one socket */
        {"zen2", "true", "1 x amd_l3 in 2 groups", (40 + 42) * 10000},
        {"zen4", "true", "1 x amd_l3 in 2 groups", 40 * 10000},
        {"granite", "true", "no counters of the last-level cache", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, cases[i].machine);
        shell("cd '%s'/sys/bus/event_source/devices && { %s; }", m.folder, cases[i].change);
        m.fake.count = count_uncore;
        machine_open(&m);
        assert_note(&m, "llc", cases[i].lookups > 0, cases[i].note);
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (cases[i].lookups > 0)
            assert_true(value_of(stats, 0, "x_llc", "0", "lookups") == cases[i].lookups);
        else
            assert_int_equal(mim_stats_find_type(stats, "x_llc"), SIZE_MAX);
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

/* Half of the time the counters are someone else's: counts are doubled; all the time: absent, and
 * the next record covers both intervals. */
static void test_uncore_multiplexed(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "skylake");
    m.fake.count = count_by_umask;
    machine_open(&m);
    machine_pass(&m, 10);
    /* 10 ms counted of 20; then 10 of 30 (nothing in the third interval); then 20 of 40 */
    m.fake.running = 0.75;
    machine_pass(&m, 10);
    m.fake.running = 0.5;
    machine_pass(&m, 10);
    machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    const uint64_t first = 2 * 3 * 10000 * 64;
    assert_true(value_of(stats, 0, "x_imc", "0", "read_bytes") == first);
    assert_true(value_of(stats, 1, "x_imc", "0", "read_bytes") == 2 * first); /* 5 of 10, scaled */
    assert_false(has_row(stats, 2, "x_imc", "0"));                            /* 15 of 30 */
    assert_true(value_of(stats, 3, "x_imc", "0", "read_bytes") == 4 * first); /* 5 of 20 */
    mim_stats_destroy(&stats);
    machine_end(&m);
}

/* A sum without one of its units would be a wrong one. */
static void test_uncore_bad_reads(void **state)
{
    (void)state;
    static const uint64_t back[] = {2, 20 * MADE_MS, 20 * MADE_MS, 5, 5};
    static const uint64_t still[] = {2, 10 * MADE_MS, 10 * MADE_MS, 30000, 120000};
    static const struct {
        long result;
        const uint64_t *words;
    } cases[] = {{0, NULL}, {-EIO, NULL}, {sizeof back, back}, {sizeof still, still}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, "skylake");
        shell("rm -r '%s'/sys/bus/event_source/devices/uncore_cha_* "
              "'%s'/sys/bus/event_source/devices/cpu",
              m.folder, m.folder);
        m.fake.count = count_by_umask;
        machine_open(&m);
        machine_pass(&m, 10);
        fake_perf_answer_once(&m.fake, 0, cases[i].result, cases[i].words);
        machine_pass(&m, 10);
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        assert_false(has_row(stats, 1, "x_imc", "0"));
        assert_true(value_of(stats, 1, "x_imc", "1", "read_bytes") == 2 * 5 * 20000 * 64);
        /* what the first unit counted in the second interval is lost */
        assert_true(value_of(stats, 2, "x_imc", "0", "read_bytes") == (20000 + 30000) * 3 * 64);
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

/* A scale that makes no sense makes no number; found by fuzzing. */
static void test_uncore_beyond_64_bits(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "skylake");
    m.fake.count = count_by_umask;
    put_file(m.folder, "sys/bus/event_source/devices/uncore_imc_0/events/cas_count_read.scale",
             "7777777777777777777777777777777777777777777777777777\n");
    machine_open(&m);
    machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_false(has_row(stats, 0, "x_imc", "0"));
    mim_stats_destroy(&stats);
    machine_end(&m);
}

/* A unit that refuses groups is counted event by event. */
static void test_uncore_without_groups(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "hybrid");
    m.fake.count = count_uncore;
    m.fake.max_group = 1;
    machine_open(&m);
    assert_note(&m, "imc", true, "1 x uncore_imc in 2 groups");
    machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_true(value_of(stats, 0, "x_imc", "0", "read_bytes") == 10 * 640000);
    assert_true(value_of(stats, 0, "x_imc", "0", "write_bytes") == 20 * 640000);
    mim_stats_destroy(&stats);
    machine_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_imc_skylake),           cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_imc_families),          cmocka_unit_test(test_llc),
        cmocka_unit_test(test_uncore_multiplexed),    cmocka_unit_test(test_uncore_bad_reads),
        cmocka_unit_test(test_uncore_beyond_64_bits), cmocka_unit_test(test_uncore_without_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
