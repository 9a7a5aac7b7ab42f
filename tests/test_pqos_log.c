/* The original's second log, from made-up samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/pqos_log.h"
#include "tests/support/made_machine.h"

static void test_text(void **state)
{
    (void)state;
    static const struct {
        double time_s;
        const char *cpus;
        mim_pqos_figures figures;
        const char *expected;
    } cases[] = {
        {1772366401.75,
         "0-19",
         {1.254, 734499, 14000000, 60000000, 30000000},
         "TIME 2026-03-01 12:00:01\n"
         "     CORE         IPC      MISSES     LLC[KB]   MBL[MB/s]   MBR[MB/s]\n"
         "     0-19        1.25        734k     13671.9        57.2        28.6\n"},
        {0,
         "7",
         {0, 0, 0, 0, 0},
         "TIME 1970-01-01 00:00:00\n"
         "     CORE         IPC      MISSES     LLC[KB]   MBL[MB/s]   MBR[MB/s]\n"
         "        7        0.00           0         0.0         0.0         0.0\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[MIM_PQOS_TEXT_BYTES];
        mim_pqos_text(cases[i].time_s, cases[i].cpus, &cases[i].figures, text);
        assert_string_equal(text, cases[i].expected);
    }
}

static void test_misses(void **state)
{
    (void)state;
    static const struct {
        double misses;
        const char *expected;
    } cases[] = {{0, " 0 "},        {999, " 999 "},    {1000, " 1k "},
                 {1499, " 1k "},    {1501, " 2k "},    {999000, " 999k "},
                 {1000000, " 1M "}, {2600000, " 3M "}, {1e12, " 1000000M "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_pqos_figures figures = {.misses = cases[i].misses};
        char text[MIM_PQOS_TEXT_BYTES];
        mim_pqos_text(0, "0", &figures, text);
        if (!strstr(text, cases[i].expected))
            fail_msg("%g misses: %s", cases[i].misses, text);
    }
}

/* ---- over a sampler ---------------------------------------------------------------------------
 */

typedef struct logged {
    made_machine made;
    mim_pqos_log *log;
    char text[MIM_PQOS_TEXT_BYTES];
} logged;

/* A microsecond: 1000 cycles, 1500 instructions on CPUs 0 and 1, 500 on 2 and 3, 0.1 misses. */
static uint64_t count_core(const mim_perf_event *event, int cpu, uint64_t us)
{
    if (event->type != PERF_TYPE_HARDWARE)
        return 0;
    switch (event->config) {
    case PERF_COUNT_HW_CPU_CYCLES:
        return 1000 * us;
    case PERF_COUNT_HW_INSTRUCTIONS:
        return (cpu < 2 ? 1500 : 500) * us;
    case PERF_COUNT_HW_CACHE_MISSES:
        return us / 10;
    }
    return 0;
}

static void prepare(logged *m)
{
    machine_prepare(&m->made, "skylake");
    m->made.fake.count = count_core;
    m->log = NULL;
    memset(m->text, 'x', sizeof m->text);
}

static void start(logged *m, const char *cpus)
{
    prepare(m);
    machine_open(&m->made);
    if (mim_pqos_log_create(m->made.sampler, cpus, &m->log) != MIM_OK)
        fail_msg("%s", mim_error());
}

static void end(logged *m)
{
    mim_pqos_log_destroy(&m->log);
    mim_pqos_log_destroy(&m->log);
    machine_end(&m->made);
}

static void set_cache(logged *m, unsigned domain, unsigned held, unsigned total, unsigned local)
{
    shell("cd '%s'/sys/fs/resctrl/mon_data/mon_L3_%02u && echo %u > llc_occupancy && echo %u > "
          "mbm_total_bytes && echo %u > mbm_local_bytes",
          m->made.folder, domain, held, total, local);
}

static const char *pass(logged *m, unsigned ms)
{
    machine_pass(&m->made, ms);
    assert_int_equal(mim_pqos_log_add(m->log, m->made.sampler, 1772366401, m->text), MIM_OK);
    return m->text;
}

#define HEAD                                                                                       \
    "TIME 2026-03-01 12:00:01\n"                                                                   \
    "     CORE         IPC      MISSES     LLC[KB]   MBL[MB/s]   MBR[MB/s]\n"

static void test_samples(void **state)
{
    (void)state;
    static const struct {
        const char *cpus, *row;
    } cases[] = {
        /* 4 CPUs, 20 ms: 2000 misses each; both caches together */
        {"", "      0-3        1.00          8k      3000.0       200.0        50.0\n"},
        {"0-3", "      0-3        1.00          8k      3000.0       200.0        50.0\n"},
        {"0-19", "     0-19        1.00          8k      3000.0       200.0        50.0\n"},
        {"0-1", "      0-1        1.50          4k      3000.0       200.0        50.0\n"},
        {"3", "        3        0.50          2k      3000.0       200.0        50.0\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[MIM_PQOS_TEXT_BYTES];
        logged m;
        start(&m, cases[i].cpus);
        set_cache(&m, 0, 1, 1000, 900);
        set_cache(&m, 1, 1, 1000, 900);
        assert_string_equal(pass(&m, 10), ""); /* no time before it */
        set_cache(&m, 0, 1024000, 1000 + 200 * 1048576, 900 + 150 * 1048576);
        set_cache(&m, 1, 2048000, 1000 + 50 * 1048576, 900 + 50 * 1048576);
        m.made.fake.running = 0.75; /* 10 ms of 10, then 12.5 more of 20: the counts are scaled */
        const char *text = pass(&m, 20);
        snprintf(expected, sizeof expected, HEAD "%s", cases[i].row);
        assert_string_equal(text, expected);
        end(&m);
    }
}

/* A block about which something is not known is left out. */
static void test_absent(void **state)
{
    (void)state;
    logged m;
    start(&m, "0-1");
    assert_string_equal(pass(&m, 10), "");
    assert_true(*pass(&m, 10));
    fake_perf_answer_once(&m.made.fake, 1, 0, NULL); /* a CPU of the range */
    assert_string_equal(pass(&m, 10), "");
    assert_string_equal(pass(&m, 10), ""); /* there again, but not before */
    assert_true(*pass(&m, 10));
    fake_perf_answer_once(&m.made.fake, 3, 0, NULL); /* another one */
    assert_true(*pass(&m, 10));
    set_cache(&m, 1, 1, 5, 5); /* counters set back */
    assert_string_equal(pass(&m, 10), "");
    assert_true(*pass(&m, 10));
    shell("echo Unavailable > '%s'/sys/fs/resctrl/mon_data/mon_L3_01/mbm_local_bytes",
          m.made.folder);
    assert_string_equal(pass(&m, 10), "");
    set_cache(&m, 1, 1, 5, 5);
    assert_string_equal(pass(&m, 10), "");
    assert_true(*pass(&m, 10));
    set_cache(&m, 1, 1, 10, 20); /* more local than in all: read one after the other */
    assert_non_null(strstr(pass(&m, 10), " 0.0\n"));
    mim_sampler_break(m.made.sampler);
    assert_string_equal(pass(&m, 10), "");
    end(&m);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *change, *cpus;
        int rc;
        const char *reason;
    } cases[] = {
        {"rm -r sys/fs/resctrl", "", MIM_EUNSUP, "needs x_resctrl, which is not read: not mounted"},
        {"rm -r sys/bus/event_source/devices/cpu", "", MIM_EUNSUP, "needs x_perf, which is not"},
        {"rm sys/fs/resctrl/mon_data/*/mbm_local_bytes", "", MIM_EUNSUP,
         "needs mbm_local_bytes of x_resctrl"},
        {"true", "4", MIM_EUSAGE, "none of CPUs 4 is sampled"},
        {"true", "0,2", MIM_EUSAGE, "a range such as 0-19, found \"0,2\""},
        {"true", "3-1", MIM_EUSAGE, "a range"},
        {"true", "-1", MIM_EUSAGE, "a range"},
        {"true", "0-", MIM_EUSAGE, "a range"},
        {"true", "0-1-2", MIM_EUSAGE, "a range"},
        {"true", "zero", MIM_EUSAGE, "a range"},
        {"true", "999999", MIM_EUSAGE, "a range"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        logged m;
        prepare(&m);
        shell("cd '%s' && %s", m.made.folder, cases[i].change);
        machine_open(&m.made);
        assert_int_equal(mim_pqos_log_create(m.made.sampler, cases[i].cpus, &m.log), cases[i].rc);
        assert_null(m.log);
        if (!strstr(mim_error(), cases[i].reason))
            fail_msg("expected %s in %s", cases[i].reason, mim_error());
        end(&m);
    }
}

static void test_last_sample(void **state)
{
    (void)state;
    uint64_t value = 42;
    logged m;
    start(&m, "");
    assert_false(mim_sampler_value(m.made.sampler, "x_perf", 0, "cycles", &value)); /* none yet */
    pass(&m, 10);
    assert_int_equal(mim_sampler_n_rows(m.made.sampler, "x_perf"), 4);
    assert_int_equal(mim_sampler_n_rows(m.made.sampler, "x_none"), 0);
    assert_string_equal(mim_sampler_device(m.made.sampler, "x_perf", 3), "3");
    assert_true(mim_sampler_value(m.made.sampler, "x_perf", 2, "instructions", &value));
    assert_true(value == 500 * 10000);
    assert_true(mim_sampler_value(m.made.sampler, "cpu", 1, "softirq", &value) && value == 4);
    assert_true(mim_sampler_has_key(m.made.sampler, "cpu", "idle"));
    assert_false(mim_sampler_has_key(m.made.sampler, "cpu", "idl"));
    assert_false(mim_sampler_has_key(m.made.sampler, "cpu", "E"));
    assert_false(mim_sampler_has_key(m.made.sampler, "none", "idle"));
    assert_false(mim_sampler_value(m.made.sampler, "x_perf", 4, "cycles", &value));
    assert_false(mim_sampler_value(m.made.sampler, "x_perf", 0, "cycle", &value));
    end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_misses),
        cmocka_unit_test(test_samples), cmocka_unit_test(test_absent),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_last_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
