/* baseline/nearest and baseline/idw: hand-made corpora and numbers, ties, masks, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/idw.h"
#include "baseline/nearest.h"
#include "core/rng.h"

/* Two threads, three stressors; the metrics stand in the order of their names. */
enum { T = 2, S = 3, W = T * S, D = 5, MAX_SAMPLES = 64 };
enum { CORE_0, CORE_1, IO_READ, IO_WRITE, MEMORY_USED };

static const char *const stressors[S] = {
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false",
    "BM_STRESS_NG_HddRead_1MB_NoSleep", "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled"};

static const mim_metric metrics[D] = {
    {"avg_cpu_utilizations_core_00", "%", MIM_FAMILY_CPU, MIM_TIER_PROC, 0},
    {"avg_cpu_utilizations_core_01", "%", MIM_FAMILY_CPU, MIM_TIER_PROC, 1},
    {"io_read", "KB/s", MIM_FAMILY_IO_READ, MIM_TIER_PROC, -1},
    {"io_write", "KB/s", MIM_FAMILY_IO_WRITE, MIM_TIER_PROC, -1},
    {"memory_used", "MB", MIM_FAMILY_CAPACITY, MIM_TIER_PROC, -1},
};

/* Nothing was written while this corpus was measured. */
static const double range_min[D] = {0, 0, 0, 5, 0}, range_max[D] = {100, 100, 1000, 5, 8000};

typedef struct corpus {
    mim_layout *layout;
    mim_samples samples;
    float metric[MAX_SAMPLES * D], action[MAX_SAMPLES * W];
    uint8_t mask[MAX_SAMPLES * D], is_validation[MAX_SAMPLES];
} corpus;

static void corpus_start(corpus *c)
{
    mim_actions *actions = NULL;
    memset(c, 0, sizeof *c);
    assert_int_equal(mim_actions_from_names(S, stressors, &actions), MIM_OK);
    if (mim_layout_create(T, actions, D, metrics, 1, "", &c->layout) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_actions_destroy(&actions);
    c->samples = (mim_samples){.metric = c->metric,
                               .mask = c->mask,
                               .action = c->action,
                               .is_validation = c->is_validation};
}

static void corpus_end(corpus *c) { mim_layout_destroy(&c->layout); }

/* values: [D], NaN = absent. The action's first weight tells the samples apart. */
static void add(corpus *c, const double *values, float weight)
{
    const size_t i = c->samples.n++;
    assert_true(i < MAX_SAMPLES);
    for (size_t m = 0; m < D; m++) {
        c->mask[i * D + m] = isfinite(values[m]) ? 1 : 0;
        c->metric[i * D + m] = isfinite(values[m]) ? (float)values[m] : 0;
    }
    c->action[i * W] = weight;
    c->action[i * W + S + 2] = 1 - weight;
}

static mim_nearest *index_of(const corpus *c)
{
    mim_nearest *nearest = NULL;
    if (mim_nearest_create(c->layout, range_min, range_max, &c->samples, &nearest) != MIM_OK)
        fail_msg("%s", mim_error());
    return nearest;
}

static void assert_near(double found, double expected, double within)
{
    if (!(fabs(found - expected) <= within))
        fail_msg("found %.12g, expected %.12g", found, expected);
}

/* ---- searching ------------------------------------------------------------------------------- */

static void test_distances_by_hand(void **state)
{
    (void)state;
    corpus c;
    mim_neighbour found[4];
    size_t n = 0;
    corpus_start(&c);
    add(&c, (double[D]){0, 0, 0, 5, 0}, 0);
    add(&c, (double[D]){30, 0, 0, 5, 0}, 0.25f); /* would be the nearest */
    add(&c, (double[D]){50, 50, 500, 5, 0}, 0.5f);
    add(&c, (double[D]){20, 0, 100, 5, 0}, 0.75f);
    c.is_validation[1] = 1;
    mim_nearest *nearest = index_of(&c);
    const double query[D] = {30, 0, 0, 5, NAN};
    assert_int_equal(mim_nearest_find(nearest, query, 4, found, &n), MIM_OK);
    assert_int_equal(n, 3);
    /* differences over the ranges: (0.1, 0, 0.1), (0.3, 0, 0), (0.2, 0.5, 0.5) of three metrics */
    static const size_t samples[3] = {3, 0, 2};
    static const double squares[3] = {0.02, 0.09, 0.54};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(found[i].sample, samples[i]);
        assert_near(found[i].distance, sqrt(squares[i] / 3), 1e-7);
        assert_ptr_equal(found[i].action, c.action + samples[i] * W);
    }
    assert_int_equal(mim_nearest_find(nearest, query, 2, found, &n), MIM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(found[1].sample, 0);
    mim_nearest_destroy(&nearest);
    assert_null(nearest);
    corpus_end(&c);
}

static void test_absent_metrics_are_left_out(void **state)
{
    (void)state;
    corpus c;
    mim_neighbour found[4];
    size_t n = 0;
    corpus_start(&c);
    add(&c, (double[D]){10, NAN, 1000, 5, 0}, 0.1f);
    add(&c, (double[D]){30, 40, NAN, 5, 0}, 0.2f);
    add(&c, (double[D]){NAN, NAN, NAN, 5, 0}, 0.3f); /* nothing to compare */
    mim_nearest *nearest = index_of(&c);
    /* 0.1 over one metric; (0.1, 0.2) over two */
    assert_int_equal(mim_nearest_find(nearest, (double[D]){20, 20, NAN, NAN, NAN}, 4, found, &n),
                     MIM_OK);
    assert_int_equal(n, 2);
    assert_int_equal(found[0].sample, 0);
    assert_near(found[0].distance, 0.1, 1e-7);
    assert_near(found[1].distance, sqrt(0.05 / 2), 1e-7);
    /* the first has no core 1, the second no reads: each is judged by what it has */
    assert_int_equal(mim_nearest_find(nearest, (double[D]){NAN, 40, 0, NAN, NAN}, 1, found, &n),
                     MIM_OK);
    assert_int_equal(found[0].sample, 1);
    assert_near(found[0].distance, 0, 0);
    /* a constant metric alone is nothing in common, nor is an empty query */
    assert_int_equal(mim_nearest_find(nearest, (double[D]){NAN, NAN, NAN, 5, NAN}, 4, found, &n),
                     MIM_OK);
    assert_int_equal(n, 0);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

static void test_beyond_the_range_is_its_end(void **state)
{
    (void)state;
    corpus c;
    mim_neighbour found[1];
    size_t n = 0;
    corpus_start(&c);
    add(&c, (double[D]){0, 0, 1000, 5, 0}, 0);
    add(&c, (double[D]){100, 100, 900, 5, 0}, 1); /* nearer to 50000 by much, if not cut */
    mim_nearest *nearest = index_of(&c);
    assert_int_equal(mim_nearest_find(nearest, (double[D]){0, 80, 50000, 5, NAN}, 1, found, &n),
                     MIM_OK);
    assert_int_equal(found[0].sample, 0);
    assert_near(found[0].distance, 0.8 / sqrt(3), 1e-7);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

static void test_of_equals_the_earlier(void **state)
{
    (void)state;
    corpus c;
    mim_neighbour found[2];
    size_t n = 0;
    corpus_start(&c);
    add(&c, (double[D]){90, 90, 0, 5, 0}, 0.9f);
    add(&c, (double[D]){40, 40, 0, 5, 0}, 0.1f);
    add(&c, (double[D]){60, 60, 0, 5, 0}, 0.2f); /* the same distance from 50 */
    add(&c, (double[D]){40, 40, 0, 5, 0}, 0.3f);
    mim_nearest *nearest = index_of(&c);
    assert_int_equal(mim_nearest_find(nearest, (double[D]){50, 50, 0, 5, NAN}, 2, found, &n),
                     MIM_OK);
    assert_int_equal(found[0].sample, 1);
    assert_int_equal(found[1].sample, 2);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

static double draw(uint64_t i, uint32_t which)
{
    return mim_rng_u01(1, MIM_STREAM_TEST, i, which, 0);
}

static void test_a_sample_finds_itself_and_order_is_that_of_a_sort(void **state)
{
    (void)state;
    corpus c;
    mim_neighbour found[MAX_SAMPLES];
    corpus_start(&c);
    for (uint64_t i = 0; i < MAX_SAMPLES; i++)
        add(&c,
            (double[D]){100 * draw(i, 0), 100 * draw(i, 1), draw(i, 5) < 0.3 ? NAN : draw(i, 2), 5,
                        0},
            (float)draw(i, 3));
    mim_nearest *nearest = index_of(&c);
    for (size_t i = 0; i < MAX_SAMPLES; i++) {
        double query[D] = {c.metric[i * D], c.metric[i * D + 1], NAN, NAN, NAN};
        bool is_seen[MAX_SAMPLES] = {false};
        size_t n = 0;
        assert_int_equal(mim_nearest_find(nearest, query, MAX_SAMPLES, found, &n), MIM_OK);
        assert_int_equal(n, MAX_SAMPLES);
        assert_int_equal(found[0].sample, i);
        assert_near(found[0].distance, 0, 0);
        for (size_t f = 0; f < n; f++) {
            assert_true(f == 0 || found[f - 1].distance <= found[f].distance);
            assert_false(is_seen[found[f].sample]);
            is_seen[found[f].sample] = true;
            const float *metric = c.metric + found[f].sample * D;
            assert_near(found[f].distance,
                        hypot(query[0] - (double)metric[0], query[1] - (double)metric[1]) / 100 /
                            sqrt(2),
                        1e-12);
        }
    }
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* A wanted series over the catalogue above; values: [n_slots][D]. */
static mim_series wanted_series(size_t n_slots, double *values, double *times)
{
    static mim_metric own[D];
    memcpy(own, metrics, sizeof own);
    for (size_t i = 0; i < n_slots; i++)
        times[i] = 1;
    return (mim_series){.n_slots = n_slots,
                        .n_metrics = D,
                        .metrics = own,
                        .values = values,
                        .start_s = times,
                        .length_s = times,
                        .n_records = n_slots + 1};
}

static void test_plan_of_the_nearest(void **state)
{
    (void)state;
    corpus c;
    mim_plan *plan = NULL;
    double times[4];
    corpus_start(&c);
    add(&c, (double[D]){80, 10, 0, 5, 0}, 0.8f);
    add(&c, (double[D]){10, 80, 0, 5, 8000}, 0.1f);
    /* memory in use is nothing that a plan is asked for; neither is what is constant */
    double values[4][D] = {
        {70, 20, 0, 9, 8000}, {20, 70, 0, NAN, 0}, {NAN, 90, NAN, 5, 0}, {NAN, NAN, NAN, 5, 8000}};
    mim_series wanted = wanted_series(4, values[0], times);
    mim_nearest *nearest = index_of(&c);
    assert_int_equal(mim_nearest_plan(nearest, &wanted, &plan), MIM_OK);
    assert_int_equal(mim_plan_n_windows(plan), 4);
    assert_int_equal(mim_plan_n_threads(plan), T);
    assert_int_equal(mim_plan_n_stressors(plan), S);
    assert_string_equal(mim_actions_name(mim_plan_actions(plan), 2), stressors[2]);
    static const float expected[3] = {0.8f, 0.1f, 0.1f};
    for (size_t slot = 0; slot < 3; slot++) {
        assert_near(mim_plan_weights(plan, slot, 0)[0], (double)expected[slot], 0);
        assert_near(mim_plan_weights(plan, slot, 1)[2], (double)(1 - expected[slot]), 0);
        assert_near(mim_plan_weights(plan, slot, 0)[1], 0, 0);
    }
    for (size_t w = 0; w < W; w++)
        assert_near(mim_plan_weights(plan, 3, 0)[w], 0, 0);
    assert_int_equal(mim_plan_validate(plan, "nearest"), MIM_OK);
    mim_plan_destroy(&plan);

    /* The corpus ran row 0 on CPU 1: the wanted row 0 is compared with that CPU's metric. */
    c.layout->thread_cpus[0] = 1;
    c.layout->thread_cpus[1] = 0;
    assert_int_equal(mim_nearest_plan(nearest, &wanted, &plan), MIM_OK);
    assert_near(mim_plan_weights(plan, 0, 0)[0], (double)0.1f, 0);
    assert_near(mim_plan_weights(plan, 1, 0)[0], (double)0.8f, 0);
    mim_plan_destroy(&plan);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

static void test_rows_above_one_by_rounding(void **state)
{
    (void)state;
    corpus c;
    mim_plan *plan = NULL;
    double times[1], values[D] = {50, 50, 0, 5, 0};
    corpus_start(&c);
    add(&c, (double[D]){50, 50, 0, 5, 0}, 0);
    const float row[S] = {0.7f, 0.2f, 0.1f}; /* in double: 1.0000000059... */
    memcpy(c.action, row, sizeof row);
    assert_true((double)row[0] + (double)row[1] + (double)row[2] != 1);
    c.action[0] = nextafterf(0.7f, 1);
    mim_series wanted = wanted_series(1, values, times);
    mim_nearest *nearest = index_of(&c);
    assert_int_equal(mim_nearest_plan(nearest, &wanted, &plan), MIM_OK);
    double sum = 0;
    for (size_t s = 0; s < S; s++)
        sum += mim_plan_weights(plan, 0, 0)[s];
    assert_true(sum <= 1 + 1e-15);
    assert_near(sum, 1, 1e-15);
    mim_plan_destroy(&plan);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

static void test_idw_by_hand(void **state)
{
    (void)state;
    corpus c;
    mim_plan *plan = NULL;
    double times[3];
    corpus_start(&c);
    /* 0.1, 0.2 and 0.4 from 0: shares 4/7, 2/7, 1/7; the last is the fourth nearest */
    add(&c, (double[D]){40, NAN, NAN, 5, 0}, 1);
    add(&c, (double[D]){10, NAN, NAN, 5, 0}, 0.5f);
    add(&c, (double[D]){20, NAN, NAN, 5, 0}, 0);
    add(&c, (double[D]){90, NAN, NAN, 5, 0}, 0.75f);
    double values[3][D] = {{0, NAN, NAN, NAN, NAN}, {15, NAN, NAN, NAN, NAN}, {90, 3, 3, 3, 3}};
    mim_series wanted = wanted_series(3, values[0], times);
    mim_nearest *nearest = index_of(&c);
    assert_int_equal(mim_idw_plan(nearest, &wanted, 3, &plan), MIM_OK);
    assert_near(mim_plan_weights(plan, 0, 0)[0], (4 * 0.5 + 2 * 0 + 1 * 1) / 7, 1e-7);
    assert_near(mim_plan_weights(plan, 0, 1)[2], (4 * 0.5 + 2 * 1 + 1 * 0) / 7, 1e-7);
    /* 15: 0.05 and 0.05 (a tie: both count), 0.25 */
    assert_near(mim_plan_weights(plan, 1, 0)[0], (0.5 + 0 + 1. / 5) / (2 + 1. / 5), 1e-6);
    /* a hit has nearly all of the weight */
    assert_near(mim_plan_weights(plan, 2, 0)[0], 0.75, 1e-6);
    mim_plan_destroy(&plan);
    /* more neighbours than samples are all of them; 0.9 away: 1/7.875 of ... */
    assert_int_equal(mim_idw_plan(nearest, &wanted, 100, &plan), MIM_OK);
    const double all = 1 / 0.1 + 1 / 0.2 + 1 / 0.4 + 1 / 0.9;
    assert_near(mim_plan_weights(plan, 0, 0)[0], (0.5 / 0.1 + 1 / 0.4 + 0.75 / 0.9) / all, 1e-7);
    mim_plan_destroy(&plan);
    assert_int_equal(mim_idw_plan(nearest, &wanted, 0, &plan), MIM_EINVAL);
    assert_null(plan);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

static void test_idw_of_one_is_the_nearest_and_means_stay_between(void **state)
{
    (void)state;
    corpus c;
    mim_plan *one = NULL, *nearest_plan = NULL, *five = NULL;
    double values[MAX_SAMPLES][D], times[MAX_SAMPLES];
    corpus_start(&c);
    for (uint64_t i = 0; i < MAX_SAMPLES; i++) {
        add(&c, (double[D]){100 * draw(i, 0), 100 * draw(i, 1), 1000 * draw(i, 2), 5, 0},
            (float)draw(i, 3));
        for (uint32_t m = 0; m < D; m++)
            values[i][m] = draw(i, 4) < 0.2 ? NAN : (m == IO_READ ? 1000 : 100) * draw(i, 10 + m);
    }
    mim_series wanted = wanted_series(MAX_SAMPLES, values[0], times);
    mim_nearest *nearest = index_of(&c);
    assert_int_equal(mim_idw_plan(nearest, &wanted, 1, &one), MIM_OK);
    assert_int_equal(mim_nearest_plan(nearest, &wanted, &nearest_plan), MIM_OK);
    assert_int_equal(mim_idw_plan(nearest, &wanted, MIM_IDW_NEIGHBOURS, &five), MIM_OK);
    for (size_t slot = 0; slot < MAX_SAMPLES; slot++) {
        mim_neighbour found[MIM_IDW_NEIGHBOURS];
        double query[D] = {values[slot][0], values[slot][1], values[slot][2], NAN, NAN};
        double low = 1, high = 0;
        size_t n = 0;
        assert_int_equal(mim_nearest_find(nearest, query, MIM_IDW_NEIGHBOURS, found, &n), MIM_OK);
        for (size_t i = 0; i < n; i++) {
            low = fmin(low, (double)found[i].action[0]);
            high = fmax(high, (double)found[i].action[0]);
        }
        for (size_t w = 0; w < W; w++)
            assert_near(mim_plan_weights(one, slot, 0)[w],
                        mim_plan_weights(nearest_plan, slot, 0)[w], 0);
        const double weight = mim_plan_weights(five, slot, 0)[0];
        assert_true(n == 0 ? weight == 0 : weight >= low - 1e-12 && weight <= high + 1e-12);
    }
    assert_int_equal(mim_plan_validate(five, "idw"), MIM_OK);
    mim_plan_destroy(&one);
    mim_plan_destroy(&nearest_plan);
    mim_plan_destroy(&five);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

/* ---- refusals and notes ---------------------------------------------------------------------- */

static void refuse_plan(const mim_nearest *nearest, const mim_series *wanted, int code,
                        const char *part)
{
    mim_plan *plan = NULL;
    assert_int_equal(mim_nearest_plan(nearest, wanted, &plan), code);
    assert_null(plan);
    if (!strstr(mim_error(), part))
        fail_msg("found \"%s\", expected \"%s\" in it", mim_error(), part);
    assert_int_equal(mim_idw_plan(nearest, wanted, MIM_IDW_NEIGHBOURS, &plan), code);
    assert_null(plan);
}

static void test_refusals(void **state)
{
    (void)state;
    corpus c;
    mim_nearest *nearest = NULL;
    double times[1], values[D] = {50, 50, 0, 5, 0};
    corpus_start(&c);
    assert_int_equal(mim_nearest_create(c.layout, range_min, range_max, &c.samples, &nearest),
                     MIM_EDATA);
    add(&c, (double[D]){50, 50, 0, 5, 0}, 0);
    c.is_validation[0] = 1;
    assert_int_equal(mim_nearest_create(c.layout, range_min, range_max, &c.samples, &nearest),
                     MIM_EDATA);
    assert_non_null(strstr(mim_error(), "1 for validation"));
    assert_null(nearest);
    assert_int_not_equal(mim_nearest_open("/none/corpus.h5", &nearest), MIM_OK);
    assert_null(nearest);

    c.is_validation[0] = 0;
    nearest = index_of(&c);
    mim_series wanted = wanted_series(1, values, times);
    mim_series none = wanted;
    wanted.metrics[CORE_1].core = -1; /* one core */
    refuse_plan(nearest, &wanted, MIM_EUNSUP, "of 2 threads, the plan has 1");
    none.n_metrics = 3;
    none.metrics += 2;
    none.values += 2;
    refuse_plan(nearest, &none, MIM_EDATA, "no CPU utilisation");
    mim_nearest_destroy(&nearest);

    static const double still[D] = {0};
    assert_int_equal(mim_nearest_create(c.layout, still, still, &c.samples, &nearest), MIM_OK);
    wanted = wanted_series(1, values, times);
    refuse_plan(nearest, &wanted, MIM_EDATA, "varies in no metric");
    mim_nearest_destroy(&nearest);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

static void test_outside_is_noted(void **state)
{
    (void)state;
    corpus c;
    char *note = NULL;
    double times[3];
    double values[3][D] = {
        {50, 100.05, 2000, 9, 9000}, {-1, 0, 1500, 9, 9000}, {50, NAN, 1000.5, 9, 9000}};
    corpus_start(&c);
    add(&c, (double[D]){50, 50, 0, 5, 0}, 0);
    mim_nearest *nearest = index_of(&c);
    mim_series wanted = wanted_series(3, values[0], times);
    assert_int_equal(mim_nearest_outside_note(nearest, &wanted, &note), MIM_OK);
    assert_string_equal(note, "2 metrics are outside what the corpus reached, most often io_read, "
                              "in 2 of 3 slots: taken as the end of its range");
    free(note);
    note = NULL;
    wanted.n_slots = 1;
    values[0][IO_READ] = 1000;
    assert_int_equal(mim_nearest_outside_note(nearest, &wanted, &note), MIM_OK);
    assert_null(note);
    mim_nearest_destroy(&nearest);
    corpus_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distances_by_hand),
        cmocka_unit_test(test_absent_metrics_are_left_out),
        cmocka_unit_test(test_beyond_the_range_is_its_end),
        cmocka_unit_test(test_of_equals_the_earlier),
        cmocka_unit_test(test_a_sample_finds_itself_and_order_is_that_of_a_sort),
        cmocka_unit_test(test_plan_of_the_nearest),
        cmocka_unit_test(test_rows_above_one_by_rounding),
        cmocka_unit_test(test_idw_by_hand),
        cmocka_unit_test(test_idw_of_one_is_the_nearest_and_means_stay_between),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_outside_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
