/* corpus/summary: hand-made tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "corpus/summary.h"

static void median_and_spread(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double values[5], median, spread;
    } table[] = {
        {1, {7}, 7, 0},
        {2, {1, 4}, 2.5, 1.5},
        {3, {1, 2, 100}, 2, 1}, /* an outlier moves neither */
        {4, {4, 1, 3, 2}, 2.5, 1},
        {5, {-5, -5, -5, -5, 9}, -5, 0},
        {3, {0, 0, 9}, 0, 0}, /* zeros are values: a metric zero in most repeats is zero */
        {4, {0, 0, 0, 0}, 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double median = -1, spread = -1;
        assert_int_equal(mim_summarize_slot(table[i].n, 1, 1, table[i].values, &median, &spread),
                         MIM_OK);
        assert_true(median == table[i].median);
        assert_true(spread == table[i].spread);
    }
}

static void absent_is_left_out(void **state)
{
    (void)state;
    /* 3 repeats of 3 metrics in rows of 4 */
    const double values[] = {1, NAN, NAN, -1, 5, NAN, 8, -1, 3, NAN, NAN, -1};
    double median[3], spread[3];
    assert_int_equal(mim_summarize_slot(3, 3, 4, values, median, spread), MIM_OK);
    assert_true(median[0] == 3 && spread[0] == 2);
    assert_true(isnan(median[1]) && isnan(spread[1]));
    assert_true(median[2] == 8 && spread[2] == 0);
}

static void no_repeat_is_absent(void **state)
{
    (void)state;
    double median = 0, spread = 0;
    assert_int_equal(mim_summarize_slot(0, 1, 1, &median, &median, &spread), MIM_OK);
    assert_true(isnan(median) && isnan(spread));
}

static void infinite_is_refused(void **state)
{
    (void)state;
    const double values[] = {1, INFINITY};
    double median = 5, spread = 6;
    assert_int_equal(mim_summarize_slot(2, 1, 1, values, &median, &spread), MIM_EINVAL);
    assert_true(median == 5 && spread == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median_and_spread),
        cmocka_unit_test(absent_is_left_out),
        cmocka_unit_test(no_repeat_is_absent),
        cmocka_unit_test(infinite_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
