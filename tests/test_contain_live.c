/* Containment by this machine's limits and its groups, where they can be made (root, or alone in a
 * delegated group): caps hold, nothing is left, and a contained run does its plan as well as a free
 * one. */
#define _GNU_SOURCE /* O_DIRECT, O_TMPFILE */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/cgroup.h"
#include "node/contain.h"
#include "node/executor.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define N_OF(a) (sizeof(a) / sizeof *(a))

static const mim_contain_settings by_default = {MIM_CONTAIN_AUTO, 1.25, 1.25, 1.5, false};

typedef struct bench {
    char own[64]; /* name of this process's group */
    mim_machine *machine;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    snprintf(b->own, sizeof b->own, "mimesys-run.%ld", (long)getpid());
    assert_int_equal(mim_machine_create(0, &b->machine), MIM_OK);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
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

static mim_contain *enter(const mim_contain_settings *settings, const mim_contain_need *need)
{
    mim_contain *c = NULL;
    if (mim_contain_enter(settings, need, "", &c) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_non_null(c);
    return c;
}

/* ---- limits -----------------------------------------------------------------------------------
 */

static const __rlimit_resource_t limits[] = {RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE,
                                             RLIMIT_MEMLOCK, RLIMIT_CORE};

static bool can_map(uint64_t n_bytes)
{
    void *at = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at != MAP_FAILED && munmap(at, n_bytes) == 0;
}

static void test_limits_hold_and_end(void **state)
{
    const bench *b = *state;
    mim_contain_settings settings = by_default;
    const mim_contain_need need = small_need(b);
    struct rlimit before[N_OF(limits)], now;
    settings.mode = MIM_CONTAIN_RLIMITS;
    for (size_t i = 0; i < N_OF(limits); i++)
        assert_int_equal(getrlimit(limits[i], &before[i]), 0);
    if (!can_map(4096 * MIB))
        skip(); /* a machine this small would refuse it anyway */
    mim_contain *c = enter(&settings, &need);
    assert_true(can_map(need.memory_bytes)); /* what the plan needs is there */
    assert_false(can_map(4096 * MIB));
    for (size_t i = 0; i < N_OF(limits); i++) {
        assert_int_equal(getrlimit(limits[i], &now), 0);
        assert_true(now.rlim_cur <= before[i].rlim_cur);
        assert_true(now.rlim_max == before[i].rlim_max);
    }
    assert_non_null(strstr(mim_contain_applied(c), "limits: data "));
    assert_null(strstr(mim_contain_applied(c), "cgroup"));
    mim_contain_leave(c);
    assert_true(can_map(4096 * MIB));
    for (size_t i = 0; i < N_OF(limits); i++) {
        assert_int_equal(getrlimit(limits[i], &now), 0);
        assert_true(now.rlim_cur == before[i].rlim_cur);
    }
    mim_contain_destroy(&c);
}

static void test_tighter_limits_stay(void **state)
{
    const bench *b = *state;
    mim_contain_settings settings = by_default;
    const mim_contain_need need = small_need(b);
    struct rlimit before, low, now;
    settings.mode = MIM_CONTAIN_RLIMITS;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = before;
    low.rlim_cur = 64 * KIB;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    mim_contain *c = enter(&settings, &need);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &now), 0);
    mim_contain_destroy(&c);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(now.rlim_cur == 64 * KIB);
}

/* The sampler counts on all CPUs, however few the plan uses. */
static void test_counters_of_all_cpus_have_room(void **state)
{
    const bench *b = *state;
    mim_contain_settings settings = by_default;
    mim_contain_need need = small_need(b);
    mim_machine large = *b->machine;
    struct rlimit before, most, now;
    settings.mode = MIM_CONTAIN_RLIMITS;
    large.n_cpus = 192;
    need.machine = &large;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    most = before;
    most.rlim_cur = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
    mim_contain *c = enter(&settings, &need);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    mim_contain_destroy(&c);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(now.rlim_cur >= 4 * 192 + 256 || now.rlim_cur == before.rlim_max);
}

/* ---- this machine's own groups ----------------------------------------------------------------
 */

static void read_self(char text[8192])
{
    FILE *file = fopen("/proc/self/cgroup", "r");
    assert_non_null(file);
    text[fread(text, 1, 8191, file)] = '\0';
    fclose(file);
}

/* Whether a group with a cap on memory can be had here (the reason is told when not). */
static bool has_groups(const bench *b)
{
    const mim_contain_need need = small_need(b);
    mim_contain *c = enter(&by_default, &need);
    const bool has = strstr(mim_contain_applied(c), "memory") != NULL &&
                     strncmp(mim_contain_applied(c), "cgroup", 6) == 0;
    if (!has)
        print_message("skipped: %s\n",
                      mim_contain_missing(c) ? mim_contain_missing(c) : "no group");
    mim_contain_destroy(&c);
    return has;
}

static void test_real_groups(void **state)
{
    const bench *b = *state;
    const mim_contain_need need = small_need(b);
    char before[8192], within[8192], after[8192];
    if (!has_groups(b))
        skip();
    read_self(before);
    mim_contain *c = enter(&by_default, &need);
    read_self(within);
    assert_non_null(strstr(within, b->own));
    assert_null(strstr(before, b->own));
    const uint64_t left = mim_cgroup_memory_left("");
    mim_contain_destroy(&c);
    read_self(after);
    assert_string_equal(after, before);
    assert_true(left > 80 * MIB && left < 1024 * MIB);
}

/* A child that runs `body` contained; its wait status. */
static int run_contained(const mim_contain_settings *settings, const mim_contain_need *need,
                         int (*body)(void))
{
    int how = 0;
    mim_contain *aside = NULL; /* or the child could not have a group of v2 */
    assert_int_equal(mim_contain_step_aside(settings, "", &aside), MIM_OK);
    pid_t child = fork();
    if (child == 0) {
        mim_contain *c = NULL;
        if (mim_contain_enter(settings, need, "", &c) != MIM_OK)
            _exit(100);
        const int rc = body();
        mim_contain_destroy(&c);
        _exit(rc);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    mim_contain_sweep("");
    mim_contain_destroy(&aside);
    char *name = mim_format("find /sys/fs/cgroup -name mimesys-run.%ld | grep -q .", (long)child);
    assert_non_null(name);
    assert_true(system(name) != 0); /* nothing was left */
    free(name);
    return how;
}

/* Shared pages do not count toward the limit on data, only toward the group's memory. */
static int touch_a_gibibyte(void)
{
    const size_t n = 1024 * MIB;
    char *at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return 101;
    for (size_t i = 0; i < n; i += 4096)
        at[i] = 1;
    return 0;
}

static void test_real_memory_cap(void **state)
{
    const bench *b = *state;
    const mim_contain_need need = small_need(b);
    if (!has_groups(b))
        skip();
    const int how = run_contained(&by_default, &need, touch_a_gibibyte);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}

static int fork_many(void)
{
    int n = 0;
    pid_t children[200];
    while (n < 200 && (children[n] = fork()) > 0)
        n++;
    if (n < 200 && children[n] == 0) {
        pause();
        _exit(0);
    }
    for (int i = 0; i < n; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    return n < 200 ? 0 : 102;
}

static void test_real_tasks_cap(void **state)
{
    const bench *b = *state;
    const mim_contain_need need = small_need(b);
    if (!has_groups(b))
        skip();
    assert_int_equal(run_contained(&by_default, &need, fork_many), 0);
}

/* 0 when a spinning second got at most 3/4 of a CPU. */
static int spin_a_second(void)
{
    const int64_t begin = mim_clock_mono_ns(), cpu = mim_clock_thread_cpu_ns();
    while (mim_clock_mono_ns() < begin + MIM_NS_PER_S)
        ;
    const double share =
        (double)(mim_clock_thread_cpu_ns() - cpu) / (double)(mim_clock_mono_ns() - begin);
    return share <= 0.75 ? 0 : 103;
}

/* A group of this test in the tree of CPU time, as a batch job has one; its name, or "". */
static void enter_job(char name[64])
{
    char path[128];
    snprintf(name, 64, "/mim-test.%ld", (long)getpid());
    snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s", name);
    FILE *file = mkdir(path, 0700) == 0 ? fopen(strcat(path, "/cgroup.procs"), "w") : NULL;
    if (!file || fputs("0", file) < 0 || fclose(file) != 0)
        *name = '\0';
}

static void leave_job(const char *name)
{
    char path[128];
    FILE *file = fopen("/sys/fs/cgroup/cpu/cgroup.procs", "w");
    assert_non_null(file);
    fputs("0", file);
    assert_int_equal(fclose(file), 0);
    snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s", name);
    assert_int_equal(rmdir(path), 0);
}

/* In v1's root group only when asked for, in a job's group always. */
static void test_real_cpu_cap(void **state)
{
    const bench *b = *state;
    const mim_contain_need need = small_need(b);
    mim_contain_settings settings = by_default;
    char job[64] = "";
    const bool is_v1 = access("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", F_OK) == 0;
    settings.cpu_margin = 0.02; /* and half a CPU that is always spared */
    if (!has_groups(b))
        skip();
    if (access("/sys/fs/cgroup/cpu/release_agent", F_OK) == 0) {
        mim_contain *c = enter(&settings, &need);
        assert_null(strstr(mim_contain_applied(c), "CPUs"));
        assert_non_null(strstr(mim_contain_missing(c), "in the root group"));
        mim_contain_destroy(&c);
    }
    if (is_v1)
        enter_job(job);
    if (is_v1 && !*job)
        skip();
    mim_contain *c = enter(&settings, &need);
    const bool is_capped = strstr(mim_contain_applied(c), ": 0.52 CPUs") != NULL;
    mim_contain_destroy(&c);
    const int how = run_contained(&settings, &need, spin_a_second);
    if (is_v1)
        leave_job(job);
    assert_true(is_capped);
    assert_int_equal(how, 0);
    settings.mode = MIM_CONTAIN_CGROUP;
    assert_int_equal(run_contained(&settings, &need, spin_a_second), 0);
}

static const char disk_folder[] = "/var/tmp";

/* 0 when 4 MiB past the cache took a third of a second or more. */
static int write_four_mebibytes(void)
{
    char *block = aligned_alloc(4096, MIB);
    const int fd = open(disk_folder, O_TMPFILE | O_RDWR | O_DIRECT, 0600);
    if (!block || fd < 0)
        return 104;
    memset(block, 'x', MIB);
    const int64_t begin = mim_clock_mono_ns();
    for (int i = 0; i < 4; i++)
        if (write(fd, block, MIB) != (ssize_t)MIB)
            return 105;
    close(fd);
    free(block);
    return mim_clock_mono_ns() - begin > MIM_NS_PER_S / 3 ? 0 : 106;
}

static void test_real_io_cap(void **state)
{
    const bench *b = *state;
    mim_contain_need need = small_need(b);
    mim_contain_settings settings = by_default;
    need.scratch_folder = disk_folder;
    need.write_bytes_per_s = (double)(8 * MIB);
    settings.io_margin = 1;
    if (!has_groups(b))
        skip();
    mim_contain *c = enter(&settings, &need);
    const bool is_capped = strstr(mim_contain_applied(c), "disk ") != NULL;
    mim_contain_destroy(&c);
    if (!is_capped)
        skip();
    const int how = run_contained(&settings, &need, write_four_mebibytes);
    if (WIFEXITED(how) && WEXITSTATUS(how) == 104)
        skip(); /* no O_DIRECT there */
    assert_int_equal(how, 0);
}

/* ---- a contained run does as well as a free one ---------------------------------------------- */

static const char simd[] =
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false";

/* Mean CPU share given for 0.3 asked, over 4 slots on one CPU. */
static double share_given(const bench *b, const mim_plan *plan, const mim_contain_settings *how)
{
    const mim_execute_options options = {.slot_s = 0.25, .n_iters = 1, .nice = 5, .seed = 1};
    mim_contain_need need;
    mim_plan_need plan_need = {0};
    mim_run_result *r = NULL;
    double share = 0.0;
    assert_int_equal(mim_plan_needs(plan, &plan_need), MIM_OK);
    mim_contain_need_of(plan, &plan_need, b->machine, NULL, NULL, 5, 4, 1e6, &need);
    mim_contain *c = enter(how, &need);
    if (mim_execute(plan, b->machine, NULL, NULL, &options, NULL, &r) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_contain_destroy(&c);
    const size_t column = mim_actions_find(mim_plan_actions(plan), simd);
    for (size_t slot = 0; slot < r->n_slots; slot++)
        share += r->share[slot * r->n_stressors + column] / (double)r->n_slots;
    mim_run_result_destroy(&r);
    mim_plan_need_clear(&plan_need);
    return share;
}

/* In turns, so that what others do meets both; the best of each, so that they decide nothing. */
static void test_runs_are_as_good(void **state)
{
    const bench *b = *state;
    mim_contain_settings off = by_default;
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    double best[2] = {INFINITY, INFINITY}, best_in_job[2] = {INFINITY, INFINITY};
    char job[64];
    off.mode = MIM_CONTAIN_OFF;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_plan_create(4, 1, actions, &plan), MIM_OK);
    for (size_t w = 0; w < 4; w++)
        mim_plan_row(plan, w, 0)[mim_actions_find(actions, simd)] = 0.3;
    for (int i = 0; i < 4; i++) {
        best[0] = fmin(best[0], fabs(share_given(b, plan, &off) - 0.3));
        best[1] = fmin(best[1], fabs(share_given(b, plan, &by_default) - 0.3));
    }
    enter_job(job);
    for (int i = 0; i < 4 && *job; i++) {
        best_in_job[0] = fmin(best_in_job[0], fabs(share_given(b, plan, &off) - 0.3));
        best_in_job[1] = fmin(best_in_job[1], fabs(share_given(b, plan, &by_default) - 0.3));
    }
    if (*job)
        leave_job(job);
    print_message(
        "error of a share of 0.3: free %.4f, contained %.4f; in a job's group %.4f, %.4f\n",
        best[0], best[1], best_in_job[0], best_in_job[1]);
    assert_true(best[1] <= best[0] + 0.03);
    assert_true(!*job || best_in_job[1] <= best_in_job[0] + 0.03);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_limits_hold_and_end),
        TEST(test_tighter_limits_stay),
        TEST(test_real_groups),
        TEST(test_real_memory_cap),
        TEST(test_real_tasks_cap),
        TEST(test_real_cpu_cap),
        TEST(test_real_io_cap),
        TEST(test_runs_are_as_good),
        TEST(test_counters_of_all_cpus_have_room),
    };
    return cmocka_run_group_tests_name("contain_live", tests, NULL, NULL);
}
