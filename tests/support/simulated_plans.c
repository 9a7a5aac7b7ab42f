#include "tests/support/simulated_plans.h"

#include <math.h>

#include "core/rng.h"

mim_simulated *make_node(const char *size, bool has_noise, bool has_carry_over, uint64_t seed)
{
    mim_simulated *node = NULL;
    mim_simulated_options options = {
        .has_noise = has_noise, .has_carry_over = has_carry_over, .seed = seed};
    assert_int_equal(mim_simulated_size_parse("size", size, &options.size), MIM_OK);
    assert_int_equal(mim_simulated_create(&options, &node), MIM_OK);
    return node;
}

mim_plan *make_plan(const mim_actions *actions, size_t n_windows, size_t n_threads)
{
    mim_plan *plan = NULL;
    assert_int_equal(mim_plan_create(n_windows, n_threads, actions, &plan), MIM_OK);
    return plan;
}

double random_u01(uint64_t seed, uint64_t number)
{
    return mim_rng_u01(seed, MIM_STREAM_TEST, number, 0, 0);
}

static void fill_row(double *row, size_t n, double activity, uint64_t seed, uint32_t place)
{
    double sum = 0;
    uint32_t draw = 0;
    const double budget = mim_rng_u01(seed, MIM_STREAM_TEST, 1, place, draw++);
    if (mim_rng_u01(seed, MIM_STREAM_TEST, 1, place, draw++) > activity)
        return;
    const size_t n_used = 1 + (size_t)(10 * mim_rng_u01(seed, MIM_STREAM_TEST, 1, place, draw++));
    for (size_t i = 0; i < n_used; i++) {
        const size_t s = (size_t)((double)n * mim_rng_u01(seed, MIM_STREAM_TEST, 1, place, draw++));
        row[s] += mim_rng_u01(seed, MIM_STREAM_TEST, 1, place, draw++);
    }
    for (size_t s = 0; s < n; s++)
        sum += row[s];
    for (size_t s = 0; s < n; s++)
        row[s] *= budget / sum;
}

mim_plan *random_plan(const mim_actions *actions, size_t n_windows, size_t n_threads, uint64_t seed)
{
    mim_plan *plan = make_plan(actions, n_windows, n_threads);
    for (size_t w = 0; w < n_windows; w++) {
        const double activity = mim_rng_u01(seed, MIM_STREAM_TEST, 2, (uint32_t)w, 0);
        for (size_t t = 0; t < n_threads; t++)
            fill_row(mim_plan_row(plan, w, t), mim_plan_n_stressors(plan), activity, seed,
                     (uint32_t)(w * n_threads + t));
    }
    mim_plan_keep_idle_start(plan);
    assert_int_equal(mim_plan_validate(plan, "random plan"), MIM_OK);
    return plan;
}

mim_series *run_series(const mim_simulated *node, const mim_actions *actions, uint64_t plan_id,
                       const mim_plan *plan, mim_run_result **result)
{
    mim_series *series = NULL;
    mim_plan *idle = plan ? NULL : make_plan(actions, 1, 1);
    const mim_simulated_task task = {
        .plan_id = plan_id, .plan = plan ? plan : idle, .slot_s = 1, .n_iters = 1};
    const mim_simulated_outputs outputs = {.series = &series, .result = result};
    if (mim_simulated_run(node, &task, &outputs) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_plan_destroy(&idle);
    return series;
}

void parse_text(const char *text, size_t n_bytes, mim_series **series)
{
    mim_stats *stats = NULL;
    if (mim_stats_parse("text", text, n_bytes, &stats) != MIM_OK ||
        mim_series_create(stats, NULL, series) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_stats_destroy(&stats);
}

double metric(const mim_series *series, size_t slot, const char *name)
{
    const size_t m = mim_series_find(series, name);
    if (m == SIZE_MAX)
        fail_msg("no metric %s", name);
    return mim_series_at(series, slot, m);
}

void expect_near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("expected %.17g, found %.17g (to %g)", expected, found, tolerance);
}
