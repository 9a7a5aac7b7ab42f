/* node/simulated without noise and carry-over obeys its laws, over many random plans: more weight
 * is more of everything below the ceilings, ceilings hold, two plans together are at most their
 * sum, and threads inside a socket can be permuted without changing a bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/simulated_plans.h"

#include "node/simulated_constants.h"

enum { N_PLANS = 300 };

/* What a thread moves is rounded to whole bytes a second: some KB/s of all of them. */
static const double relative = 1e-9, absolute = 0.1;

typedef struct kind {
    const char *size;
    size_t n_cpus, n_rows;
} kind;

static const kind kinds[] = {
    {"1x2", 2, 2}, {"2x10", 20, 20}, {"2x10", 20, 13}, {"2x10", 20, 50}, {"4x8", 32, 32}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static mim_actions *default_list(void)
{
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    return actions;
}

static bool is_bounded(const mim_metric *m)
{
    return m->family == MIM_FAMILY_CPU || m->family == MIM_FAMILY_IO_READ ||
           m->family == MIM_FAMILY_IO_WRITE || m->family == MIM_FAMILY_MEMORY;
}

static bool is_at_most(double value, double bound)
{
    return value <= bound + relative * fabs(bound) + relative;
}

static void scale_plan(mim_plan *plan, double by)
{
    double *weights = mim_plan_row(plan, 0, 0);
    const size_t n = mim_plan_n_threads(plan) * mim_plan_n_stressors(plan);
    for (size_t i = 0; i < n; i++)
        weights[i] *= by;
}

static bool is_below_ceilings(const mim_simulated *node, const mim_series *s)
{
    const mim_simulated_ceilings c = mim_simulated_ceilings_of(node);
    const double disk =
        metric(s, 0, "io_read") / c.io_read_kbs + metric(s, 0, "io_write") / c.io_write_kbs;
    const double memory =
        metric(s, 0, "memory_bandwidth_read") + metric(s, 0, "memory_bandwidth_write");
    /* one socket may be full before the node is: far from it is asked for */
    return disk <= MIM_SIMULATED_DISK_KNEE * (1 - relative) && memory < 0.25 * c.bandwidth_pct;
}

/* One more weight on one row: nothing bounded becomes less. */
static void test_monotone(void **state)
{
    (void)state;
    mim_actions *actions = default_list();
    size_t n_tried = 0;
    for (size_t k = 0; k < N_KINDS; k++) {
        mim_simulated *node = make_node(kinds[k].size, false, false, 1);
        for (uint64_t seed = 0; seed < N_PLANS; seed++) {
            mim_plan *plan = random_plan(actions, 1, kinds[k].n_rows, seed);
            scale_plan(plan, 0.4); /* rows of shared cores fit, too */
            mim_series *less = run_series(node, NULL, 1, plan, NULL);
            const size_t row = (size_t)(random_u01(seed, 100) * (double)kinds[k].n_rows);
            const size_t s = (size_t)(random_u01(seed, 101) * 20);
            mim_plan_row(plan, 0, row)[s] += 0.2 * random_u01(seed, 102);
            mim_series *more = run_series(node, NULL, 1, plan, NULL);
            double core = 0;
            for (size_t m = 0; m < kinds[k].n_cpus; m++)
                core = fmax(core, mim_series_at(more, 0, m));
            if (core < 99.9 && is_below_ceilings(node, more)) {
                n_tried++;
                for (size_t m = 0; m < less->n_metrics; m++)
                    if (is_bounded(&less->metrics[m]) &&
                        !is_at_most(mim_series_at(less, 0, m), mim_series_at(more, 0, m)))
                        fail_msg("%s, plan %d: %s from %.17g to %.17g", kinds[k].size, (int)seed,
                                 less->metrics[m].name, mim_series_at(less, 0, m),
                                 mim_series_at(more, 0, m));
            }
            mim_series_destroy(&less);
            mim_series_destroy(&more);
            mim_plan_destroy(&plan);
        }
        mim_simulated_destroy(&node);
    }
    assert_true(n_tried > N_KINDS * N_PLANS / 4);
    mim_actions_destroy(&actions);
}

/* Two plans on the same rows, whose weights go together: at most the sum of both. */
static void test_sub_additive(void **state)
{
    (void)state;
    mim_actions *actions = default_list();
    for (size_t k = 0; k < N_KINDS; k++) {
        mim_simulated *node = make_node(kinds[k].size, false, false, 1);
        for (uint64_t seed = 0; seed < N_PLANS; seed++) {
            mim_plan *a = random_plan(actions, 1, kinds[k].n_rows, 2 * seed);
            mim_plan *b = random_plan(actions, 1, kinds[k].n_rows, 2 * seed + 1);
            mim_plan *both = make_plan(actions, 1, kinds[k].n_rows);
            scale_plan(a, 0.5);
            scale_plan(b, 0.5);
            for (size_t i = 0; i < kinds[k].n_rows * 20; i++)
                mim_plan_row(both, 0, 0)[i] = mim_plan_row(a, 0, 0)[i] + mim_plan_row(b, 0, 0)[i];
            assert_int_equal(mim_plan_validate(both, "both"), MIM_OK);
            mim_series *x = run_series(node, NULL, 1, a, NULL);
            mim_series *y = run_series(node, NULL, 1, b, NULL);
            mim_series *z = run_series(node, NULL, 1, both, NULL);
            for (size_t m = 0; m < z->n_metrics; m++)
                if (is_bounded(&z->metrics[m]) &&
                    !is_at_most(mim_series_at(z, 0, m),
                                mim_series_at(x, 0, m) + mim_series_at(y, 0, m) +
                                    (strcmp(z->metrics[m].unit, "KB/s") ? 0 : absolute)))
                    fail_msg("%s, plans %d: %s: %.17g and %.17g together %.17g", kinds[k].size,
                             (int)seed, z->metrics[m].name, mim_series_at(x, 0, m),
                             mim_series_at(y, 0, m), mim_series_at(z, 0, m));
            mim_series_destroy(&x);
            mim_series_destroy(&y);
            mim_series_destroy(&z);
            mim_plan_destroy(&a);
            mim_plan_destroy(&b);
            mim_plan_destroy(&both);
        }
        mim_simulated_destroy(&node);
    }
    mim_actions_destroy(&actions);
}

/* Two threads whose sets fit alone and not together: then more misses than both, fewer
 * instructions than both, but not more bandwidth. */
static void test_crowding_misses(void **state)
{
    (void)state;
    mim_actions *actions = default_list();
    mim_simulated *node = make_node("2x10", false, false, 1);
    mim_plan *alone = make_plan(actions, 1, 20), *both = make_plan(actions, 1, 20),
             *apart = make_plan(actions, 1, 20);
    const size_t stream_8mb = 18;
    mim_plan_row(alone, 0, 0)[stream_8mb] = 1;
    mim_plan_row(both, 0, 0)[stream_8mb] = mim_plan_row(both, 0, 1)[stream_8mb] = 1;
    mim_plan_row(apart, 0, 0)[stream_8mb] = mim_plan_row(apart, 0, 10)[stream_8mb] = 1;
    mim_series *a = run_series(node, NULL, 1, alone, NULL);
    mim_series *b = run_series(node, NULL, 1, both, NULL);
    mim_series *c = run_series(node, NULL, 1, apart, NULL);
    mim_series *idle = run_series(node, actions, 1, NULL, NULL);
    const double background = metric(idle, 0, "pqos_misses");
    expect_near(metric(a, 0, "pqos_misses"), background, 1);
    expect_near(metric(c, 0, "pqos_misses"), background, 1); /* a socket each */
    assert_true(metric(b, 0, "pqos_misses") > 50 * background);
    assert_true(metric(b, 0, "pqos_ipc") < 0.9 * metric(c, 0, "pqos_ipc"));
    expect_near(metric(b, 0, "memory_bandwidth_read"), metric(c, 0, "memory_bandwidth_read"), 1e-6);
    assert_true(metric(b, 0, "pqos_llc_kb") < metric(c, 0, "pqos_llc_kb"));
    mim_series_destroy(&a);
    mim_series_destroy(&b);
    mim_series_destroy(&c);
    mim_series_destroy(&idle);
    mim_plan_destroy(&alone);
    mim_plan_destroy(&both);
    mim_plan_destroy(&apart);
    mim_simulated_destroy(&node);
    mim_actions_destroy(&actions);
}

/* order: [n] numbers of a socket's cores, permuted by the seed. */
static void permute(size_t n, uint64_t seed, size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i-- > 1;) {
        const size_t k = (size_t)(random_u01(seed, 1000 + i) * (double)(i + 1)), old = order[i];
        order[i] = order[k];
        order[k] = old;
    }
}

static void test_symmetric_to_the_bit(void **state)
{
    (void)state;
    mim_actions *actions = default_list();
    for (size_t k = 0; k < N_KINDS; k++) {
        mim_simulated *node = make_node(kinds[k].size, false, false, 1);
        mim_simulated_size size = {0, 0};
        assert_int_equal(mim_simulated_size_parse("size", kinds[k].size, &size), MIM_OK);
        const size_t n_cores = size.n_cores, n_cpus = kinds[k].n_cpus;
        const size_t n_rows = (kinds[k].n_rows + n_cpus - 1) / n_cpus * n_cpus;
        for (uint64_t seed = 0; seed < N_PLANS; seed++) {
            mim_plan *plan = random_plan(actions, 1, n_rows, seed);
            mim_plan *other = make_plan(actions, 1, n_rows);
            size_t order[64];
            for (size_t socket = 0; socket < size.n_sockets; socket++) {
                permute(n_cores, seed + socket, order + socket * n_cores);
                for (size_t i = 0; i < n_cores; i++)
                    order[socket * n_cores + i] += socket * n_cores;
            }
            const size_t n_layers = n_rows / n_cpus; /* rows of a core: in another order, too */
            for (size_t r = 0; r < n_rows; r++) {
                const size_t layer = (r / n_cpus + seed) % n_layers;
                memcpy(mim_plan_row(other, 0, layer * n_cpus + r % n_cpus),
                       mim_plan_weights(plan, 0, r / n_cpus * n_cpus + order[r % n_cpus]),
                       20 * sizeof(double));
            }
            mim_series *a = run_series(node, NULL, 1, plan, NULL);
            mim_series *b = run_series(node, NULL, 1, other, NULL);
            for (size_t m = 0; m < a->n_metrics; m++) {
                const double is = mim_series_at(b, 0, m);
                const double expected = mim_series_at(a, 0, m < n_cpus ? order[m] : m);
                if (memcmp(&is, &expected, sizeof is) != 0)
                    fail_msg("%s, plan %d: %s: %.17g is %.17g when permuted", kinds[k].size,
                             (int)seed, a->metrics[m].name, expected, is);
            }
            mim_series_destroy(&a);
            mim_series_destroy(&b);
            mim_plan_destroy(&plan);
            mim_plan_destroy(&other);
        }
        mim_simulated_destroy(&node);
    }
    mim_actions_destroy(&actions);
}

/* No plan goes beyond a ceiling, and whoever asks for far more gets all of it. */
static void test_ceilings(void **state)
{
    (void)state;
    mim_actions *actions = default_list();
    mim_simulated *node = make_node("2x10", false, false, 1);
    const mim_simulated_ceilings c = mim_simulated_ceilings_of(node);
    for (uint64_t seed = 0; seed < N_PLANS; seed++) {
        mim_plan *plan = random_plan(actions, 1, seed % 2 ? 20 : 70, seed);
        mim_series *s = run_series(node, NULL, 1, plan, NULL);
        for (size_t m = 0; m < 20; m++)
            assert_true(mim_series_at(s, 0, m) <= 100);
        assert_true(is_at_most(metric(s, 0, "io_read") / c.io_read_kbs +
                                   metric(s, 0, "io_write") / c.io_write_kbs,
                               1));
        assert_true(is_at_most(metric(s, 0, "memory_bandwidth_read") +
                                   metric(s, 0, "memory_bandwidth_write"),
                               c.bandwidth_pct));
        assert_true(is_at_most(metric(s, 0, "pqos_llc_kb"), c.llc_kb));
        mim_series_destroy(&s);
        mim_plan_destroy(&plan);
    }
    static const struct {
        size_t stressor;
        const char *metric[2];
    } cases[] = {{8, {"io_read", NULL}},
                 {11, {"io_write", NULL}},
                 {17, {"memory_bandwidth_read", "memory_bandwidth_write"}},
                 {3, {"pqos_llc_kb", NULL}}};
    const double full[] = {c.io_read_kbs, c.io_write_kbs, c.bandwidth_pct, c.llc_kb};
    for (size_t i = 0; i < 4; i++) {
        mim_plan *plan = make_plan(actions, 1, 20);
        for (size_t t = 0; t < 20; t++)
            mim_plan_row(plan, 0, t)[cases[i].stressor] = 1;
        mim_series *s = run_series(node, NULL, 1, plan, NULL);
        double sum = metric(s, 0, cases[i].metric[0]);
        sum += cases[i].metric[1] ? metric(s, 0, cases[i].metric[1]) : 0;
        expect_near(sum / full[i], 1, 1e-6);
        mim_series_destroy(&s);
        mim_plan_destroy(&plan);
    }
    mim_simulated_destroy(&node);
    mim_actions_destroy(&actions);
}

/* Around the disk's knee: what is done grows with what is asked for, ever less, to the ceiling. */
static void test_queue_of_the_disk(void **state)
{
    (void)state;
    mim_actions *actions = default_list();
    mim_simulated *node = make_node("2x10", false, false, 1);
    const mim_simulated_ceilings c = mim_simulated_ceilings_of(node);
    mim_calibration *calibration = NULL;
    assert_int_equal(mim_simulated_calibration(node, actions, &calibration), MIM_OK);
    const mim_cost *cost = mim_calibration_cost(calibration, mim_actions_name(actions, 8));
    double before = 0, step_before = INFINITY;
    for (int i = 1; i <= 60; i++) {
        mim_plan *plan = make_plan(actions, 1, 20);
        for (size_t t = 0; t < 20; t++)
            mim_plan_row(plan, 0, t)[8] = (double)i / 100;
        mim_series *s = run_series(node, NULL, 1, plan, NULL);
        const double done = metric(s, 0, "io_read") / c.io_read_kbs;
        const double asked = 20 * (double)i / 100 * cost->ops_per_s * 1024 / c.io_read_kbs;
        assert_true(done >= before && done <= 1);
        assert_true(done - before <= step_before * (1 + 1e-6) + 1e-9);
        if (asked < MIM_SIMULATED_DISK_KNEE)
            expect_near(done, asked, 1e-6);
        else
            assert_true(done < asked && done >= MIM_SIMULATED_DISK_KNEE);
        step_before = done - before;
        before = done;
        mim_series_destroy(&s);
        mim_plan_destroy(&plan);
    }
    mim_calibration_destroy(&calibration);
    mim_simulated_destroy(&node);
    mim_actions_destroy(&actions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotone),        cmocka_unit_test(test_sub_additive),
        cmocka_unit_test(test_crowding_misses), cmocka_unit_test(test_symmetric_to_the_bit),
        cmocka_unit_test(test_ceilings),        cmocka_unit_test(test_queue_of_the_disk),
    };
    return cmocka_run_group_tests_name("simulated_laws", tests, NULL, NULL);
}
