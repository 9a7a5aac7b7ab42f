#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/quantile.h"

static void test_table(void **state)
{
    (void)state;
    const double values[] = {4.0, 1.0, 3.0, 2.0, 5.0};
    const struct {
        size_t n;
        double q, expected;
    } cases[] = {
        {5, 0.0, 1.0}, {5, 1.0, 5.0}, {5, 0.5, 3.0},  {5, 0.25, 2.0},
        {5, 0.9, 4.6}, {4, 0.5, 2.5}, {1, 0.99, 4.0}, {2, 0.5, 2.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double found = -1.0;
        assert_int_equal(mim_quantile(values, cases[i].n, cases[i].q, &found), MIM_OK);
        assert_true(fabs(found - cases[i].expected) < 1e-12);
    }
    assert_true(values[0] == 4.0); /* left as they were */
}

static void test_none(void **state)
{
    (void)state;
    double found = 0.0;
    assert_int_equal(mim_quantile(NULL, 0, 0.5, &found), MIM_OK);
    assert_true(isnan(found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
