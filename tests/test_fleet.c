/* fleet/local: results keyed by task, and tasks that crash, hang or are refused cost themselves
 * only. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/signals.h"
#include "fleet/fleet.h"
#include "node/host_lock.h"

static const char simd[] =
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false";
static const char writes[] = "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms";
static const char reads[] = "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms";
static const double patience_s = 60;

typedef struct bench {
    char lock_path[64];
    mim_machine *machine;
    mim_actions *actions;
    mim_calibration calibration;
    mim_cost costs[2];
    mim_fleet_options options;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    snprintf(b->lock_path, sizeof b->lock_path, "/tmp/test_fleet-%ld.lock", (long)getpid());
    assert_int_equal(mim_machine_create(0, &b->machine), MIM_OK);
    assert_int_equal(mim_actions_builtin("20", &b->actions), MIM_OK);
    strcpy(b->costs[0].stressor, writes);
    strcpy(b->costs[1].stressor, reads);
    b->costs[0].ops_per_s = 20; /* chosen, not measured */
    b->costs[1].ops_per_s = 40;
    b->calibration.n_costs = 2;
    b->calibration.costs = b->costs;
    b->options = (mim_fleet_options){
        .machine = b->machine,
        .calibration = &b->calibration,
        .limits = {.max_time_s = 100, .nice = 5, .min_free_bytes = 1 << 20},
        .scratch_folder = "/var/tmp",
        .host_lock = b->lock_path,
        .grace_s = 30,
    };
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    unlink(b->lock_path);
    mim_machine_destroy(&b->machine);
    mim_actions_destroy(&b->actions);
    free(b);
    return 0;
}

static mim_plan *make_plan(const bench *b, size_t n_windows, const char *stressor, double weight)
{
    mim_plan *plan = NULL;
    assert_int_equal(mim_plan_create(n_windows, 2, b->actions, &plan), MIM_OK);
    for (size_t w = 0; w + 1 < n_windows; w++) /* the last window idle */
        mim_plan_row(plan, w, w % 2)[mim_actions_find(b->actions, stressor)] = weight;
    return plan;
}

static mim_fleet *open_fleet(const mim_fleet_options *options)
{
    mim_fleet *fleet = NULL;
    assert_int_equal(mim_fleet_open(&mim_fleet_local, options, &fleet), MIM_OK);
    return fleet;
}

static void submit(mim_fleet *fleet, uint64_t id, const mim_plan *plan, double slot_s, size_t n)
{
    const mim_fleet_task task = {.id = id, .plan = plan, .slot_s = slot_s, .n_iters = n, .seed = 1};
    if (mim_fleet_submit(fleet, &task) != MIM_OK)
        fail_msg("%s", mim_error());
}

static mim_fleet_result *next_result(mim_fleet *fleet)
{
    mim_fleet_result *result = NULL;
    assert_int_equal(mim_fleet_poll(fleet, patience_s, &result), MIM_OK);
    assert_non_null(result);
    return result;
}

/* The process of a fleet's only task. */
static pid_t only_child(void)
{
    char path[64];
    long pid = 0;
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    FILE *file = fopen(path, "r");
    if (!file)
        return 0; /* a kernel without it */
    int n = fscanf(file, "%ld", &pid);
    fclose(file);
    assert_int_equal(n, 1);
    return (pid_t)pid;
}

static void test_results_are_keyed_by_task(void **state)
{
    const bench *b = *state;
    mim_fleet *fleet = open_fleet(&b->options);
    mim_plan *plans[2] = {make_plan(b, 3, simd, 0.5), make_plan(b, 4, simd, 0.25)};
    mim_fleet_result *none = NULL;
    bool is_seen[2] = {false, false};
    assert_int_equal(mim_fleet_poll(fleet, 0, &none), MIM_OK);
    assert_null(none);
    submit(fleet, 100, plans[0], 0.05, 2);
    submit(fleet, 101, plans[1], 0.05, 1);
    mim_plan_destroy(&plans[0]); /* borrowed until submit returned */
    mim_plan_destroy(&plans[1]);
    assert_int_equal(mim_fleet_n_pending(fleet), 2);
    for (size_t i = 0; i < 2; i++) {
        mim_fleet_result *r = next_result(fleet);
        size_t which = (size_t)(r->task_id - 100), n_slots = which ? 4 : 6;
        assert_true(which < 2 && !is_seen[which]);
        is_seen[which] = true;
        /* late records may make fewer slots of such short ones; that is a failure, and said */
        if (r->status == MIM_FLEET_DONE) {
            assert_int_equal(r->series->n_slots, n_slots);
            assert_int_equal(r->n_slots, n_slots);
            assert_int_equal(r->n_threads, 2);
            assert_int_equal(r->n_stressors, 20);
            assert_string_equal(r->host, b->machine->hostname);
            assert_non_null(
                strstr(r->stats_text, which ? "%begin plan-101\n" : "%begin plan-100\n"));
            assert_int_equal(strlen(r->stats_text), r->n_stats_bytes);
            size_t column = mim_actions_find(b->actions, simd);
            double share = r->given_share[column]; /* slot 0, thread 0 */
            assert_true(share > 0 && share < 0.6);
            assert_true(r->given_share[20 + column] == 0);
            assert_true(r->wall_s >= 0.05 * (double)n_slots);
            assert_null(r->error);
        } else {
            assert_int_equal(r->status, MIM_FLEET_FAILED);
            assert_non_null(strstr(r->error, "slots were measured, expected"));
        }
        mim_fleet_result_destroy(&r);
    }
    assert_int_equal(mim_fleet_n_pending(fleet), 0);
    mim_fleet_close(&fleet);
}

static void test_io_counts_what_it_writes(void **state)
{
    const bench *b = *state;
    mim_fleet *fleet = open_fleet(&b->options);
    mim_plan *plan = make_plan(b, 3, writes, 1.0);
    submit(fleet, 1, plan, 0.25, 1);
    mim_fleet_result *r = next_result(fleet);
    if (r->status != MIM_FLEET_DONE)
        fail_msg("%s", r->error);
    double files = 2.0 * (double)mim_stressor_find(writes)->file_bytes; /* a file a thread */
    if (!(r->written_bytes >= files && r->written_bytes <= files + 12.0 * 1048576))
        fail_msg("%.0f bytes written, %.0f of them files", r->written_bytes, files);
    mim_fleet_result_destroy(&r);
    mim_plan_destroy(&plan);

    plan = make_plan(b, 3, reads, 1.0); /* the shared read file is made once, before the task */
    submit(fleet, 2, plan, 0.25, 1);
    r = next_result(fleet);
    if (r->status != MIM_FLEET_DONE)
        fail_msg("%s", r->error);
    assert_true(r->written_bytes == 0);
    mim_fleet_result_destroy(&r);
    mim_plan_destroy(&plan);
    mim_fleet_close(&fleet);
}

/* The task of `signal` ends as `status`; one submitted after it is done. */
static void end_by(const bench *b, const mim_fleet_options *options, int signal_number,
                   mim_fleet_status status, const char *says)
{
    mim_fleet *fleet = open_fleet(options);
    mim_plan *plan = make_plan(b, 20, simd, 0.1), *tiny = make_plan(b, 3, simd, 0.1);
    submit(fleet, 7, plan, 0.05, 2);
    pid_t child = only_child();
    if (child == 0) {
        mim_plan_destroy(&plan);
        mim_plan_destroy(&tiny);
        mim_fleet_close(&fleet);
        skip();
    }
    mim_clock_sleep_until(mim_clock_mono_ns() + 300000000); /* it has begun, or soon will */
    assert_int_equal(kill(child, signal_number), 0);
    submit(fleet, 8, tiny, 0.2, 1);
    for (size_t i = 0; i < 2; i++) {
        mim_fleet_result *r = next_result(fleet);
        if (r->task_id == 7) {
            assert_int_equal(r->status, status);
            assert_non_null(strstr(r->error, says));
            assert_null(r->series);
        } else {
            if (r->status != MIM_FLEET_DONE)
                fail_msg("%s", r->error);
        }
        mim_fleet_result_destroy(&r);
    }
    mim_plan_destroy(&plan);
    mim_plan_destroy(&tiny);
    mim_fleet_close(&fleet);
}

static void test_a_killed_task_costs_itself_only(void **state)
{
    const bench *b = *state;
    end_by(b, &b->options, SIGKILL, MIM_FLEET_CRASHED, "Killed");
    end_by(b, &b->options, SIGABRT, MIM_FLEET_CRASHED, "died");
}

/* Kept within what they need, tasks end as well, and leave no group however they end. */
static void test_contained_tasks(void **state)
{
    const bench *b = *state;
    static const char find[] =
        "find /sys/fs/cgroup -name 'mimesys-run.*' 2>/dev/null | sed 's/.*run.//' | sort -u | "
        "while read -r pid; do kill -0 $pid 2>/dev/null || echo $pid; done | grep -q .";
    mim_fleet_options options = b->options;
    options.contain = (mim_contain_settings){MIM_CONTAIN_AUTO, 1.25, 1.25, 1.5, false};
    mim_fleet *fleet = open_fleet(&options);
    mim_plan *plan = make_plan(b, 3, simd, 0.5);
    submit(fleet, 1, plan, 0.2, 1);
    mim_fleet_result *r = next_result(fleet);
    if (r->status != MIM_FLEET_DONE)
        fail_msg("%s", r->error);
    assert_non_null(strstr(r->stats_text, "$x_contain "));
    assert_non_null(strstr(r->stats_text, "limits: data "));
    mim_fleet_result_destroy(&r);
    mim_plan_destroy(&plan);
    mim_fleet_close(&fleet);
    end_by(b, &options, SIGKILL, MIM_FLEET_CRASHED, "Killed");
    assert_true(system(find) != 0); /* nothing of dead processes */
}

static void test_a_hanging_task_is_killed_in_time(void **state)
{
    const bench *b = *state;
    mim_fleet_options options = b->options;
    options.grace_s = 0.5;
    end_by(b, &options, SIGSTOP, MIM_FLEET_TIMED_OUT, "killed");
}

static void test_beyond_the_limits_is_refused(void **state)
{
    const bench *b = *state;
    mim_fleet_options options = b->options;
    mim_plan *plan = make_plan(b, 3, simd, 0.5), *unknown = NULL;
    options.limits.max_time_s = 0.1;
    mim_fleet *fleet = open_fleet(&options);
    submit(fleet, 1, plan, 0.05, 1);
    mim_fleet_result *r = next_result(fleet);
    assert_int_equal(r->status, MIM_FLEET_REFUSED);
    assert_non_null(strstr(r->error, "limits.time_s"));
    mim_fleet_result_destroy(&r);
    mim_fleet_close(&fleet);

    fleet = open_fleet(&b->options);
    unknown = make_plan(b, 3, "BM_STRESS_NG_HddRead_1MB_NoSleep", 0.5); /* not calibrated */
    submit(fleet, 2, unknown, 0.05, 1);
    r = next_result(fleet);
    assert_int_equal(r->status, MIM_FLEET_REFUSED);
    assert_non_null(strstr(r->error, "not in the calibration"));
    mim_fleet_result_destroy(&r);
    mim_fleet_close(&fleet);
    mim_plan_destroy(&plan);
    mim_plan_destroy(&unknown);
}

static void test_tasks_that_make_no_sense(void **state)
{
    const bench *b = *state;
    mim_fleet *fleet = open_fleet(&b->options);
    mim_plan *plan = make_plan(b, 3, simd, 0.5), *late = NULL;
    assert_int_equal(mim_plan_create(2, 1, b->actions, &late), MIM_OK);
    mim_plan_row(late, 1, 0)[0] = 0.5;
    const mim_fleet_task bad[] = {
        {1, plan, 0.001, 1, 1}, {1, plan, NAN, 1, 1}, {1, plan, 0.05, 0, 1}, {1, late, 0.05, 1, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mim_fleet_submit(fleet, &bad[i]), MIM_EINVAL);
    assert_int_equal(mim_fleet_n_pending(fleet), 0);
    mim_fleet_close(&fleet);
    mim_plan_destroy(&plan);
    mim_plan_destroy(&late);
}

static void test_a_held_host_makes_tasks_wait(void **state)
{
    const bench *b = *state;
    mim_fleet *fleet = open_fleet(&b->options);
    mim_plan *plan = make_plan(b, 3, simd, 0.5);
    mim_fleet_result *r = NULL;
    int lock = -1, second = -1;
    assert_int_equal(mim_host_lock_open(b->lock_path, &lock), MIM_OK);
    assert_int_equal(mim_host_lock_open(b->lock_path, &second), MIM_OK);
    assert_int_equal(mim_host_lock_take(lock, 0), MIM_OK);
    assert_int_equal(mim_host_lock_take(second, 0), MIM_EUNSUP);
    submit(fleet, 1, plan, 0.2, 1);
    assert_int_equal(mim_fleet_poll(fleet, 1.0, &r), MIM_OK);
    assert_null(r);
    mim_host_lock_release(&lock);
    r = next_result(fleet);
    if (r->status != MIM_FLEET_DONE)
        fail_msg("%s", r->error);
    assert_int_equal(mim_host_lock_take(second, 5), MIM_OK); /* given back by its end */
    mim_host_lock_release(&second);
    mim_fleet_result_destroy(&r);
    mim_plan_destroy(&plan);
    mim_fleet_close(&fleet);
}

static void test_only_one_task_runs_at_a_time(void **state)
{
    const bench *b = *state;
    mim_fleet *one = open_fleet(&b->options), *other = open_fleet(&b->options);
    mim_plan *plan = make_plan(b, 3, simd, 0.5);
    double first_s[2], last_s[2];
    submit(one, 1, plan, 0.2, 1);
    submit(other, 2, plan, 0.2, 1);
    for (size_t i = 0; i < 2; i++) {
        mim_fleet_result *r = next_result(i ? other : one);
        if (r->status != MIM_FLEET_DONE)
            fail_msg("%s", r->error);
        first_s[i] = r->series->start_s[0];
        last_s[i] = r->series->start_s[2] + r->series->length_s[2];
        mim_fleet_result_destroy(&r);
    }
    assert_true(last_s[0] <= first_s[1] || last_s[1] <= first_s[0]);
    mim_plan_destroy(&plan);
    mim_fleet_close(&one);
    mim_fleet_close(&other);
}

/* In a process of its own: a stop that comes while a task waits ends the wait, not a running task.
 */
static int stop_while_waiting(const bench *b)
{
    mim_fleet_result *r = NULL;
    mim_fleet *fleet = NULL;
    mim_plan *plan = make_plan(b, 3, simd, 0.5);
    const mim_fleet_task task = {.id = 1, .plan = plan, .slot_s = 0.2, .n_iters = 1, .seed = 1};
    int lock = -1, rc = mim_signals_install();
    rc = rc == MIM_OK ? mim_host_lock_open(b->lock_path, &lock) : rc;
    rc = rc == MIM_OK ? mim_host_lock_take(lock, 0) : rc;
    rc = rc == MIM_OK ? mim_fleet_open(&mim_fleet_local, &b->options, &fleet) : rc;
    rc = rc == MIM_OK ? mim_fleet_submit(fleet, &task) : rc;
    mim_clock_sleep_until(mim_clock_mono_ns() + 200000000);
    raise(SIGUSR1);
    rc = rc == MIM_OK ? mim_fleet_poll(fleet, patience_s, &r) : rc;
    return rc == MIM_OK && r && r->status == MIM_FLEET_STOPPED ? 0 : 1;
}

static int stop_while_running(const bench *b)
{
    mim_fleet_result *r = NULL;
    mim_fleet *fleet = NULL;
    mim_plan *plan = make_plan(b, 6, simd, 0.5);
    const mim_fleet_task task = {.id = 1, .plan = plan, .slot_s = 0.2, .n_iters = 1, .seed = 1};
    int rc = mim_signals_install();
    rc = rc == MIM_OK ? mim_fleet_open(&mim_fleet_local, &b->options, &fleet) : rc;
    rc = rc == MIM_OK ? mim_fleet_submit(fleet, &task) : rc;
    mim_clock_sleep_until(mim_clock_mono_ns() + 600000000);
    kill(only_child(), SIGTERM);
    raise(SIGTERM);
    rc = rc == MIM_OK ? mim_fleet_poll(fleet, patience_s, &r) : rc;
    return rc == MIM_OK && r && r->status == MIM_FLEET_DONE ? 0 : 1;
}

static void test_a_stop_ends_waiting_not_running(void **state)
{
    int (*const parts[])(const bench *) = {stop_while_waiting, stop_while_running};
    for (size_t i = 0; i < 2; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0)
            _exit(parts[i](*state));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void test_tasks_end_with_who_opened_the_fleet(void **state)
{
    const bench *b = *state;
    int ends[2], lock = -1;
    pid_t grandchild = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) { /* opens, submits a long task, and is killed */
        mim_fleet *fleet = NULL;
        mim_plan *plan = make_plan(b, 50, simd, 0.5);
        const mim_fleet_task task = {.id = 1, .plan = plan, .slot_s = 1, .n_iters = 1, .seed = 1};
        if (mim_fleet_open(&mim_fleet_local, &b->options, &fleet) != MIM_OK ||
            mim_fleet_submit(fleet, &task) != MIM_OK)
            _exit(1);
        grandchild = only_child();
        if (write(ends[1], &grandchild, sizeof grandchild) != sizeof grandchild)
            _exit(1);
        pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &grandchild, sizeof grandchild), sizeof grandchild);
    mim_clock_sleep_until(mim_clock_mono_ns() + 300000000);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(mim_host_lock_open(b->lock_path, &lock), MIM_OK);
    assert_int_equal(mim_host_lock_take(lock, 10), MIM_OK); /* held by the task while it lives */
    mim_host_lock_release(&lock);
    close(ends[0]);
    close(ends[1]);
}

static void test_host_lock_refuses_foreign_files(void **state)
{
    const bench *b = *state;
    char link_path[80];
    int lock = -1;
    snprintf(link_path, sizeof link_path, "%s.link", b->lock_path);
    unlink(link_path);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_int_equal(mim_host_lock_open(link_path, &lock), MIM_EIO);
    unlink(link_path);
    assert_int_equal(mim_host_lock_open("/dev/null", &lock), MIM_EIO);
    assert_non_null(strstr(mim_error(), "own"));
    assert_int_equal(mim_host_lock_open("/nowhere/lock", &lock), MIM_EIO);
    assert_int_equal(lock, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_are_keyed_by_task),
        cmocka_unit_test(test_io_counts_what_it_writes),
        cmocka_unit_test(test_a_killed_task_costs_itself_only),
        cmocka_unit_test(test_contained_tasks),
        cmocka_unit_test(test_a_hanging_task_is_killed_in_time),
        cmocka_unit_test(test_beyond_the_limits_is_refused),
        cmocka_unit_test(test_tasks_that_make_no_sense),
        cmocka_unit_test(test_a_held_host_makes_tasks_wait),
        cmocka_unit_test(test_only_one_task_runs_at_a_time),
        cmocka_unit_test(test_a_stop_ends_waiting_not_running),
        cmocka_unit_test(test_tasks_end_with_who_opened_the_fleet),
        cmocka_unit_test(test_host_lock_refuses_foreign_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
