/* explore/random against the distributions its header states. Seeds are fixed, so results are, too;
 * bounds are five standard deviations or a Kolmogorov-Smirnov probability of 1e-6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore/propose.h"

enum { N_STRESSORS = 20, N_THREADS = 20, N_PLANS = 800, N_BUSY = 5 };

typedef struct bench {
    mim_actions *actions;
    mim_calibration calibration;
    mim_cost costs[N_STRESSORS];
    mim_capacity *capacity;
} bench;

/* Made-up rates; reads and writes of a thread are at most 102400 KB/s. */
static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    assert_int_equal(mim_actions_builtin("20", &b->actions), MIM_OK);
    for (size_t i = 0; i < N_STRESSORS; i++) {
        const mim_stressor *stressor = mim_actions_stressor(b->actions, i);
        if (!stressor->is_paced)
            continue;
        mim_cost *cost = &b->costs[b->calibration.n_costs++];
        snprintf(cost->stressor, sizeof cost->stressor, "%s", stressor->name);
        cost->ops_per_s = stressor->sleep_us ? 1e6 / stressor->sleep_us : 100;
        cost->device_bytes_per_op = (double)stressor->op_bytes;
    }
    b->calibration.costs = b->costs;
    b->calibration.io_read_max_kbs = 204800;
    b->calibration.io_write_max_kbs = 102400;
    assert_int_equal(mim_capacity_create(b->actions, &b->calibration, &b->capacity), MIM_OK);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    mim_actions_destroy(&b->actions);
    mim_capacity_destroy(&b->capacity);
    free(b);
    return 0;
}

static const mim_random_options original = {
    .seed = 42,
    .n_threads = N_THREADS,
    .n_windows = N_BUSY + 1,
    .budget_min = 0.2,
    .idle_end = true,
    .io_ceiling = INFINITY,
};

static mim_plan *make_plan(const bench *b, const mim_random_options *options, uint64_t id)
{
    mim_plan *plan = NULL;
    if (mim_random_plan(b->capacity, b->actions, options, id, &plan) != MIM_OK)
        fail_msg("%s", mim_error());
    return plan;
}

typedef struct row_figures {
    size_t n_cpu, n_io; /* stressors used, by class */
    double sum;
} row_figures;

static row_figures look(const double *row)
{
    row_figures f = {0, 0, 0};
    for (size_t s = 0; s < N_STRESSORS; s++) {
        bool is_io = (s >= 8 && s <= 14) || s == 16; /* the spec's class, by number */
        f.n_io += is_io && row[s] > 0;
        f.n_cpu += !is_io && row[s] > 0;
        f.sum += row[s];
    }
    return f;
}

static void assert_uniform_counts(const size_t *counts, size_t n, const char *what)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)counts[i];
    double expected = total / (double)n, bound = 5 * sqrt(expected);
    for (size_t i = 0; i < n; i++)
        if (fabs((double)counts[i] - expected) > bound)
            fail_msg("%s %zu of %zu: %zu times, expected %.0f +- %.0f", what, i, n, counts[i],
                     expected, bound);
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Kolmogorov-Smirnov: sqrt(n) D above 2.7 has a probability of 1e-6. */
static void assert_uniform(double *values, size_t n, double low, double high, const char *what)
{
    double d = 0;
    qsort(values, n, sizeof *values, compare);
    for (size_t i = 0; i < n; i++) {
        double u = (values[i] - low) / (high - low);
        d = fmax(d, fmax(fabs(u - (double)i / (double)n), fabs((double)(i + 1) / (double)n - u)));
    }
    if (!(sqrt((double)n) * d < 2.7))
        fail_msg("%s: Kolmogorov-Smirnov %.3f over %zu values", what, sqrt((double)n) * d, n);
}

static void test_active_threads_and_classes(void **state)
{
    const bench *b = *state;
    size_t active[N_THREADS] = {0}, place[N_THREADS] = {0}, n_io_of_9[10] = {0}, n_cpu[10] = {0},
           io_column[N_STRESSORS] = {0}, cpu_column[N_STRESSORS] = {0};
    for (uint64_t id = 0; id < N_PLANS; id++) {
        mim_plan *plan = make_plan(b, &original, id);
        for (size_t w = 0; w < N_BUSY; w++) {
            size_t n_active = 0, n_io = 0;
            for (size_t t = 0; t < N_THREADS; t++) {
                const double *row = mim_plan_weights(plan, w, t);
                row_figures f = look(row);
                if (f.sum == 0)
                    continue;
                n_active++;
                place[t]++;
                n_io += f.n_io;
                assert_true((f.n_io == 1 && f.n_cpu == 0) ||
                            (f.n_io == 0 && f.n_cpu >= 1 && f.n_cpu <= 10));
                n_cpu[f.n_cpu ? f.n_cpu - 1 : 0] += f.n_cpu > 0;
                for (size_t s = 0; s < N_STRESSORS; s++) {
                    io_column[s] += f.n_io && row[s] > 0;
                    cpu_column[s] += f.n_cpu && row[s] > 0;
                }
            }
            assert_true(n_active >= 1);
            active[n_active - 1]++;
            /* p_io is uniform: so is the number of I/O threads among 9 (beta-binomial 1, 1) */
            if (n_active == 9)
                n_io_of_9[n_io]++;
        }
        for (size_t t = 0; t < N_THREADS; t++)
            assert_true(look(mim_plan_weights(plan, N_BUSY, t)).sum == 0);
        mim_plan_destroy(&plan);
    }
    assert_uniform_counts(active, N_THREADS, "active threads");
    assert_uniform_counts(place, N_THREADS, "thread");
    assert_uniform_counts(n_io_of_9, 10, "I/O threads of 9");
    assert_uniform_counts(n_cpu, 10, "stressors of a CPU thread");
    static const size_t io[] = {8, 9, 10, 11, 12, 13, 14, 16},
                        cpu[] = {0, 1, 2, 3, 4, 5, 6, 7, 15, 17, 18, 19};
    size_t of_io[8], of_cpu[12];
    for (size_t i = 0; i < 8; i++)
        of_io[i] = io_column[io[i]];
    for (size_t i = 0; i < 12; i++)
        of_cpu[i] = cpu_column[cpu[i]];
    assert_uniform_counts(of_io, 8, "I/O stressor");
    assert_uniform_counts(of_cpu, 12, "CPU stressor");
}

static void test_budgets_and_shares(void **state)
{
    const bench *b = *state;
    size_t n = 0, n_two = 0, most = N_PLANS * N_BUSY * N_THREADS;
    double *sums = calloc(most, sizeof *sums), *two = calloc(most, sizeof *two);
    double sum3 = 0, square3 = 0, n_three = 0;
    assert_true(sums && two);
    for (uint64_t id = 0; id < N_PLANS; id++) {
        mim_plan *plan = make_plan(b, &original, id);
        for (size_t i = 0; i < N_BUSY * N_THREADS; i++) {
            const double *row = mim_plan_weights(plan, i / N_THREADS, i % N_THREADS);
            row_figures f = look(row);
            if (f.sum == 0)
                continue;
            assert_true(f.sum <= 1 + 1e-12);
            sums[n++] = f.sum;
            size_t first = 0; /* lowest column: its share of the budget is like any other's */
            while (row[first] == 0)
                first++;
            if (f.n_cpu == 2)
                two[n_two++] = row[first] / f.sum;
            if (f.n_cpu == 3) {
                sum3 += row[first] / f.sum;
                square3 += pow(row[first] / f.sum, 2);
                n_three++;
            }
        }
        mim_plan_destroy(&plan);
    }
    assert_true(n > 30000 && n_two > 1000 && n_three > 1000);
    assert_uniform(sums, n, 0.2, 1, "row sums");
    assert_uniform(two, n_two, 0, 1, "share of one of two"); /* Dirichlet(1, 1) */
    /* Dirichlet(1, 1, 1): mean 1/3, mean square 1/6 */
    assert_true(fabs(sum3 / n_three - 1.0 / 3) < 5 * sqrt(1.0 / 18 / n_three));
    assert_true(fabs(square3 / n_three - 1.0 / 6) < 5 * sqrt(0.04 / n_three));
    free(sums);
    free(two);
}

/* A pure I/O thread's weight is budget * 1000^-u then: the logarithm of the share is uniform. */
static void test_small_io(void **state)
{
    const bench *b = *state;
    mim_random_options o = original;
    size_t n = 0;
    double *logs = calloc(N_PLANS * N_BUSY * N_THREADS, sizeof *logs);
    assert_non_null(logs);
    o.small_io = 1;
    o.budget_min = 1;
    for (uint64_t id = 0; id < N_PLANS; id++) {
        mim_plan *plan = make_plan(b, &o, id);
        for (size_t i = 0; i < N_BUSY * N_THREADS; i++) {
            const double *row = mim_plan_weights(plan, i / N_THREADS, i % N_THREADS);
            const row_figures f = look(row);
            if (f.n_io == 1 && f.sum < 1) /* not where the ceiling scaled it */
                logs[n++] = -log(f.sum) / log(1000);
        }
        mim_plan_destroy(&plan);
    }
    assert_true(n > 100);
    assert_uniform(logs, n, 0, 1, "logarithm of a small I/O weight");
    free(logs);
}

static void test_mixed_threads(void **state)
{
    const bench *b = *state;
    mim_random_options o = original;
    double n_mixed = 0, n = 0, n_io = 0;
    size_t n_shares = 0;
    double *shares = calloc(N_PLANS * N_BUSY * N_THREADS, sizeof *shares);
    assert_non_null(shares);
    o.mixed = 0.3;
    o.budget_min = 0;
    for (uint64_t id = 0; id < N_PLANS; id++) {
        mim_plan *plan = make_plan(b, &o, id);
        for (size_t i = 0; i < N_BUSY * N_THREADS; i++) {
            const double *row = mim_plan_weights(plan, i / N_THREADS, i % N_THREADS);
            row_figures f = look(row);
            if (f.sum == 0)
                continue;
            assert_true(f.sum <= 1 + 1e-12 && f.n_io <= 1);
            n++;
            n_io += f.n_io > 0 && f.n_cpu == 0;
            if (f.n_io == 0 || f.n_cpu == 0)
                continue;
            n_mixed++;
            double io = 0;
            for (size_t k = 0; k < b->capacity->n_io; k++)
                io += row[b->capacity->io[k]];
            shares[n_shares++] = io / f.sum;
        }
        mim_plan_destroy(&plan);
    }
    assert_true(fabs(n_mixed / n - 0.3) < 5 * sqrt(0.21 / n));
    /* half of the rest; counts within a window share p_io, so its spread is far wider */
    assert_true(fabs(n_io / n - 0.35) < 5 * sqrt(1.0 / 12 / (N_PLANS * N_BUSY)) + 5 * sqrt(1 / n));
    assert_uniform(shares, n_shares, 0, 1, "I/O share of a mixed thread");
    free(shares);
}

static void test_plans_are_functions_of_seed_and_id(void **state)
{
    const bench *b = *state;
    mim_random_options other = original, longer = original;
    size_t bytes = N_BUSY * N_THREADS * N_STRESSORS * sizeof(double);
    other.seed = 43;
    longer.n_windows = 9;
    mim_plan *five = make_plan(b, &original, 5), *three = make_plan(b, &original, 3),
             *again = make_plan(b, &original, 5), *seeded = make_plan(b, &other, 5),
             *more = make_plan(b, &longer, 5), *far = make_plan(b, &original, UINT64_MAX - 1);
    const double *weights = mim_plan_weights(five, 0, 0);
    assert_memory_equal(weights, mim_plan_weights(again, 0, 0), bytes);
    assert_memory_equal(weights, mim_plan_weights(more, 0, 0),
                        bytes); /* a longer chain begins alike */
    assert_memory_not_equal(weights, mim_plan_weights(three, 0, 0), bytes);
    assert_memory_not_equal(weights, mim_plan_weights(seeded, 0, 0), bytes);
    assert_memory_not_equal(weights, mim_plan_weights(far, 0, 0), bytes);
    assert_non_null(strstr(mim_plan_origin(five), "\"id\": 5,"));
    mim_plan *all[] = {five, three, again, seeded, more, far};
    for (size_t i = 0; i < 6; i++)
        mim_plan_destroy(&all[i]);
}

static void test_chains_overlap(void **state)
{
    const bench *b = *state;
    mim_random_options o = original;
    o.idle_end = false;
    for (uint64_t id = 0; id < 50; id++) { /* every window busy and unlike the one before */
        mim_plan *plan = make_plan(b, &o, id);
        assert_int_equal(mim_plan_n_windows(plan), N_BUSY + 1);
        assert_int_equal(mim_plan_first_window(plan), 0);
        for (size_t w = 1; w <= N_BUSY; w++)
            assert_memory_not_equal(mim_plan_weights(plan, w, 0), mim_plan_weights(plan, w - 1, 0),
                                    N_THREADS * N_STRESSORS * sizeof(double));
        mim_plan_destroy(&plan);
    }
}

static void test_io_stays_below_the_ceiling(void **state)
{
    const bench *b = *state;
    mim_random_options o = original;
    size_t n_capped = 0;
    o.io_ceiling = 0.8;
    for (uint64_t id = 0; id < 100; id++) {
        mim_plan *plan = make_plan(b, &o, id), *free_plan = make_plan(b, &original, id);
        for (size_t w = 0; w <= N_BUSY; w++) {
            double asked = mim_capacity_io(b->capacity, free_plan, w), bytes[2] = {0, 0};
            n_capped += asked > 0.8;
            for (size_t t = 0; t < N_THREADS; t++) {
                for (size_t s = 0; s < N_STRESSORS; s++) {
                    const mim_stressor *stressor = mim_actions_stressor(b->actions, s);
                    const mim_cost *cost = mim_calibration_cost(&b->calibration, stressor->name);
                    double x = mim_plan_weights(plan, w, t)[s];
                    double was = mim_plan_weights(free_plan, w, t)[s];
                    bool is_read = stressor->stress_class == MIM_STRESS_READ;
                    if (is_read || stressor->stress_class == MIM_STRESS_WRITE)
                        bytes[is_read] += x * cost->ops_per_s * (double)stressor->op_bytes;
                    else
                        assert_true(x == was); /* CPU and memory are left as they were */
                    assert_true(x <= was + 1e-15 && (x > 0) == (was > 0));
                }
            }
            assert_true(bytes[1] / 1024 / 204800 + bytes[0] / 1024 / 102400 <= 0.8 + 1e-9);
        }
        mim_plan_destroy(&plan);
        mim_plan_destroy(&free_plan);
    }
    assert_true(n_capped > 100);
}

static void test_a_node_without_a_class(void **state)
{
    const bench *b = *state;
    mim_capacity *capacity = NULL;
    mim_random_options o = original;
    mim_plan *plan = NULL;
    o.mixed = 0.5;
    assert_int_equal(mim_capacity_create(b->actions, NULL, &capacity), MIM_OK);
    assert_int_equal(mim_random_plan(capacity, b->actions, &o, 1, &plan), MIM_OK);
    for (size_t i = 0; i < N_BUSY * N_THREADS; i++)
        assert_int_equal(look(mim_plan_weights(plan, i / N_THREADS, i % N_THREADS)).n_io, 0);
    mim_plan_destroy(&plan);
    mim_capacity_destroy(&capacity);
}

static void test_sweep_and_random_are_interleaved(void **state)
{
    const bench *b = *state;
    mim_proposer p = {.capacity = b->capacity,
                      .actions = b->actions,
                      .sweep = {.seed = 42,
                                .n_threads = 2,
                                .n_windows = 5,
                                .n_weights = 4,
                                .weights = mim_sweep_weights,
                                .idle_end = true,
                                .io_ceiling = 1},
                      .random = original,
                      .sweep_share = 0.3};
    size_t n_sweep = 0, n_early = 0, all = mim_sweep_n_plans(b->capacity, &p.sweep); /* 40 */
    uint32_t round = 99;
    mim_plan *plan = NULL, *expected = NULL;
    for (uint64_t id = 0; id < 300; id++) {
        assert_int_equal(mim_propose(&p, id, &plan, &round), MIM_OK);
        if (round == MIM_ROUND_SWEEP)
            assert_int_equal(mim_sweep_plan(b->capacity, b->actions, &p.sweep, n_sweep, &expected),
                             MIM_OK);
        else
            expected = make_plan(b, &p.random, id);
        assert_string_equal(mim_plan_origin(plan), mim_plan_origin(expected));
        assert_memory_equal(mim_plan_weights(plan, 0, 0), mim_plan_weights(expected, 0, 0),
                            mim_plan_n_windows(expected) * mim_plan_n_threads(expected) *
                                N_STRESSORS * sizeof(double));
        n_sweep += round == MIM_ROUND_SWEEP;
        n_early += round == MIM_ROUND_SWEEP && id < 100;
        mim_plan_destroy(&plan);
        mim_plan_destroy(&expected);
    }
    assert_int_equal(n_sweep, all); /* complete, each once */
    assert_true(n_early >= 29 && n_early <= 31);
    p.sweep_share = 1.5;
    assert_int_equal(mim_propose(&p, 0, &plan, &round), MIM_EINVAL);
}

static void test_refusals(void **state)
{
    const bench *b = *state;
    mim_random_options bad[5];
    mim_plan *plan = NULL;
    for (size_t i = 0; i < 5; i++)
        bad[i] = original;
    bad[0].n_windows = 1;
    bad[1].n_threads = 0;
    bad[2].budget_min = 1.1;
    bad[3].mixed = NAN;
    bad[4].io_ceiling = 0;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(mim_random_plan(b->capacity, b->actions, &bad[i], 0, &plan), MIM_EINVAL);
    assert_null(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_active_threads_and_classes),
        cmocka_unit_test(test_budgets_and_shares),
        cmocka_unit_test(test_mixed_threads),
        cmocka_unit_test(test_small_io),
        cmocka_unit_test(test_plans_are_functions_of_seed_and_id),
        cmocka_unit_test(test_chains_overlap),
        cmocka_unit_test(test_io_stays_below_the_ceiling),
        cmocka_unit_test(test_a_node_without_a_class),
        cmocka_unit_test(test_sweep_and_random_are_interleaved),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
