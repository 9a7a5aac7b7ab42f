/* explore/capacity and explore/sweep: what a node can do, and every point of the sweep once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore/sweep.h"

enum { READ_COLUMN = 8, WRITE_COLUMN = 11, MEMSET_COLUMN = 16, MAX_COSTS = 20 };

/* A node whose paced stressors do 100 operations a second each. Made up. */
typedef struct node {
    mim_actions *actions;
    mim_calibration calibration;
    mim_cost costs[MAX_COSTS];
    mim_capacity *capacity;
} node;

static void make_node(node *n, const char *list, double read_kbs, double write_kbs)
{
    memset(n, 0, sizeof *n);
    assert_int_equal(mim_actions_builtin(list, &n->actions), MIM_OK);
    for (size_t i = 0; i < mim_actions_n(n->actions); i++) {
        const mim_stressor *stressor = mim_actions_stressor(n->actions, i);
        if (!stressor->is_paced)
            continue;
        mim_cost *cost = &n->costs[n->calibration.n_costs++];
        snprintf(cost->stressor, sizeof cost->stressor, "%s", stressor->name);
        cost->ops_per_s = 100;
        cost->device_bytes_per_op = (double)stressor->op_bytes;
    }
    n->calibration.costs = n->costs;
    n->calibration.io_read_max_kbs = read_kbs;
    n->calibration.io_write_max_kbs = write_kbs;
    assert_int_equal(mim_capacity_create(n->actions, &n->calibration, &n->capacity), MIM_OK);
}

static void clear_node(node *n)
{
    mim_actions_destroy(&n->actions);
    mim_capacity_destroy(&n->capacity);
}

static const mim_sweep_options usual = {
    .seed = 7,
    .n_threads = 4,
    .n_windows = 5,
    .n_weights = 4,
    .weights = mim_sweep_weights,
    .idle_end = true,
    .io_ceiling = INFINITY,
};

static mim_plan *make_plan(const node *n, const mim_sweep_options *options, size_t number)
{
    mim_plan *plan = NULL;
    if (mim_sweep_plan(n->capacity, n->actions, options, number, &plan) != MIM_OK)
        fail_msg("%s", mim_error());
    return plan;
}

/* The one stressor, number of threads and weight of a window. */
static void read_point(const mim_plan *plan, size_t window, size_t *column, size_t *count,
                       double *weight)
{
    *count = 0;
    *column = SIZE_MAX;
    for (size_t t = 0; t < mim_plan_n_threads(plan); t++) {
        size_t n_used = 0;
        for (size_t s = 0; s < mim_plan_n_stressors(plan); s++) {
            double w = mim_plan_weights(plan, window, t)[s];
            if (w == 0)
                continue;
            n_used++;
            assert_true(*column == SIZE_MAX || (*column == s && *weight == w));
            *column = s;
            *weight = w;
        }
        assert_true(n_used <= 1);
        *count += n_used;
    }
}

static void test_capacity_knows_classes_and_rates(void **state)
{
    (void)state;
    node n;
    make_node(&n, "20", 409600, 204800); /* reads: 100 of 1 MiB = a quarter; writes: a half */
    static const size_t io[] = {8, 9, 10, 11, 12, 13, 14, 16};
    assert_int_equal(n.capacity->n_cpu, 12);
    assert_int_equal(n.capacity->n_io, 8);
    assert_memory_equal(n.capacity->io, io, sizeof io);
    assert_true(fabs(n.capacity->io_fraction[READ_COLUMN] - 0.25) < 1e-12);
    assert_true(fabs(n.capacity->io_fraction[WRITE_COLUMN] - 0.5) < 1e-12);
    assert_true(n.capacity->io_fraction[MEMSET_COLUMN] == 0 && n.capacity->io_fraction[0] == 0);
    mim_capacity_destroy(&n.capacity);

    n.costs[0].device_bytes_per_op = NAN; /* not seen: what was asked counts */
    n.calibration.io_write_max_kbs = NAN; /* no ceiling known: none kept */
    n.costs[1].ops_per_s = NAN;           /* not measured: not usable */
    assert_int_equal(mim_capacity_create(n.actions, &n.calibration, &n.capacity), MIM_OK);
    assert_true(fabs(n.capacity->io_fraction[READ_COLUMN] - 0.25) < 1e-12);
    assert_true(n.capacity->io_fraction[WRITE_COLUMN] == 0);
    assert_false(n.capacity->is_usable[9]);
    assert_int_equal(n.capacity->n_io, 7);
    mim_capacity_destroy(&n.capacity);

    assert_int_equal(mim_capacity_create(n.actions, NULL, &n.capacity), MIM_OK);
    assert_int_equal(n.capacity->n_io, 0);
    clear_node(&n);
}

static void test_a_list_that_cannot_run_here_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"BM_STRESS_NG_Readahead", "BM_nothing"};
    mim_actions *actions = NULL;
    mim_capacity *capacity = NULL;
    assert_int_equal(mim_actions_from_names(2, names, &actions), MIM_OK);
    assert_int_equal(mim_capacity_create(actions, NULL, &capacity), MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "none of the 2 stressors"));
    mim_actions_destroy(&actions);
}

static void test_every_point_once(void **state)
{
    (void)state;
    node n;
    make_node(&n, "20", NAN, NAN);
    size_t n_points = mim_sweep_n_points(n.capacity, &usual);
    size_t n_plans = mim_sweep_n_plans(n.capacity, &usual);
    assert_int_equal(n_points, 20 * 4 * 4);
    assert_int_equal(n_plans, 80);
    int seen[20][5][4] = {{{0}}};
    for (size_t p = 0; p < n_plans; p++) {
        mim_plan *plan = make_plan(&n, &usual, p);
        for (size_t w = 0; w < 4; w++) {
            size_t column, count;
            double weight = 0;
            read_point(plan, w, &column, &count, &weight);
            assert_true(column < 20 && count >= 1 && count <= 4);
            seen[column][count][(size_t)lround(weight * 4) - 1]++;
        }
        size_t column, count;
        double weight = 0;
        read_point(plan, 4, &column, &count, &weight);
        assert_int_equal(count, 0); /* the last window is idle */
        mim_plan_destroy(&plan);
    }
    for (size_t s = 0; s < 20; s++)
        for (size_t c = 1; c <= 4; c++)
            for (size_t i = 0; i < 4; i++)
                assert_int_equal(seen[s][c][i], 1);
    clear_node(&n);
}

static void test_the_last_plan_is_filled_up(void **state)
{
    (void)state;
    node n;
    static const double weight[] = {0.3};
    mim_sweep_options o = usual;
    make_node(&n, "20", NAN, NAN);
    o.n_windows = 7;
    o.idle_end = false;
    o.n_weights = 1;
    o.weights = weight;
    o.n_counts = 1; /* the largest */
    assert_int_equal(mim_sweep_n_points(n.capacity, &o), 20);
    assert_int_equal(mim_sweep_n_plans(n.capacity, &o), 3);
    int seen[20] = {0}, n_twice = 0;
    for (size_t p = 0; p < 3; p++) {
        mim_plan *plan = make_plan(&n, &o, p);
        for (size_t w = 0; w < 7; w++) {
            size_t column, count;
            double found = 0;
            read_point(plan, w, &column, &count, &found);
            assert_int_equal(count, 4);
            assert_true(found == 0.3);
            seen[column]++;
        }
        mim_plan_destroy(&plan);
    }
    for (size_t s = 0; s < 20; s++) {
        assert_true(seen[s] == 1 || seen[s] == 2);
        n_twice += seen[s] == 2;
    }
    assert_int_equal(n_twice, 1);
    clear_node(&n);
}

static void test_counts_are_spread(void **state)
{
    (void)state;
    node n;
    mim_sweep_options o = usual;
    make_node(&n, "20", NAN, NAN);
    o.n_threads = 20;
    o.n_counts = 3; /* 1, 11 (from 10.5), 20 */
    int seen[21] = {0};
    for (size_t p = 0; p < mim_sweep_n_plans(n.capacity, &o); p++) {
        mim_plan *plan = make_plan(&n, &o, p);
        for (size_t w = 0; w < 4; w++) {
            size_t column, count;
            double weight = 0;
            read_point(plan, w, &column, &count, &weight);
            seen[count]++;
        }
        mim_plan_destroy(&plan);
    }
    for (size_t c = 1; c <= 20; c++)
        assert_int_equal(seen[c], c == 1 || c == 11 || c == 20 ? 80 : 0);
    clear_node(&n);
}

static void test_plans_are_functions_of_seed_and_number(void **state)
{
    (void)state;
    node n;
    mim_sweep_options other = usual;
    make_node(&n, "20", NAN, NAN);
    other.seed = 8;
    size_t bytes = 5 * 4 * 20 * sizeof(double);
    mim_plan *third = make_plan(&n, &usual, 3), *first = make_plan(&n, &usual, 0),
             *again = make_plan(&n, &usual, 3), *else_seed = make_plan(&n, &other, 3);
    assert_memory_equal(mim_plan_weights(third, 0, 0), mim_plan_weights(again, 0, 0), bytes);
    assert_memory_not_equal(mim_plan_weights(third, 0, 0), mim_plan_weights(first, 0, 0), bytes);
    assert_memory_not_equal(mim_plan_weights(third, 0, 0), mim_plan_weights(else_seed, 0, 0),
                            bytes);
    assert_non_null(strstr(mim_plan_origin(third), "\"sweep\""));
    mim_plan_destroy(&third);
    mim_plan_destroy(&first);
    mim_plan_destroy(&again);
    mim_plan_destroy(&else_seed);
    clear_node(&n);
}

static void test_threads_are_drawn_evenly(void **state)
{
    (void)state;
    node n;
    size_t uses[4] = {0}, n_uses = 0;
    make_node(&n, "20", NAN, NAN);
    for (uint64_t seed = 0; seed < 20; seed++) {
        mim_sweep_options o = usual;
        o.seed = seed;
        for (size_t p = 0; p < 80; p++) {
            mim_plan *plan = make_plan(&n, &o, p);
            for (size_t i = 0; i < 4 * 4 * 20; i++) {
                bool is_used = mim_plan_weights(plan, 0, 0)[i] > 0;
                uses[i / 20 % 4] += is_used;
                n_uses += is_used;
            }
            mim_plan_destroy(&plan);
        }
    }
    assert_int_equal(n_uses, 20 * 80 * (1 + 2 + 3 + 4) * 4 / 4); /* counts 1..4, mean 2.5 */
    for (size_t t = 0; t < 4; t++) /* 4000 expected, standard deviation below 40 */
        assert_true(labs((long)uses[t] - 4000) < 200);
    clear_node(&n);
}

static void test_io_stays_below_the_ceiling(void **state)
{
    (void)state;
    node n;
    mim_sweep_options o = usual;
    size_t n_capped = 0;
    make_node(&n, "20", 204800, 102400); /* a thread's full reads are a half, writes all of it */
    o.io_ceiling = 0.9;
    for (size_t p = 0; p < 80; p++) {
        mim_plan *plan = make_plan(&n, &o, p), *free_plan = make_plan(&n, &usual, p);
        for (size_t w = 0; w < 5; w++) {
            double asked = mim_capacity_io(n.capacity, free_plan, w);
            double left = mim_capacity_io(n.capacity, plan, w), kbs[2] = {0, 0};
            assert_true(fabs(left - fmin(asked, 0.9)) < 1e-12);
            n_capped += asked > 0.9;
            for (size_t t = 0; t < 4;
                 t++) { /* the same in KB/s, by hand: 100 operations a second */
                const double *row = mim_plan_weights(plan, w, t);
                kbs[0] += row[8] * 102400 + row[9] * 102400 + row[10] * 25600;
                kbs[1] += (row[11] + row[12] + row[13]) * 102400 + row[14] * 25600;
            }
            assert_true(kbs[0] / 204800 + kbs[1] / 102400 <= 0.9 + 1e-12);
        }
        mim_plan_destroy(&plan);
        mim_plan_destroy(&free_plan);
    }
    assert_true(n_capped > 20);
    clear_node(&n);
}

static void test_refusals(void **state)
{
    (void)state;
    static const double zero[] = {0}, large[] = {1.5};
    node n;
    mim_plan *plan = NULL;
    mim_sweep_options bad[6];
    make_node(&n, "20", NAN, NAN);
    for (size_t i = 0; i < 6; i++)
        bad[i] = usual;
    bad[0].n_windows = 1;
    bad[1].n_threads = 0;
    bad[2].n_weights = 0;
    bad[3].n_weights = 1;
    bad[3].weights = zero;
    bad[4].n_weights = 1;
    bad[4].weights = large;
    bad[5].io_ceiling = NAN;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(mim_sweep_plan(n.capacity, n.actions, &bad[i], 0, &plan), MIM_EINVAL);
    assert_int_equal(mim_sweep_plan(n.capacity, n.actions, &usual, 80, &plan), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "plan 80 of a sweep of 80 plans"));
    assert_null(plan);
    clear_node(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capacity_knows_classes_and_rates),
        cmocka_unit_test(test_a_list_that_cannot_run_here_is_refused),
        cmocka_unit_test(test_every_point_once),
        cmocka_unit_test(test_the_last_plan_is_filled_up),
        cmocka_unit_test(test_counts_are_spread),
        cmocka_unit_test(test_plans_are_functions_of_seed_and_number),
        cmocka_unit_test(test_threads_are_drawn_evenly),
        cmocka_unit_test(test_io_stays_below_the_ceiling),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
