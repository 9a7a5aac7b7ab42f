/* Those who look at a stressor's class, with classes that the original's list does not have: what a
 * plan asks for, what proposals may ask for, what a run's figures count. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "baseline/asked.h"
#include "baseline/single.h"
#include "explore/capacity.h"
#include "node/executor.h"

#define assert_near(a, b) assert_true(fabs((a) - (b)) <= 1e-9 * fmax(1, fabs((double)(b))))

/* Columns. */
enum { MIXED, NAMES, NETWORK, FAULTS, CRC_WRITES, PEER, N };

static const char *const names[N] = {
    "MIM_IO_MIXED_1MB_R70W30",           "MIM_METADATA_32FILES",
    "MIM_NETWORK_LOOPBACK_256KB",        "MIM_PAGE_FAULTS",
    "BM_STRESS_NG_HddWriteCRC_1MB_15ms", "MIM_NETWORK_PEER_256KB",
};

static const double kb = 1024, mb = 1048576;

typedef struct bench {
    mim_actions *actions;
    mim_cost costs[N];
    mim_calibration calibration;
} bench;

/* A node that does 100 operations a second of each, with a tenth of a core. */
static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    assert_int_equal(mim_actions_from_names(N, names, &b->actions), MIM_OK);
    for (size_t i = 0; i < N; i++) {
        mim_cost *c = &b->costs[i];

        strcpy(c->stressor, names[i]);
        c->ops_per_s = 100;
        c->op_s = 0.01;
        c->cpu_s_per_op = 0.001;
        c->device_bytes_per_op = i == MIXED || i == CRC_WRITES ? mb : NAN;
    }
    b->calibration = (mim_calibration){.costs = b->costs,
                                       .n_costs = N,
                                       .io_read_max_kbs = 1000 * kb,
                                       .io_write_max_kbs = 500 * kb};
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;

    mim_actions_destroy(&b->actions);
    free(b);
    return 0;
}

static mim_plan *plan_of(const bench *b, size_t column, double weight)
{
    mim_plan *plan = NULL;

    assert_int_equal(mim_plan_create(1, 1, b->actions, &plan), MIM_OK);
    mim_plan_row(plan, 0, 0)[column] = weight;
    return plan;
}

static void test_asked(void **state)
{
    const bench *b = *state;
    /* of weight 0.5: half of 100 operations of 1 MiB */
    static const struct {
        size_t column;
        double cpu_percent, read_kbs, write_kbs;
    } cases[] = {
        {MIXED, 5, 0.7 * 50 * 1024, 0.3 * 50 * 1024},
        {NAMES, 5, 0, 0},
        {NETWORK, 5, 0, 0},
        {FAULTS, 50, 0, 0},
        {CRC_WRITES, 5, 0, 50 * 1024},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_plan *plan = plan_of(b, cases[i].column, 0.5);
        mim_asked *asked = NULL;

        assert_int_equal(mim_asked_create(plan, &b->calibration, &asked), MIM_OK);
        assert_near(asked->cpu_percent[0], cases[i].cpu_percent);
        assert_near(asked->read_kbs[0], cases[i].read_kbs);
        assert_near(asked->write_kbs[0], cases[i].write_kbs);
        mim_asked_destroy(&asked);
        mim_plan_destroy(&plan);
    }
}

static void test_capacity(void **state)
{
    const bench *b = *state;
    mim_capacity *capacity = NULL;

    assert_int_equal(mim_capacity_create(b->actions, &b->calibration, &capacity), MIM_OK);
    assert_near(capacity->io_fraction[MIXED], 0.7 * 100 / 1000 + 0.3 * 100 / 500);
    assert_near(capacity->io_fraction[CRC_WRITES], 100.0 / 500);
    assert_near(capacity->io_fraction[NAMES], 0);
    assert_near(capacity->io_fraction[NETWORK], 0);
    assert_true(capacity->is_usable[NETWORK]);
    assert_false(capacity->is_usable[PEER]); /* nobody named one */
    assert_int_equal(capacity->n_cpu, 1);
    assert_int_equal(capacity->cpu[0], FAULTS);
    assert_int_equal(capacity->n_io, 4);
    mim_capacity_destroy(&capacity);
}

static void test_a_named_peer_is_usable(void **state)
{
    const bench *b = *state;
    const mim_actions_node node = {.network_peer = "127.0.0.1:9"};
    mim_actions *fitted = NULL;
    mim_capacity *capacity = NULL;

    assert_int_equal(mim_actions_copy(b->actions, &fitted), MIM_OK);
    assert_int_equal(mim_actions_fit(fitted, &node), MIM_OK);
    assert_int_equal(mim_capacity_create(fitted, &b->calibration, &capacity), MIM_OK);
    assert_true(capacity->is_usable[PEER]);
    mim_capacity_destroy(&capacity);
    mim_actions_destroy(&fitted);
}

static void test_figures_count_what_was_written(void **state)
{
    const bench *b = *state;
    mim_plan *plan = plan_of(b, MIXED, 0.5);
    double cells[5][N] = {{0}}, rows[3] = {0};
    mim_run_result r = {.n_slots = 1,
                        .n_rows = 1,
                        .n_stressors = N,
                        .slot_s = 1,
                        .planned_share = cells[0],
                        .share = cells[1],
                        .planned_ops = cells[2],
                        .ops = cells[3],
                        .bytes = cells[4],
                        .start_late_s = rows,
                        .overshoot_s = rows + 1,
                        .cpu_s = rows + 2};
    mim_run_figures f;

    for (size_t i = 0; i < N; i++)
        r.bytes[i] = 1000;
    assert_int_equal(mim_run_result_figures(&r, plan, &f), MIM_OK);
    assert_near(f.written_bytes, 0.3 * 1000 + 1000); /* mixed, and writes with CRC */
    mim_plan_destroy(&plan);
}

/* The single-stressor method has one for reads and one for writes: a stream of both is neither. */
static void test_single_takes_no_other_classes(void **state)
{
    const bench *b = *state;
    const struct {
        mim_single_options options;
        const char *says;
    } cases[] = {
        {{names[FAULTS], names[MIXED], "none"}, "is no read stressor"},
        {{names[FAULTS], "none", names[NAMES]}, "is no write stressor"},
        {{names[NETWORK], "none", "none"}, "is no CPU stressor"},
    };
    mim_metric metrics[1] = {{.name = "cpu_core_00", .family = MIM_FAMILY_CPU, .core = 0}};
    double values[1] = {50}, length[1] = {1};
    const mim_series series = {
        .n_slots = 1, .n_metrics = 1, .metrics = metrics, .values = values, .length_s = length};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_plan *plan = NULL;

        assert_int_equal(
            mim_single_plan(&series, &b->calibration, b->actions, &cases[i].options, &plan),
            MIM_EUSAGE);
        assert_non_null(strstr(mim_error(), cases[i].says));
        assert_null(plan);
    }
    /* but the kernel's time is CPU time like any other */
    const mim_single_options fine = {names[FAULTS], "none", names[CRC_WRITES]};
    mim_plan *plan = NULL;
    assert_int_equal(mim_single_plan(&series, &b->calibration, b->actions, &fine, &plan), MIM_OK);
    assert_near(mim_plan_weights(plan, 0, 0)[FAULTS], 0.5);
    mim_plan_destroy(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_capacity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_named_peer_is_usable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_figures_count_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_single_takes_no_other_classes, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("stressor classes", tests, NULL, NULL);
}
