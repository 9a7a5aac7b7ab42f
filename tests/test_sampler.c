/* The sampler against a hand-made /proc and /sys whose stats text was written by hand, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "node/sampler.h"
#include "node/sampler_source.h"
#include "tests/support/sampled.h"
#include "trace/stats.h"

/* ---- exact text ----------------------------------------------------------------------------- */

/* TIME stands for a time stamp and UNAME for this machine's. */
static void assert_same_text(const char *text, const char *expected)
{
    struct utsname names;
    size_t line = 1;

    assert_int_equal(uname(&names), 0);
    char *uname_text = mim_format("$uname %s %s %s %s", names.sysname, names.machine, names.release,
                                  names.version);
    while (*expected || *text) {
        size_t n_text = strcspn(text, "\n"), n_expected = strcspn(expected, "\n");
        size_t skip_text = 0, skip_expected = 0;
        if (strncmp(expected, "TIME ", 5) == 0) {
            skip_text = strspn(text, "0123456789.");
            skip_expected = strlen("TIME");
            assert_true(strtod(text, NULL) > 1.7e9);
            assert_int_equal(text[skip_text - 7], '.'); /* 6 decimals */
        }
        bool is_uname = strncmp(expected, "$uname UNAME\n", n_expected + 1) == 0;
        const char *wanted = is_uname ? uname_text : expected + skip_expected;
        size_t n_wanted = is_uname ? strlen(uname_text) : n_expected - skip_expected;
        if (n_text - skip_text != n_wanted || memcmp(text + skip_text, wanted, n_wanted) != 0)
            fail_msg("line %zu: expected \"%.*s\", found \"%.*s\"", line, (int)n_wanted, wanted,
                     (int)n_text, text);
        text += n_text + (text[n_text] == '\n');
        expected += n_expected + (expected[n_expected] == '\n');
        line++;
    }
    free(uname_text);
}

#define TIERS                                                                                      \
    "1:yes 2:no(perf: this kernel has no perf_event; imc: this kernel has no perf_event; llc: "    \
    "this kernel has no perf_event) 3:no(resctrl: not in this kernel; energy: powercap has no "    \
    "energy domain; msr: not used, the other sources give the same figures)"

static void test_exact_text(void **state)
{
    (void)state;
    static const char *const extra[][2] = {{"x_slot", "planned_us,E busy_us,E"}, {NULL, NULL}};
    const mim_sampler_options options = {.job = "1009",
                                         .hostname = "fixture-node",
                                         .machine = "four CPUs of paper",
                                         .extra_types = extra};
    const uint64_t first[] = {500000, 499000}, second[] = {250000, 251000};
    const mim_sampler_row rows[] = {{"x_slot", "0", 2, first}, {"x_slot", "1", 2, second}};
    mim_sampler *sampler = open_in(FIXTURE, &options);
    char *expected = NULL;
    size_t n = 0;

    assert_int_equal(mim_read_file(FIXTURE "/expected.txt", 1 << 20, &expected, &n), MIM_OK);
    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    assert_int_equal(mim_sampler_take(sampler, "begin 1009", 2, rows), MIM_OK);
    assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    char *text = text_of(sampler);
    assert_same_text(text, expected);
    assert_string_equal(mim_sampler_tiers(sampler), TIERS);

    mim_stats *stats = parse(text); /* and back through the reader */
    assert_int_equal(mim_stats_n_records(stats), 2);
    assert_string_equal(mim_stats_record_job(stats, 0), "1009");
    assert_string_equal(mim_stats_mark(stats, 0, 0), "begin 1009");
    assert_int_equal(mim_stats_n_marks(stats, 1), 0);
    assert_string_equal(mim_stats_property(stats, "x_machine"), "four CPUs of paper");
    assert_true(value_of(stats, 1, "block", "sda", "wr_sectors") == 16000);
    assert_true(value_of(stats, 0, "x_cpu", "3", "guest_nice") == UINT64_MAX);
    assert_true(value_of(stats, 0, "x_slot", "1", "busy_us") == 251000);
    assert_null(find_row(stats, 1, "x_slot", "1"));
    mim_stats_destroy(&stats);
    mim_sampler_destroy(&sampler);
    free(text);
    free(expected);
}

/* Slow types are in a record once in so many seconds, and the header says which. */
static void test_slow_types(void **state)
{
    (void)state;
    static const char *const slow[][2] = {{"sysv_shm", "-"}, {"vfs", "-"}};
    static const struct {
        double slow_s;
        bool is_strict, is_in_all;
        const char *property;
    } cases[] = {{0, false, true, NULL},
                 {1000, false, false, "1000 sysv_shm tmpfs vfs"},
                 {1000, true, true, NULL},
                 {1e-9, false, true, "1e-09 sysv_shm tmpfs vfs"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mim_sampler_options options = {
            .hostname = "a", .is_strict = cases[i].is_strict, .slow_s = cases[i].slow_s};
        mim_sampler *sampler = open_in(FIXTURE, &options);
        assert_int_equal(mim_sampler_header(sampler), MIM_OK);
        for (size_t k = 0; k < 3; k++)
            take_sample(sampler);
        mim_stats *stats = stats_of(sampler);
        for (size_t k = 0; k < 3; k++) {
            for (size_t t = 0; t < 2; t++)
                assert_int_equal(find_row(stats, k, slow[t][0], slow[t][1]) != NULL,
                                 k == 0 || cases[i].is_in_all);
            assert_non_null(find_row(stats, k, "vm", "-"));
        }
        const char *property = mim_stats_property(stats, "x_slow_s");
        if (cases[i].property)
            assert_string_equal(property, cases[i].property);
        else
            assert_null(property);
        mim_stats_destroy(&stats);
        mim_sampler_destroy(&sampler);
    }
}

/* A strict file has no line that a reader of 2.4 does not know. */
static void test_strict(void **state)
{
    (void)state;
    static const char *const extra[][2] = {{"x_slot", "planned_us,E"}, {NULL, NULL}};
    const mim_sampler_options options = {
        .hostname = "fixture-node", .machine = "any", .is_strict = true, .extra_types = extra};
    const uint64_t value = 7;
    const mim_sampler_row row = {"x_slot", "0", 1, &value};
    mim_sampler *sampler = open_in(FIXTURE, &options);

    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    assert_int_equal(mim_sampler_take(sampler, NULL, 1, &row), MIM_OK);
    char *text = text_of(sampler);
    assert_null(strstr(text, "$x_"));
    assert_null(strstr(text, "!x_"));
    assert_null(strstr(text, "\nx_"));
    assert_non_null(strstr(text, "\ncpu 3 1300 4 230 53000 33 5 6\n"));
    free(text);
    mim_sampler_destroy(&sampler);
}

static void test_bad_rows(void **state)
{
    (void)state;
    static const char *const extra[][2] = {{"x_slot", "planned_us,E busy_us,E"}, {NULL, NULL}};
    static const char *const twice[][2] = {{"cpu", "user"}, {NULL, NULL}};
    const mim_sampler_options options = {.hostname = "fixture-node", .extra_types = extra};
    const uint64_t values[2] = {1, 2};
    const mim_sampler_row bad[] = {{"x_other", "0", 2, values}, /* not declared */
                                   {"x_slot", "0", 1, values},  /* too short */
                                   {"cpu", "0", 2, values}};    /* not the caller's */
    mim_sampler *sampler = open_in(FIXTURE, &options), *none = NULL;

    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(mim_sampler_take(sampler, NULL, 1, &bad[i]), MIM_EINVAL);
    char *text = text_of(sampler);
    assert_null(strstr(text, "\n\n")); /* no record was begun */
    free(text);
    mim_sampler_destroy(&sampler);

    mim_sampler_options wrong = {.proc_root = FIXTURE "/proc", .sys_root = FIXTURE "/sys"};
    wrong.extra_types = twice;
    assert_int_equal(mim_sampler_create(&wrong, &none), MIM_EINVAL);
    assert_null(none);
}

/* ---- what is missing ------------------------------------------------------------------------ */

static void test_missing_sources(void **state)
{
    (void)state;
    static const struct {
        const char *path, *type, *tiers;
    } cases[] = {{"sys/block", "block", "1:yes(without block) "},
                 {"sys/devices/system/node", "mem", "1:yes(without node) "},
                 {"sys/devices/system/node", "numa", NULL},
                 {"sys/devices/system/node/*/numastat", "mem", NULL},
                 {"proc/stat", "cpu", NULL},
                 {"proc/stat", "x_cpu", NULL},
                 {"proc/stat", "ps", NULL},
                 {"proc/loadavg", "ps", NULL},
                 {"proc/net/dev", "net", NULL},
                 {"proc/vmstat", "vm", "1:yes(without vmstat) "},
                 {"proc/sys/fs/file-nr", "vfs", NULL},
                 {"proc/sysvipc", "sysv_shm", NULL},
                 {"proc/pressure", "x_psi", "1:yes(without pressure) "},
                 {"proc/self/mounts", "tmpfs", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = copy_fixture();
        shell("rm -r '%s'/%s", folder, cases[i].path);
        mim_stats *stats = sample_in(folder);
        if (mim_stats_find_type(stats, cases[i].type) != SIZE_MAX)
            fail_msg("without %s, type %s is still declared", cases[i].path, cases[i].type);
        const char *tiers = mim_stats_property(stats, "x_tiers");
        if (cases[i].tiers && strncmp(tiers, cases[i].tiers, strlen(cases[i].tiers)) != 0)
            fail_msg("without %s: tiers %s", cases[i].path, tiers);
        /* the others are there as before */
        if (strcmp(cases[i].path, "proc/stat") != 0)
            assert_true(value_of(stats, 0, "cpu", "1", "idle") == 51000);
        else
            assert_true(value_of(stats, 0, "block", "sda", "rd_ios") == 100);
        mim_stats_destroy(&stats);
        remove_copy(folder);
    }
    mim_sampler *none = NULL;
    mim_sampler_options nowhere = {.proc_root = "/nonexistent", .sys_root = "/nonexistent"};
    assert_int_equal(mim_sampler_create(&nowhere, &none), MIM_EUNSUP);
    assert_null(none);
}

/* ---- devices come and go -------------------------------------------------------------------- */

enum { N_LOOKS = 20 }; /* samples in which a change must have been seen */

static mim_stats *sample_often(mim_sampler *sampler)
{
    for (size_t i = 0; i < N_LOOKS; i++)
        assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    char *text = text_of(sampler);
    mim_stats *stats = parse(text);
    free(text);
    return stats;
}

/* Names that would make the record unreadable are left out; found by fuzzing. */
static void test_names_of_devices(void **state)
{
    (void)state;
    char *folder = copy_fixture();
    char *mounts = mim_format("tmpfs /bad\006name tmpfs rw 0 0\ntmpfs /%0300d tmpfs rw 0 0\n"
                              "tmpfs /dev/shm tmpfs rw 0 0\n",
                              7);
    put_file(folder, "proc/self/mounts", mounts);
    put_file(folder, "proc/net/dev",
             "a\nb\n\003: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n"
             " lo: 5 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n"
             "two words: 5 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n");
    mim_sampler *sampler = open_in(folder, NULL);
    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    mim_stats *stats = sample_often(sampler); /* the files are looked at again, too */
    assert_int_equal(mim_stats_n_devices(stats, mim_stats_find_type(stats, "net")), 1);
    assert_true(value_of(stats, 0, "net", "lo", "rx_bytes") == 5);
    size_t tmpfs = mim_stats_find_type(stats, "tmpfs");
    for (size_t d = 0; d < mim_stats_n_devices(stats, tmpfs); d++)
        assert_string_equal(mim_stats_device(stats, tmpfs, d), "/dev/shm");
    mim_stats_destroy(&stats);
    mim_sampler_destroy(&sampler);
    free(mounts);
    remove_copy(folder);
}

/* Stalls of a container that does not see those of the machine. */
static void test_pressure_of_group(void **state)
{
    (void)state;
    char *folder = copy_fixture();
    mim_sampler *sampler = open_in(folder, NULL);
    assert_string_equal(find_source(sampler, "pressure")->note, "");
    mim_sampler_destroy(&sampler);
    shell("cd '%s' && mkdir -p sys/fs/cgroup && mv proc/pressure/io sys/fs/cgroup/io.pressure && "
          "sed 's/total=.*/total=77/' proc/pressure/cpu > sys/fs/cgroup/cpu.pressure",
          folder);
    mim_stats *stats = sample_in(folder); /* the machine's go first */
    assert_true(value_of(stats, 0, "x_psi", "cpu", "some_us") == 3795558);
    assert_null(find_row(stats, 0, "x_psi", "io"));
    mim_stats_destroy(&stats);
    shell("rm -r '%s'/proc/pressure", folder);
    sampler = open_in(folder, NULL);
    assert_non_null(strstr(find_source(sampler, "pressure")->note, "of this control group"));
    mim_sampler_destroy(&sampler);
    stats = sample_in(folder);
    assert_true(value_of(stats, 0, "x_psi", "cpu", "some_us") == 77);
    assert_true(value_of(stats, 0, "x_psi", "io", "some_us") == 2689295);
    mim_stats_destroy(&stats);
    remove_copy(folder);
}

/* A file that is bad in one record is absent in that one: never 0, and back in the next. */
static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *type, *device;
    } cases[] = {
        {"proc/stat", "cpu1 5 5 x5 5 5 5 5 5 5 5\nctxt 1\nprocesses 2\n", "cpu", "1"},
        {"proc/stat", "cpu1 5 5 5 5\n", "cpu", "1"},
        {"proc/stat", "cpu1 5 5 5 5 5 5 5\n", "x_cpu", "1"},
        {"proc/stat", "cpu1 5 5 5 5 5 5 18446744073709551616 1 1 1\n", "cpu", "1"},
        {"proc/stat", "cpu1 5 5 5 5 5 5 5 1 1 -1\n", "cpu", "1"},
        {"proc/stat", "", "cpu", "1"},
        {"proc/stat", "ctxt\nprocesses 1\n", "ps", "-"},
        {"proc/loadavg", "1.4 1.00 1.00 1/2 3\n", "ps", "-"},
        {"proc/loadavg", "-1.40 1.00 1.00 1/2 3\n", "ps", "-"},
        {"proc/loadavg", "1.40 1.00 1.00 1 3\n", "ps", "-"},
        {"proc/vmstat", "pgpgin 1\npgfault many\n", "vm", "-"},
        {"proc/vmstat", "pgpgin 1\n", "vm", "-"},
        {"proc/vmstat", "\n\n\n", "vm", "-"},
        {"proc/net/dev", "a\nb\n lo: 1 2 3\n", "net", "lo"},
        {"proc/net/dev", "a\nb\n lo 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "net", "lo"},
        {"proc/net/dev", "a", "net", "lo"},
        {"proc/sys/fs/file-nr", "485\n", "vfs", "-"},
        {"proc/sys/fs/inode-nr", "4\t5\n", "vfs", "-"},
        {"proc/sysvipc/shm", "key\n 0 0 600\n", "sysv_shm", "-"},
        {"proc/pressure/io", "some avg10=0.00 total=5\n", "x_psi", "io"},
        {"proc/pressure/io", "some avg10=0.00\nfull avg10=0 total=1\n", "x_psi", "io"},
        {"proc/pressure/io", "full total=1\n", "x_psi", "io"},
        {"sys/block/sda/stat", "1 2 3 4 5 6 7 8 9 10\n", "block", "sda"},
        {"sys/block/sda/stat", "", "block", "sda"},
        {"sys/block/sda/stat", "1 2 3 4 5 6 7 8 9 10 99999999999999999999\n", "block", "sda"},
        {"sys/devices/system/node/node0/meminfo", "Node 0 MemTotal: 5 kB\n", "mem", "0"},
        {"sys/devices/system/node/node0/meminfo", "Node", "mem", "0"},
        {"sys/devices/system/node/node0/numastat", "numa_hit 1\nnuma_miss 2\n", "numa", "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = copy_fixture(), *good = NULL;
        char *path = mim_join_path(folder, cases[i].path);
        size_t n = 0;
        mim_sampler *sampler = open_in(folder, NULL);

        assert_int_equal(mim_read_file(path, 1 << 20, &good, &n), MIM_OK);
        assert_int_equal(mim_sampler_header(sampler), MIM_OK);
        assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
        put_file(folder, cases[i].path, cases[i].text);
        assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
        put_file(folder, cases[i].path, good);
        assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
        char *text = text_of(sampler);
        mim_stats *stats = parse(text);
        for (size_t record = 0; record < 3; record++)
            if ((find_row(stats, record, cases[i].type, cases[i].device) != NULL) != (record != 1))
                fail_msg("%s \"%s\": row %s %s of record %zu", cases[i].path, cases[i].text,
                         cases[i].type, cases[i].device, record);
        mim_stats_destroy(&stats);
        mim_sampler_destroy(&sampler);
        free(text);
        free(good);
        free(path);
        remove_copy(folder);
    }
}

static void test_devices_change(void **state)
{
    (void)state;
    char *folder = copy_fixture();
    mim_sampler *sampler = open_in(folder, NULL);

    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    shell("cd '%s/sys/block' && mkdir sdb && echo 9 0 0 0 0 0 0 0 0 0 0 > sdb/stat && "
          "rm -r nvme0n1",
          folder);
    shell("cd '%s/sys/class/net' && echo 0x1003 > eth1/flags && echo 0x1002 > eth0/flags && "
          "mkdir ib0 && echo 0x1043 > ib0/flags",
          folder);
    shell("echo ' ib0: 5 1 0 0 0 0 0 0 6 2 0 0 0 0 0 0' >> '%s/proc/net/dev'", folder);
    shell("cd '%s/proc' && sed '/^cpu2 /d; s/^ctxt/cpu7 70 0 0 0 0 0 0 0 0 0\\n&/' stat > new && "
          "cat new > stat", /* the file stays the same one, as in a real /proc */
          folder);
    mim_stats *stats = sample_often(sampler);
    size_t last = mim_stats_n_records(stats) - 1;
    assert_int_equal(last, N_LOOKS);
    assert_true(value_of(stats, 0, "block", "nvme0n1", "rd_ios") == 29713);
    assert_null(find_row(stats, last, "block", "nvme0n1"));
    assert_true(value_of(stats, last, "block", "sdb", "rd_ios") == 9);
    assert_true(value_of(stats, last, "block", "sda", "rd_ios") == 100);
    assert_null(find_row(stats, 0, "net", "eth1"));
    assert_true(value_of(stats, last, "net", "eth1", "rx_bytes") == 1);
    assert_null(find_row(stats, last, "net", "eth0"));
    assert_true(value_of(stats, 2, "net", "ib0", "tx_bytes") == 6); /* seen at once */
    assert_null(find_row(stats, last, "cpu", "2"));
    assert_true(value_of(stats, 2, "cpu", "7", "user") == 70);
    assert_true(value_of(stats, last, "cpu", "3", "user") == 1300);
    mim_stats_destroy(&stats);
    mim_sampler_destroy(&sampler);
    remove_copy(folder);
}

/* /proc/net/dev has sums only; their parts must follow when a sum changes, and when they cannot be
 * read the sum goes to the part that it is named after. */
static void test_net_parts(void **state)
{
    (void)state;
    static const char line[] = "a\nb\neth0: 9001 102 3 %d 5 26 7 8 9009 110 11 12 13 14 34 16\n";
    static const int drops[] = {11, 15, 15, 40};
    static const char *const dropped[] = {"10\n", "12\n", "12\n", NULL};
    static const char *const missed[] = {"1\n", "3\n", "3\n", NULL};
    static const uint64_t expected[][2] = {{10, 1}, {12, 3}, {12, 3}, {40, 0}};
    char *folder = copy_fixture();
    mim_sampler *sampler = open_in(folder, NULL);

    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    for (size_t i = 0; i < 4; i++) {
        char *text = mim_format(line, drops[i]);
        put_file(folder, "proc/net/dev", text);
        free(text);
        if (dropped[i]) {
            put_file(folder, "sys/class/net/eth0/statistics/rx_dropped", dropped[i]);
            put_file(folder, "sys/class/net/eth0/statistics/rx_missed_errors", missed[i]);
        } else {
            shell("rm '%s'/sys/class/net/eth0/statistics/rx_*", folder);
        }
        assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    }
    char *text = text_of(sampler);
    mim_stats *stats = parse(text);
    for (size_t i = 0; i < 4; i++) {
        assert_true(value_of(stats, i, "net", "eth0", "rx_dropped") == expected[i][0]);
        assert_true(value_of(stats, i, "net", "eth0", "rx_missed_errors") == expected[i][1]);
        assert_true(value_of(stats, i, "net", "eth0", "rx_frame_errors") == 5);
        assert_true(value_of(stats, i, "net", "eth0", "tx_window_errors") == 9);
    }
    mim_stats_destroy(&stats);
    free(text);
    mim_sampler_destroy(&sampler);
    remove_copy(folder);
}

/* Text that grows beyond every buffer made at the start (a machine that gains many CPUs). */
static void test_growing_file(void **state)
{
    (void)state;
    char *folder = copy_fixture();
    mim_sampler *sampler = open_in(folder, NULL);

    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    shell("cd '%s/proc' && { i=0; while [ $i -lt 600 ]; do echo cpu$i $((i + 7)) 0 0 0 0 0 0 0 0 0;"
          " i=$((i + 1)); done; echo ctxt 5; echo processes 6; } > stat",
          folder);
    assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    char *text = text_of(sampler);
    mim_stats *stats = parse(text);
    assert_true(value_of(stats, 0, "ps", "-", "processes") == 6);
    assert_true(value_of(stats, 1, "cpu", "599", "user") == 606);
    mim_stats_destroy(&stats);
    free(text);
    mim_sampler_destroy(&sampler);
    remove_copy(folder);
}

/* ---- other parts ---------------------------------------------------------------------------- */

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_number;
        uint64_t value;
    } cases[] = {{"0", true, 0},
                 {"  18446744073709551615\n", true, UINT64_MAX},
                 {"18446744073709551616", false, 0},
                 {"99999999999999999999999", false, 0},
                 {"\t7\t8", true, 7},
                 {"", false, 0},
                 {"-1", false, 0},
                 {"1.5", false, 0},
                 {"12x", false, 0},
                 {"\n5", false, 0},
                 {"007", true, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *p = cases[i].text;
        uint64_t value = 42;
        assert_int_equal(mim_scan_u64(&p, &value), cases[i].is_number);
        assert_true(value == (cases[i].is_number ? cases[i].value : 42));
    }
}

/* The place of a key is learned; a text with other places must not be misread. */
static void test_keyed_order_changes(void **state)
{
    (void)state;
    static const char *const keys[] = {"b", "a", "none"};
    mim_keyed keyed;
    uint64_t values[3];

    mim_keyed_init(&keyed, keys, 3, 3);
    assert_true(mim_keyed_scan(&keyed, "x 9\na 1\nab 7\nb 2\n", 0, values));
    assert_true(values[0] == 2 && values[1] == 1 && values[2] == 0);
    assert_true(mim_keyed_scan(&keyed, "b 5\na 6\n", 0, values));
    assert_true(values[0] == 5 && values[1] == 6 && values[2] == 0);
    assert_true(mim_keyed_scan(&keyed, "b: 5 kB\nnone 3\na: 8 kB\n", 0, values));
    assert_true(values[0] == 5 && values[1] == 8 && values[2] == 3);
    assert_false(mim_keyed_scan(&keyed, "b 5\n", 0, values));
    assert_false(mim_keyed_scan(&keyed, "", 0, values));
    assert_true(mim_keyed_scan(&keyed, "PP b 1\nPP a 2", 3, values));
    assert_true(values[0] == 1 && values[1] == 2);
}

/* ---- this machine --------------------------------------------------------------------------- */

static uint64_t cpu_sum(const mim_stats *stats, size_t record, const char *device)
{
    static const char *const keys[] = {"user",   "nice", "system", "idle",
                                       "iowait", "irq",  "softirq"};
    uint64_t sum = value_of(stats, record, "x_cpu", device, "steal");

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        sum += value_of(stats, record, "cpu", device, keys[i]);
    return sum;
}

static void test_live(void **state)
{
    (void)state;
    const struct timespec pause = {.tv_nsec = 300000000};
    mim_sampler *sampler = NULL;

    assert_int_equal(mim_sampler_create(NULL, &sampler), MIM_OK);
    assert_int_equal(mim_sampler_header(sampler), MIM_OK);
    assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    nanosleep(&pause, NULL);
    assert_int_equal(mim_sampler_take(sampler, NULL, 0, NULL), MIM_OK);
    char *text = text_of(sampler);
    mim_stats *stats = parse(text);
    size_t cpu = mim_stats_find_type(stats, "cpu");
    double elapsed = mim_stats_record_time_s(stats, 1) - mim_stats_record_time_s(stats, 0);

    assert_true(elapsed >= 0.3);
    assert_int_equal(mim_stats_n_devices(stats, cpu), sysconf(_SC_NPROCESSORS_ONLN));
    for (size_t d = 0; d < mim_stats_n_devices(stats, cpu); d++) {
        /* every tick of a CPU is of one kind, so that together they are the time passed; each of
         * the eight counters may be one tick behind */
        const char *device = mim_stats_device(stats, cpu, d);
        double ticks = (double)cpu_sum(stats, 1, device) - (double)cpu_sum(stats, 0, device);
        assert_true(ticks > 0);
        assert_true(ticks <= elapsed * 100 + 10);
    }
    assert_true(value_of(stats, 1, "ps", "-", "ctxt") > value_of(stats, 0, "ps", "-", "ctxt"));
    assert_true(value_of(stats, 0, "ps", "-", "nr_threads") >= 1);
    if (find_row(stats, 0, "mem", "0")) {
        uint64_t total = value_of(stats, 0, "mem", "0", "MemTotal");
        uint64_t parts =
            value_of(stats, 0, "mem", "0", "MemFree") + value_of(stats, 0, "mem", "0", "MemUsed");
        assert_true(total > 0 && total == parts);
    }
    struct statfs status;
    if (find_row(stats, 0, "tmpfs", "/dev/shm") && statfs("/dev/shm", &status) == 0)
        assert_true(value_of(stats, 0, "tmpfs", "/dev/shm", "bytes_used") <=
                    (uint64_t)status.f_blocks * (uint64_t)status.f_bsize);
    mim_stats_destroy(&stats);
    free(text);
    mim_sampler_destroy(&sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_text),          cmocka_unit_test(test_strict),
        cmocka_unit_test(test_slow_types),          cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_missing_sources),     cmocka_unit_test(test_names_of_devices),
        cmocka_unit_test(test_pressure_of_group),   cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_devices_change),      cmocka_unit_test(test_net_parts),
        cmocka_unit_test(test_growing_file),        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_keyed_order_changes), cmocka_unit_test(test_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
