/* node/simulated: carry-over conserves bytes; noise is repeatable, fair and stays possible. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/simulated_plans.h"

#include "node/simulated_constants.h"

/* ---- carry-over ---------------------------------------------------------------------------------
 */

/* Every byte written reaches the disk, at the latest in the idle slot behind; below the knee. */
static void test_writes_are_conserved(void **state)
{
    (void)state;
    mim_simulated *now = make_node("2x10", false, false, 1), *late = make_node("2x10", 0, 1, 1);
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    for (uint64_t seed = 0; seed < 20; seed++) {
        mim_plan *plan = make_plan(actions, 6, 20);
        for (size_t w = 0; w < 5; w++)
            for (size_t t = 0; t < 20; t++)
                mim_plan_row(plan, w, t)[12 + w % 2] = 0.9 * random_u01(seed, w * 20 + t);
        mim_run_result *r = NULL;
        mim_series *first = run_series(now, NULL, 1, plan, NULL);
        mim_series *second = run_series(late, NULL, 1, plan, &r);
        double sums[3] = {0}, moved = 0;
        for (size_t i = 0; i < 6; i++) {
            sums[0] += metric(first, i, "io_write");
            sums[1] += metric(second, i, "io_write");
            moved += fabs(metric(first, i, "io_write") - metric(second, i, "io_write"));
        }
        for (size_t i = 0; i < r->n_slots * r->n_rows * r->n_stressors; i++)
            sums[2] += r->bytes[i] / 1024;
        expect_near(sums[1], sums[0], 1e-6 * sums[0]);
        expect_near(sums[2], sums[0], 1e-6 * sums[0]);
        assert_true(moved > 0.1 * sums[0]);
        expect_near(metric(first, 5, "io_write"), 0, 0);
        assert_true(metric(second, 5, "io_write") > 0);
        mim_run_result_destroy(&r);
        mim_series_destroy(&first);
        mim_series_destroy(&second);
        mim_plan_destroy(&plan);
    }
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&now);
    mim_simulated_destroy(&late);
}

/* What was just read is read from memory in part; after an idle slot it is not. */
static void test_cached_reads(void **state)
{
    (void)state;
    mim_simulated *node = make_node("1x2", false, true, 1);
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    mim_plan *plan = make_plan(actions, 4, 1);
    for (size_t w = 0; w < 4; w++)
        mim_plan_row(plan, w, 0)[8] = w == 2 ? 0 : 0.5;
    mim_series *series = run_series(node, NULL, 1, plan, NULL);
    const double cold = metric(series, 0, "io_read"), warm = metric(series, 1, "io_read");
    expect_near(warm, (1 - MIM_SIMULATED_CACHED_READS) * cold, 1e-3);
    expect_near(metric(series, 2, "io_read"), 0, 0);
    expect_near(metric(series, 3, "io_read"), cold, 1e-9 * cold);
    mim_series_destroy(&series);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

/* ---- noise --------------------------------------------------------------------------------------
 */

static bool is_same(const mim_series *a, const mim_series *b)
{
    return a->n_slots == b->n_slots && a->n_metrics == b->n_metrics &&
           memcmp(a->values, b->values, a->n_slots * a->n_metrics * sizeof *a->values) == 0;
}

/* A function of seed, plan id, slot and metric: not of what else is asked for or ran before. */
static void test_noise_is_repeatable(void **state)
{
    (void)state;
    mim_simulated *node = make_node("2x10", true, true, 1), *other = make_node("2x10", 1, 1, 2);
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    mim_plan *plan = random_plan(actions, 4, 20, 3);
    mim_run_result *r = NULL;
    mim_series *a = run_series(node, NULL, 7, plan, NULL);
    mim_series *between = run_series(node, NULL, 8, plan, NULL);
    mim_series *b = run_series(node, NULL, 7, plan, &r);
    mim_series *seed = run_series(other, NULL, 7, plan, NULL);
    assert_true(is_same(a, b));
    assert_false(is_same(a, between));
    assert_false(is_same(a, seed));
    mim_series_destroy(&a);
    mim_series_destroy(&b);
    mim_series_destroy(&between);
    mim_series_destroy(&seed);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
    mim_simulated_destroy(&other);
}

/* Over many slots the mean is the value without noise (outliers shift it by a known bit), the
 * median lies closer, and the spread is what the constants say. */
static void test_noise_is_fair(void **state)
{
    (void)state;
    enum { N = 4000 };
    static const struct {
        const char *metric;
        double noise;
    } cases[] = {{"io_read", MIM_SIMULATED_IO_NOISE},
                 {"io_write", MIM_SIMULATED_IO_NOISE},
                 {"l3_cache_usage", MIM_SIMULATED_LOOKUP_NOISE},
                 {"memory_bandwidth_read", MIM_SIMULATED_BANDWIDTH_NOISE},
                 {"memory_bandwidth_write", MIM_SIMULATED_BANDWIDTH_NOISE},
                 {"pqos_ipc", MIM_SIMULATED_IPC_NOISE},
                 {"pqos_llc_kb", MIM_SIMULATED_OCCUPANCY_NOISE},
                 {"pqos_misses", MIM_SIMULATED_MISS_NOISE}};
    mim_simulated *noisy = make_node("2x10", true, false, 1), *node = make_node("2x10", 0, 0, 1);
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    mim_plan *plan = make_plan(actions, 1, 3);
    mim_plan_row(plan, 0, 0)[18] = 0.305; /* fits into the cache: nothing is cut off there */
    mim_plan_row(plan, 0, 1)[8] = 0.3;
    mim_plan_row(plan, 0, 2)[12] = 0.5;
    mim_series *expected = run_series(node, NULL, 1, plan, NULL), *found = NULL;
    const mim_simulated_task task = {.plan_id = 1, .plan = plan, .slot_s = 1, .n_iters = N};
    const mim_simulated_outputs outputs = {.series = &found};
    assert_int_equal(mim_simulated_run(noisy, &task, &outputs), MIM_OK);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const double value = metric(expected, 0, cases[c].metric);
        double sum = 0, squares = 0;
        size_t n = 0, n_rare = 0;
        for (size_t i = 0; i < N; i++) {
            const double relative = metric(found, i, cases[c].metric) / value - 1;
            if (relative > 0.3) {
                n_rare++;
                continue;
            }
            sum += relative;
            squares += relative * relative;
            n++;
        }
        const double noise = cases[c].noise, sigmas = 5;
        assert_true(fabs(sum / (double)n) < sigmas * noise / sqrt((double)N));
        assert_true(fabs(sqrt(squares / (double)n) / noise - 1) < sigmas / sqrt(2.0 * N));
        const double rare = N * MIM_SIMULATED_RARE;
        assert_true(fabs((double)n_rare - rare) < sigmas * sqrt(rare));
    }
    /* whole ticks of the kernel's clock, whose mean is the truth */
    double sum = 0;
    size_t n_odd = 0;
    for (size_t i = 0; i < N; i++) {
        const double cpu = metric(found, i, "avg_cpu_utilizations_core_00");
        assert_true(cpu == rint(cpu));
        n_odd += cpu > 35;
        sum += cpu > 35 ? 0 : cpu;
    }
    expect_near(sum / (double)(N - n_odd), metric(expected, 0, "avg_cpu_utilizations_core_00"),
                5 * 0.6 / sqrt(N));
    mim_series_destroy(&expected);
    mim_series_destroy(&found);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&noisy);
    mim_simulated_destroy(&node);
}

/* Noise never leaves what the hardware can do. */
static void test_noise_stays_possible(void **state)
{
    (void)state;
    mim_simulated *node = make_node("2x10", true, true, 4);
    const mim_simulated_ceilings ceilings = mim_simulated_ceilings_of(node);
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    for (uint64_t seed = 0; seed < 200; seed++) {
        mim_plan *plan = random_plan(actions, 4, 20, seed);
        mim_series *s = run_series(node, NULL, seed, plan, NULL);
        for (size_t i = 0; i < s->n_slots; i++) {
            for (size_t m = 0; m < s->n_metrics; m++)
                assert_true(mim_series_at(s, i, m) >= 0);
            for (size_t m = 0; m < 20; m++)
                assert_true(mim_series_at(s, i, m) <= 100);
            assert_true(metric(s, i, "pqos_llc_kb") <= ceilings.llc_kb * (1 + 1e-12));
            assert_true(metric(s, i, "memory_bandwidth_read") +
                            metric(s, i, "memory_bandwidth_write") <=
                        100 * (1 + 1e-12));
        }
        mim_series_destroy(&s);
        mim_plan_destroy(&plan);
    }
    mim_actions_destroy(&actions);
    mim_simulated_destroy(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_are_conserved), cmocka_unit_test(test_cached_reads),
        cmocka_unit_test(test_noise_is_repeatable),  cmocka_unit_test(test_noise_is_fair),
        cmocka_unit_test(test_noise_stays_possible),
    };
    return cmocka_run_group_tests_name("simulated_noise", tests, NULL, NULL);
}
