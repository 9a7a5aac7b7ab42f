/* Plans of one window that a simulated 2x10 node with noise and carry-over does in a second of CPU
 * time, series without text, beside a real node, which takes a second for a slot. One JSON line.
 * usage: bench_simulated [BATCHES] */
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/quantile.h"
#include "explore/random.h"
#include "node/simulated.h"

enum { N_DEFAULT = 21, N_MIN = 5, N_PLANS = 200, N_ROUNDS = 5 };

typedef struct bench {
    mim_simulated *node;
    mim_actions *actions;
    mim_calibration *calibration;
    mim_capacity *capacity;
    mim_plan *plans[N_PLANS];
} bench;

static int set_up(bench *b)
{
    const mim_simulated_options options = {
        .size = {2, 10}, .has_noise = true, .has_carry_over = true, .seed = 1};
    const mim_random_options random = {
        .seed = 1, .n_threads = 20, .n_windows = 2, .budget_min = 0.05, .io_ceiling = 1};
    int rc = mim_simulated_create(&options, &b->node);
    if (rc == MIM_OK)
        rc = mim_actions_builtin("20", &b->actions);
    if (rc == MIM_OK)
        rc = mim_simulated_calibration(b->node, b->actions, &b->calibration);
    if (rc == MIM_OK)
        rc = mim_capacity_create(b->actions, b->calibration, &b->capacity);
    for (size_t i = 0; rc == MIM_OK && i < N_PLANS; i++) {
        mim_plan *chain = NULL; /* the first of its windows */
        rc = mim_random_plan(b->capacity, b->actions, &random, i, &chain);
        if (rc == MIM_OK)
            rc = mim_plan_create(1, 20, b->actions, &b->plans[i]);
        for (size_t k = 0; rc == MIM_OK && k < 20 * mim_plan_n_stressors(chain); k++)
            mim_plan_row(b->plans[i], 0, 0)[k] = mim_plan_weights(chain, 0, 0)[k];
        mim_plan_destroy(&chain);
    }
    return rc;
}

static void tear_down(bench *b)
{
    for (size_t i = 0; i < N_PLANS; i++)
        mim_plan_destroy(&b->plans[i]);
    mim_capacity_destroy(&b->capacity);
    mim_calibration_destroy(&b->calibration);
    mim_actions_destroy(&b->actions);
    mim_simulated_destroy(&b->node);
}

static int run_batch(const bench *b, double *plans_per_s)
{
    const int64_t begin_ns = mim_clock_thread_cpu_ns();
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < N_ROUNDS * N_PLANS; i++) {
        mim_series *series = NULL;
        const mim_simulated_task task = {
            .plan_id = i, .plan = b->plans[i % N_PLANS], .slot_s = 1, .n_iters = 1};
        const mim_simulated_outputs outputs = {.series = &series};
        rc = mim_simulated_run(b->node, &task, &outputs);
        mim_series_destroy(&series);
    }
    *plans_per_s = N_ROUNDS * N_PLANS / (1e-9 * (double)(mim_clock_thread_cpu_ns() - begin_ns));
    return rc;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : N_DEFAULT;
    bench b = {0};
    double quartile[3];
    n = n < N_MIN ? N_MIN : n;
    double *plans_per_s = calloc(n, sizeof *plans_per_s);
    int rc = plans_per_s ? set_up(&b) : mim_fail(MIM_ENOMEM, "%zu figures", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        rc = run_batch(&b, &plans_per_s[i]);
    for (size_t i = 0; rc == MIM_OK && i < 3; i++)
        rc = mim_quantile(plans_per_s, n, 0.25 * (double)(i + 1), &quartile[i]);
    if (rc == MIM_OK)
        printf(
            "{\"bench\": \"simulated_2x10\", \"value\": %.0f, \"unit\": \"plans/s\", \"peer\": 1, "
            "\"ratio\": %.0f, \"n\": %zu, \"spread\": %.0f}\n",
            quartile[1], quartile[1], n, quartile[2] - quartile[0]);
    else
        fprintf(stderr, "bench_simulated: %s\n", mim_error());
    tear_down(&b);
    free(plans_per_s);
    return mim_exit_status(rc);
}
