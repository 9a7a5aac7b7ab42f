/* The extended list from calibration to a run: every stressor this node can run, in short slots on
 * two threads. With MIMESYS_TEST_FULL=1 both threads use all of them (some 3 GB of memory and 4 GB
 * of scratch), else each uses half. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/executor.h"
#include "node/kernel.h"

#define GIB (UINT64_C(1) << 30)

enum { N_ROWS = 2, A_WINDOW = 10 }; /* stressors of a row in one window, of equal weight */

typedef struct bench {
    mim_machine *machine;
    mim_actions *actions;
    mim_scratch *scratch;
    mim_calibration *calibration;
    size_t n_columns, *columns; /* that this node can run */
} bench;

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    const mim_scratch_options scratch = {.folder = "/var/tmp", .min_free_bytes = GIB};
    const mim_calibrate_options options = {.seconds_each = 0.03, .n_repeats = 3};

    assert_non_null(b);
    assert_int_equal(mim_machine_create(0, &b->machine), MIM_OK);
    const mim_actions_node node = {.caches = mim_machine_caches(b->machine)};
    assert_int_equal(mim_actions_builtin("extended", &b->actions), MIM_OK);
    assert_int_equal(mim_actions_fit(b->actions, &node), MIM_OK);
    if (b->machine->memory_available_bytes < 6 * GIB ||
        mim_scratch_create(&scratch, &b->scratch) != MIM_OK) {
        print_message("skipped: it takes 3 GB of memory and 4 GB of /var/tmp\n");
        *state = b;
        return 0;
    }
    if (mim_calibrate(b->machine, b->actions, b->scratch, &options, NULL, &b->calibration) !=
        MIM_OK)
        fail_msg("%s", mim_error());
    b->columns = calloc(mim_actions_n(b->actions), sizeof *b->columns);
    assert_non_null(b->columns);
    for (size_t i = 0; i < mim_actions_n(b->actions); i++) {
        const mim_kernel *kernel = NULL;

        if (mim_kernel_for(mim_actions_stressor(b->actions, i), b->scratch, &kernel) == MIM_OK)
            b->columns[b->n_columns++] = i;
    }
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
    free(b->columns);
    free(b);
    return 0;
}

/* A figure for every stressor that can run here, and for no other. */
static void test_calibration_has_all(void **state)
{
    const bench *b = *state;

    if (!b->calibration)
        skip();
    assert_true(b->n_columns >= 66);
    assert_int_equal(b->calibration->n_costs, b->n_columns);
    for (size_t i = 0; i < b->n_columns; i++) {
        const mim_stressor *s = mim_actions_stressor(b->actions, b->columns[i]);
        const mim_cost *cost = mim_calibration_cost(b->calibration, s->name);

        assert_non_null(cost);
        if (!(cost->op_s > 0 && cost->ops_per_s > 0 && cost->cpu_s_per_op >= 0))
            fail_msg("%s: %g s, %g a second", s->name, cost->op_s, cost->ops_per_s);
        /* the pause is part of the pace */
        assert_true(fabs(cost->ops_per_s * (cost->op_s + 1e-6 * s->sleep_us) - 1) < 1e-9);
    }
}

static bool uses(const bench *b, size_t row, size_t i)
{
    const char *full = getenv("MIMESYS_TEST_FULL");

    (void)b;
    return (full && *full) || i % N_ROWS == row;
}

static mim_plan *make_plan(const bench *b)
{
    mim_plan *plan = NULL;
    size_t n_windows = (b->n_columns + A_WINDOW - 1) / A_WINDOW;

    assert_int_equal(mim_plan_create(n_windows, N_ROWS, b->actions, &plan), MIM_OK);
    for (size_t i = 0; i < b->n_columns; i++)
        for (size_t row = 0; row < N_ROWS; row++)
            if (uses(b, row, i))
                mim_plan_row(plan, i / A_WINDOW, row)[b->columns[i]] = 1.0 / A_WINDOW;
    return plan;
}

/* What the whole run gave a stressor on a row. */
typedef struct given {
    double share, ops, planned_ops;
} given;

static given sum(const mim_run_result *r, size_t row, size_t column)
{
    given g = {0};

    for (size_t slot = 0; slot < r->n_slots; slot++) {
        size_t at = (slot * r->n_rows + row) * r->n_stressors + column;

        g.share += r->share[at];
        g.ops += r->ops[at];
        g.planned_ops += isnan(r->planned_ops[at]) ? 0 : r->planned_ops[at];
    }
    return g;
}

static void check_given(const bench *b, const mim_run_result *r, size_t row, size_t column)
{
    const mim_stressor *s = mim_actions_stressor(b->actions, column);
    given g = sum(r, row, column);

    /* a device slower than when it was calibrated leaves some undone, never more than due */
    if (s->is_paced && (g.ops > ceil(g.planned_ops) || (g.planned_ops >= 10 && g.ops < 1)))
        fail_msg("%s on row %zu: %g operations of %g", s->name, row, g.ops, g.planned_ops);
    if (!s->is_paced && !(g.share > 0))
        fail_msg("%s on row %zu: had no turn", s->name, row);
}

static void test_all_run_on_two_threads(void **state)
{
    const bench *b = *state;
    const mim_execute_options options = {.slot_s = 0.3, .n_iters = 2, .seed = 1};
    mim_run_result *r = NULL;
    mim_plan *plan;

    if (!b->calibration)
        skip();
    plan = make_plan(b);
    if (mim_execute(plan, b->machine, b->calibration, b->scratch, &options, NULL, &r) != MIM_OK)
        fail_msg("%s", mim_error());
    assert_int_equal(r->n_slots, 2 * mim_plan_n_windows(plan));
    assert_int_equal(r->n_failed, 0);
    assert_true(r->is_verified);
    assert_null(r->note);
    for (size_t row = 0; row < N_ROWS; row++)
        for (size_t i = 0; i < b->n_columns; i++)
            if (uses(b, row, i))
                check_given(b, r, row, b->columns[i]);
    mim_run_result_destroy(&r);
    mim_plan_destroy(&plan);
}

/* What this node cannot run is refused by name, before anything is made for it. */
static void test_what_cannot_run_is_refused(void **state)
{
    const bench *b = *state;
    const char peer[] = "MIM_NETWORK_PEER_256KB";
    const mim_execute_options options = {.slot_s = 0.1, .n_iters = 1, .seed = 1};
    mim_run_result *r = NULL;
    mim_plan *plan = NULL;

    assert_int_equal(mim_plan_create(1, 1, b->actions, &plan), MIM_OK);
    mim_plan_row(plan, 0, 0)[mim_actions_find(b->actions, peer)] = 0.5;
    assert_int_equal(mim_execute(plan, b->machine, b->calibration, b->scratch, &options, NULL, &r),
                     MIM_EUNSUP);
    assert_non_null(strstr(mim_error(), peer));
    assert_non_null(strstr(mim_error(), "stressors.network_peer"));
    assert_null(r);
    mim_plan_destroy(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calibration_has_all),
        cmocka_unit_test(test_all_run_on_two_threads),
        cmocka_unit_test(test_what_cannot_run_is_refused),
    };
    return cmocka_run_group_tests_name("extended list", tests, set_up, tear_down);
}
