/* baseline/single and baseline/asked: hand-made numbers, the forward model written here, and the
 * error of the placement against a search over a grid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/asked.h"
#include "baseline/single.h"
#include "core/rng.h"

#define CPU_NAME                                                                                   \
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false"
#define READ_NAME "BM_STRESS_NG_HddRead_1MB_NoSleep"
#define WRITE_NAME "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled"
#define MEMSET_NAME "BM_DIRECTMEMSET_32MB_WeightScaled_50ms"

enum { CPU_COLUMN = 4, READ_COLUMN = 8, WRITE_COLUMN = 11, MEMSET_COLUMN = 16, MAX_CORES = 8 };

static const mim_single_options usual = {CPU_NAME, READ_NAME, WRITE_NAME};

/* ---- hand-made series and calibration -------------------------------------------------------- */

typedef struct wanted_series {
    mim_series series;
    mim_metric metrics[MAX_CORES + 2];
    double values[MAX_CORES + 2];
    double start_s, length_s;
} wanted_series;

/* One slot: cores then io_read, io_write, which is the order of their names. */
static void make_wanted(wanted_series *w, size_t n_cores, const double *cpu, double read_kbs,
                        double write_kbs)
{
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < n_cores; i++) {
        snprintf(w->metrics[i].name, sizeof w->metrics[i].name, "avg_cpu_utilizations_core_%02zu",
                 i);
        w->metrics[i].family = MIM_FAMILY_CPU;
        w->metrics[i].core = (int)i;
        w->values[i] = cpu[i];
    }
    static const char *const names[2] = {"io_read", "io_write"};
    for (size_t i = 0; i < 2; i++) {
        strcpy(w->metrics[n_cores + i].name, names[i]);
        w->metrics[n_cores + i].family = i ? MIM_FAMILY_IO_WRITE : MIM_FAMILY_IO_READ;
        w->metrics[n_cores + i].core = -1;
        w->values[n_cores + i] = i ? write_kbs : read_kbs;
    }
    w->length_s = 1;
    w->series = (mim_series){.n_slots = 1,
                             .n_metrics = n_cores + 2,
                             .metrics = w->metrics,
                             .values = w->values,
                             .start_s = &w->start_s,
                             .length_s = &w->length_s,
                             .n_records = 2};
}

typedef struct node {
    mim_calibration calibration;
    mim_cost costs[4];
} node;

/* Reads: 100 operations of 1 MiB a second (102400 KB/s), a share k of a core at weight 1. Writes:
 * 50 of 512 KiB (25600 KB/s) and k = 0.1. */
static void make_node(node *n, double read_cpu_share, double ceiling_kbs)
{
    memset(n, 0, sizeof *n);
    n->costs[0] = (mim_cost){
        .op_s = 1e-3, .ops_per_s = 1000, .cpu_s_per_op = 1e-3, .device_bytes_per_op = NAN};
    n->costs[1] = (mim_cost){
        .ops_per_s = 100, .cpu_s_per_op = read_cpu_share / 100, .device_bytes_per_op = 1048576};
    n->costs[2] = (mim_cost){.ops_per_s = 50, .cpu_s_per_op = 0.002, .device_bytes_per_op = 524288};
    n->costs[3] = (mim_cost){.ops_per_s = 20, .cpu_s_per_op = 0.01, .device_bytes_per_op = NAN};
    strcpy(n->costs[0].stressor, CPU_NAME);
    strcpy(n->costs[1].stressor, READ_NAME);
    strcpy(n->costs[2].stressor, WRITE_NAME);
    strcpy(n->costs[3].stressor, MEMSET_NAME);
    n->calibration.n_cpus = 2;
    n->calibration.n_sockets = 1;
    n->calibration.io_read_max_kbs = n->calibration.io_write_max_kbs = ceiling_kbs;
    n->calibration.n_costs = 4;
    n->calibration.costs = n->costs;
}

static mim_plan *plan_for(const wanted_series *w, const node *n)
{
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    if (mim_single_plan(&w->series, &n->calibration, actions, &usual, &plan) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_actions_destroy(&actions);
    return plan;
}

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-9))
        fail_msg("found %.12g, expected %.12g", found, expected);
}

/* ---- hand-made numbers ----------------------------------------------------------------------- */

static void test_hand_made_numbers(void **state)
{
    (void)state;
    static const struct {
        double cpu[2], read_kbs, write_kbs, k, ceiling;
        double expect[2][3]; /* CPU, read, write weight of each row */
    } cases[] = {
        /* CPU alone */
        {{100, 37.5}, 0, 0, 0.1, 2e5, {{1, 0, 0}, {0.375, 0, 0}}},
        /* 10240 of 102400 KB/s: 0.05 each, whose CPU time comes off; then writes the same */
        {{50, 25}, 10240, 2560, 0.1, 2e5, {{0.49, 0.05, 0.05}, {0.24, 0.05, 0.05}}},
        /* absent metrics ask for nothing; more than 100 % is 100 % */
        {{NAN, 100.4}, NAN, NAN, 0.1, 2e5, {{0, 0, 0}, {1, 0, 0}}},
        /* an idle core would get busy: all on the other */
        {{60, 0}, 20480, 0, 0.1, 2e5, {{0.58, 0.2, 0}, {0, 0, 0}}},
        /* the other is full: cheaper to make the idle one a little busy (0.1) ... */
        {{100, 0}, 20480, 0, 0.1, 2e5, {{1, 0, 0}, {0, 0.2, 0}}},
        /* ... than to take CPU away (0.9), unless reading takes most of a core itself */
        {{100, 0}, 20480, 0, 0.8, 2e5, {{0.8, 0.2, 0}, {0, 0, 0}}},
        /* uneven room: 0.09 / 0.9 = 0.1 fits into the first, the rest goes to the second */
        {{91, 46}, 30720, 0, 0.1, 2e5, {{0.9, 0.1, 0}, {0.44, 0.2, 0}}},
        /* both full: reading is worth 2 * 102400 / 200000 > 0.9 of CPU ... */
        {{100, 100}, 10240, 0, 0.1, 2e5, {{0.95, 0.05, 0}, {0.95, 0.05, 0}}},
        /* ... but not where the ceiling is far above what a thread reads */
        {{100, 100}, 10240, 0, 0.1, 1e6, {{1, 0, 0}, {1, 0, 0}}},
        /* unknown ceiling: I/O goes first */
        {{100, 100}, 10240, 0, 0.1, NAN, {{0.95, 0.05, 0}, {0.95, 0.05, 0}}},
        /* more than two threads can do: as much as they can */
        {{0, 0}, 1e9, 0, 0.1, 2e5, {{0, 1, 0}, {0, 1, 0}}},
        {{50, 100}, 1e9, 0, 0.1, 2e5, {{0, 1, 0}, {0, 1, 0}}},
        /* reading costs more than a core (several threads): its time replaces all of the CPU */
        {{60, 30}, 10240, 0, 2, 2e5, {{0.5, 0.05, 0}, {0.2, 0.05, 0}}},
        /* no CPU time at all */
        {{70, 100}, 30720, 0, 0, 2e5, {{0.7, 0.3, 0}, {1, 0, 0}}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        wanted_series w;
        node n;
        make_wanted(&w, 2, cases[c].cpu, cases[c].read_kbs, cases[c].write_kbs);
        make_node(&n, cases[c].k, cases[c].ceiling);
        mim_plan *plan = plan_for(&w, &n);
        assert_int_equal(mim_plan_n_windows(plan), 1);
        assert_int_equal(mim_plan_n_threads(plan), 2);
        for (size_t r = 0; r < 2; r++) {
            const double *row = mim_plan_weights(plan, 0, r);
            const double found[3] = {row[CPU_COLUMN], row[READ_COLUMN], row[WRITE_COLUMN]};
            for (size_t i = 0; i < 3; i++)
                if (!(fabs(found[i] - cases[c].expect[r][i]) <= 1e-9))
                    fail_msg("case %zu, row %zu, column %zu: found %.12g, expected %.12g", c, r, i,
                             found[i], cases[c].expect[r][i]);
            for (size_t s = 0; s < 20; s++)
                if (s != CPU_COLUMN && s != READ_COLUMN && s != WRITE_COLUMN)
                    assert_true(row[s] == 0);
        }
        mim_plan_destroy(&plan);
    }
}

static void test_rows_follow_core_numbers_not_names(void **state)
{
    (void)state; /* "..._core_100" sorts before "..._core_99" */
    wanted_series w;
    node n;
    static const double cpu[2] = {10, 90};
    make_wanted(&w, 2, cpu, 0, 0);
    w.metrics[0].core = 100;
    w.metrics[1].core = 99;
    make_node(&n, 0.1, 2e5);
    mim_plan *plan = plan_for(&w, &n);
    assert_near(mim_plan_weights(plan, 0, 0)[CPU_COLUMN], 0.9);
    assert_near(mim_plan_weights(plan, 0, 1)[CPU_COLUMN], 0.1);
    mim_plan_destroy(&plan);
}

/* ---- properties ------------------------------------------------------------------------------ */

static double draw(uint64_t i, uint32_t which)
{
    return mim_rng_u01(1, MIM_STREAM_TEST, i, which, 0);
}

/* What a row's weights do on the node of make_node. */
static double row_cpu(const double *row, double k)
{
    return 100 * (row[CPU_COLUMN] + k * row[READ_COLUMN] + 0.1 * row[WRITE_COLUMN]);
}

static void test_forward_of_the_plan_is_the_wanted(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 200; trial++) {
        double cpu[MAX_CORES], k = 0.4 * draw(trial, 0), read = 0, write = 0;
        size_t n_cores = 1 + trial % MAX_CORES;
        wanted_series w;
        node n;
        for (size_t i = 0; i < n_cores; i++)
            cpu[i] = 20 + 50 * draw(trial, 10 + (uint32_t)i);
        double read_kbs = 102400 * 0.1 * draw(trial, 1) * (double)n_cores;
        double write_kbs = 25600 * 0.1 * draw(trial, 2) * (double)n_cores;
        make_wanted(&w, n_cores, cpu, read_kbs, write_kbs);
        make_node(&n, k, 1e6);
        mim_plan *plan = plan_for(&w, &n);
        for (size_t r = 0; r < n_cores; r++) {
            const double *row = mim_plan_weights(plan, 0, r);
            assert_near(row_cpu(row, k), cpu[r]);
            read += 102400 * row[READ_COLUMN];
            write += 25600 * row[WRITE_COLUMN];
        }
        assert_true(fabs(read - read_kbs) <= 1e-6 * (1 + read_kbs));
        assert_true(fabs(write - write_kbs) <= 1e-6 * (1 + write_kbs));
        mim_plan_destroy(&plan);
    }
}

static void test_never_more_io_than_wanted_nor_full_rows(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 500; trial++) {
        double cpu[MAX_CORES], k = 1.2 * draw(trial, 0), read = 0, write = 0;
        size_t n_cores = 1 + trial % MAX_CORES;
        wanted_series w;
        node n;
        for (size_t i = 0; i < n_cores; i++)
            cpu[i] = fmin(100, 130 * draw(trial, 10 + (uint32_t)i));
        double read_kbs = 3e5 * draw(trial, 1), write_kbs = 1e5 * draw(trial, 2);
        make_wanted(&w, n_cores, cpu, read_kbs, write_kbs);
        make_node(&n, k, 1e5 * draw(trial, 3));
        mim_plan *plan = plan_for(&w, &n);
        for (size_t r = 0; r < n_cores; r++) {
            const double *row = mim_plan_weights(plan, 0, r);
            double sum = row[CPU_COLUMN] + row[READ_COLUMN] + row[WRITE_COLUMN];
            assert_true(sum <= 1 + 1e-12);
            assert_true(row[CPU_COLUMN] >= 0 && row[READ_COLUMN] >= 0 && row[WRITE_COLUMN] >= 0);
            assert_true(row[CPU_COLUMN] <= cpu[r] / 100 + 1e-12);
            read += 102400 * row[READ_COLUMN];
            write += 25600 * row[WRITE_COLUMN];
        }
        assert_true(read <= read_kbs * (1 + 1e-9) && write <= write_kbs * (1 + 1e-9));
        mim_plan_destroy(&plan);
    }
}

/* Normalised error of reading weights x on two rows, the CPU weights being the best for them. */
static double error_of(const double x[2], const double cpu[2], double k, double wanted_kbs,
                       double ceiling)
{
    double error = fabs(102400 * (x[0] + x[1]) - wanted_kbs) / ceiling;
    for (size_t r = 0; r < 2; r++) {
        double c = cpu[r] / 100, weight = fmin(fmax(0, c - k * x[r]), 1 - x[r]);
        error += fabs(weight + k * x[r] - c) / 2;
    }
    return error;
}

static void test_no_better_placement_on_a_grid(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 200; trial++) {
        double k = draw(trial, 0), kbs = 3e5 * draw(trial, 1), ceiling = 1e4 + 4e5 * draw(trial, 2);
        double cpu[2], best = INFINITY;
        for (uint32_t i = 0; i < 2; i++)
            cpu[i] = fmax(0, fmin(100, 140 * draw(trial, 3 + i) - 20));
        wanted_series w;
        node n;
        make_wanted(&w, 2, cpu, kbs, 0);
        make_node(&n, k, ceiling);
        mim_plan *plan = plan_for(&w, &n);
        const double *rows[2] = {mim_plan_weights(plan, 0, 0), mim_plan_weights(plan, 0, 1)};
        const double x[2] = {rows[0][READ_COLUMN], rows[1][READ_COLUMN]};
        double ours = fabs(102400 * (x[0] + x[1]) - kbs) / ceiling;
        for (size_t r = 0; r < 2; r++)
            ours += fabs(rows[r][CPU_COLUMN] + k * x[r] - cpu[r] / 100) / 2;
        for (int a = 0; a <= 100; a++) {
            for (int b = 0; b <= 100; b++) {
                const double grid[2] = {a / 100.0, b / 100.0};
                best = fmin(best, error_of(grid, cpu, k, kbs, ceiling));
            }
        }
        if (ours > best + 1e-9)
            fail_msg("trial %d: k %g, cpu %g %g, error %.9g, on the grid %.9g", (int)trial, k,
                     cpu[0], cpu[1], ours, best);
        mim_plan_destroy(&plan);
    }
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_io_that_moves_nothing_is_not_asked_for(void **state)
{
    (void)state;
    static const double cpu[2] = {10, 20}, nothing[3] = {NAN, 0, -1};
    for (size_t c = 0; c < 3; c++) {
        wanted_series w;
        node n;
        make_wanted(&w, 2, cpu, 1000, 1000);
        make_node(&n, 0.1, 2e5);
        n.costs[1].device_bytes_per_op = nothing[c];
        mim_plan *plan = plan_for(&w, &n);
        assert_true(mim_plan_weights(plan, 0, 0)[READ_COLUMN] == 0);
        assert_true(mim_plan_weights(plan, 0, 0)[WRITE_COLUMN] > 0);
        mim_plan_destroy(&plan);
    }
}

/* The original's single stressor: CPU utilisation only. */
static void test_without_io(void **state)
{
    (void)state;
    static const double cpu[2] = {40, 70};
    const mim_single_options plain = {"BM_HASHING_Computecrc32c_Fleet_cold", "none", "none"};
    wanted_series w;
    node n;
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    make_wanted(&w, 2, cpu, 1000, 1000);
    make_node(&n, 0.1, 2e5);
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_single_plan(&w.series, &n.calibration, actions, &plain, &plan), MIM_OK);
    for (size_t r = 0; r < 2; r++) /* crc32c is the first of the list */
        for (size_t s = 0; s < 20; s++)
            assert_near(mim_plan_weights(plan, 0, r)[s], s == 0 ? cpu[r] / 100 : 0);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
}

static void test_refusals(void **state)
{
    (void)state;
    static const double cpu[2] = {10, 20};
    static const struct {
        mim_single_options options;
        const char *list;
        size_t n_costs;
        int rc;
        const char *says;
    } cases[] = {
        {{"BM_nothing", READ_NAME, WRITE_NAME}, "20", 4, MIM_EUSAGE, "BM_nothing is not in"},
        {{CPU_NAME, READ_NAME, WRITE_NAME}, "13", 4, MIM_EUSAGE, "is not in the action list"},
        {{CPU_NAME, NULL, WRITE_NAME}, "20", 4, MIM_EUSAGE, "(none) is not in"},
        {{READ_NAME, READ_NAME, WRITE_NAME}, "20", 4, MIM_EUSAGE, "is no CPU stressor"},
        {{MEMSET_NAME, READ_NAME, WRITE_NAME}, "20", 4, MIM_EUSAGE, "is no CPU stressor"},
        {{CPU_NAME, WRITE_NAME, WRITE_NAME}, "20", 4, MIM_EUSAGE, "is no read stressor"},
        {{CPU_NAME, READ_NAME, CPU_NAME}, "20", 4, MIM_EUSAGE, "is no write stressor"},
        {{CPU_NAME, READ_NAME, WRITE_NAME}, "20", 2, MIM_EUNSUP, "no figures of " WRITE_NAME},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        wanted_series w;
        node n;
        mim_actions *actions = NULL;
        mim_plan *plan = NULL;
        make_wanted(&w, 2, cpu, 0, 0);
        make_node(&n, 0.1, 2e5);
        n.calibration.n_costs = cases[c].n_costs;
        assert_int_equal(mim_actions_builtin(cases[c].list, &actions), MIM_OK);
        assert_int_equal(
            mim_single_plan(&w.series, &n.calibration, actions, &cases[c].options, &plan),
            cases[c].rc);
        assert_non_null(strstr(mim_error(), cases[c].says));
        assert_null(plan);
        mim_actions_destroy(&actions);
    }
    wanted_series w;
    node n;
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    make_wanted(&w, 0, cpu, 100, 100); /* no core at all */
    make_node(&n, 0.1, 2e5);
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_single_plan(&w.series, &n.calibration, actions, &usual, &plan), MIM_EDATA);
    make_wanted(&w, 2, (const double[]){NAN, NAN}, 100, 100); /* cores that no slot has */
    assert_int_equal(mim_single_plan(&w.series, &n.calibration, actions, &usual, &plan), MIM_EDATA);
    mim_actions_destroy(&actions);
}

/* ---- asked ----------------------------------------------------------------------------------- */

static void test_asked_is_the_forward_model(void **state)
{
    (void)state;
    node n;
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    mim_asked *asked = NULL;
    make_node(&n, 0.25, 2e5);
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    assert_int_equal(mim_plan_create(2, 2, actions, &plan), MIM_OK);
    double *row = mim_plan_row(plan, 1, 0);
    row[CPU_COLUMN] = 0.25;
    row[0] = 0.125;             /* any unpaced stressor is CPU time, calibrated or not */
    row[READ_COLUMN] = 0.5;     /* 51200 KB/s, 0.25 * 0.5 of a core */
    row[MEMSET_COLUMN] = 0.125; /* 20 * 0.01 * 0.125 of a core, no I/O */
    mim_plan_row(plan, 1, 1)[READ_COLUMN] = 0.25;
    mim_plan_row(plan, 1, 1)[WRITE_COLUMN] = 0.5;
    assert_int_equal(mim_asked_create(plan, &n.calibration, &asked), MIM_OK);
    assert_int_equal(asked->n_slots, 2);
    assert_int_equal(asked->n_rows, 2);
    assert_near(asked->cpu_percent[0] + asked->cpu_percent[1], 0);
    assert_near(asked->cpu_percent[2], 25 + 12.5 + 12.5 + 2.5);
    assert_near(asked->cpu_percent[3], 6.25 + 5);
    assert_near(asked->read_kbs[0], 0);
    assert_near(asked->read_kbs[1], 0.75 * 102400);
    assert_near(asked->write_kbs[1], 12800);
    mim_asked_destroy(&asked);
    assert_null(asked);
    row[9] = 0.0625; /* paced and not calibrated */
    assert_int_equal(mim_asked_create(plan, &n.calibration, &asked), MIM_EUNSUP);
    assert_null(asked);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_made_numbers),
        cmocka_unit_test(test_rows_follow_core_numbers_not_names),
        cmocka_unit_test(test_forward_of_the_plan_is_the_wanted),
        cmocka_unit_test(test_never_more_io_than_wanted_nor_full_rows),
        cmocka_unit_test(test_no_better_placement_on_a_grid),
        cmocka_unit_test(test_io_that_moves_nothing_is_not_asked_for),
        cmocka_unit_test(test_without_io),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_asked_is_the_forward_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
