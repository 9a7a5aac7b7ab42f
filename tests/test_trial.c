/* diffusion/trial: plans of a model run on the simulated node that its examples are of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "diffusion/trial.h"
#include "tests/support/simulated_lessons.h"

enum { N = 40, CELLS = SIMULATED_T * SIMULATED_S };

static const mim_generation how = {
    .sampling = {MIM_SOLVER_DPMPP, 4, 7}, .guidance = 1.5, .smallest = 0.005, .n_candidates = 1};

static simulated_lessons lessons;

static int setup(void **state)
{
    (void)state;
    if (simulated_lessons_make(N, &lessons) == MIM_OK)
        return 0;
    print_error("%s\n", mim_error());
    return -1;
}

static int teardown(void **state)
{
    (void)state;
    simulated_lessons_clear(&lessons);
    return 0;
}

static mim_trial *make(size_t n)
{
    mim_trial *trial = NULL;
    if (mim_trial_create(lessons.model, &lessons.examples, n, &how, 1, &trial) != MIM_OK)
        fail_msg("%s", mim_error());
    return trial;
}

/* A plan at a time: drawn from the example's metrics and its slot before, run by hand. */
static void test_by_hand(void **state)
{
    (void)state;
    const size_t d = lessons.n_metrics;
    mim_trial *trial = make(N);
    double *measured = calloc(N * d, sizeof *measured), wanted[SIMULATED_MAX_D] = {0};
    assert_non_null(measured);
    assert_string_equal(mim_trial_node(trial), "simulated-1x2");
    assert_int_equal(mim_trial_n(trial), N);
    assert_int_equal(mim_trial_n_groups(trial), 3);
    assert_int_equal(mim_trial_run(trial, 0, 3, measured), MIM_OK);
    for (uint64_t i = 0; i < N; i++) {
        double previous[CELLS], weights[CELLS], expected[SIMULATED_MAX_D];
        const bool has_previous = i % 2;
        for (size_t m = 0; m < d; m++)
            wanted[m] = lessons.mask[i * d + m] ? (double)lessons.metric[i * d + m] : (double)NAN;
        for (size_t c = 0; c < CELLS; c++)
            previous[c] = (double)lessons.previous[i * CELLS + c];
        assert_int_equal(mim_diffusion_draw(lessons.model, &how, 1, &i, wanted, previous,
                                            &has_previous, weights),
                         MIM_OK);
        assert_int_equal(
            simulated_lessons_measure(&lessons, has_previous ? previous : NULL, weights, expected),
            MIM_OK);
        for (size_t m = 0; m < d; m++) /* a group's products round otherwise */
            assert_true(fabs(measured[i * d + m] - expected[m]) <=
                        1e-3 * fmax(1, fabs(expected[m])));
    }
    free(measured);
    mim_trial_destroy(&trial);
}

/* In parts, in any order: the same to the bit; other groups' rows stay. */
static void test_groups(void **state)
{
    (void)state;
    static const size_t order[] = {2, 0, 1};
    const size_t d = lessons.n_metrics, n = N * d;
    double *at_once = calloc(n, sizeof *at_once), *parts = calloc(n, sizeof *parts);
    assert_true(at_once && parts);
    mim_trial *trial = make(N);
    assert_int_equal(mim_trial_run(trial, 0, 3, at_once), MIM_OK);
    for (size_t k = 0; k < 3; k++) {
        assert_int_equal(mim_trial_run(trial, order[k], 1, parts), MIM_OK);
        if (k == 0)
            for (size_t i = 0; i < 2 * MIM_GENERATOR_GROUP * d; i++)
                assert_true(parts[i] == 0);
    }
    assert_memory_equal(at_once, parts, n * sizeof *parts);
    assert_int_equal(mim_trial_run(trial, 3, 1, parts), MIM_OK); /* there is none */
    assert_int_equal(mim_trial_run(trial, 0, 0, parts), MIM_OK);
    assert_memory_equal(at_once, parts, n * sizeof *parts);
    mim_trial_destroy(&trial);
    free(at_once);
    free(parts);
}

/* Wanted and measured as series; fewer plans than examples are evenly chosen. */
static void test_series(void **state)
{
    (void)state;
    const size_t d = lessons.n_metrics;
    mim_trial *trial = make(10);
    mim_series *wanted = NULL, *measured = NULL;
    double values[10 * SIMULATED_MAX_D];
    for (size_t i = 0; i < 10 * d; i++)
        values[i] = (double)i;
    assert_int_equal(mim_trial_series(trial, NULL, &wanted), MIM_OK);
    assert_int_equal(mim_trial_series(trial, values, &measured), MIM_OK);
    assert_int_equal(wanted->n_slots, 10);
    assert_int_equal(wanted->n_metrics, d);
    for (size_t i = 0; i < 10; i++)
        for (size_t m = 0; m < d; m++) {
            const size_t at = 4 * i * d + m;
            assert_string_equal(wanted->metrics[m].name, lessons.model->domain->metrics[m]);
            assert_true(mim_series_at(measured, i, m) == (double)(i * d + m));
            if (lessons.mask[at])
                assert_true(mim_series_at(wanted, i, m) == (double)lessons.metric[at]);
            else
                assert_true(isnan(mim_series_at(wanted, i, m)));
        }
    mim_series_destroy(&wanted);
    mim_series_destroy(&measured);
    mim_trial_destroy(&trial);
}

/* Kinds of hosts: word for word, or it is none. */
static void test_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host_class;
        bool is_simulated;
    } cases[] = {
        {"simulated node 1x2; 2 CPUs, 1 sockets; buffered I/O; simulated counters", true},
        {"simulated node 1x2; 2 CPUs, 1 sockets; direct I/O; simulated counters", true},
        {"simulated node 2x10; 20 CPUs, 2 sockets; buffered I/O; simulated counters", true},
        {"simulated node 1x2; 3 CPUs, 1 sockets; buffered I/O; simulated counters", false},
        {"simulated node 1x2", false},
        {"simulated node 0x2; 0 CPUs, 0 sockets; direct I/O; simulated counters", false},
        {"simulated node ", false},
        {"AMD EPYC; 2 CPUs", false},
        {"", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_simulated_options options = {.has_noise = true};
        assert_int_equal(mim_simulated_of_class(cases[i].host_class, &options),
                         cases[i].is_simulated);
        assert_int_equal(options.has_noise, !cases[i].is_simulated);
        if (cases[i].is_simulated)
            assert_int_equal(options.has_carry_over,
                             strstr(cases[i].host_class, "buffered") != NULL);
        char *before = lessons.model->domain->host_class;
        mim_trial *trial = NULL;
        assert_non_null(lessons.model->domain->host_class = mim_strdup(cases[i].host_class));
        assert_int_equal(mim_trial_create(lessons.model, &lessons.examples, 5, &how, 1, &trial),
                         MIM_OK);
        assert_int_equal(trial != NULL, cases[i].is_simulated);
        mim_trial_destroy(&trial);
        free(lessons.model->domain->host_class);
        lessons.model->domain->host_class = before;
    }
    mim_trial *none = make(0);
    assert_null(none);
    mim_examples nothing = lessons.examples;
    nothing.n = 0;
    assert_int_equal(mim_trial_create(lessons.model, &nothing, 5, &how, 1, &none), MIM_OK);
    assert_null(none);
}

/* The examples' own plans, with working sets by the node's caches. */
static void test_working_sets(void **state)
{
    (void)state;
    const size_t d = lessons.n_metrics;
    double *measured = calloc(N * d, sizeof *measured), expected[SIMULATED_MAX_D];
    size_t n_others = 0;
    mim_machine *machine = NULL;
    assert_non_null(measured);
    assert_int_equal(mim_simulated_machine(lessons.node, &machine), MIM_OK);
    mim_actions_node node = {.caches = mim_machine_caches(machine), .sizes_all = true};
    assert_int_equal(mim_actions_fit(lessons.actions, &node), MIM_OK);
    char *before = lessons.model->domain->sizes;
    assert_non_null(lessons.model->domain->sizes = mim_strdup("node"));
    mim_trial *trial = make(N);
    free(lessons.model->domain->sizes);
    lessons.model->domain->sizes = before;
    assert_int_equal(mim_trial_run_own(trial, 0, 3, measured), MIM_OK);
    for (size_t i = 0; i < N; i++) {
        double previous[CELLS], weights[CELLS];
        for (size_t c = 0; c < CELLS; c++) {
            previous[c] = (double)lessons.previous[i * CELLS + c];
            weights[c] = (double)lessons.action[i * CELLS + c];
        }
        assert_int_equal(
            simulated_lessons_measure(&lessons, i % 2 ? previous : NULL, weights, expected),
            MIM_OK);
        for (size_t m = 0; m < d; m++) {
            assert_true(measured[i * d + m] == expected[m]);
            n_others +=
                lessons.mask[i * d + m] &&
                fabs(expected[m] - (double)lessons.metric[i * d + m]) > 0.01 * fabs(expected[m]);
        }
    }
    assert_true(n_others > N / 2); /* the original ones measure otherwise */
    node.sizes_all = false;
    assert_int_equal(mim_actions_fit(lessons.actions, &node), MIM_OK);
    mim_machine_destroy(&machine);
    mim_trial_destroy(&trial);
    free(measured);
}

static void test_unknown_stressor(void **state)
{
    (void)state;
    char *before = lessons.model->domain->actions[3];
    mim_trial *trial = NULL;
    assert_non_null(lessons.model->domain->actions[3] = mim_strdup("of another world"));
    assert_int_equal(mim_trial_create(lessons.model, &lessons.examples, 5, &how, 1, &trial),
                     MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), "does not know the stressor of another world"));
    assert_null(trial);
    free(lessons.model->domain->actions[3]);
    lessons.model->domain->actions[3] = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),          cmocka_unit_test(test_groups),
        cmocka_unit_test(test_series),           cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_unknown_stressor), cmocka_unit_test(test_working_sets),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
