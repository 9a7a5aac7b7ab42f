/* Busy time of CPUs from both of its files, as fixtures, and on this machine. */
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

#include "core/clock.h"
#include "core/text.h"
#include "node/cpu_usage.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mim-usage-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"stat", "schedstat"};
    for (size_t i = 0; i < 2; i++) {
        char *path = mim_join_path(folder, names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(folder);
}

/* Into the same file: the module keeps it open. */
static void put(const char *name, const char *text)
{
    char *path = mim_join_path(folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    free(path);
}

static const int cpus[] = {10, 1};

static void test_schedstat(void **state)
{
    (void)state;
    mim_cpu_usage *usage = NULL;
    double busy_s[2];
    put("stat", "cpu  1 1 1 1 1 1 1 1\n");
    put("schedstat", "version 15\ntimestamp 1\ncpu0 0 0 9 9 9 9 7000000000 1 1\n"
                     "domain0 3 1 2\ncpu1 0 0 9 9 9 9 1500000000 1 1\n"
                     "cpu10 0 0 9 9 9 9 123456789 1 1\n");
    assert_int_equal(mim_cpu_usage_open(folder, 2, cpus, &usage), MIM_OK);
    assert_string_equal(mim_cpu_usage_source(usage), "schedstat");
    assert_int_equal(mim_cpu_usage_read(usage, busy_s), MIM_OK);
    assert_near(busy_s[0], 0.123456789, 1e-12);
    assert_near(busy_s[1], 1.5, 1e-12);
    put("schedstat", "version 15\ncpu1 0 0 9 9 9 9 2500000000 1 1\ncpu10 broken\n");
    assert_int_equal(mim_cpu_usage_read(usage, busy_s), MIM_OK);
    assert_true(isnan(busy_s[0])); /* gone or not to be understood: not known */
    assert_near(busy_s[1], 2.5, 1e-12);
    put("schedstat", "");
    assert_int_equal(mim_cpu_usage_read(usage, busy_s), MIM_EIO);
    assert_true(isnan(busy_s[1]));
    mim_cpu_usage_close(&usage);
    assert_null(usage);
}

/* Idle, iowait and stolen time is what a CPU did not work. */
static void test_stat(void **state)
{
    (void)state;
    static const char *const schedstats[] = {NULL, "", "version 15\ncpu1 0 0 0 0 0 0 0 0 0\n"};
    for (size_t i = 0; i < 3; i++) { /* not there, empty, its clocks switched off */
        mim_cpu_usage *usage = NULL;
        double before_s[2], after_s[2];
        const double ticks_per_s = (double)sysconf(_SC_CLK_TCK);
        if (schedstats[i])
            put("schedstat", schedstats[i]);
        put("stat", "cpu  5 0 5 500 10 0 0 9 0 0\ncpu1 5 0 5 400 10 0 0 9 0 0\n"
                    "cpu10 1 1 1 100 0 0 0 0 0 0\nintr 1\n");
        assert_int_equal(mim_cpu_usage_open(folder, 2, cpus, &usage), MIM_OK);
        assert_string_equal(mim_cpu_usage_source(usage), "stat");
        int64_t early_ns = mim_clock_mono_ns();
        assert_int_equal(mim_cpu_usage_read(usage, before_s), MIM_OK);
        int64_t late_ns = mim_clock_mono_ns();
        assert_true(before_s[0] >= (double)early_ns * 1e-9 - 100.0 / ticks_per_s - 1e-6);
        assert_true(before_s[0] <= (double)late_ns * 1e-9 - 100.0 / ticks_per_s + 1e-6);
        assert_near(before_s[0] - before_s[1], 319.0 / ticks_per_s, 1e-6);
        put("stat", "cpu  5 0 5 500 10 0 0 9 0 0\ncpu1 5 0 5 410 30 0 0 12 0 0\n"
                    "cpu10 9 9 9 100 0 0 0 0 0 0\n");
        assert_int_equal(mim_cpu_usage_read(usage, after_s), MIM_OK);
        double elapsed_s = after_s[0] - before_s[0]; /* CPU 10 was busy all the time */
        assert_true(elapsed_s > 0.0);
        assert_near(after_s[1] - before_s[1], elapsed_s - 33.0 / ticks_per_s, 1e-6);
        mim_cpu_usage_close(&usage);
    }
}

static void test_neither(void **state)
{
    (void)state;
    mim_cpu_usage *usage = NULL;
    assert_int_equal(mim_cpu_usage_open(folder, 2, cpus, &usage), MIM_EUNSUP);
    assert_null(usage);
    mim_cpu_usage_close(&usage);
}

static void test_this_machine(void **state)
{
    (void)state;
    mim_cpu_usage *usage = NULL;
    static const int one[] = {0};
    double before_s = NAN, after_s = NAN;
    assert_int_equal(mim_cpu_usage_open(NULL, 1, one, &usage), MIM_OK);
    assert_int_equal(mim_cpu_usage_read(usage, &before_s), MIM_OK);
    if (isnan(before_s))
        skip(); /* a node without a CPU 0 */
    int64_t begin_ns = mim_clock_mono_ns();
    mim_clock_sleep_until(begin_ns + 100000000);
    assert_int_equal(mim_cpu_usage_read(usage, &after_s), MIM_OK);
    double elapsed_s = (double)(mim_clock_mono_ns() - begin_ns) * 1e-9;
    assert_true(after_s - before_s >= -0.03); /* counters of idle time may step back */
    assert_true(after_s - before_s <= elapsed_s + 0.03);
    mim_cpu_usage_close(&usage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_schedstat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_neither, set_up, tear_down),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
