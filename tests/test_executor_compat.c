/* The original's dispatch on this machine: what holds however busy it is. (Counts, slices and
 * shares are tested without a clock in test_compat.c.) */
#define _DEFAULT_SOURCE /* usleep */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"
#include "tests/support/executor_fixture.h"
#include "trace/stats.h"

static const char sets[] = "BM_DIRECTMEMSET_32MB_NoSleep";
static const char bursts[] = "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled";

static const mim_execute_options compat = {.slot_s = 0.2,
                                           .n_iters = 1,
                                           .seed = 1,
                                           .idle_slot = true,
                                           .is_compat = true,
                                           .compat_warm_up_s = 0.05};

static mim_run_result *run(const bench *b, const mim_plan *plan, const mim_execute_options *options)
{
    mim_run_result *r = NULL;
    if (mim_execute(plan, b->machine, b->calibration, b->scratch, options, NULL, &r) != MIM_OK)
        fail_msg("%s", mim_error());
    return r;
}

static void test_cpu_rows(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 2, 1);
    for (size_t w = 0; w < 2; w++) {
        set(b, plan, w, 0, simd, 0.3);
        set(b, plan, w, 0, copy, 0.1);
    }
    mim_execute_options options = compat;
    options.n_iters = 2;
    mim_run_result *r = run(b, plan, &options);
    assert_int_equal(r->n_slots, 6); /* two windows and an idle slot, twice */
    assert_true(r->is_verified);
    double end_s = 0.0;
    for (size_t slot = 0; slot < 6; slot++) {
        size_t at = cell(b, r, slot, 0, simd);
        bool is_idle = slot % 3 == 2;
        assert_true(r->slot_windows[slot] == (is_idle ? SIZE_MAX : slot % 3));
        assert_near(r->planned_share[at], is_idle ? 0.0 : 0.3, 1e-12);
        assert_true(is_idle ? r->ops[at] == 0.0 : r->ops[at] > 0.0);
        assert_near(r->share[at], r->stressor_cpu_s[at] / 0.2, 1e-9);
        /* one pass of equal slices: wall time 0.3 of the slot and a batch for every entry */
        assert_true(r->stressor_wall_s[at] <= (is_idle ? 0.0 : 0.2));
        assert_true(r->slot_begin_s[slot] >= end_s);
        end_s = r->slot_begin_s[slot] + r->slot_length_s[slot];
        if (is_idle) /* a late slot before it shortens it, to half at most */
            assert_true(r->slot_length_s[slot] >= 0.1);
    }
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

/* Two operations with sleeps of 500 ms in slots of 200 ms: nothing is clipped, the slot ends when
 * they are over, the next one has half its length at least. */
static void test_sleeps_overrun_the_slot(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 2, 2);
    for (size_t w = 0; w < 2; w++) {
        set(b, plan, w, 0, reads, 1.0); /* 2 entries; the first passes the slot's end */
        set(b, plan, w, 1, simd, 0.5);
    }
    mim_execute_options options = compat;
    options.idle_slot = false;
    options.compat_warm_up_s = 0.0;
    mim_run_result *r = run(b, plan, &options);
    assert_int_equal(r->n_slots, 2);
    for (size_t slot = 0; slot < 2; slot++) {
        size_t at = cell(b, r, slot, 0, reads);
        assert_true(r->ops[at] == 1.0);
        assert_near(r->planned_ops[at], 40.0 * 0.2, 1e-9);
        assert_true(r->stressor_wall_s[at] >= 0.5);
        assert_true(r->slot_length_s[slot] >= 0.5);
        assert_true(r->stressor_cpu_s[at] < 0.25); /* it slept */
    }
    /* Late by 300 ms and more, the second slot was cut to its half: 100 ms, passed by 400. */
    assert_true(r->overshoot_s[0] >= 0.3 - 0.01 && r->overshoot_s[2] >= 0.4 - 0.01);
    assert_true(r->start_late_s[2] >= 0.3);
    mim_run_figures f;
    assert_int_equal(mim_run_result_figures(r, plan, &f), MIM_OK);
    assert_true(f.drift_s >= 0.3);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

/* The burst's duty, 2 w, stays in force for the memset after it: bytes of an operation tell. */
static void test_duty_leaks_into_sizes(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 2, 1);
    mim_calibration calibration = *b->calibration;
    mim_cost cost = {.ops_per_s = 100.0};
    strcpy(cost.stressor, bursts);
    calibration.n_costs = 1;
    calibration.costs = &cost;
    set(b, plan, 0, 0, bursts, 0.125); /* 25 entries: duty 0.25 */
    set(b, plan, 1, 0, sets, 0.1);
    mim_run_result *r = NULL;
    mim_execute_options options = compat;
    options.compat_warm_up_s = 0.0;
    assert_int_equal(mim_execute(plan, b->machine, &calibration, b->scratch, &options, NULL, &r),
                     MIM_OK);
    size_t write = cell(b, r, 0, 0, bursts), sweep = cell(b, r, 1, 0, sets);
    assert_true(r->ops[write] >= 25.0 && r->ops[sweep] >= 1.0);
    assert_near(r->bytes[write], r->ops[write] * 0.25 * 1048576.0, 0.5);
    assert_near(r->bytes[sweep], r->ops[sweep] * 0.25 * 32.0 * 1048576.0, 0.5);
    assert_true(r->is_verified);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_costs_of_the_caller(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 1, 1);
    uint32_t cost_us[32] = {0};
    set(b, plan, 0, 0, simd, 0.4);
    set(b, plan, 0, 0, copy, 0.4);
    cost_us[mim_actions_find(b->actions, simd)] = 5000;
    mim_execute_options options = compat;
    options.compat_cost_us = cost_us; /* copy has none: it never runs */
    mim_run_result *r = run(b, plan, &options);
    assert_true(r->ops[cell(b, r, 0, 0, simd)] > 0.0);
    assert_true(r->ops[cell(b, r, 0, 0, copy)] == 0.0);
    assert_near(r->planned_share[cell(b, r, 0, 0, copy)], 0.4, 1e-12);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_stats_text_has_a_record_at_every_edge(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 2, 1);
    mim_stats *stats = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    set(b, plan, 0, 0, simd, 0.5);
    set(b, plan, 1, 0, simd, 0.5);
    mim_execute_options options = compat;
    options.stats = open_memstream(&text, &n_bytes);
    mim_run_result *r = run(b, plan, &options);
    fclose(options.stats);
    assert_int_equal(mim_stats_parse("run", text, n_bytes, &stats), MIM_OK);
    assert_int_equal(mim_stats_n_records(stats), 4); /* one and the slots, the idle one too */
    assert_int_equal(mim_disturbance_read(stats, r->n_slots, &r->disturbance), MIM_OK);
    assert_true(r->disturbance->is_known);
    mim_stats_destroy(&stats);
    free(text);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_no_closed_loop(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 1, 1);
    mim_run_result *r = NULL;
    mim_execute_options options = compat;
    options.loop_gain = 0.5;
    assert_int_equal(mim_execute(plan, b->machine, NULL, b->scratch, &options, NULL, &r),
                     MIM_EINVAL);
    mim_plan_destroy(&plan);
}

static int run_until_signal(const bench *b, double warm_up_s)
{
    mim_plan *plan = NULL;
    mim_run_result *r = NULL;
    mim_execute_options options = compat;
    options.compat_warm_up_s = warm_up_s;
    if (mim_signals_install() != MIM_OK || mim_plan_create(1000, 2, b->actions, &plan) != MIM_OK)
        return 10;
    for (size_t w = 0; w < 1000; w++) {
        set(b, plan, w, 0, reads, 1.0);
        set(b, plan, w, 1, simd, 0.5);
    }
    int rc = mim_execute(plan, b->machine, b->calibration, b->scratch, &options, NULL, &r);
    if (rc == MIM_ESTOPPED)
        return 1;
    return rc == MIM_OK && r->is_stopped && r->n_slots >= 1 && r->n_slots < 100 ? 0 : 11;
}

/* While slots run: stored; during the warm-up: there is nothing to store. */
static void test_a_signal_ends_the_run(void **state)
{
    static const struct {
        double warm_up_s;
        int status;
    } table[] = {{0.05, 0}, {600.0, 1}};
    for (size_t i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(run_until_signal(*state, table[i].warm_up_s));
        usleep(2500000);
        kill(child, SIGTERM);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), table[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_rows),
        cmocka_unit_test(test_sleeps_overrun_the_slot),
        cmocka_unit_test(test_duty_leaks_into_sizes),
        cmocka_unit_test(test_costs_of_the_caller),
        cmocka_unit_test(test_stats_text_has_a_record_at_every_edge),
        cmocka_unit_test(test_no_closed_loop),
        cmocka_unit_test(test_a_signal_ends_the_run),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
