/* The sampler's hardware sources against made folders of machines that have them, with counters
 * that count by rule. The expected figures follow from the rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/text.h"
#include "tests/support/fake_perf.h"
#include "tests/support/sampled.h"

enum { MS = 1000000 }; /* ns */

typedef struct machine {
    char *folder;
    fake_perf fake;
    mim_sampler *sampler;
} machine;

static void open_sampler(machine *m)
{
    const mim_sampler_options options = {.hostname = "fixture-node", .perf = &m->fake.calls};

    m->sampler = open_in(m->folder, &options);
    assert_int_equal(mim_sampler_header(m->sampler), MIM_OK);
}

/* A machine that is still to be opened, so that a test can change it. */
static void prepare(machine *m, const char *name)
{
    m->folder = copy_hardware(name);
    m->sampler = NULL;
    fake_perf_init(&m->fake);
}

static void start(machine *m, const char *name)
{
    prepare(m, name);
    open_sampler(m);
}

static void end(machine *m)
{
    mim_sampler_destroy(&m->sampler);
    assert_int_equal(m->fake.n_open, 0); /* nothing leaks */
    remove_copy(m->folder);
}

static void pass(machine *m, unsigned ms)
{
    m->fake.now_ns += (uint64_t)ms * MS;
    take_sample(m->sampler);
}

static void assert_note(machine *m, const char *source, bool is_read, const char *note)
{
    const mim_probe_source *s = find_source(m->sampler, source);

    if (s->is_read != is_read || !strstr(s->note, note))
        fail_msg("%s: expected %s with \"%s\", found %s with \"%s\"", source,
                 is_read ? "read" : "not read", note, s->is_read ? "read" : "not read", s->note);
}

static bool has_row(const mim_stats *stats, size_t record, const char *type, const char *device)
{
    return find_row(stats, record, type, device) != NULL;
}

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
    machine m;
    prepare(&m, "skylake");
    m.fake.count = count_core;
    open_sampler(&m);
    assert_note(&m, "perf", true, "");
    const size_t n_opened = m.fake.n_opened;
    pass(&m, 10);
    m.fake.running = 0.5;
    pass(&m, 30);
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
        assert_true(value_of(stats, 0, "x_perf", device, "enabled_ns") == 10 * MS);
        assert_true(value_of(stats, 0, "x_perf", device, "running_ns") == 10 * MS);
        assert_true(value_of(stats, 1, "x_perf", device, "enabled_ns") == 40 * MS);
        assert_true(value_of(stats, 1, "x_perf", device, "running_ns") == 20 * MS);
    }
    mim_stats_destroy(&stats);
    end(&m);
}

/* Recorded bytes of a read: number of values, time enabled, time running, values. */
static void test_perf_bad_reads(void **state)
{
    (void)state;
    static const uint64_t good[] = {4, 20 * MS, 20 * MS, 11, 12, 13, 14};
    static const uint64_t three[] = {3, 20 * MS, 20 * MS, 11, 12, 13};
    static const uint64_t wrong_count[] = {3, 20 * MS, 20 * MS, 11, 12, 13, 14};
    static const uint64_t impossible[] = {4, 20 * MS, 21 * MS, 11, 12, 13, 14};
    static const uint64_t still[] = {4, 10 * MS, 10 * MS, 11, 12, 13, 14};
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
        machine m;
        prepare(&m, "skylake");
        m.fake.count = count_core;
        open_sampler(&m);
        pass(&m, 10);
        fake_perf_answer_once(&m.fake, 1, cases[i].result, cases[i].words);
        pass(&m, 10);
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (has_row(stats, 1, "x_perf", "1") != cases[i].is_present)
            fail_msg("case %zu: row of CPU 1", i);
        if (cases[i].is_present) {
            assert_true(value_of(stats, 1, "x_perf", "1", "llc_misses") == 14);
        } else { /* opened again: goes on from what it had */
            assert_true(value_of(stats, 2, "x_perf", "1", "llc_misses") == 3 * 20000);
            assert_true(value_of(stats, 2, "x_perf", "1", "enabled_ns") == 20 * MS);
        }
        assert_true(value_of(stats, 1, "x_perf", "2", "llc_misses") == 3 * 20000);
        assert_true(value_of(stats, 2, "x_perf", "2", "llc_misses") == 3 * 30000);
        mim_stats_destroy(&stats);
        end(&m);
    }
}

/* The counters of a CPU that went offline stand still: they are absent, not 0 growth. */
static void test_perf_hotplug(void **state)
{
    (void)state;
    machine m;
    prepare(&m, "skylake");
    m.fake.count = count_core;
    open_sampler(&m);
    pass(&m, 10);
    m.fake.offline_cpu = 3;
    put_file(m.folder, "sys/devices/system/cpu/online", "0-2\n");
    pass(&m, 10);
    pass(&m, 10);
    m.fake.offline_cpu = -1;
    put_file(m.folder, "sys/devices/system/cpu/online", "0-4\n"); /* and one more */
    for (size_t i = 0; i < 17; i++)
        pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_true(has_row(stats, 0, "x_perf", "3"));
    assert_false(has_row(stats, 1, "x_perf", "3"));
    assert_false(has_row(stats, 2, "x_perf", "3"));
    const size_t last = mim_stats_n_records(stats) - 1;
    const uint64_t before = value_of(stats, 0, "x_perf", "3", "cycles");
    assert_true(value_of(stats, last, "x_perf", "3", "cycles") > before);
    assert_true(value_of(stats, last, "x_perf", "3", "enabled_ns") < (last + 1) * 10 * MS);
    assert_true(value_of(stats, last, "x_perf", "4", "cycles") > 0);
    assert_true(value_of(stats, last, "x_perf", "0", "enabled_ns") == (last + 1) * 10 * MS);
    mim_stats_destroy(&stats);
    end(&m);
}

static int refuse_last_level(const mim_perf_event *event, int cpu)
{
    (void)cpu;
    return event->type == PERF_TYPE_HW_CACHE || (event->config & UINT32_MAX) > 1 ? ENOENT : 0;
}

/* The keys of a type, "a b c". */
static void assert_keys(const mim_stats *stats, const char *type, const char *expected)
{
    const size_t t = mim_stats_find_type(stats, type);
    char text[256] = "";

    assert_true(t != SIZE_MAX);
    for (size_t k = 0; k < mim_stats_n_keys(stats, t); k++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", k ? " " : "",
                 mim_stats_key(stats, t, k)->name);
    assert_string_equal(text, expected);
}

/* What cannot be counted is not declared: it is not 0. */
static void test_perf_without_last_level(void **state)
{
    (void)state;
    static const char *const machines[] = {"skylake", "zen4"};
    for (size_t i = 0; i < 3; i++) {
        machine m;
        prepare(&m, machines[i % 2]);
        m.fake.count = count_core;
        if (i < 2)
            m.fake.refuse = refuse_last_level;
        else
            m.fake.max_group = 2; /* too few counters for four */
        open_sampler(&m);
        assert_note(&m, "perf", true, "cycles and instructions");
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        assert_keys(stats, "x_perf", "cycles instructions enabled_ns running_ns");
        assert_true(value_of(stats, 0, "x_perf", "2", "instructions") == 2 * 2002 * 10000);
        assert_true(value_of(stats, 0, "x_perf", "2", "running_ns") == 10 * MS);
        mim_stats_destroy(&stats);
        end(&m);
    }
}

/* "Cache references" are those of the last level on Intel alone. */
static void test_perf_last_level_events(void **state)
{
    (void)state;
    machine m;
    start(&m, "skylake");
    assert_int_equal(m.fake.counters[2].event.type, PERF_TYPE_HARDWARE);
    assert_int_equal(m.fake.counters[2].event.config, PERF_COUNT_HW_CACHE_REFERENCES);
    assert_int_equal(m.fake.counters[3].event.config, PERF_COUNT_HW_CACHE_MISSES);
    end(&m);
    start(&m, "zen4");
    assert_int_equal(m.fake.counters[2].event.type, PERF_TYPE_HW_CACHE);
    assert_int_equal(m.fake.counters[2].event.config, 0x000002);
    assert_int_equal(m.fake.counters[3].event.config, 0x010002);
    end(&m);
}

/* Two kinds of cores: events name the unit of theirs. */
static void test_perf_hybrid(void **state)
{
    (void)state;
    machine m;
    prepare(&m, "hybrid");
    m.fake.count = count_core;
    open_sampler(&m);
    pass(&m, 10);
    for (size_t i = 0; i < FAKE_PERF_MAX_FDS; i++) {
        const fake_perf_counter *c = &m.fake.counters[i];
        if (c->is_open && c->event.type == PERF_TYPE_HARDWARE)
            assert_int_equal(c->event.config >> 32, c->cpu < 2 ? 4 : 10);
    }
    mim_stats *stats = stats_of(m.sampler);
    assert_true(value_of(stats, 0, "x_perf", "3", "cycles") == 2003 * 10000);
    mim_stats_destroy(&stats);
    end(&m);
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
        machine m;
        prepare(&m, "skylake");
        put_file(m.folder, "proc/sys/kernel/perf_event_paranoid", cases[i].paranoid);
        refused_with = cases[i].error;
        m.fake.refuse = refuse_all;
        open_sampler(&m);
        assert_note(&m, "perf", false, cases[i].reason);
        assert_note(&m, "imc", false, cases[i].reason);
        assert_note(&m, "llc", false, cases[i].reason);
        assert_true(find_source(m.sampler, "resctrl")->is_read);
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        assert_int_equal(mim_stats_find_type(stats, "x_perf"), SIZE_MAX);
        assert_non_null(strstr(mim_stats_property(stats, "x_tiers"), cases[i].reason));
        assert_true(value_of(stats, 0, "cpu", "1", "idle") == 51000);
        mim_stats_destroy(&stats);
        end(&m);
    }
}

/* Counters of 4 CPUs need 16 files: not when the limit leaves hardly any to the program. */
static void test_few_files(void **state)
{
    (void)state;
    struct rlimit limit, few;
    machine m;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 258;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    start(&m, "skylake");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_note(&m, "perf", false, "needs 16 open files, the limit of 258 leaves too few");
    end(&m);
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
        machine m;
        prepare(&m, cases[i].machine);
        put_file(m.folder, cases[i].path, cases[i].text);
        /* a second unit of the kind would do without the first */
        shell("rm -rf '%s'/" DEVICES "uncore_cha_1", m.folder);
        open_sampler(&m);
        assert_note(&m, cases[i].source, false, cases[i].reason);
        end(&m);
    }
#undef DEVICES
}

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
    machine m;
    prepare(&m, "skylake");
    m.fake.count = count_by_umask; /* reads 3 a us, writes 12, and the CPU's number */
    open_sampler(&m);
    assert_note(&m, "imc", true, "2 x uncore_imc in 4 groups");
    pass(&m, 10);
    pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_keys(stats, "x_imc", "read_bytes write_bytes");
    /* two controllers a socket, opened on CPU 0 and CPU 2, 64 bytes a count */
    assert_true(value_of(stats, 0, "x_imc", "0", "read_bytes") == 2 * 3 * 10000 * 64);
    assert_true(value_of(stats, 0, "x_imc", "0", "write_bytes") == 2 * 12 * 10000 * 64);
    assert_true(value_of(stats, 0, "x_imc", "1", "read_bytes") == 2 * 5 * 10000 * 64);
    assert_true(value_of(stats, 1, "x_imc", "1", "write_bytes") == 2 * 14 * 20000 * 64);
    assert_int_equal(mim_stats_n_devices(stats, mim_stats_find_type(stats, "x_imc")), 2);
    mim_stats_destroy(&stats);
    end(&m);
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
        machine m;
        size_t n = 0;
        start(&m, cases[i].machine);
        for (size_t f = 0; f < FAKE_PERF_MAX_FDS; f++) {
            const fake_perf_counter *c = &m.fake.counters[f];
            n += c->is_open && c->cpu == 0 && is_same(&c->event, &cases[i].event);
        }
        if (n != cases[i].n)
            fail_msg("%s: %zu counters of type %u, config 0x%llx", cases[i].machine, n,
                     cases[i].event.type, (unsigned long long)cases[i].event.config);
        end(&m);
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
        machine m;
        prepare(&m, cases[i].machine);
        shell("cd '%s'/sys/bus/event_source/devices && { %s; }", m.folder, cases[i].change);
        m.fake.count = count_uncore;
        open_sampler(&m);
        assert_note(&m, "imc", cases[i].read_bytes > 0, cases[i].note);
        pass(&m, 10);
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
        end(&m);
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
        machine m;
        prepare(&m, cases[i].machine);
        shell("cd '%s'/sys/bus/event_source/devices && { %s; }", m.folder, cases[i].change);
        m.fake.count = count_uncore;
        open_sampler(&m);
        assert_note(&m, "llc", cases[i].lookups > 0, cases[i].note);
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (cases[i].lookups > 0)
            assert_true(value_of(stats, 0, "x_llc", "0", "lookups") == cases[i].lookups);
        else
            assert_int_equal(mim_stats_find_type(stats, "x_llc"), SIZE_MAX);
        mim_stats_destroy(&stats);
        end(&m);
    }
}

/* Half of the time the counters are someone else's: counts are doubled; all the time: absent, and
 * the next record covers both intervals. */
static void test_uncore_multiplexed(void **state)
{
    (void)state;
    machine m;
    prepare(&m, "skylake");
    m.fake.count = count_by_umask;
    open_sampler(&m);
    pass(&m, 10);
    /* 10 ms counted of 20; then 10 of 30 (nothing in the third interval); then 20 of 40 */
    m.fake.running = 0.75;
    pass(&m, 10);
    m.fake.running = 0.5;
    pass(&m, 10);
    pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    const uint64_t first = 2 * 3 * 10000 * 64;
    assert_true(value_of(stats, 0, "x_imc", "0", "read_bytes") == first);
    assert_true(value_of(stats, 1, "x_imc", "0", "read_bytes") == 2 * first); /* 5 of 10, scaled */
    assert_false(has_row(stats, 2, "x_imc", "0"));                            /* 15 of 30 */
    assert_true(value_of(stats, 3, "x_imc", "0", "read_bytes") == 4 * first); /* 5 of 20 */
    mim_stats_destroy(&stats);
    end(&m);
}

/* A sum without one of its units would be a wrong one. */
static void test_uncore_bad_reads(void **state)
{
    (void)state;
    static const uint64_t back[] = {2, 20 * MS, 20 * MS, 5, 5};
    static const uint64_t still[] = {2, 10 * MS, 10 * MS, 30000, 120000};
    static const struct {
        long result;
        const uint64_t *words;
    } cases[] = {{0, NULL}, {-EIO, NULL}, {sizeof back, back}, {sizeof still, still}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        machine m;
        prepare(&m, "skylake");
        shell("rm -r '%s'/sys/bus/event_source/devices/uncore_cha_* "
              "'%s'/sys/bus/event_source/devices/cpu",
              m.folder, m.folder);
        m.fake.count = count_by_umask;
        open_sampler(&m);
        pass(&m, 10);
        fake_perf_answer_once(&m.fake, 0, cases[i].result, cases[i].words);
        pass(&m, 10);
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        assert_false(has_row(stats, 1, "x_imc", "0"));
        assert_true(value_of(stats, 1, "x_imc", "1", "read_bytes") == 2 * 5 * 20000 * 64);
        /* what the first unit counted in the second interval is lost */
        assert_true(value_of(stats, 2, "x_imc", "0", "read_bytes") == (20000 + 30000) * 3 * 64);
        mim_stats_destroy(&stats);
        end(&m);
    }
}

/* A scale that makes no sense makes no number; found by fuzzing. */
static void test_uncore_beyond_64_bits(void **state)
{
    (void)state;
    machine m;
    prepare(&m, "skylake");
    m.fake.count = count_by_umask;
    put_file(m.folder, "sys/bus/event_source/devices/uncore_imc_0/events/cas_count_read.scale",
             "7777777777777777777777777777777777777777777777777777\n");
    open_sampler(&m);
    pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_false(has_row(stats, 0, "x_imc", "0"));
    mim_stats_destroy(&stats);
    end(&m);
}

/* A unit that refuses groups is counted event by event. */
static void test_uncore_without_groups(void **state)
{
    (void)state;
    machine m;
    prepare(&m, "hybrid");
    m.fake.count = count_uncore;
    m.fake.max_group = 1;
    open_sampler(&m);
    assert_note(&m, "imc", true, "1 x uncore_imc in 2 groups");
    pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_true(value_of(stats, 0, "x_imc", "0", "read_bytes") == 10 * 640000);
    assert_true(value_of(stats, 0, "x_imc", "0", "write_bytes") == 20 * 640000);
    mim_stats_destroy(&stats);
    end(&m);
}

/* ---- x_resctrl ---------------------------------------------------------------------------------
 */

#define CACHE_0 "sys/fs/resctrl/mon_data/mon_L3_00/"

static void test_resctrl(void **state)
{
    (void)state;
    machine m;
    start(&m, "skylake");
    assert_note(&m, "resctrl", true, "");
    pass(&m, 10);
    static const char *const no_number[] = {"Unavailable\n",
                                            "Error\n",
                                            "Unassigned\n",
                                            "-1\n",
                                            "12 34\n",
                                            "0x10\n",
                                            "18446744073709551616\n",
                                            "12",
                                            ""};
    enum { N = sizeof no_number / sizeof *no_number };
    for (size_t i = 0; i < N; i++) {
        put_file(m.folder, CACHE_0 "llc_occupancy", no_number[i]);
        pass(&m, 10);
    }
    put_file(m.folder, CACHE_0 "llc_occupancy", "77\n");
    pass(&m, 10); /* the empty file looked like an unmounted one */
    pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_keys(stats, "x_resctrl", "llc_occupancy mbm_total_bytes mbm_local_bytes");
    assert_true(value_of(stats, 0, "x_resctrl", "0", "llc_occupancy") == 14000000);
    assert_true(value_of(stats, 0, "x_resctrl", "1", "mbm_total_bytes") == 900000000001);
    assert_true(value_of(stats, 0, "x_resctrl", "1", "mbm_local_bytes") == 600000000001);
    for (size_t i = 0; i < N; i++) {
        if (has_row(stats, 1 + i, "x_resctrl", "0"))
            fail_msg("\"%s\" is a number", no_number[i]);
        assert_true(no_number[i][0] == 0 || has_row(stats, 1 + i, "x_resctrl", "1"));
    }
    assert_true(value_of(stats, N + 2, "x_resctrl", "0", "llc_occupancy") == 77);
    mim_stats_destroy(&stats);
    end(&m);
}

static void test_resctrl_tiers(void **state)
{
    (void)state;
    static const struct {
        const char *change; /* in the copy */
        bool is_read;
        const char *note, *keys;
    } cases[] = {
        {"rm proc/filesystems", false, "not in this kernel", NULL},
        {"echo nodev > proc/filesystems", false, "not in this kernel", NULL},
        {"rm -r sys/fs/resctrl", false, "not mounted", NULL},
        {"rm -r sys/fs/resctrl/mon_data", false, "this processor has no monitoring", NULL},
        {"rm -r sys/fs/resctrl/mon_data/*", false, "no cache that can be read", NULL},
        {"for f in sys/fs/resctrl/mon_data/*/*; do echo Unavailable > $f; done", false,
         "no numbers for its 2 caches", NULL},
        {"rm sys/fs/resctrl/mon_data/*/mbm_*", true, "without mbm_total_bytes, mbm_local_bytes",
         "llc_occupancy"},
        {"for f in sys/fs/resctrl/mon_data/*/mbm_*; do echo Unassigned > $f; done", true,
         "without mbm_total_bytes, mbm_local_bytes", "llc_occupancy"},
        {"rm sys/fs/resctrl/mon_data/*/llc_occupancy", true, "without llc_occupancy",
         "mbm_total_bytes mbm_local_bytes"},
        {"mkdir sys/fs/resctrl/mon_data/mon_L3_xx sys/fs/resctrl/mon_data/mon_L3_", true, "",
         "llc_occupancy mbm_total_bytes mbm_local_bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        machine m;
        prepare(&m, "skylake");
        shell("cd '%s'; %s", m.folder, cases[i].change);
        open_sampler(&m);
        assert_note(&m, "resctrl", cases[i].is_read, cases[i].note);
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (cases[i].is_read) {
            assert_keys(stats, "x_resctrl", cases[i].keys);
            assert_true(has_row(stats, 0, "x_resctrl", "1"));
        } else {
            assert_int_equal(mim_stats_find_type(stats, "x_resctrl"), SIZE_MAX);
        }
        mim_stats_destroy(&stats);
        end(&m);
    }
}

/* Other control groups have tasks of their own: the machine is the sum. When one comes or goes, a
 * record is left out, as its counters begin or end in between. */
static void test_resctrl_groups(void **state)
{
    (void)state;
    machine m;
    prepare(&m, "skylake");
    shell("cd '%s'/sys/fs/resctrl && mkdir batch && cp -r mon_data batch && "
          "echo 5 > batch/mon_data/mon_L3_00/llc_occupancy",
          m.folder);
    open_sampler(&m);
    pass(&m, 10);
    shell("cd '%s'/sys/fs/resctrl && mkdir more && cp -r mon_data more && "
          "echo 6 > more/mon_data/mon_L3_00/llc_occupancy",
          m.folder);
    for (size_t i = 0; i < 18; i++)
        pass(&m, 10);
    /* a group that goes: its files end, as those of the real one do */
    shell("cd '%s'/sys/fs/resctrl && for f in batch/*/*/*; do : > $f; done; rm -r batch", m.folder);
    for (size_t i = 0; i < 18; i++)
        pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_true(value_of(stats, 0, "x_resctrl", "0", "llc_occupancy") == 14000005);
    assert_true(value_of(stats, 0, "x_resctrl", "1", "mbm_total_bytes") == 2 * 900000000001);
    assert_true(value_of(stats, 18, "x_resctrl", "0", "llc_occupancy") == 14000011);
    assert_true(value_of(stats, 18, "x_resctrl", "1", "mbm_total_bytes") == 3 * 900000000001);
    assert_false(has_row(stats, 19, "x_resctrl", "0"));
    assert_true(value_of(stats, 36, "x_resctrl", "0", "llc_occupancy") == 14000006);
    mim_stats_destroy(&stats);
    end(&m);
}

/* ---- x_energy ----------------------------------------------------------------------------------
 */

#define POWERCAP "sys/class/powercap/"

static void test_energy(void **state)
{
    (void)state;
    static const char *const devices[] = {"package-0", "package-0:dram", "package-1",
                                          "package-1:dram"};
    machine m;
    start(&m, "skylake");
    assert_note(&m, "energy", true, "");
    pass(&m, 10);
    put_file(m.folder, POWERCAP "intel-rapl:0/energy_uj", "262143328800\n");
    put_file(m.folder, POWERCAP "intel-rapl:0:0/energy_uj", "400123\n");
    pass(&m, 10);
    put_file(m.folder, POWERCAP "intel-rapl:0/energy_uj", "950\n"); /* wrapped */
    pass(&m, 10);
    put_file(m.folder, POWERCAP "intel-rapl:0/energy_uj", "900\n"); /* and again */
    pass(&m, 10);
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
    end(&m);
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
        machine m;
        prepare(&m, "skylake");
        put_file(m.folder, POWERCAP "intel-rapl:1/max_energy_range_uj", cases[i].range);
        put_file(m.folder, POWERCAP "intel-rapl:1/energy_uj", cases[i].first);
        open_sampler(&m);
        shell("sleep 0.01");
        pass(&m, 10);
        put_file(m.folder, POWERCAP "intel-rapl:1/energy_uj", cases[i].second);
        shell("sleep 0.01");
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (has_row(stats, 1, "x_energy", "package-1") != cases[i].is_present)
            fail_msg("range %s: %s after %s", cases[i].range, cases[i].second, cases[i].first);
        assert_true(has_row(stats, 1, "x_energy", "package-0"));
        mim_stats_destroy(&stats);
        end(&m);
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
        machine m;
        prepare(&m, "skylake");
        shell("cd '%s'/sys/class/powercap; %s", m.folder, cases[i].change);
        open_sampler(&m);
        assert_note(&m, "energy", cases[i].is_read, cases[i].note);
        pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (cases[i].device)
            assert_true(has_row(stats, 0, "x_energy", cases[i].device));
        else
            assert_int_equal(mim_stats_find_type(stats, "x_energy"), SIZE_MAX);
        mim_stats_destroy(&stats);
        end(&m);
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
    machine m;
    start(&m, "skylake");
    pass(&m, 10);
    mim_sampler_break(m.sampler);
    pass(&m, 10);
    pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        for (size_t record = 0; record < 3; record++)
            assert_int_equal(has_row(stats, record, own[i][0], own[i][1]), record != 1);
    assert_true(has_row(stats, 1, "x_resctrl", "0"));
    assert_true(has_row(stats, 1, "cpu", "0"));
    mim_stats_destroy(&stats);
    end(&m);
}

static void test_whole_probe(void **state)
{
    (void)state;
    machine m;
    start(&m, "skylake");
    assert_string_equal(mim_sampler_tiers(m.sampler),
                        "1:yes 2:yes 3:yes(without msr: not used, the other sources give the same "
                        "figures)");
    char *table = mim_probe_table(mim_sampler_probe(m.sampler));
    assert_non_null(strstr(table, "tier 2  perf      x_perf       read\n"));
    assert_non_null(
        strstr(table, "tier 2  imc       x_imc        read: 2 x uncore_imc in 4 groups\n"));
    assert_non_null(strstr(table, "tier 3  energy    x_energy     read\n"));
    free(table);
    assert_true(mim_probe_is_read(mim_sampler_probe(m.sampler), "resctrl"));
    assert_false(mim_probe_is_read(mim_sampler_probe(m.sampler), "msr"));
    assert_false(mim_probe_is_read(mim_sampler_probe(m.sampler), "no such source"));
    end(&m);
}

/* A strict file has none of it; the header tells the peak when it is known. */
static void test_header(void **state)
{
    (void)state;
    machine m;
    prepare(&m, "skylake");
    for (int is_strict = 0; is_strict < 2; is_strict++) {
        const mim_sampler_options options = {.hostname = "fixture-node",
                                             .perf = &m.fake.calls,
                                             .is_strict = is_strict,
                                             .peak_bandwidth_gb_s = 281.4};
        m.sampler = open_in(m.folder, &options);
        assert_int_equal(mim_sampler_header(m.sampler), MIM_OK);
        pass(&m, 10);
        char *text = text_of(m.sampler);
        assert_int_equal(strstr(text, "\n$x_peak_bandwidth_gb_s 281.4\n") != NULL, !is_strict);
        assert_int_equal(strstr(text, "\nx_perf 0 ") != NULL, !is_strict);
        assert_int_equal(strstr(text, "$x_") || strstr(text, "!x_"), !is_strict);
        free(text);
        mim_sampler_destroy(&m.sampler);
    }
    end(&m);
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
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_imc_skylake),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_imc_families),
        cmocka_unit_test(test_llc),
        cmocka_unit_test(test_uncore_multiplexed),
        cmocka_unit_test(test_uncore_bad_reads),
        cmocka_unit_test(test_uncore_beyond_64_bits),
        cmocka_unit_test(test_uncore_without_groups),
        cmocka_unit_test(test_resctrl),
        cmocka_unit_test(test_resctrl_tiers),
        cmocka_unit_test(test_resctrl_groups),
        cmocka_unit_test(test_energy),
        cmocka_unit_test(test_energy_unknown),
        cmocka_unit_test(test_energy_tiers),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_whole_probe),
        cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
