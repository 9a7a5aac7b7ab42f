/* The original's dispatch: closed forms of its counts, slices and drift, its published prototype
 * figures by a model of kernels without any real time, the duty that leaks, the cost file. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "node/compat.h"
#include "node/compat_cost.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))
#define N_OF(a) (sizeof(a) / sizeof *(a))

static const char crc[] = "BM_HASHING_Computecrc32c_Fleet_cold";
static const char read_50ms[] = "BM_STRESS_NG_HddRead_1MB_WeightScaled_50ms";
static const char read_500ms[] = "BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms";
static const char read_fast[] = "BM_STRESS_NG_HddRead_1MB_NoSleep";
static const char write_burst[] = "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled";
static const char sets[] = "BM_DIRECTMEMSET_32MB_NoSleep";

/* ---- numbers ---- */

static void test_counts_of_one_weight(void **state)
{
    (void)state;
    static const struct {
        double weight;
        uint32_t cost_us;
        uint64_t n;
    } table[] = {
        /* the smallest weights that survive, and just below */
        {0.0025, 5000, 1},
        {0.002499, 5000, 0},
        {0.0125, 25000, 1},
        {0.012499, 25000, 0},
        {0.025, 50000, 1},
        {0.024999, 50000, 0},
        {0.25, 500000, 1},
        {0.249999, 500000, 0},
        /* 500 ms: only 0, 1 and 2 */
        {0.5, 500000, 1},
        {0.749999, 500000, 1},
        {0.75, 500000, 2},
        {1.0, 500000, 2},
        /* full weights */
        {1.0, 5000, 200},
        {1.0, 25000, 40},
        {1.0, 50000, 20},
        {0.0, 5000, 0},
        {1.0, 0, 0}, /* cost 0 never runs */
        {1.0, 1, 1000000},
        /* what a file's 32-bit float makes of a weight at the edge */
        {(double)0.0025f, 5000, 0},
        {(double)0.0125f, 25000, 1},
        {(double)0.025f, 50000, 1},
    };
    for (size_t i = 0; i < N_OF(table); i++) {
        uint64_t n = 99;
        double duty = -1.0;
        mim_compat_counts(1, &table[i].weight, &table[i].cost_us, &n, &duty);
        assert_int_equal(n, table[i].n);
        assert_near(duty, table[i].weight, 1e-12);
    }
}

static void test_normalisation_and_idle_share(void **state)
{
    (void)state;
    static const struct {
        double weights[3];
        uint64_t counts[3];
        double duty;
    } table[] = {
        {{1.5, 0.5, 0.0}, {150, 50, 0}, 1.0}, /* divided by 2 */
        {{1.0, 1.0, 2.0}, {50, 50, 100}, 1.0},
        {{0.3, 0.2, 0.0}, {60, 40, 0}, 0.5},
        {{0.0, 0.0, 0.0}, {0, 0, 0}, 0.0},
        {{0.001, 0.001, 0.001}, {0, 0, 0}, 0.003}, /* all vanish, the duty stays */
        {{0.5, 0.25, 0.25}, {100, 50, 50}, 1.0},
    };
    const uint32_t cost_us[3] = {5000, 5000, 5000};
    for (size_t i = 0; i < N_OF(table); i++) {
        uint64_t counts[3];
        double duty;
        mim_compat_counts(3, table[i].weights, cost_us, counts, &duty);
        assert_memory_equal(counts, table[i].counts, sizeof counts);
        assert_near(duty, table[i].duty, 1e-12);
    }
}

static void test_slices(void **state)
{
    (void)state;
    static const struct {
        double duty;
        uint64_t n_entries;
        int64_t length_us, active_us, idle_us;
    } table[] = {
        {1.0, 200, 2000000, 10000, 0}, /* 10 ms of a 2 s slot, 5 ms of a 1 s slot */
        {1.0, 200, 1000000, 5000, 0},
        {0.5, 100, 2000000, 10000, 10000}, /* idle = slice (1 - duty) / duty */
        {0.25, 50, 2000000, 10000, 30000},
        {1.0, 20, 2000000, 100000, 0}, /* one kernel of 50 ms: 2 operations a slice */
        {1.0, 2, 2000000, 1000000, 0}, /* one of 500 ms */
        {1.0, 3, 1000000, 333333, 0},
        {1.0, 8, 1000004, 125001, 0}, /* 125000.5: away from 0 */
        {0.5, 0, 2000000, 0, 0},
    };
    for (size_t i = 0; i < N_OF(table); i++) {
        const mim_compat_order order = {.duty = table[i].duty, .n_entries = table[i].n_entries};
        assert_int_equal(mim_compat_active_us(&order, table[i].length_us), table[i].active_us);
        assert_int_equal(mim_compat_idle_us(&order, table[i].length_us), table[i].idle_us);
    }
}

static void test_drift(void **state)
{
    (void)state;
    static const struct {
        int64_t slot_us, elapsed_us;
        uint64_t n_done;
        int64_t next_us;
    } table[] = {
        {2000000, 2000000, 1, 2000000},
        {2000000, 1500000, 1, 2000000}, /* early is not made up for */
        {2000000, 2030000, 1, 1970000}, /* late shortens */
        {2000000, 2999999, 1, 1000001},
        {2000000, 3000000, 1, 1000000},
        {2000000, 9000000, 1, 1000000}, /* half at least */
        {1000000, 5000100, 5, 999900},
        /* past 2^32 us, where 32 bits wrap and halve every slot of the original */
        {2000000, 6000000000, 3000, 2000000},
        {2000000, 6000000010, 3000, 1999990},
        {2000000, 2000000000000, 1000000, 2000000},
    };
    for (size_t i = 0; i < N_OF(table); i++)
        assert_int_equal(mim_compat_next_us(table[i].slot_us, table[i].elapsed_us, table[i].n_done),
                         table[i].next_us);
}

/* A worker that needs `over_us` more than each slot gives: the schedule holds as long as half a
 * slot can make up for it. */
static void test_drift_over_a_run(void **state)
{
    (void)state;
    int64_t now_us = 0, length_us = 2000000, worst_us = 0;
    for (uint64_t n = 1; n <= 10000; n++) {
        now_us += length_us + 30000;
        length_us = mim_compat_next_us(2000000, now_us, n);
        int64_t late_us = now_us - (int64_t)n * 2000000;
        worst_us = late_us > worst_us ? late_us : worst_us;
    }
    assert_int_equal(worst_us, 30000);
}

/* ---- order ---- */

static mim_actions *list(size_t n, const char *const *names)
{
    mim_actions *actions = NULL;
    assert_int_equal(mim_actions_from_names(n, names, &actions), MIM_OK);
    return actions;
}

static mim_compat_order order_of(const mim_actions *actions, const double *weights, uint64_t seed)
{
    uint32_t cost_us[32];
    mim_compat_order order = {0};
    mim_compat_costs_shipped(actions, cost_us);
    assert_int_equal(mim_compat_order_make(actions, weights, cost_us, seed, 0, 0, &order), MIM_OK);
    return order;
}

static void test_order_is_a_permutation_of_runs(void **state)
{
    (void)state;
    mim_actions *actions = NULL;
    double weights[20];
    size_t first[20] = {0};
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    for (size_t i = 0; i < 20; i++)
        weights[i] = 1.0; /* normalised to 0.05: the two 500 ms kernels vanish */
    for (uint64_t seed = 0; seed < 2000; seed++) {
        mim_compat_order order = order_of(actions, weights, seed);
        bool seen[20] = {false};
        uint64_t sum = 0;
        assert_int_equal(order.n_runs, 18);
        for (size_t r = 0; r < order.n_runs; r++) {
            assert_false(seen[order.runs[r].column]);
            seen[order.runs[r].column] = true;
            sum += order.runs[r].n;
        }
        assert_int_equal(sum, order.n_entries);
        assert_int_equal(sum, 14 * 10 + 3 * 1 + 2); /* 5, 50 and 25 ms */
        first[order.runs[0].column]++;
        mim_compat_order again = order_of(actions, weights, seed);
        assert_memory_equal(again.runs, order.runs, order.n_runs * sizeof *order.runs);
        mim_compat_order_clear(&again);
        mim_compat_order_clear(&order);
    }
    for (size_t i = 0; i < 20; i++) /* 2000 / 18 = 111 each, 10 standard deviations of 10 */
        assert_true(i == 10 || i == 14 ? first[i] == 0 : first[i] > 11 && first[i] < 211);
    mim_actions_destroy(&actions);
}

static void test_shuffle_belongs_to_seed_window_and_row(void **state)
{
    (void)state;
    mim_actions *actions = NULL;
    double weights[20];
    uint32_t cost_us[20];
    mim_compat_order orders[4];
    static const size_t keys[4][3] = {{1, 0, 0}, {2, 0, 0}, {1, 1, 0}, {1, 0, 1}};
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    for (size_t i = 0; i < 20; i++)
        weights[i] = 0.05;
    mim_compat_costs_shipped(actions, cost_us);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(mim_compat_order_make(actions, weights, cost_us, keys[i][0], keys[i][1],
                                               keys[i][2], &orders[i]),
                         MIM_OK);
    for (size_t i = 1; i < 4; i++)
        assert_memory_not_equal(orders[0].runs, orders[i].runs,
                                orders[0].n_runs * sizeof *orders[0].runs);
    for (size_t i = 0; i < 4; i++)
        mim_compat_order_clear(&orders[i]);
    mim_actions_destroy(&actions);
}

/* ---- the dispatch model ---- */

typedef struct model {
    int64_t now_us, stop_us;
    int64_t batch_us[4], sleep_us[4]; /* by column */
    int64_t used_us[4];               /* wall time */
    uint64_t n_entries[4];
    double last_duty[4];
} model;

static int64_t model_now(void *context) { return ((model *)context)->now_us; }
static void model_sleep(void *context, int64_t us) { ((model *)context)->now_us += us; }
static bool model_is_stopped(void *context)
{
    const model *m = context;
    return m->stop_us > 0 && m->now_us >= m->stop_us;
}

/* A kernel of the original: looks at the clock between operations only, its sleep is not cut. */
static void model_run(void *context, size_t column, int64_t budget_us, double duty)
{
    model *m = context;
    int64_t begin_us = m->now_us;
    m->n_entries[column]++;
    m->last_duty[column] = duty;
    while (m->now_us - begin_us < budget_us)
        m->now_us += m->batch_us[column] + m->sleep_us[column];
    m->used_us[column] += m->now_us - begin_us;
}

static void walk(const mim_compat_order *order, int64_t length_us, double *current_duty, model *m)
{
    const mim_compat_walker walker = {.context = m,
                                      .now_us = model_now,
                                      .run = model_run,
                                      .sleep = model_sleep,
                                      .is_stopped = model_is_stopped};
    mim_compat_walk(order, length_us, current_duty, &walker);
}

/* Returns at once. */
static void model_refuse(void *context, size_t column, int64_t budget_us, double duty)
{
    model *m = context;
    m->n_entries[column]++;
    m->last_duty[column] = duty;
    (void)budget_us;
}

/* As the prototype's machine had them: a CRC batch under contention, reads of 0.77 ms. */
static model two_kernels(int64_t sleep_us)
{
    return (model){.batch_us = {940, 770}, .sleep_us = {0, sleep_us}};
}

/* A seed whose shuffle puts this column first. */
static mim_compat_order begin_with(const mim_actions *actions, const double *weights, size_t column)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        mim_compat_order order = order_of(actions, weights, seed);
        if (order.runs[0].column == column)
            return order;
        mim_compat_order_clear(&order);
    }
    fail_msg("no shuffle of 100 begins with column %zu", column);
    return (mim_compat_order){0};
}

/* The figures of the prototype: shares in slots of 2 s for both shuffles. */
static void test_published_shares(void **state)
{
    (void)state;
    static const struct {
        const char *read;
        int64_t sleep_us;
        double weights[2];
        size_t first;
        double crc_share, read_share, overrun;
    } table[] = {
        {read_500ms, 500000, {0.5, 0.5}, 1, 0.75, 0.25, 0.0},
        {read_500ms, 500000, {0.5, 0.5}, 0, 1.00, 0.00, 0.0},
        {read_50ms, 50000, {0.5, 0.5}, 0, 0.94, 0.08, 0.016},
        {read_50ms, 50000, {0.5, 0.5}, 1, 0.75, 0.25, 0.0},
        {read_500ms, 500000, {0.3, 0.2}, 0, 0.51, 0.00, 0.0}, /* the read's weight vanishes */
    };
    for (size_t i = 0; i < N_OF(table); i++) {
        const char *const names[2] = {crc, table[i].read};
        mim_actions *actions = list(2, names);
        mim_compat_order order = begin_with(actions, table[i].weights, table[i].first);
        model m = two_kernels(table[i].sleep_us);
        double duty = 1.0;
        walk(&order, 2000000, &duty, &m);
        assert_near((double)m.used_us[0] / 2e6, table[i].crc_share, 0.006);
        assert_near((double)m.used_us[1] / 2e6, table[i].read_share, 0.006);
        assert_near((double)m.now_us / 2e6 - 1.0, table[i].overrun, 0.002);
        mim_compat_order_clear(&order);
        mim_actions_destroy(&actions);
    }
}

/* Equal costs: shares are the weights, the slot is filled and not passed. */
static void test_equal_costs_are_linear(void **state)
{
    (void)state;
    static const char *const names[3] = {crc, sets, read_fast};
    mim_actions *actions = list(3, names);
    for (int i = 0; i < 10; i++) {
        const double weights[3] = {0.1 * i, 0.05, 0.03};
        mim_compat_order order = order_of(actions, weights, (uint64_t)i);
        model m = {.batch_us = {1, 1, 1}};
        double duty = 1.0;
        walk(&order, 2000000, &duty, &m);
        for (size_t k = 0; k < 3; k++)
            assert_near((double)m.used_us[k] / 2e6, weights[k], 1e-3);
        assert_near((double)m.now_us, 2e6, 200.0); /* roundings of the slices */
        mim_compat_order_clear(&order);
    }
    mim_actions_destroy(&actions);
}

/* One throttled kernel alone is nearly linear, too, in steps of its operation. */
static void test_one_throttled_kernel(void **state)
{
    (void)state;
    static const char *const names[1] = {read_50ms};
    mim_actions *actions = list(1, names);
    for (int i = 1; i <= 10; i++) {
        const double weights[1] = {0.1 * i};
        mim_compat_order order = order_of(actions, weights, 1);
        model m = {.batch_us = {1}, .sleep_us = {50000}};
        double duty = 1.0;
        walk(&order, 2000000, &duty, &m);
        assert_int_equal(m.n_entries[0], 2 * i);
        assert_near((double)m.used_us[0] / 2e6, weights[0], 1e-3);
        mim_compat_order_clear(&order);
    }
    mim_actions_destroy(&actions);
}

static void test_one_pass_and_empty_rows(void **state)
{
    (void)state;
    static const char *const names[2] = {crc, read_500ms};
    mim_actions *actions = list(2, names);
    static const double nothing[2] = {0.0, 0.0}, vanished[2] = {0.0, 0.2};
    const double *const rows[2] = {nothing, vanished};
    for (size_t i = 0; i < 2; i++) { /* both sleep to the deadline */
        mim_compat_order order = order_of(actions, rows[i], 1);
        model m = two_kernels(500000);
        double duty = 1.0;
        walk(&order, 2000000, &duty, &m);
        assert_int_equal(m.now_us, 2000000);
        assert_int_equal(m.n_entries[0] + m.n_entries[1], 0);
        mim_compat_order_clear(&order);
    }
    /* A kernel that returns at once (a file that cannot be opened) ends the slot early. */
    static const double half[2] = {0.5, 0.0};
    mim_compat_order order = order_of(actions, half, 1);
    model m = {.now_us = 7};
    double duty = 1.0;
    const mim_compat_walker walker = {.context = &m,
                                      .now_us = model_now,
                                      .run = model_refuse,
                                      .sleep = model_sleep,
                                      .is_stopped = model_is_stopped};
    mim_compat_walk(&order, 2000000, &duty, &walker);
    assert_int_equal(m.n_entries[0], 100);
    assert_int_equal(m.now_us, 7 + 100 * 10000); /* the pauses only */
    mim_compat_order_clear(&order);
    mim_actions_destroy(&actions);
}

static void test_a_stop_ends_the_walk(void **state)
{
    (void)state;
    static const char *const names[1] = {crc};
    static const double weights[1] = {1.0};
    mim_actions *actions = list(1, names);
    mim_compat_order order = order_of(actions, weights, 1);
    model m = {.batch_us = {1000}, .stop_us = 50000};
    double duty = 1.0;
    walk(&order, 2000000, &duty, &m);
    assert_int_equal(m.now_us, 50000);
    mim_compat_order_clear(&order);
    mim_actions_destroy(&actions);
}

static void test_burst_duty(void **state)
{
    (void)state;
    static const struct {
        double weight, duty;
    } table[] = {{0.01, 0.02}, {0.1, 0.2}, {0.25, 0.5}, {0.49, 0.98}, {0.5, 1.0}, {1.0, 1.0}};
    static const char *const names[1] = {write_burst};
    mim_actions *actions = list(1, names);
    for (size_t i = 0; i < N_OF(table); i++) { /* min(1, 2 w): quadratic below a half */
        mim_compat_order order = order_of(actions, &table[i].weight, 1);
        assert_near(order.runs[0].set_duty, table[i].duty, 1e-12);
        mim_compat_order_clear(&order);
    }
    mim_actions_destroy(&actions);
}

/* The duty that a burst entry set stays in force for what has none of its own, into later slots;
 * an entry with WeightScaled ends that. */
static void test_duty_leaks(void **state)
{
    (void)state;
    static const char *const names[3] = {sets, write_burst, read_50ms};
    static const double first_slot[3] = {0.5, 0.1, 0.0}, later[3] = {0.5, 0.0, 0.0},
                        last[3] = {0.0, 0.0, 0.5};
    mim_actions *actions = list(3, names);
    mim_compat_order orders[3] = {begin_with(actions, first_slot, 1), order_of(actions, later, 1),
                                  order_of(actions, last, 1)};
    model m = {.batch_us = {100, 100, 100}};
    double duty = 1.0;
    walk(&orders[1], 2000000, &duty, &m);
    assert_near(m.last_duty[0], 1.0, 0.0); /* at first */
    walk(&orders[0], 2000000, &duty, &m);
    assert_near(m.last_duty[0], 0.2, 1e-12);
    walk(&orders[1], 2000000, &duty, &m);
    assert_near(m.last_duty[0], 0.2, 1e-12);
    walk(&orders[2], 2000000, &duty, &m);
    walk(&orders[1], 2000000, &duty, &m);
    assert_near(m.last_duty[0], 1.0, 0.0);
    for (size_t i = 0; i < 3; i++)
        mim_compat_order_clear(&orders[i]);
    mim_actions_destroy(&actions);
}

static void test_looks_at_the_clock(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t n_ops;
    } table[] = {
        {crc, 1000},
        {sets, 1},
        {read_50ms, 1},
        {"BM_LIBC_Memcmp_Fleet_LLC", 5},
        {"BM_LIBC_Memcpy_Fleet_L1", 0},
        {"BM_DIRECTSTREAMSIMD_8MB_NoSleep", 1},
    };
    for (size_t i = 0; i < N_OF(table); i++)
        assert_int_equal(mim_compat_ops_a_look(mim_stressor_find(table[i].name)), table[i].n_ops);
}

/* ---- costs ---- */

static void test_shipped_costs(void **state)
{
    (void)state;
    static const uint32_t shipped[20] = {5000,   5000, 5000,  5000,   5000, 5000,  5000,
                                         5000,   5000, 50000, 500000, 5000, 50000, 25000,
                                         500000, 5000, 50000, 5000,   5000, 5000};
    mim_actions *actions = NULL;
    uint32_t cost_us[20];
    assert_int_equal(mim_actions_builtin("20", &actions), MIM_OK);
    mim_compat_costs_shipped(actions, cost_us);
    assert_memory_equal(cost_us, shipped, sizeof shipped);
    mim_actions_destroy(&actions);
}

static void test_cost_file(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        size_t n_found;
        uint32_t cost_us[2];
        const char *says;
    } table[] = {
        {"5000\n50000\n", MIM_OK, 2, {5000, 50000}, NULL},
        {"# costs\n\n 7 \r\n#x\n8", MIM_OK, 2, {7, 8}, NULL},
        {"4294967295\n0\n", MIM_OK, 2, {4294967295u, 0}, NULL},
        {"5000\n", MIM_OK, 1, {5000, 0}, NULL}, /* the rest never runs */
        {"", MIM_OK, 0, {0, 0}, NULL},
        {"1\n2\n3\n", MIM_EDATA, 0, {9, 9}, "costs.txt:3: a cost for stressor 3 of a list of 2"},
        {"5000\nmany\n", MIM_EDATA, 0, {9, 9}, "costs.txt:2"},
        {"5000 6000\n", MIM_EDATA, 0, {9, 9}, "costs.txt:1"},
        {"-5\n", MIM_EDATA, 0, {9, 9}, "costs.txt:1"},
        {"4294967296\n", MIM_EDATA, 0, {9, 9}, "costs.txt:1"},
        {"5e3\n", MIM_EDATA, 0, {9, 9}, "costs.txt:1"},
    };
    static const char *const names[2] = {crc, read_50ms};
    mim_actions *actions = list(2, names);
    char folder[] = "/tmp/mim-compat-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = mim_join_path(folder, "costs.txt");
    for (size_t i = 0; i < N_OF(table); i++) {
        uint32_t cost_us[2] = {9, 9};
        size_t n_found = 0;
        assert_int_equal(mim_atomic_write(path, table[i].text, strlen(table[i].text)), MIM_OK);
        assert_int_equal(mim_compat_costs_read(path, actions, cost_us, &n_found), table[i].rc);
        assert_memory_equal(cost_us, table[i].cost_us, sizeof cost_us);
        assert_int_equal(n_found, table[i].n_found);
        if (table[i].says)
            assert_non_null(strstr(mim_error(), table[i].says));
    }
    static const uint32_t written[2] = {4294967295u, 5};
    uint32_t back[2] = {0, 0};
    size_t n_found = 0;
    assert_int_equal(mim_compat_costs_write(path, actions, written), MIM_OK);
    assert_int_equal(mim_compat_costs_read(path, actions, back, &n_found), MIM_OK);
    assert_memory_equal(back, written, sizeof back);
    unlink(path);
    assert_int_equal(mim_compat_costs_read(path, actions, back, &n_found), MIM_EIO);
    rmdir(folder);
    free(path);
    mim_actions_destroy(&actions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_of_one_weight),
        cmocka_unit_test(test_normalisation_and_idle_share),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_drift_over_a_run),
        cmocka_unit_test(test_order_is_a_permutation_of_runs),
        cmocka_unit_test(test_shuffle_belongs_to_seed_window_and_row),
        cmocka_unit_test(test_published_shares),
        cmocka_unit_test(test_equal_costs_are_linear),
        cmocka_unit_test(test_one_throttled_kernel),
        cmocka_unit_test(test_one_pass_and_empty_rows),
        cmocka_unit_test(test_a_stop_ends_the_walk),
        cmocka_unit_test(test_burst_duty),
        cmocka_unit_test(test_duty_leaks),
        cmocka_unit_test(test_looks_at_the_clock),
        cmocka_unit_test(test_shipped_costs),
        cmocka_unit_test(test_cost_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
