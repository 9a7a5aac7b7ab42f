/* Marks of slots from a run's stats text, against figures worked out by hand; windows that lack an
 * undisturbed slot over several runs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/disturbance.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

/* Two CPUs, slots of a second: 100 ticks each. */
static const char header[] = "$hpcperfstats 2.4\n$hostname n\n"
                             "!cpu user,E nice,E system,E idle,E iowait,E irq,E softirq,E\n"
                             "!x_cpu steal,E,U=cs\n!x_psi some_us,E full_us,E\n"
                             "!x_slot slot begin_us,E late_us own_cpu_us,E\n\n";

typedef struct edge { /* sums since the begin */
    int idle, steal[2], own_us, psi_io_us;
} edge;

static mim_stats *text_of(size_t n, const edge *edges, bool is_told)
{
    char text[8192];
    size_t at = (size_t)snprintf(text, sizeof text, "%s", header);
    mim_stats *stats = NULL;
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "%zu.000000 job n\ncpu 0 0 0 0 %d 0 0 0\ncpu 1 0 0 0 %d 0 0 0\n",
                               1000 + i, edges[i].idle, edges[i].idle);
        if (is_told)
            at += (size_t)snprintf(text + at, sizeof text - at,
                                   "x_cpu 0 %d\nx_cpu 1 %d\nx_psi io %d 0\nx_slot - %zu 0 0 %d\n",
                                   edges[i].steal[0], edges[i].steal[1], edges[i].psi_io_us, i,
                                   edges[i].own_us);
        at += (size_t)snprintf(text + at, sizeof text - at, "\n");
    }
    if (mim_stats_parse("run", text, at, &stats) != MIM_OK)
        fail_msg("%s", mim_error());
    return stats;
}

static double figure(const mim_disturbance *d, const char *name, size_t slot)
{
    for (size_t f = 0; f < MIM_DISTURBANCE_N_FIGURES; f++)
        if (strcmp(mim_disturbance_figures[f], name) == 0)
            return d->figures[f][slot];
    fail_msg("no figure %s", name);
    return NAN;
}

static void test_marks(void **state)
{
    (void)state;
    /* Half of both CPUs is idle; we use the other half. Then: 2 of 100 ticks stolen on both; others
     * use 10 % of both; as at first, with stalls of a quarter. */
    const edge edges[] = {{0, {0, 0}, 0, 0},
                          {50, {0, 0}, 1000000, 0},
                          {98, {2, 2}, 2000000, 0},
                          {138, {2, 2}, 3000000, 0},
                          {188, {2, 2}, 4000000, 250000}};
    mim_stats *stats = text_of(5, edges, true);
    mim_disturbance *d = NULL;
    assert_int_equal(mim_disturbance_read(stats, 4, &d), MIM_OK);
    assert_true(d->is_known);
    assert_int_equal(d->n_accepted, 2);
    const bool expected[] = {true, false, false, true};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(d->is_accepted[i], expected[i]);
    assert_near(figure(d, "steal_pct", 0), 0.0, 1e-9);
    assert_near(figure(d, "steal_pct", 1), 2.0, 1e-9);
    assert_near(figure(d, "others_cpu_pct", 2), 10.0, 1e-6);
    assert_near(figure(d, "psi_io_some", 3), 25.0, 1e-9);
    assert_true(isnan(figure(d, "psi_memory_full", 0))); /* the text does not have it */
    mim_disturbance_destroy(&d);
    assert_null(d);
    mim_stats_destroy(&stats);
}

static void test_unknown(void **state)
{
    (void)state;
    const edge edges[3] = {{0, {0, 0}, 0, 0}, {50, {0, 0}, 1, 0}, {100, {0, 0}, 2, 0}};
    static const struct {
        size_t n_records, n_slots;
        bool is_told;
    } table[] = {
        {3, 2, false}, /* neither steal nor our own use */
        {3, 3, true},  /* slots of the run that the text does not have */
        {3, 1, true},
        {1, 0, true}, /* stopped before the first slot ended */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mim_stats *stats = text_of(table[i].n_records, edges, table[i].is_told);
        mim_disturbance *d = NULL;
        assert_int_equal(mim_disturbance_read(stats, table[i].n_slots, &d), MIM_OK);
        assert_false(d->is_known);
        assert_int_equal(d->n_accepted, 0);
        for (size_t slot = 0; slot < table[i].n_slots; slot++) {
            assert_false(d->is_accepted[slot]);
            assert_true(isnan(figure(d, "steal_pct", slot)));
        }
        mim_disturbance_destroy(&d);
        mim_stats_destroy(&stats);
    }
    mim_stats *one = text_of(1, edges, true);
    mim_disturbance *d = NULL;
    assert_int_equal(mim_disturbance_read(one, 1, &d), MIM_EDATA);
    mim_stats_destroy(&one);
}

static void test_lacking_windows(void **state)
{
    (void)state;
    /* Windows 1 to 3 run twice, with an idle slot after each pass. */
    const size_t windows[] = {1, 2, 3, SIZE_MAX, 1, 2, 3, SIZE_MAX};
    bool first[] = {true, false, false, true, false, false, false, true},
         second[] = {false, false, false, false, false, true, false, false},
         lacks[4] = {false, true, true, true};
    const mim_disturbance runs[] = {{.n_slots = 8, .is_known = true, .is_accepted = first},
                                    {.n_slots = 8, .is_known = true, .is_accepted = second}};
    assert_int_equal(mim_disturbance_lacking(&runs[0], windows, 4, lacks), 2);
    const bool after_first[] = {false, false, true, true},
               after_both[] = {false, false, false, true};
    assert_memory_equal(lacks, after_first, sizeof lacks);
    assert_int_equal(mim_disturbance_lacking(&runs[1], windows, 4, lacks), 1);
    assert_memory_equal(lacks, after_both, sizeof lacks);
    assert_int_equal(mim_disturbance_lacking(&runs[0], windows, 4, lacks), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_lacking_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
