/* x_perf, and why perf_event may give nothing, on made machines with counters that count by rule.
 * The expected figures follow from the rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/made_machine.h"

/* ---- x_perf ------------------------------------------------------------------------------------
 */

/* A CPU's cycles: 2000 + CPU a microsecond; instructions twice, references 7, misses 3. */
static uint64_t count_core(const mim_perf_event *event, int cpu, uint64_t us)
{
    if (event->type == PERF_TYPE_HARDWARE) {
        switch (event->config & UINT32_MAX) {
        case PERF_COUNT_HW_CPU_CYCLES:
            return (2000 + (uint64_t)cpu) * us;
        case PERF_COUNT_HW_INSTRUCTIONS:
            return 2 * (2000 + (uint64_t)cpu) * us;
        case PERF_COUNT_HW_CACHE_REFERENCES:
            return 7 * us;
        case PERF_COUNT_HW_CACHE_MISSES:
            return 3 * us;
        }
    }
    return 0;
}

static void test_perf(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "skylake");
    m.fake.count = count_core;
    machine_open(&m);
    assert_note(&m, "perf", true, "");
    const size_t n_opened = m.fake.n_opened;
    machine_pass(&m, 10);
    m.fake.running = 0.5;
    machine_pass(&m, 30);
    assert_int_equal(m.fake.n_opened, n_opened); /* files stay open */
    mim_stats *stats = stats_of(m.sampler);
    assert_int_equal(mim_stats_n_devices(stats, mim_stats_find_type(stats, "x_perf")), 4);
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        char device[4];
        snprintf(device, sizeof device, "%u", cpu);
        /* 10 ms counting all the time, then 40 ms so far of which 20 were counted */
        assert_true(value_of(stats, 0, "x_perf", device, "cycles") == (2000 + cpu) * 10000);
        assert_true(value_of(stats, 1, "x_perf", device, "cycles") == (2000 + cpu) * 20000);
        assert_true(value_of(stats, 1, "x_perf", device, "instructions") ==
                    (4000 + 2 * cpu) * 20000);
        assert_true(value_of(stats, 1, "x_perf", device, "llc_refs") == 7 * 20000);
        assert_true(value_of(stats, 1, "x_perf", device, "llc_misses") == 3 * 20000);
        assert_true(value_of(stats, 0, "x_perf", device, "enabled_ns") == 10 * MADE_MS);
        assert_true(value_of(stats, 0, "x_perf", device, "running_ns") == 10 * MADE_MS);
        assert_true(value_of(stats, 1, "x_perf", device, "enabled_ns") == 40 * MADE_MS);
        assert_true(value_of(stats, 1, "x_perf", device, "running_ns") == 20 * MADE_MS);
    }
    mim_stats_destroy(&stats);
    machine_end(&m);
}

/* Recorded bytes of a read: number of values, time enabled, time running, values. */
static void test_perf_bad_reads(void **state)
{
    (void)state;
    static const uint64_t good[] = {4, 20 * MADE_MS, 20 * MADE_MS, 11, 12, 13, 14};
    static const uint64_t three[] = {3, 20 * MADE_MS, 20 * MADE_MS, 11, 12, 13};
    static const uint64_t wrong_count[] = {3, 20 * MADE_MS, 20 * MADE_MS, 11, 12, 13, 14};
    static const uint64_t impossible[] = {4, 20 * MADE_MS, 21 * MADE_MS, 11, 12, 13, 14};
    static const uint64_t still[] = {4, 10 * MADE_MS, 10 * MADE_MS, 11, 12, 13, 14};
    static const struct {
        long result;
        const uint64_t *words;
        bool is_present;
    } cases[] = {{sizeof good, good, true},
                 {0, NULL, false}, /* in error state */
                 {-EIO, NULL, false},
                 {-ENODEV, NULL, false},
                 {sizeof three, three, false},
                 {sizeof good - 8, good, false},
                 {sizeof good - 1, good, false},
                 {sizeof wrong_count, wrong_count, false},
                 {sizeof impossible, impossible, false},
                 {sizeof still, still, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, "skylake");
        m.fake.count = count_core;
        machine_open(&m);
        machine_pass(&m, 10);
        fake_perf_answer_once(&m.fake, 1, cases[i].result, cases[i].words);
        machine_pass(&m, 10);
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (has_row(stats, 1, "x_perf", "1") != cases[i].is_present)
            fail_msg("case %zu: row of CPU 1", i);
        if (cases[i].is_present) {
            assert_true(value_of(stats, 1, "x_perf", "1", "llc_misses") == 14);
        } else { /* opened again: goes on from what it had */
            assert_true(value_of(stats, 2, "x_perf", "1", "llc_misses") == 3 * 20000);
            assert_true(value_of(stats, 2, "x_perf", "1", "enabled_ns") == 20 * MADE_MS);
        }
        assert_true(value_of(stats, 1, "x_perf", "2", "llc_misses") == 3 * 20000);
        assert_true(value_of(stats, 2, "x_perf", "2", "llc_misses") == 3 * 30000);
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

/* The counters of a CPU that went offline stand still: they are absent, not 0 growth. */
static void test_perf_hotplug(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "skylake");
    m.fake.count = count_core;
    machine_open(&m);
    machine_pass(&m, 10);
    m.fake.offline_cpu = 3;
    put_file(m.folder, "sys/devices/system/cpu/online", "0-2\n");
    machine_pass(&m, 10);
    machine_pass(&m, 10);
    m.fake.offline_cpu = -1;
    put_file(m.folder, "sys/devices/system/cpu/online", "0-4\n"); /* and one more */
    for (size_t i = 0; i < 17; i++)
        machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_true(has_row(stats, 0, "x_perf", "3"));
    assert_false(has_row(stats, 1, "x_perf", "3"));
    assert_false(has_row(stats, 2, "x_perf", "3"));
    const size_t last = mim_stats_n_records(stats) - 1;
    const uint64_t before = value_of(stats, 0, "x_perf", "3", "cycles");
    assert_true(value_of(stats, last, "x_perf", "3", "cycles") > before);
    assert_true(value_of(stats, last, "x_perf", "3", "enabled_ns") < (last + 1) * 10 * MADE_MS);
    assert_true(value_of(stats, last, "x_perf", "4", "cycles") > 0);
    assert_true(value_of(stats, last, "x_perf", "0", "enabled_ns") == (last + 1) * 10 * MADE_MS);
    mim_stats_destroy(&stats);
    machine_end(&m);
}

static int refuse_last_level(const mim_perf_event *event, int cpu)
{
    (void)cpu;
    return event->type == PERF_TYPE_HW_CACHE || (event->config & UINT32_MAX) > 1 ? ENOENT : 0;
}

/* What cannot be counted is not declared: it is not 0. */
static void test_perf_without_last_level(void **state)
{
    (void)state;
    static const char *const machines[] = {"skylake", "zen4"};
    for (size_t i = 0; i < 3; i++) {
        made_machine m;
        machine_prepare(&m, machines[i % 2]);
        m.fake.count = count_core;
        if (i < 2)
            m.fake.refuse = refuse_last_level;
        else
            m.fake.max_group = 2; /* too few counters for four */
        machine_open(&m);
        assert_note(&m, "perf", true, "cycles and instructions");
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        assert_keys(stats, "x_perf", "cycles instructions enabled_ns running_ns");
        assert_true(value_of(stats, 0, "x_perf", "2", "instructions") == 2 * 2002 * 10000);
        assert_true(value_of(stats, 0, "x_perf", "2", "running_ns") == 10 * MADE_MS);
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

/* "Cache references" are those of the last level on Intel alone. */
static void test_perf_last_level_events(void **state)
{
    (void)state;
    made_machine m;
    machine_start(&m, "skylake");
    assert_int_equal(m.fake.counters[2].event.type, PERF_TYPE_HARDWARE);
    assert_int_equal(m.fake.counters[2].event.config, PERF_COUNT_HW_CACHE_REFERENCES);
    assert_int_equal(m.fake.counters[3].event.config, PERF_COUNT_HW_CACHE_MISSES);
    machine_end(&m);
    machine_start(&m, "zen4");
    assert_int_equal(m.fake.counters[2].event.type, PERF_TYPE_HW_CACHE);
    assert_int_equal(m.fake.counters[2].event.config, 0x000002);
    assert_int_equal(m.fake.counters[3].event.config, 0x010002);
    machine_end(&m);
}

/* Two kinds of cores: events name the unit of theirs. */
static void test_perf_hybrid(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "hybrid");
    m.fake.count = count_core;
    machine_open(&m);
    machine_pass(&m, 10);
    for (size_t i = 0; i < FAKE_PERF_MAX_FDS; i++) {
        const fake_perf_counter *c = &m.fake.counters[i];
        if (c->is_open && c->event.type == PERF_TYPE_HARDWARE)
            assert_int_equal(c->event.config >> 32, c->cpu < 2 ? 4 : 10);
    }
    mim_stats *stats = stats_of(m.sampler);
    assert_true(value_of(stats, 0, "x_perf", "3", "cycles") == 2003 * 10000);
    mim_stats_destroy(&stats);
    machine_end(&m);
}

/* ---- refusals ----------------------------------------------------------------------------------
 */

static int refused_with;

static int refuse_all(const mim_perf_event *event, int cpu)
{
    (void)event;
    (void)cpu;
    return refused_with;
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        int error;
        const char *paranoid, *reason;
    } cases[] = {{EACCES, "2\n", "not permitted: perf_event_paranoid is 2, needs 0 or less"},
                 {EPERM, "4\n", "not permitted: perf_event_paranoid is 4"},
                 {EPERM, "-1\n", "not permitted, by a container"},
                 {ENOENT, "0\n", "not offered here"},
                 {EOPNOTSUPP, "0\n", "not offered here"},
                 {EMFILE, "0\n", "too many open files"},
                 {ENOSYS, "0\n", "no perf_event"},
                 {EBUSY, "0\n", "in use by another program"},
                 {EIO, "0\n", "cannot be opened: Input/output error"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, "skylake");
        put_file(m.folder, "proc/sys/kernel/perf_event_paranoid", cases[i].paranoid);
        refused_with = cases[i].error;
        m.fake.refuse = refuse_all;
        machine_open(&m);
        assert_note(&m, "perf", false, cases[i].reason);
        assert_note(&m, "imc", false, cases[i].reason);
        assert_note(&m, "llc", false, cases[i].reason);
        assert_true(find_source(m.sampler, "resctrl")->is_read);
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        assert_int_equal(mim_stats_find_type(stats, "x_perf"), SIZE_MAX);
        assert_non_null(strstr(mim_stats_property(stats, "x_tiers"), cases[i].reason));
        assert_true(value_of(stats, 0, "cpu", "1", "idle") == 51000);
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

/* Counters of 4 CPUs need 16 files. A soft limit that leaves hardly any to the program is raised,
 */
static void test_few_files(void **state)
{
    (void)state;
    struct rlimit limit, few, now;
    made_machine m;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 258;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    machine_start(&m, "skylake");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_note(&m, "perf", true, "");
    machine_end(&m);
    assert_in_range(now.rlim_cur, 16 + 256, 16 + 256 + 100); /* and no further */
    assert_true(now.rlim_max == limit.rlim_max);
}

/* a hard one is not. In a process of its own, as it cannot be lifted again. */
static void test_fewer_files_than_may_be(void **state)
{
    (void)state;
    const struct rlimit few = {258, 258};
    made_machine m;
    int how = 0;
    const pid_t child = fork();

    if (child == 0) {
        if (setrlimit(RLIMIT_NOFILE, &few) != 0)
            _exit(2);
        machine_start(&m, "skylake");
        const mim_probe_source *s = find_source(m.sampler, "perf");
        const bool is_told = !s->is_read && strstr(s->note, "needs 16 open files, the hard limit "
                                                            "of 258 leaves too few (ulimit -Hn)");
        machine_end(&m);
        _exit(is_told ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

static void test_broken_files(void **state)
{
    (void)state;
#define DEVICES "sys/bus/event_source/devices/"
    static const struct {
        const char *machine, *path, *text, *source, *reason;
    } cases[] = {
        {"skylake", DEVICES "cpu/type", "four\n", "perf", "expected a number"},
        {"skylake", DEVICES "cpu/type", "4294967296\n", "perf", "expected a number"},
        {"skylake", "sys/devices/system/cpu/online", "0-x\n", "perf", "expected rising CPU"},
        {"skylake", DEVICES "uncore_imc_1/type", "-1\n", "imc", "expected a number"},
        {"skylake", DEVICES "uncore_imc_1/cpumask", "0,zero\n", "imc", "expected rising CPU"},
        {"skylake", DEVICES "uncore_imc_1/events/cas_count_read", "event=?\n", "imc",
         "expected an event"},
        {"skylake", DEVICES "uncore_imc_1/events/cas_count_read", "event=0x104\n", "imc",
         "does not fit the 8 bits"},
        {"skylake", DEVICES "uncore_imc_1/events/cas_count_read", "events=0x04\n", "imc",
         "format/events: cannot be read"},
        {"skylake", DEVICES "uncore_imc_1/events/cas_count_read.scale", "0\n", "imc",
         "expected a scale"},
        {"skylake", DEVICES "uncore_imc_1/events/cas_count_read.unit", "GiB\n", "imc",
         "a count in GiB"},
        {"skylake", DEVICES "uncore_imc_1/events/cas_count_read.unit", "a unit without an end\n",
         "imc", "expected a unit"},
        {"skylake", DEVICES "uncore_imc_1/format/umask", "config:8-\n", "imc", "expected a format"},
        {"skylake", "sys/devices/system/cpu/cpu2/topology/physical_package_id", "-1\n", "imc",
         "expected a number"},
        {"skylake", DEVICES "uncore_cha_0/format/filter_state", "config1:17-99\n", "llc",
         "its events for lookups are not known here"},
        {"zen4", DEVICES "amd_l3/format/umask", "config:8-14\n", "llc", "does not fit the 7 bits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_machine m;
        machine_prepare(&m, cases[i].machine);
        put_file(m.folder, cases[i].path, cases[i].text);
        /* a second unit of the kind would do without the first */
        shell("rm -rf '%s'/" DEVICES "uncore_cha_1", m.folder);
        machine_open(&m);
        assert_note(&m, cases[i].source, false, cases[i].reason);
        machine_end(&m);
    }
#undef DEVICES
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perf),
        cmocka_unit_test(test_perf_bad_reads),
        cmocka_unit_test(test_perf_hotplug),
        cmocka_unit_test(test_perf_without_last_level),
        cmocka_unit_test(test_perf_last_level_events),
        cmocka_unit_test(test_perf_hybrid),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_few_files),
        cmocka_unit_test(test_fewer_files_than_may_be),
        cmocka_unit_test(test_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
