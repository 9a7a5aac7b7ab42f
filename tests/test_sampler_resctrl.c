/* x_resctrl on a made machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/made_machine.h"

/* ---- x_resctrl ---------------------------------------------------------------------------------
 */

#define CACHE_0 "sys/fs/resctrl/mon_data/mon_L3_00/"

static void test_resctrl(void **state)
{
    (void)state;
    made_machine m;
    machine_start(&m, "skylake");
    assert_note(&m, "resctrl", true, "");
    machine_pass(&m, 10);
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
        machine_pass(&m, 10);
    }
    put_file(m.folder, CACHE_0 "llc_occupancy", "77\n");
    machine_pass(&m, 10); /* the empty file looked like an unmounted one */
    machine_pass(&m, 10);
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
    machine_end(&m);
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
        made_machine m;
        machine_prepare(&m, "skylake");
        shell("cd '%s'; %s", m.folder, cases[i].change);
        machine_open(&m);
        assert_note(&m, "resctrl", cases[i].is_read, cases[i].note);
        machine_pass(&m, 10);
        mim_stats *stats = stats_of(m.sampler);
        if (cases[i].is_read) {
            assert_keys(stats, "x_resctrl", cases[i].keys);
            assert_true(has_row(stats, 0, "x_resctrl", "1"));
        } else {
            assert_int_equal(mim_stats_find_type(stats, "x_resctrl"), SIZE_MAX);
        }
        mim_stats_destroy(&stats);
        machine_end(&m);
    }
}

/* Other control groups have tasks of their own: the machine is the sum. When one comes or goes, a
 * record is left out, as its counters begin or end in between. */
static void test_resctrl_groups(void **state)
{
    (void)state;
    made_machine m;
    machine_prepare(&m, "skylake");
    shell("cd '%s'/sys/fs/resctrl && mkdir batch && cp -r mon_data batch && "
          "echo 5 > batch/mon_data/mon_L3_00/llc_occupancy",
          m.folder);
    machine_open(&m);
    machine_pass(&m, 10);
    shell("cd '%s'/sys/fs/resctrl && mkdir more && cp -r mon_data more && "
          "echo 6 > more/mon_data/mon_L3_00/llc_occupancy",
          m.folder);
    for (size_t i = 0; i < 18; i++)
        machine_pass(&m, 10);
    /* a group that goes: its files end, as those of the real one do */
    shell("cd '%s'/sys/fs/resctrl && for f in batch/*/*/*; do : > $f; done; rm -r batch", m.folder);
    for (size_t i = 0; i < 18; i++)
        machine_pass(&m, 10);
    mim_stats *stats = stats_of(m.sampler);
    assert_true(value_of(stats, 0, "x_resctrl", "0", "llc_occupancy") == 14000005);
    assert_true(value_of(stats, 0, "x_resctrl", "1", "mbm_total_bytes") == 2 * 900000000001);
    assert_true(value_of(stats, 18, "x_resctrl", "0", "llc_occupancy") == 14000011);
    assert_true(value_of(stats, 18, "x_resctrl", "1", "mbm_total_bytes") == 3 * 900000000001);
    assert_false(has_row(stats, 19, "x_resctrl", "0"));
    assert_true(value_of(stats, 36, "x_resctrl", "0", "llc_occupancy") == 14000006);
    mim_stats_destroy(&stats);
    machine_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resctrl),
        cmocka_unit_test(test_resctrl_tiers),
        cmocka_unit_test(test_resctrl_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
