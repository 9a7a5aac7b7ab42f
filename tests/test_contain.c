/* Containment: what is written into groups (hand-made trees of v2 and v1), limits and their end,
 * and leftovers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/text.h"
#include "node/contain.h"
#include "tests/support/tree.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define N_OF(a) (sizeof(a) / sizeof *(a))

static const mim_contain_settings by_default = {MIM_CONTAIN_AUTO, 1.25, 1.25, 1.5, false};

typedef struct bench {
    char root[TREE_PATH_BYTES];
    char own[64]; /* name of this process's group */
    mim_machine *machine;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    tree_make(b->root);
    snprintf(b->own, sizeof b->own, "mimesys-run.%ld", (long)getpid());
    assert_int_equal(mim_machine_create(0, &b->machine), MIM_OK);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    tree_remove(b->root);
    mim_machine_destroy(&b->machine);
    free(b);
    return 0;
}

static mim_contain_need small_need(const bench *b)
{
    return (mim_contain_need){.machine = b->machine,
                              .n_rows = 1,
                              .memory_bytes = 80 * MIB,
                              .nice = 0,
                              .read_bytes_per_s = NAN,
                              .write_bytes_per_s = NAN};
}

static mim_contain *enter(const mim_contain_settings *settings, const mim_contain_need *need,
                          const char *root)
{
    mim_contain *c = NULL;
    if (mim_contain_enter(settings, need, root, &c) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_non_null(c);
    return c;
}

static void put_in(const bench *b, const char *folder, const char *name, const char *text)
{
    char path[768];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    tree_put(b->root, path, text);
}

static void expect_in(const bench *b, const char *folder, const char *name, const char *expected)
{
    char path[768], text[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    tree_get(b->root, path, sizeof text, text);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", path, text, expected);
}

static void expect_words(const char *what, const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (words[i] && (!text || !strstr(text, words[i])))
            fail_msg("%s: \"%s\", expected \"%s\" in it", what, text ? text : "(none)", words[i]);
}

/* ---- v2 on a hand-made tree -------------------------------------------------------------------
 */

#define V2 "sys/fs/cgroup"
#define SCOPE V2 "/user.slice/run.scope"

/* A tree with the process in run.scope, and the files the kernel would make in its new group. */
static void make_v2(const bench *b, const char *controllers, const char *handed_on, bool has_type)
{
    static const char *const files[] = {"cgroup.procs", "cpu.max",  "cpu.weight", "memory.high",
                                        "memory.max",   "pids.max", "io.max",     "cpuset.cpus"};
    char group[256];
    tree_put(b->root, "proc/self/cgroup", "0::/user.slice/run.scope\n");
    tree_put(b->root, "proc/self/mountinfo",
             "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put_in(b, SCOPE, "cgroup.procs", "");
    put_in(b, SCOPE, "cgroup.controllers", controllers);
    put_in(b, SCOPE, "cgroup.subtree_control", handed_on);
    if (has_type)
        put_in(b, SCOPE, "cgroup.type", "domain\n");
    snprintf(group, sizeof group, SCOPE "/%s", b->own);
    for (size_t i = 0; i < N_OF(files); i++)
        put_in(b, group, files[i], "");
}

/* A folder that is on a block device; NULL: none of them is (containers, machines without disks).
 */
static const char *folder_on_disk(const bench *b)
{
    static const char *const usual[] = {"/var/tmp", "/", "/usr", "/home", "/boot"};
    struct stat status;
    if (stat(b->root, &status) == 0 && major(status.st_dev) != 0)
        return b->root;
    for (size_t i = 0; i < N_OF(usual); i++)
        if (stat(usual[i], &status) == 0 && major(status.st_dev) != 0)
            return usual[i];
    print_message("skipped: no folder here is on a block device\n");
    return NULL;
}

/* The folder's block device as a whole disk, or as a partition of the disk 77:16. */
static void make_device(const bench *b, const char *folder, bool is_partition, char device[32])
{
    struct stat status;
    char path[768];
    assert_int_equal(stat(folder, &status), 0);
    snprintf(device, 32, "%u:%u", major(status.st_dev), minor(status.st_dev));
    snprintf(path, sizeof path, "sys/devices/disk/%s/dev", is_partition ? "part" : "size");
    tree_put(b->root, path, "77:17\n");
    if (is_partition)
        tree_put(b->root, "sys/devices/disk/part/partition", "1\n");
    tree_put(b->root, "sys/devices/disk/dev", "77:16\n");
    tree_put(b->root, "sys/dev/block/none", "");
    char *link = mim_format("%s/sys/dev/block/%s", b->root, device);
    char *target = mim_format("%s/sys/devices/disk%s", b->root, is_partition ? "/part" : "");
    assert_non_null(link);
    assert_non_null(target);
    assert_int_equal(symlink(target, link), 0);
    free(link);
    free(target);
    if (is_partition)
        strcpy(device, "77:16");
}

static void test_v2_delegated(void **state)
{
    const bench *b = *state;
    mim_contain_need need = small_need(b);
    mim_contain_settings settings = by_default;
    char group[256], device[32], expected[128];
    const char *folder = folder_on_disk(b);
    if (!folder)
        skip();
    make_v2(b, "cpuset cpu io memory pids\n", "\n", true);
    make_device(b, folder, false, device);
    settings.has_cpuset = true;
    settings.cpu_margin = 0.25; /* below one CPU: the cap does not depend on this machine */
    need.scratch_folder = folder;
    need.file_bytes = 8 * MIB;
    need.nice = 5;
    need.read_bytes_per_s = 1e9;
    need.write_bytes_per_s = 2e8;
    mim_contain *c = enter(&settings, &need, b->root);
    snprintf(group, sizeof group, SCOPE "/%s", b->own);
    expect_in(b, group, "cgroup.procs", "0");
    expect_in(b, group, "cpu.max", "75000 100000");
    expect_in(b, group, "cpu.weight", "33"); /* 100 / 1.25^5 */
    expect_in(b, group, "pids.max", "72");
    snprintf(expected, sizeof expected, "%s rbps=1500000000 wbps=300000000", device);
    expect_in(b, group, "io.max", expected);
    char high[64], max[64], path[512];
    snprintf(path, sizeof path, "%s/memory.high", group);
    tree_get(b->root, path, sizeof high, high);
    snprintf(path, sizeof path, "%s/memory.max", group);
    tree_get(b->root, path, sizeof max, max);
    const uint64_t cap = strtoull(high, NULL, 10);
    assert_true(cap >= 256 * MIB + 110 * MIB); /* 1.25 times buffers and files, and the program */
    assert_true(cap <= 512 * MIB);
    assert_true(strtoull(max, NULL, 10) == cap + cap / 8);
    expect_in(b, SCOPE, "cgroup.subtree_control", "+cpuset"); /* the last one of five */
    const char *const words[] = {"cgroup v2: 0.75 CPUs", "72 tasks", "read 1.4 GiB/s", "CPUs "};
    expect_words("applied", mim_contain_applied(c), words, N_OF(words));
    assert_null(mim_contain_missing(c));
    mim_contain_leave(c);
    expect_in(b, SCOPE, "cgroup.procs", "0");
    expect_in(b, SCOPE, "cgroup.subtree_control", "-cpuset");
    mim_contain_destroy(&c);
    assert_null(c);
    mim_contain_destroy(&c);
}

/* Where controllers are handed on already nothing changes for anybody else. */
static void test_v2_handed_on(void **state)
{
    const bench *b = *state;
    const mim_contain_need need = small_need(b);
    char group[256];
    make_v2(b, "cpu memory pids\n", "cpu memory pids\n", true);
    mim_contain *c = enter(&by_default, &need, b->root);
    snprintf(group, sizeof group, SCOPE "/%s", b->own);
    expect_in(b, group, "cgroup.procs", "0");
    expect_in(b, group, "pids.max", "72");
    mim_contain_destroy(&c);
    expect_in(b, SCOPE, "cgroup.subtree_control", "cpu memory pids\n");
}

/* Groups that are not there to be had: the sentence tells why, the run goes on; mode cgroup does
 * not. */
static void test_v2_refusals(void **state)
{
    static const struct {
        const char *what, *controllers, *handed_on;
        bool has_type, is_broken; /* broken: what would hand controllers on cannot be written */
        const char *says;         /* NULL: as demanded, it is done */
        const char *says_auto;
    } cases[] = {
        {"no controllers", "\n", "\n", true, false, "no such controller here",
         "no such controller here"},
        {"cpuset is not cpu", "cpuset\n", "cpuset\n", true, false, "no such controller here",
         "no such controller here"},
        {"the machine's root", "cpu memory pids\n", "\n", false, false,
         "the root group does not hand it on", "the root group does not hand it on"},
        {"the machine's root, handed on", "cpu memory pids\n", "cpu memory pids\n", false, false,
         NULL, "in the root group"},
        {"not handed on", "cpu memory pids\n", NULL, true, true, "cgroup.subtree_control",
         "cgroup.subtree_control"},
    };
    const bench *b = *state;
    const mim_contain_need need = small_need(b);
    for (size_t i = 0; i < N_OF(cases); i++) {
        bench one = *b;
        mim_contain_settings demanding = by_default;
        mim_contain *c = NULL;
        tree_make(one.root);
        make_v2(&one, cases[i].controllers, cases[i].handed_on ? cases[i].handed_on : "",
                cases[i].has_type);
        if (cases[i].is_broken) {
            char path[2 * TREE_PATH_BYTES];
            snprintf(path, sizeof path, "%s/" SCOPE "/cgroup.subtree_control", one.root);
            assert_int_equal(unlink(path), 0);
        }
        c = enter(&by_default, &need, one.root);
        expect_words(cases[i].what, mim_contain_missing(c), &cases[i].says_auto, 1);
        assert_null(strstr(mim_contain_applied(c), "cgroup"));
        assert_non_null(strstr(mim_contain_applied(c), "limits: "));
        mim_contain_destroy(&c);
        demanding.mode = MIM_CONTAIN_CGROUP;
        assert_int_equal(mim_contain_enter(&demanding, &need, one.root, &c),
                         cases[i].says ? MIM_EUNSUP : MIM_OK);
        assert_true((c == NULL) == (cases[i].says != NULL));
        if (cases[i].says) {
            assert_non_null(strstr(mim_error(), "contain.mode = cgroup"));
            assert_non_null(strstr(mim_error(), cases[i].says));
        }
        mim_contain_destroy(&c);
        tree_remove(one.root);
    }
}

/* A program whose children are contained leaves its group to them: they make theirs beside its own,
 * and come back to that. */
static void test_v2_step_aside(void **state)
{
    bench *b = *state;
    const mim_contain_need need = small_need(b);
    mim_contain *aside = NULL;
    char group[256], text[64];
    make_v2(b, "cpu memory pids\n", "", true);
    snprintf(text, sizeof text, "%ld\n", (long)getpid());
    put_in(b, SCOPE, "cgroup.procs", text);
    snprintf(group, sizeof group, SCOPE "/%s", b->own);
    assert_int_equal(mim_contain_step_aside(&by_default, b->root, &aside), MIM_OK);
    expect_in(b, group, "cgroup.procs", "0");
    expect_in(b, group, "pids.max", ""); /* no caps of its own */
    assert_string_equal(mim_contain_applied(aside), "nothing");
    mim_contain_destroy(&aside);
    expect_in(b, SCOPE, "cgroup.procs", "0");

    /* As a child finds it: its parent's group, 1, and one of its own beside that. */
    tree_put(b->root, "proc/self/cgroup", "0::/user.slice/run.scope/mimesys-run.1\n");
    put_in(b, SCOPE "/mimesys-run.1", "cgroup.procs", "");
    put_in(b, SCOPE, "cgroup.subtree_control", "");
    put_in(b, group, "cgroup.procs", "");
    mim_contain *c = enter(&by_default, &need, b->root);
    expect_in(b, group, "cgroup.procs", "0");
    expect_in(b, group, "pids.max", "72");
    expect_in(b, SCOPE, "cgroup.subtree_control", "+pids");
    mim_contain_destroy(&c);
    expect_in(b, SCOPE "/mimesys-run.1", "cgroup.procs", "0");
    expect_in(b, SCOPE, "cgroup.subtree_control", "+pids"); /* the parent's to end */

    /* Not where others are, nor in the root, nor where it is off. */
    const struct {
        const char *procs;
        bool has_type;
        mim_contain_mode mode;
    } cases[] = {{"1\n", true, MIM_CONTAIN_AUTO},
                 {"", true, MIM_CONTAIN_AUTO},
                 {text, false, MIM_CONTAIN_AUTO},
                 {text, true, MIM_CONTAIN_OFF},
                 {text, true, MIM_CONTAIN_RLIMITS}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        bench one = *b;
        mim_contain_settings settings = by_default;
        tree_make(one.root);
        make_v2(&one, "cpu memory pids\n", "", cases[i].has_type);
        put_in(&one, SCOPE, "cgroup.procs", cases[i].procs);
        settings.mode = cases[i].mode;
        assert_int_equal(mim_contain_step_aside(&settings, one.root, &aside), MIM_OK);
        expect_in(&one, group, "cgroup.procs", "");
        mim_contain_destroy(&aside);
        expect_in(&one, SCOPE, "cgroup.procs", cases[i].procs);
        tree_remove(one.root);
    }
}

/* ---- v1 on a hand-made tree -------------------------------------------------------------------
 */

static void test_v1_files(void **state)
{
    static const char *const trees[] = {"cpu,cpuacct", "memory", "pids", "blkio", "cpuset"};
    static const char *const files[][3] = {
        {"cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"},
        {"memory.limit_in_bytes"},
        {"pids.max"},
        {"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"},
        {"cpuset.cpus", "cpuset.mems"},
    };
    const bench *b = *state;
    mim_contain_need need = small_need(b);
    mim_contain_settings settings = by_default;
    char group[256], device[32], cpus[4096] = "";
    const char *folder = folder_on_disk(b);
    if (!folder)
        skip();
    tree_put(b->root, "proc/self/cgroup",
             "5:cpu,cpuacct:/job\n4:memory:/job\n3:pids:/job\n2:blkio:/job\n1:cpuset:/job\n0::/\n");
    tree_put(b->root, "proc/self/mountinfo",
             "1 0 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    for (size_t i = 0; i < N_OF(trees); i++) {
        snprintf(group, sizeof group, V2 "/%s/job", trees[i]);
        put_in(b, group, "cgroup.procs", "");
        if (i == 4)
            put_in(b, group, "cpuset.effective_mems", "0\n");
        snprintf(group, sizeof group, V2 "/%s/job/%s", trees[i], b->own);
        put_in(b, group, "cgroup.procs", "");
        for (size_t f = 0; f < 3 && files[i][f]; f++)
            put_in(b, group, files[i][f], "");
    }
    make_device(b, folder, true, device);
    settings.has_cpuset = true;
    settings.cpu_margin = 0.25;
    need.scratch_folder = folder;
    need.write_bytes_per_s = 1e8;
    mim_contain *c = enter(&settings, &need, b->root);
    snprintf(group, sizeof group, V2 "/cpu,cpuacct/job/%s", b->own);
    expect_in(b, group, "cpu.cfs_quota_us", "75000");
    expect_in(b, group, "cpu.shares", "1024");
    expect_in(b, group, "cgroup.procs", "0");
    snprintf(group, sizeof group, V2 "/blkio/job/%s", b->own);
    expect_in(b, group, "blkio.throttle.write_bps_device", "77:16 150000000");
    expect_in(b, group, "blkio.throttle.read_bps_device", ""); /* its rate is not known */
    snprintf(group, sizeof group, V2 "/cpuset/job/%s", b->own);
    expect_in(b, group, "cpuset.mems", "0");
    for (size_t i = 0; i < b->machine->n_cpus; i++)
        snprintf(cpus + strlen(cpus), sizeof cpus - strlen(cpus), "%s%d", i ? "," : "",
                 b->machine->cpus[i].os_index);
    expect_in(b, group, "cpuset.cpus", cpus);
    assert_null(mim_contain_missing(c));
    mim_contain_destroy(&c);
    expect_in(b, V2 "/memory/job", "cgroup.procs", "0");
}

/* ---- what is left out -------------------------------------------------------------------------
 */

static void test_no_device_and_no_rates(void **state)
{
    const bench *b = *state;
    mim_contain_need need = small_need(b);
    mim_contain_settings settings = by_default;
    char device[32];
    const char *no_disk = "no cap on I/O (no disk is known for ",
               *no_rates = "no cap on I/O (its rates are not calibrated)";
    const char *folder = folder_on_disk(b);
    if (!folder)
        skip();
    make_v2(b, "cpu io memory pids\n", "cpu io memory pids\n", true);
    need.scratch_folder = folder;
    need.read_bytes_per_s = 1e8;
    mim_contain *c = enter(&settings, &need, b->root);
    expect_words("no device", mim_contain_missing(c), &no_disk, 1);
    mim_contain_destroy(&c);
    make_device(b, folder, false, device);
    need.read_bytes_per_s = NAN;
    c = enter(&settings, &need, b->root);
    expect_words("no rates", mim_contain_missing(c), &no_rates, 1);
    mim_contain_destroy(&c);
    settings.io_margin = 0; /* not asked for: nothing to tell */
    c = enter(&settings, &need, b->root);
    assert_null(mim_contain_missing(c));
    mim_contain_destroy(&c);
}

static void test_off(void **state)
{
    const bench *b = *state;
    const mim_contain_need need = small_need(b);
    mim_contain_settings settings = by_default;
    struct rlimit before, now;
    settings.mode = MIM_CONTAIN_OFF;
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    mim_contain *c = enter(&settings, &need, "");
    assert_int_equal(getrlimit(RLIMIT_DATA, &now), 0);
    assert_true(now.rlim_cur == before.rlim_cur);
    assert_string_equal(mim_contain_applied(c), "nothing");
    assert_non_null(strstr(mim_contain_missing(c), "contain.mode = off"));
    mim_contain_destroy(&c);
    assert_string_equal(mim_contain_applied(NULL), "nothing");
    assert_null(mim_contain_missing(NULL));
    mim_contain_leave(NULL);
    mim_contain_destroy(NULL);
}

/* ---- leftovers --------------------------------------------------------------------------------
 */

static void test_sweep(void **state)
{
    static const struct {
        const char *format; /* of the dead process's number */
        bool is_swept;
    } cases[] = {
        {V2 "/user.slice/run.scope/mimesys-run.%ld", true},
        {V2 "/mimesys-run.%ld", true}, /* another scope of before */
        {V2 "/a/b/c/mimesys-run.%ld", true},
        {V2 "/mimesys-run.%ldx", false},
        {V2 "/mimesys-run.-%ld", false},
        {V2 "/mimesys-run.0%ld", false},
        {V2 "/other-run.%ld", false},
        {V2 "/xmimesys-run.%ld", false},
    };
    const bench *b = *state;
    char path[2 * TREE_PATH_BYTES], name[256];
    pid_t dead = fork();
    if (dead == 0)
        _exit(0);
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    tree_put(b->root, "proc/self/cgroup", "0::/user.slice/run.scope\n");
    tree_put(b->root, V2 "/user.slice/run.scope/cgroup.procs", "");
    tree_put(b->root, V2 "/a/b/c/cgroup.procs", "");
    for (size_t i = 0; i < N_OF(cases); i++) {
        snprintf(name, sizeof name, cases[i].format, (long)dead);
        snprintf(path, sizeof path, "%s/%s", b->root, name);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    snprintf(path, sizeof path, "%s/" V2 "/%s", b->root, b->own); /* of a living one */
    assert_int_equal(mkdir(path, 0700), 0);
    mim_contain_sweep(b->root);
    assert_int_equal(access(path, F_OK), 0);
    for (size_t i = 0; i < N_OF(cases); i++) {
        snprintf(name, sizeof name, cases[i].format, (long)dead);
        snprintf(path, sizeof path, "%s/%s", b->root, name);
        if ((access(path, F_OK) != 0) != cases[i].is_swept)
            fail_msg("%s: %s", name, cases[i].is_swept ? "was left" : "was swept");
    }
}

/* ---- from a plan ------------------------------------------------------------------------------
 */

static void test_need_of(void **state)
{
    static const char fast[] = "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled",
                      slow[] = "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_50ms",
                      reads[] = "BM_STRESS_NG_HddRead_1MB_NoSleep";
    const bench *b = *state;
    mim_cost costs[3] = {{.ops_per_s = 5}, {.ops_per_s = 2}, {.ops_per_s = NAN}};
    mim_calibration calibration = {
        .io_read_max_kbs = 2000, .io_write_max_kbs = 1024, .n_costs = 3, .costs = costs};
    mim_plan_need plan_need = {0};
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    mim_contain_need need;
    strcpy(costs[0].stressor, fast);
    strcpy(costs[1].stressor, slow);
    strcpy(costs[2].stressor, reads);
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_plan_create(2, 4, actions, &plan), MIM_OK);
    mim_plan_row(plan, 0, 0)[mim_actions_find(actions, fast)] = 0.1;
    mim_plan_row(plan, 1, 0)[mim_actions_find(actions, slow)] = 0.1;
    mim_plan_row(plan, 1, 1)[mim_actions_find(actions, slow)] = 0.1;
    mim_plan_row(plan, 1, 3)[mim_actions_find(actions, reads)] = 0.1;
    assert_int_equal(mim_plan_needs(plan, &plan_need), MIM_OK);
    mim_contain_need_of(plan, &plan_need, b->machine, &calibration, NULL, 4, 100, 1e6, &need);
    assert_int_equal(need.n_rows, 3);
    assert_int_equal(need.memory_bytes, plan_need.memory_bytes);
    assert_int_equal(need.file_bytes, plan_need.scratch_bytes);
    assert_int_equal(need.nice, 4);
    assert_true(need.read_bytes_per_s == 2048000.0);                /* the ceiling */
    assert_true(need.write_bytes_per_s == (double)((5 + 2) * MIB)); /* more than its ceiling */
    assert_true(need.output_bytes > 100 * 65536);
    assert_null(need.scratch_folder);
    calibration.io_write_max_kbs = NAN;
    mim_contain_need_of(plan, &plan_need, b->machine, &calibration, NULL, 4, 1, 1e30, &need);
    assert_true(isnan(need.write_bytes_per_s));
    assert_true(need.output_bytes > UINT64_C(1) << 62); /* bounded, not wrapped */
    mim_contain_need_of(plan, &plan_need, b->machine, NULL, NULL, 4, 1, 1, &need);
    assert_true(isnan(need.read_bytes_per_s));
    mim_plan_need_clear(&plan_need);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_v2_delegated),  TEST(test_v2_handed_on), TEST(test_v2_refusals),
        TEST(test_v2_step_aside), TEST(test_v1_files),     TEST(test_no_device_and_no_rates),
        TEST(test_off),           TEST(test_sweep),        TEST(test_need_of),
    };
    return cmocka_run_group_tests_name("contain", tests, NULL, NULL);
}
