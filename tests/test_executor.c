/* The executor on this machine: shares metered, operations paced, schedule absolute, end clean.
 * No wall-time assertions beyond what the schedule itself guarantees; load of others may make a
 * slot late, so the tests look at totals with wide margins (the bench measures accuracy). */
#define _DEFAULT_SOURCE /* usleep */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/signals.h"
#include "node/executor.h"
#include "trace/series.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static const char simd[] =
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false";
static const char copy[] = "BM_LIBC_Memcpy_Fleet_L1";
static const char reads[] = "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms";
static const char writes[] = "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms";

typedef struct bench {
    mim_machine *machine;
    mim_actions *actions;
    mim_scratch *scratch;
    mim_calibration *calibration;
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    const mim_scratch_options options = {.folder = "/var/tmp", .min_free_bytes = 1u << 20};
    assert_non_null(b);
    assert_int_equal(mim_machine_create(0, &b->machine), MIM_OK);
    assert_int_equal(mim_actions_builtin("20", &b->actions), MIM_OK);
    assert_int_equal(mim_scratch_create(&options, &b->scratch), MIM_OK);
    b->calibration = calloc(1, sizeof *b->calibration);
    b->calibration->costs = calloc(2, sizeof *b->calibration->costs);
    b->calibration->n_costs = 2;
    mim_cost *costs = b->calibration->costs;
    strcpy(costs[0].stressor, reads);
    costs[0].ops_per_s = 40.0; /* chosen, not measured: what is due follows from it exactly */
    strcpy(costs[1].stressor, writes);
    costs[1].ops_per_s = 20.0;
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    mim_machine_destroy(&b->machine);
    mim_actions_destroy(&b->actions);
    mim_scratch_destroy(&b->scratch);
    mim_calibration_destroy(&b->calibration);
    free(b);
    return 0;
}

static mim_plan *make_plan(const bench *b, size_t n_windows, size_t n_threads)
{
    mim_plan *plan = NULL;
    assert_int_equal(mim_plan_create(n_windows, n_threads, b->actions, &plan), MIM_OK);
    return plan;
}

static void set(const bench *b, mim_plan *plan, size_t w, size_t t, const char *name, double weight)
{
    mim_plan_row(plan, w, t)[mim_actions_find(b->actions, name)] = weight;
}

static const mim_execute_options quarter = {.slot_s = 0.25, .n_iters = 1, .seed = 1};

static size_t cell(const bench *b, const mim_run_result *r, size_t slot, size_t row,
                   const char *name)
{
    return (slot * r->n_rows + row) * r->n_stressors + mim_actions_find(b->actions, name);
}

static void test_shares(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 4, 1);
    mim_run_result *r = NULL;
    for (size_t w = 0; w < 4; w++) {
        set(b, plan, w, 0, simd, 0.2);
        set(b, plan, w, 0, copy, 0.1);
    }
    assert_int_equal(mim_execute(plan, b->machine, NULL, b->scratch, &quarter, NULL, &r), MIM_OK);
    assert_int_equal(r->n_slots, 4);
    assert_true(r->is_verified);
    assert_false(r->is_stopped);
    double simd_share = 0.0, copy_share = 0.0, cpu_s = 0.0;
    for (size_t slot = 0; slot < 4; slot++) {
        simd_share += r->share[cell(b, r, slot, 0, simd)] / 4.0;
        copy_share += r->share[cell(b, r, slot, 0, copy)] / 4.0;
        cpu_s += r->cpu_s[slot];
        assert_true(r->ops[cell(b, r, slot, 0, simd)] > 0.0);
        assert_true(isnan(r->planned_ops[cell(b, r, slot, 0, simd)]));
    }
    /* The meter never gives more than was asked for, but for one turn. */
    assert_true(simd_share < 0.22 && copy_share < 0.12);
    assert_true(simd_share > 0.05 && copy_share > 0.02);
    assert_true(fabs(cpu_s - 0.25 * 4.0 * (simd_share + copy_share)) < 1e-6);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_paced_operations_carry_over(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 4, 2);
    mim_run_result *r = NULL;
    for (size_t w = 0; w < 4; w++) {
        set(b, plan, w, 0, reads, 0.05);  /* 2 a second: one every other slot */
        set(b, plan, w, 1, writes, 0.50); /* 10 a second: 2.5 a slot */
    }
    assert_int_equal(mim_execute(plan, b->machine, b->calibration, b->scratch, &quarter, NULL, &r),
                     MIM_OK);
    double n_reads = 0.0, n_writes = 0.0, n_bytes = 0.0;
    for (size_t slot = 0; slot < 4; slot++) {
        n_reads += r->ops[cell(b, r, slot, 0, reads)];
        n_writes += r->ops[cell(b, r, slot, 1, writes)];
        n_bytes += r->bytes[cell(b, r, slot, 1, writes)];
        assert_near(r->planned_ops[cell(b, r, slot, 1, writes)], 2.5, 1e-9);
    }
    assert_true(n_reads >= 1.0 && n_reads <= 2.0);
    assert_true(n_writes >= 8.0 && n_writes <= 10.0);
    assert_near(n_bytes, n_writes * 1048576.0, 0.5);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_order_of_windows(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 3, 1); /* leading zero window: not run */
    mim_run_result *r = NULL;
    set(b, plan, 1, 0, simd, 0.1);
    set(b, plan, 2, 0, simd, 0.3);
    mim_execute_options options = quarter;
    options.slot_s = 0.05;
    options.n_iters = 2;
    options.idle_slot = true;
    assert_int_equal(mim_execute(plan, b->machine, NULL, b->scratch, &options, NULL, &r), MIM_OK);
    const double expected[] = {0.1, 0.3, 0.0, 0.1, 0.3, 0.0};
    assert_int_equal(r->n_slots, 6);
    for (size_t slot = 0; slot < 6; slot++)
        assert_near(r->planned_share[cell(b, r, slot, 0, simd)], expected[slot], 1e-12);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_stats_text_has_a_record_at_every_edge(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 4, 1);
    mim_run_result *r = NULL;
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    for (size_t w = 0; w < 4; w++)
        set(b, plan, w, 0, simd, 0.5);
    mim_execute_options options = quarter;
    options.stats = open_memstream(&text, &n_bytes);
    options.job = "test";
    assert_int_equal(mim_execute(plan, b->machine, NULL, b->scratch, &options, NULL, &r), MIM_OK);
    fclose(options.stats);
    assert_int_equal(mim_stats_parse("run", text, n_bytes, &stats), MIM_OK);
    assert_int_equal(mim_stats_n_records(stats), 5);
    assert_string_equal(mim_stats_mark(stats, 0, 0), "begin test");
    assert_int_equal(mim_series_create(stats, NULL, &series), MIM_OK);
    assert_int_equal(series->n_slots, 4);
    double span = mim_stats_record_time_s(stats, 4) - mim_stats_record_time_s(stats, 0);
    assert_true(span > 0.9 && span < 3.0);
    size_t own = mim_stats_find_type(stats, "x_slot");
    assert_true(own != SIZE_MAX);
    mim_series_destroy(&series);
    mim_stats_destroy(&stats);
    free(text);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static void test_refusals(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 1, 1);
    mim_run_result *r = NULL;
    set(b, plan, 0, 0, writes, 0.5);
    assert_int_equal(mim_execute(plan, b->machine, NULL, b->scratch, &quarter, NULL, &r),
                     MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "not in the calibration"));
    mim_plan_destroy(&plan);

    static const char *const names[] = {"BM_nobody"};
    mim_actions *old = NULL;
    assert_int_equal(mim_actions_from_names(1, names, &old), MIM_OK);
    assert_int_equal(mim_plan_create(1, 1, old, &plan), MIM_OK);
    mim_plan_row(plan, 0, 0)[0] = 0.5; /* no kernel in this build */
    assert_int_equal(mim_execute(plan, b->machine, NULL, b->scratch, &quarter, NULL, &r),
                     MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "no kernel"));
    assert_null(r);
    mim_actions_destroy(&old);
    mim_plan_destroy(&plan);
}

static void test_write_ceiling_ends_writes_not_the_run(void **state)
{
    const bench *b = *state;
    mim_plan *plan = make_plan(b, 4, 1);
    mim_run_result *r = NULL;
    mim_scratch *scratch = NULL;
    /* Enough for the file's set-up, not for all that falls due. */
    const mim_stressor *stressor = mim_stressor_find(writes);
    const mim_scratch_options options = {.folder = "/var/tmp",
                                         .min_free_bytes = 1u << 20,
                                         .max_written_bytes = stressor->file_bytes + (5u << 20)};
    assert_int_equal(mim_scratch_create(&options, &scratch), MIM_OK);
    for (size_t w = 0; w < 4; w++)
        set(b, plan, w, 0, writes, 1.0); /* 5 MiB a slot */
    assert_int_equal(mim_execute(plan, b->machine, b->calibration, scratch, &quarter, NULL, &r),
                     MIM_OK);
    assert_int_equal(r->n_slots, 4);
    assert_non_null(r->note);
    assert_int_equal(r->n_failed, 0);
    double n_ops = 0.0;
    for (size_t slot = 0; slot < 4; slot++)
        n_ops += r->ops[cell(b, r, slot, 0, writes)];
    assert_true(n_ops <= 5.0);
    mim_scratch_destroy(&scratch);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

static int run_until_signal(const bench *b)
{
    mim_plan *plan = NULL;
    mim_run_result *r = NULL;
    if (mim_signals_install() != MIM_OK || mim_plan_create(1000, 2, b->actions, &plan) != MIM_OK)
        return 10;
    for (size_t w = 0; w < 1000; w++)
        set(b, plan, w, 0, simd, 0.5);
    int rc = mim_execute(plan, b->machine, NULL, b->scratch, &quarter, NULL, &r);
    return rc == MIM_OK && r->is_stopped && r->n_slots >= 1 && r->n_slots < 100 ? 0 : 11;
}

static void test_a_signal_ends_the_run(void **state)
{
    pid_t child = fork();
    if (child == 0)
        _exit(run_until_signal(*state));
    usleep(900000);
    kill(child, SIGTERM);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_figures(void **state)
{
    const bench *b = *state;
    mim_plan *plan = NULL;
    size_t n = mim_actions_n(b->actions), i = mim_actions_find(b->actions, simd),
           k = mim_actions_find(b->actions, writes);
    assert_int_equal(mim_plan_create(2, 1, b->actions, &plan), MIM_OK);
    mim_run_result r = {.n_slots = 2, .n_rows = 1, .n_stressors = n, .slot_s = 2.0};
    double *all = calloc(5 * 2 * n, sizeof *all);
    double late[2] = {0.0, 0.003}, over[2] = {0.02, 0.01}, cpu[2] = {1.0, 0.5};
    r.planned_share = all, r.share = all + 2 * n, r.planned_ops = all + 4 * n;
    r.ops = all + 6 * n, r.bytes = all + 8 * n;
    r.start_late_s = late, r.overshoot_s = over, r.cpu_s = cpu;
    for (size_t at = 0; at < 2 * n; at++)
        r.planned_ops[at] = NAN;
    r.planned_share[i] = 0.5, r.share[i] = 0.4;         /* slot 0: error 0.05 */
    r.planned_share[n + i] = 0.5, r.share[n + i] = 0.5; /* slot 1: none */
    r.planned_ops[k] = 10.0, r.ops[k] = 9.0, r.bytes[k] = 9e6;
    mim_run_figures f;
    assert_int_equal(mim_run_result_figures(&r, plan, &f), MIM_OK);
    assert_near(f.share_error_mean, 0.025, 1e-12);
    assert_near(f.share_error_p95, 0.0475, 1e-12); /* between 0 and 0.05 */
    assert_near(f.ops_ratio, 0.9, 1e-12);
    assert_near(f.overshoot_max, 0.01, 1e-12);
    assert_near(f.drift_s, 0.003, 1e-12);
    assert_near(f.cpu_s, 1.5, 1e-12);
    assert_near(f.written_bytes, 9e6, 1e-3);
    free(all);
    mim_plan_destroy(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_paced_operations_carry_over),
        cmocka_unit_test(test_order_of_windows),
        cmocka_unit_test(test_stats_text_has_a_record_at_every_edge),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_write_ceiling_ends_writes_not_the_run),
        cmocka_unit_test(test_a_signal_ends_the_run),
        cmocka_unit_test(test_figures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
