/* Groups of counters: over recorded bytes, and over the kernel's software events, which every
 * machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "tests/support/fake_perf.h"

static void test_open(void **state)
{
    (void)state;
    static const mim_perf_event events[] = {{4, 1, 11, 21}, {4, 2, 12, 22}, {4, 3, 13, 23}};
    fake_perf fake;
    mim_perf_group group;

    fake_perf_init(&fake);
    assert_int_equal(mim_perf_group_open(&fake.calls, 5, 3, events, &group), 0);
    assert_int_equal(fake.n_open, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fake.counters[i].leader, 0);
        assert_int_equal(fake.counters[i].cpu, 5);
        assert_int_equal(fake.counters[i].event.type, 4);
        assert_int_equal(fake.counters[i].event.config, 1 + i);
        assert_int_equal(fake.counters[i].event.config1, 11 + i);
        assert_int_equal(fake.counters[i].event.config2, 21 + i);
    }
    mim_perf_group_close(&fake.calls, &group);
    assert_int_equal(fake.n_open, 0);
    assert_int_equal(group.n, 0);
    mim_perf_group_close(&fake.calls, &group); /* closed already */

    fake.max_group = 2;
    assert_int_equal(mim_perf_group_open(&fake.calls, 5, 3, events, &group), EINVAL);
    assert_int_equal(group.n, 0);
    assert_int_equal(fake.n_open, 0); /* the first two are closed again */
    fake.offline_cpu = 5;
    assert_int_equal(mim_perf_group_open(&fake.calls, 5, 1, events, &group), ENODEV);
}

static void test_read(void **state)
{
    (void)state;
    static const mim_perf_event events[] = {{4, 1, 0, 0}, {4, 2, 0, 0}};
    static const uint64_t good[] = {2, 300, 200, 7, UINT64_MAX};
    static const uint64_t one[] = {1, 300, 200, 7};
    static const uint64_t wrong[] = {1, 300, 200, 7, 8};
    static const uint64_t more[] = {3, 300, 200, 7, 8, 9};
    static const struct {
        long result;
        const uint64_t *words;
        bool is_read;
    } cases[] = {{sizeof good, good, true}, {0, NULL, false},
                 {-EINTR, NULL, false},     {-ENOSPC, NULL, false},
                 {8, good, false},          {sizeof good - 1, good, false},
                 {sizeof one, one, false},  {sizeof wrong, wrong, false},
                 {sizeof more, more, false}};
    fake_perf fake;
    mim_perf_group group;

    fake_perf_init(&fake);
    assert_int_equal(mim_perf_group_open(&fake.calls, 0, 2, events, &group), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_perf_reading reading = {.enabled_ns = 42};
        fake_perf_answer_once(&fake, 0, cases[i].result, cases[i].words);
        assert_int_equal(mim_perf_group_read(&fake.calls, &group, &reading), cases[i].is_read);
        assert_true(reading.enabled_ns == (cases[i].is_read ? 300 : 42));
        if (cases[i].is_read)
            assert_true(reading.running_ns == 200 && reading.values[0] == 7 &&
                        reading.values[1] == UINT64_MAX);
    }
    mim_perf_group_close(&fake.calls, &group);
    mim_perf_reading reading;
    assert_false(mim_perf_group_read(&fake.calls, &group, &reading));
}

/* The real calls. System-wide counting takes rights; that they are refused is told, too. */
static void test_kernel(void **state)
{
    (void)state;
    static const mim_perf_event events[] = {
        {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, 0, 0},
        {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 0, 0}};
    static const mim_perf_event unknown = {UINT32_MAX - 1, 0, 0, 0};
    const struct timespec pause = {.tv_nsec = 50000000};
    mim_perf_group group;
    mim_perf_reading first, second;

    const int refused = mim_perf_group_open(&mim_perf_kernel, 0, 1, &unknown, &group);
    if (refused == EACCES || refused == EPERM || refused == ENOSYS) {
        print_message("not tested: perf_event is not permitted here (%s)\n", strerror(refused));
        skip();
    }
    assert_int_equal(refused, ENOENT);
    assert_int_equal(group.n, 0);
    const int no_cpu = mim_perf_group_open(&mim_perf_kernel, 1 << 20, 2, events, &group);
    assert_true(no_cpu == EINVAL || no_cpu == ENODEV);
    assert_int_equal(mim_perf_group_open(&mim_perf_kernel, 0, 2, events, &group), 0);
    const int64_t start_ns = mim_clock_mono_ns();
    assert_true(mim_perf_group_read(&mim_perf_kernel, &group, &first));
    nanosleep(&pause, NULL);
    assert_true(mim_perf_group_read(&mim_perf_kernel, &group, &second));
    const uint64_t passed_ns = (uint64_t)(mim_clock_mono_ns() - start_ns);
    mim_perf_group_close(&mim_perf_kernel, &group);
    const uint64_t enabled_ns = second.enabled_ns - first.enabled_ns;
    assert_true(enabled_ns >= 50000000 && enabled_ns <= passed_ns + 1000000);
    assert_true(second.running_ns - first.running_ns == enabled_ns); /* there is room for all */
    assert_true(second.values[0] > first.values[0]);
    assert_true(second.values[0] - first.values[0] <= passed_ns + 1000000);
    assert_true(second.values[1] >= first.values[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
