/* Who else used the machine: counters read from hand-made files, intervals by hand, and this
 * machine while it is kept busy. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "node/quiet.h"
#include "tests/support/tree.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static void test_reading(void **unused)
{
    char root[TREE_PATH_BYTES], name[128];
    const double tick_s = 1.0 / (double)sysconf(_SC_CLK_TCK);
    struct stat status;
    mim_quiet_reading r;
    (void)unused;
    tree_make(root);
    mim_quiet_read(root, root, &r);
    assert_true(isnan(r.n_cpus) && isnan(r.idle_s) && isnan(r.device_bytes));
    assert_true(isnan(r.own_device_bytes) && r.mono_s > 0.0 && r.own_cpu_s > 0.0);
    tree_put(root, "proc/stat",
             "cpu  10 20 30 4000 50 6 7 80 9 9\ncpu0 1 2 3 4 5 6 7 8 0 0\n"
             "cpu1 1 2 3 4 5 6 7 8 0 0\ncpu7 1 2 3 4 5 6 7 8 0 0\nintr 5 5\ncpux 1\n");
    tree_put(root, "proc/self/io",
             "rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n");
    assert_int_equal(stat(root, &status), 0);
    snprintf(name, sizeof name, "sys/dev/block/%u:%u/stat", major(status.st_dev),
             minor(status.st_dev));
    tree_put(root, name, "   11  2  100  4  5  6  50  8  0  1  2\n");
    mim_quiet_read(root, root, &r);
    tree_remove(root);
    assert_true(r.n_cpus == 3.0);
    assert_true(fabs(r.idle_s - 4050.0 * tick_s) < 1e-9);
    assert_true(fabs(r.steal_s - 80.0 * tick_s) < 1e-9);
    assert_true(r.device_bytes == 512.0 * 150.0);
    assert_true(r.own_device_bytes == 4096.0 + 8192.0);
}

/* 10 s on 4 CPUs: 40 CPU seconds, of which the reading's counters tell. */
static mim_quiet_reading later(double own_cpu_s, double idle_s, double steal_s, double device,
                               double own_device)
{
    return (mim_quiet_reading){10.0, own_cpu_s, 4.0, idle_s, steal_s, device, own_device};
}

static void test_between(void **unused)
{
    static const mim_quiet_reading zero = {0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0};
    const struct {
        const char *what;
        mim_quiet_reading after;
        double steal_pct, others_pct, foreign_share; /* NaN = cannot be told */
        bool is_disturbed, is_io_disturbed;
    } cases[] = {
        {"idle", later(0, 40, 0, 0, 0), 0, 0, NAN, false, false},
        {"own work only", later(10, 30, 0, 1000, 1000), 0, 0, 0, false, false},
        {"2 % by others", later(10, 29.2, 0, 1000, 1000), 0, 2, 0, false, false},
        {"4 % by others", later(10, 28.4, 0, 1000, 1000), 0, 4, 0, true, false},
        {"12 % by others", later(10, 25.2, 0, 1000, 1000), 0, 12, 0, true, true},
        {"2 % stolen", later(10, 29.2, 0.8, 1000, 1000), 2, 0, 0, true, true},
        {"0.5 % stolen", later(10, 29.8, 0.2, 1000, 1000), 0.5, 0, 0, false, false},
        {"others on the disk", later(10, 30, 0, 1300, 1000), 0, 0, 0.3, false, true},
        {"journals on the disk", later(10, 30, 0, 1080, 1000), 0, 0, 0.08, false, false},
        {"merged on the way", later(10, 30, 0, 700, 1000), 0, 0, 0, false, false},
        {"counters that step back", later(10, 31, -1, 1000, 1000), 0, 0, 0, false, false},
        {"no device", later(10, 30, 0, NAN, 1000), 0, 0, NAN, false, false},
        {"no counters", later(10, NAN, NAN, NAN, NAN), NAN, NAN, NAN, false, false},
    };
    (void)unused;
    for (size_t i = 0; i < N_OF(cases); i++) {
        mim_quiet q;
        mim_quiet_between(&zero, &cases[i].after, &q);
        const double found[3] = {q.steal_pct, q.others_pct, q.foreign_share},
                     expected[3] = {cases[i].steal_pct, cases[i].others_pct,
                                    cases[i].foreign_share};
        for (size_t k = 0; k < 3; k++)
            if (isnan(expected[k]) ? !isnan(found[k]) : !(fabs(found[k] - expected[k]) < 1e-9))
                fail_msg("%s: figure %zu is %g, expected %g", cases[i].what, k, found[k],
                         expected[k]);
        if (mim_quiet_is_disturbed(&q, false) != cases[i].is_disturbed ||
            mim_quiet_is_disturbed(&q, true) != cases[i].is_io_disturbed)
            fail_msg("%s: disturbed %d, with I/O %d", cases[i].what,
                     mim_quiet_is_disturbed(&q, false), mim_quiet_is_disturbed(&q, true));
    }
}

/* What is below a few ticks of a short interval is no evidence. */
static void test_short_intervals(void **unused)
{
    const double tick_s = 1.0 / (double)sysconf(_SC_CLK_TCK);
    const mim_quiet_reading zero = {0.0, 0.0, 2.0, 0.0, 0.0, NAN, NAN};
    mim_quiet_reading after = {10.0 * tick_s, 0.0, 2.0, 18.0 * tick_s, 0.0, NAN, NAN};
    mim_quiet q;
    (void)unused;
    mim_quiet_between(&zero, &after, &q); /* 2 of 20 ticks */
    assert_true(fabs(q.others_pct - 10.0) < 1e-6 && fabs(q.resolution_pct - 15.0) < 1e-6);
    assert_false(mim_quiet_is_disturbed(&q, false));
    after.idle_s = 10.0 * tick_s; /* one of both CPUs busy */
    mim_quiet_between(&zero, &after, &q);
    assert_true(mim_quiet_is_disturbed(&q, false));
    mim_quiet_between(&zero, &zero, &q); /* no time at all */
    assert_false(mim_quiet_is_disturbed(&q, true));
}

/* Other processes that spin on every CPU are seen here, whatever else runs. */
static void test_this_machine(void **unused)
{
    enum { MAX = 64 };
    const long n_online = sysconf(_SC_NPROCESSORS_ONLN);
    const int n = n_online < MAX ? (int)n_online : MAX;
    char text[MIM_QUIET_TEXT_BYTES];
    pid_t children[MAX];
    mim_quiet_reading before, after;
    mim_quiet q;
    (void)unused;
    for (int i = 0; i < n; i++)
        if ((children[i] = fork()) == 0)
            for (;;)
                ;
    mim_quiet_read("", NULL, &before);
    mim_clock_sleep_until(mim_clock_mono_ns() + MIM_NS_PER_S);
    mim_quiet_read("", NULL, &after);
    for (int i = 0; i < n; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    mim_quiet_between(&before, &after, &q);
    print_message("%s\n", mim_quiet_text(&q, text));
    assert_true(q.others_pct + q.steal_pct > 20.0); /* nearly 100, on machines up to 64 CPUs */
    assert_true(mim_quiet_is_disturbed(&q, false));
    assert_non_null(strstr(text, "others used "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_short_intervals),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests_name("quiet", tests, NULL, NULL);
}
