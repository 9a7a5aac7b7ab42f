/* trace/adapt: what a trace asks for on another node, and trace/accept: which slots count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/accept.h"
#include "trace/adapt.h"

/* One slot: core i is busy for busy[i] %, and KB/s read and written. */
static mim_series *series_of(size_t n_cores, const double *busy, double read_kbs, double write_kbs)
{
    char text[16384], *p = text;
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    p += sprintf(p, "$hpcperfstats 2.4\n$hostname n\n!block rd_sectors,E wr_sectors,E\n"
                    "!cpu user,E nice,E system,E idle,E iowait,E irq,E softirq,E\n\n");
    for (int record = 0; record < 2; record++) {
        p += sprintf(p, "%d 0 n\nblock sda %.0f %.0f\n", record, 2 * record * read_kbs,
                     2 * record * write_kbs);
        for (size_t i = 0; i < n_cores; i++)
            p += sprintf(p, "cpu %zu %.0f 0 0 %.0f 0 0 0\n", i, record * busy[i],
                         record * (100 - busy[i]));
    }
    if (mim_stats_parse("t", text, (size_t)(p - text), &stats) != MIM_OK ||
        mim_series_create(stats, NULL, &series) != MIM_OK)
        fail_msg("%s", mim_error());
    mim_stats_destroy(&stats);
    return series;
}

/* ---- cores --------------------------------------------------------------------------------------
 */

static void test_cores(void **state)
{
    (void)state;
    static const struct {
        size_t n_wanted, n_cores, n_sockets;
        double wanted[8], expected[8];
    } cases[] = {
        {2, 2, 1, {70, 10}, {70, 10}},         /* as many: core by core */
        {2, 4, 1, {70, 10}, {10, 10, 70, 70}}, /* each rank twice */
        {4, 2, 1, {40, 10, 30, 20}, {15, 35}}, /* means of neighbouring ranks */
        {4, 2, 2, {90, 10, 30, 50}, {50, 40}}, /* each socket by itself */
        {4, 4, 2, {90, 10, 30, 50}, {90, 10, 30, 50}},
        {3, 2, 1, {0, 60, 90}, {20, 80}}, /* 0 and half of 60; the other half, 90 */
        {2, 3, 1, {30, 90}, {30, 60, 90}},
        {1, 4, 2, {25}, {25, 25, 25, 25}}, /* fewer cores than sockets */
        {4, 1, 1, {0, 0, 100, 100}, {50}},
        {4, 8, 2, {10, 20, 30, 40}, {10, 10, 20, 20, 30, 30, 40, 40}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mim_series *wanted = series_of(cases[c].n_wanted, cases[c].wanted, 0, 0);
        mim_adaptation *a = NULL;
        mim_node_limits limits = {.n_cores = cases[c].n_cores, .n_sockets = cases[c].n_sockets};
        assert_int_equal(mim_adapt(wanted, &limits, &a), MIM_OK);
        assert_int_equal(mim_series_n_cores(a->series), cases[c].n_cores);
        assert_int_equal(a->n_notes, cases[c].n_wanted != cases[c].n_cores);
        double sum = 0, wanted_sum = 0;
        for (size_t i = 0; i < cases[c].n_cores; i++) {
            double found = mim_series_at(a->series, 0, i);
            if (fabs(found - cases[c].expected[i]) > 1e-9)
                fail_msg("case %zu: core %zu: expected %g, found %g", c, i, cases[c].expected[i],
                         found);
            assert_int_equal(a->series->metrics[i].core, i);
            sum += found;
        }
        for (size_t i = 0; i < cases[c].n_wanted; i++)
            wanted_sum += cases[c].wanted[i];
        assert_true(fabs(sum / (double)cases[c].n_cores - wanted_sum / (double)cases[c].n_wanted) <
                    1e-9);
        mim_adaptation_destroy(&a);
        assert_null(a);
        mim_series_destroy(&wanted);
    }
}

/* The mean over all cores stays, for any numbers of cores, in a real trace too. */
static void test_mean_stays(void **state)
{
    (void)state;
    mim_series *wanted = NULL;
    assert_int_equal(mim_series_read("tests/data/traces/stats-fio.txt", NULL, &wanted), MIM_OK);
    for (size_t n = 1; n <= 130; n++) {
        mim_adaptation *a = NULL;
        assert_int_equal(mim_adapt(wanted, &(mim_node_limits){.n_cores = n, .n_sockets = 1}, &a),
                         MIM_OK);
        assert_int_equal(a->series->n_metrics, wanted->n_metrics - 2 + n);
        for (size_t m = 1; m < a->series->n_metrics; m++)
            assert_true(strcmp(a->series->metrics[m - 1].name, a->series->metrics[m].name) < 0);
        for (size_t slot = 0; slot < wanted->n_slots; slot++) {
            double mean = 0;
            for (size_t i = 0; i < n; i++)
                mean += mim_series_at(a->series, slot, i) / (double)n;
            double expected =
                0.5 * (mim_series_at(wanted, slot, 0) + mim_series_at(wanted, slot, 1));
            assert_true(fabs(mean - expected) < 1e-9);
            assert_true(a->series->start_s[slot] == wanted->start_s[slot]);
        }
        mim_adaptation_destroy(&a);
    }
    mim_series_destroy(&wanted);
}

static void test_absent_cores(void **state)
{
    (void)state;
    mim_series *wanted = series_of(4, (double[]){10, 20, 30, 40}, 0, 0);
    mim_adaptation *a = NULL;
    wanted->values[1] = NAN;
    assert_int_equal(mim_adapt(wanted, &(mim_node_limits){.n_cores = 2, .n_sockets = 2}, &a),
                     MIM_OK);
    assert_true(mim_series_at(a->series, 0, 0) == 10 && mim_series_at(a->series, 0, 1) == 35);
    mim_adaptation_destroy(&a);
    wanted->values[0] = NAN;
    assert_int_equal(mim_adapt(wanted, &(mim_node_limits){.n_cores = 2, .n_sockets = 2}, &a),
                     MIM_OK);
    assert_true(isnan(mim_series_at(a->series, 0, 0)));
    mim_adaptation_destroy(&a);
    mim_series_destroy(&wanted);
}

/* ---- rates --------------------------------------------------------------------------------------
 */

static void test_rates(void **state)
{
    (void)state;
    static const struct {
        double read_max, write_max, read, write;
        size_t n_notes;
    } cases[] = {
        {NAN, 0, 1000, 400, 0},     /* ceilings not known */
        {1000, 5000, 1000, 400, 0}, /* not exceeded */
        {250, 5000, 250, 400, 1},
        {250, 100, 250, 100, 2},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mim_series *wanted = series_of(1, (double[]){50}, 1000, 400);
        mim_adaptation *a = NULL;
        mim_node_limits limits = {1, 1, cases[c].read_max, cases[c].write_max};
        assert_int_equal(mim_adapt(wanted, &limits, &a), MIM_OK);
        assert_int_equal(a->n_notes, cases[c].n_notes);
        double read = mim_series_at(a->series, 0, mim_series_find(a->series, "io_read"));
        double write = mim_series_at(a->series, 0, mim_series_find(a->series, "io_write"));
        assert_true(fabs(read - cases[c].read) < 1e-9 && fabs(write - cases[c].write) < 1e-9);
        if (cases[c].n_notes)
            assert_non_null(strstr(a->notes[0], "io_read is scaled by 0.25"));
        mim_adaptation_destroy(&a);
        mim_series_destroy(&wanted);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    mim_series *wanted = series_of(1, (double[]){50}, 1, 1);
    mim_adaptation *a = NULL;
    assert_int_equal(mim_adapt(wanted, &(mim_node_limits){.n_cores = 0, .n_sockets = 1}, &a),
                     MIM_EINVAL);
    assert_int_equal(mim_adapt(wanted, &(mim_node_limits){.n_cores = 2, .n_sockets = 0}, &a),
                     MIM_EINVAL);
    assert_null(a);
    mim_series_destroy(&wanted);
}

/* ---- accepted slots -----------------------------------------------------------------------------
 */

static void test_accept(void **state)
{
    (void)state;
    /* Two CPUs, slots of 1 s = 200 cs: user + idle + steal, own CPU time in us. */
    static const struct {
        int user_cs, idle_cs, steal_cs, own_us;
        bool is_accepted;
    } slots[] = {
        {150, 50, 0, 1500000, true},  /* all ours */
        {150, 50, 0, 1470000, true},  /* 1.5 % by others */
        {150, 50, 0, 1450000, false}, /* 2.5 % */
        {148, 50, 2, 1480000, true},  /* 1 % stolen */
        {147, 50, 3, 1470000, false}, /* 1.5 % stolen */
        {0, 200, 0, 0, true},         /* idle */
        {150, 52, 0, 1500000, true},  /* idle counted a bit too much: others below 0 */
    };
    enum { N = sizeof slots / sizeof *slots };
    char text[8192], *p = text;
    p += sprintf(p,
                 "$hpcperfstats 2.4\n!cpu user,E nice,E system,E idle,E iowait,E irq,E softirq,E\n"
                 "!x_cpu steal,E guest,E guest_nice,E\n"
                 "!x_slot slot begin_us,E late_us own_cpu_us,E\n\n");
    int user = 0, idle = 0, steal = 0, own = 0;
    for (int i = 0; i <= N + 1; i++) { /* the last record has no x_slot row */
        p += sprintf(p, "%d 0 n\ncpu 0 %d 0 0 %d 0 0 0\ncpu 1 0 0 0 0 0 0 0\n", i, user, idle);
        p += sprintf(p, "x_cpu 0 %d 0 0\nx_cpu 1 0 0 0\n", steal);
        p += i <= N ? sprintf(p, "x_slot - 0 0 0 %d\n", own) : 0;
        if (i < N) {
            user += slots[i].user_cs;
            idle += slots[i].idle_cs;
            steal += slots[i].steal_cs;
            own += slots[i].own_us;
        }
    }
    mim_stats *stats = NULL;
    mim_series *series = NULL;
    mim_accept *accept = NULL;
    assert_int_equal(mim_stats_parse("t", text, (size_t)(p - text), &stats), MIM_OK);
    assert_int_equal(mim_series_create(stats, NULL, &series), MIM_OK);
    assert_int_equal(mim_accept_create(series, &accept), MIM_OK);
    assert_true(accept->is_known);
    assert_int_equal(accept->n_slots, N + 1);
    for (size_t i = 0; i < N; i++)
        if (accept->is_accepted[i] != slots[i].is_accepted)
            fail_msg("slot %zu", i);
    assert_false(accept->is_accepted[N]);
    assert_int_equal(accept->n_absent, 1);
    assert_int_equal(accept->n_accepted, 5);
    assert_int_equal(accept->n_stolen, 1);
    assert_int_equal(accept->n_others, 1);
    mim_accept_destroy(&accept);
    assert_null(accept);
    mim_series_destroy(&series);
    mim_stats_destroy(&stats);
}

static void test_accept_unknown(void **state)
{
    (void)state;
    mim_series *series = series_of(2, (double[]){1, 2}, 0, 0);
    mim_accept *accept = NULL;
    assert_int_equal(mim_accept_create(series, &accept), MIM_OK);
    assert_false(accept->is_known);
    assert_false(accept->is_accepted[0]);
    assert_int_equal(accept->n_accepted, 0);
    mim_accept_destroy(&accept);
    mim_series_destroy(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores),          cmocka_unit_test(test_mean_stays),
        cmocka_unit_test(test_absent_cores),   cmocka_unit_test(test_rates),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_accept),
        cmocka_unit_test(test_accept_unknown),
    };
    return cmocka_run_group_tests_name("adapt", tests, NULL, NULL);
}
