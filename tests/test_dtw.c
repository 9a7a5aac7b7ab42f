#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "report/dtw.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

static double dtw(size_t n, const double *a, const double *b, size_t band)
{
    double distance = -1.0;
    assert_int_equal(mim_dtw(n, a, b, band, &distance), MIM_OK);
    return distance;
}

/* Worked by hand on squared paper; the path's cells stand beside each. */
static void test_hand_worked(void **state)
{
    (void)state;
    static const struct {
        size_t n, band;
        double a[5], b[5];
        double cost;
        double length;
    } cases[] = {
        {1, 1, {3}, {5}, 2, 1},
        /* (0,0) (1,1): both off by one */
        {2, 1, {0, 0}, {1, 1}, 2, 2},
        /* (0,0) (1,0) (2,1) (3,2) (3,3): the step is one slot later */
        {4, 1, {0, 0, 1, 1}, {0, 1, 1, 1}, 0, 4},
        /* a peak one slot later: (0,0) (0,1) (1,2) (2,3) (3,3) */
        {4, 1, {0, 4, 0, 0}, {0, 0, 4, 0}, 0, 5},
        /* two slots later, band 1: 4 at (1,0..2) cannot reach (1,3); the best is 4 + 4 on the
         * diagonal */
        {5, 1, {0, 4, 0, 0, 0}, {0, 0, 0, 4, 0}, 8, 5},
        /* the same with room: (0,0) (0,1) (0,2) (1,3) (2,4) (3,4) (4,4) */
        {5, 2, {0, 4, 0, 0, 0}, {0, 0, 0, 4, 0}, 0, 7},
        /* three ways of sum 3, two with 4 cells and the diagonal with 3: the shortest counts */
        {3, 1, {1, 3, 2}, {0, 2, 3}, 3, 3},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        double found = dtw(cases[i].n, cases[i].a, cases[i].b, cases[i].band);
        if (fabs(found - cases[i].cost / cases[i].length) > 1e-15)
            fail_msg("case %zu: expected %g/%g, found %g", i, cases[i].cost, cases[i].length,
                     found);
    }
}

static double mean_l1(size_t n, const double *a, const double *b)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += fabs(a[i] - b[i]);
    return sum / (double)n;
}

/* Exhaustive search over all paths of a small grid: smallest sum, then fewest cells. */
static void all_paths(size_t n, size_t band, const double *a, const double *b, size_t i, size_t j,
                      double cost, size_t length, double best[2])
{
    if ((i > j ? i - j : j - i) > band)
        return;
    cost += fabs(a[i] - b[j]);
    length++;
    if (i == n - 1 && j == n - 1) {
        if (cost < best[0] || (cost == best[0] && (double)length < best[1])) {
            best[0] = cost;
            best[1] = (double)length;
        }
        return;
    }
    if (i + 1 < n)
        all_paths(n, band, a, b, i + 1, j, cost, length, best);
    if (j + 1 < n)
        all_paths(n, band, a, b, i, j + 1, cost, length, best);
    if (i + 1 < n && j + 1 < n)
        all_paths(n, band, a, b, i + 1, j + 1, cost, length, best);
}

static void test_against_exhaustive_search(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int trial = 0; trial < 200; trial++) {
        double a[6], b[6], best[2] = {INFINITY, INFINITY};
        const size_t n = 1 + (size_t)trial % 6, band = 1 + (size_t)trial % 3;
        for (size_t i = 0; i < n; i++) {
            /* small whole numbers: sums are exact and ties are frequent */
            seed = seed * 1664525u + 1013904223u;
            a[i] = (double)(seed >> 29);
            seed = seed * 1664525u + 1013904223u;
            b[i] = (double)(seed >> 29);
        }
        all_paths(n, band, a, b, 0, 0, 0.0, 0, best);
        assert_true(dtw(n, a, b, band) == best[0] / best[1]);
    }
}

static void test_properties(void **state)
{
    (void)state;
    enum { N = 120 };
    double a[N], b[N], shifted[N];
    for (size_t i = 0; i < N; i++) {
        a[i] = sin(0.3 * (double)i) + 0.2 * (double)(i % 7);
        b[i] = cos(0.2 * (double)i);
        shifted[i] = sin(0.3 * ((double)i - 1.0)) + 0.2 * (double)((i + 6) % 7);
    }
    assert_true(dtw(N, a, a, 12) == 0.0);
    assert_true(dtw(N, a, b, 12) == dtw(N, b, a, 12));
    assert_true(dtw(N, a, b, 12) > 0.0);
    assert_true(dtw(N, a, b, 12) <= mean_l1(N, a, b));
    /* A shift by one slot is much cheaper than slot by slot. */
    assert_true(dtw(N, a, shifted, 12) < 0.1 * mean_l1(N, a, shifted));
    /* Band 0 is slot by slot. */
    assert_true(fabs(dtw(N, a, b, 0) - mean_l1(N, a, b)) < 1e-12);
    /* A band beyond the curve is the same as no band. */
    assert_true(dtw(N, a, b, SIZE_MAX) == dtw(N, a, b, N));
}

static void test_refuses(void **state)
{
    (void)state;
    double good[2] = {0, 1}, absent[2] = {0, NAN}, endless[2] = {INFINITY, 0}, distance = 7.0;
    assert_int_equal(mim_dtw(0, good, good, 1, &distance), MIM_EINVAL);
    assert_int_equal(mim_dtw(2, good, absent, 1, &distance), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "second"));
    assert_int_equal(mim_dtw(2, endless, good, 1, &distance), MIM_EINVAL);
    assert_true(distance == 7.0); /* untouched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_worked),
        cmocka_unit_test(test_against_exhaustive_search),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
