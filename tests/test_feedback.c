/* The closed loop against a model of a CPU: closed forms of its step response for every gain, no
 * change of sign, cuts at 0 and 1 without winding up. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/feedback.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

/* One slot of a CPU whose others want `others`: both get what they ask for, or shares of a full
 * CPU. Gives the utilisation. */
static double run_slot(mim_feedback *f, double planned, double others)
{
    double asked = mim_feedback_share(f, planned), sum = asked + others;
    double own = sum > 1.0 ? asked / sum : asked;
    double utilisation = fmin(sum, 1.0);
    mim_feedback_take(f, utilisation, own);
    return utilisation;
}

static void test_step_response(void **state)
{
    (void)state;
    static const double gains[] = {0.05, 0.25, 0.5, 0.75, 1.0}, steps[] = {0.02, 0.2, 0.45};
    for (size_t g = 0; g < 5; g++) {
        for (size_t s = 0; s < 3; s++) {
            mim_feedback f;
            mim_feedback_start(&f, gains[g]);
            for (int k = 0; k < 200; k++) {
                double error = run_slot(&f, 0.5, steps[s]) - 0.5;
                assert_near(error, steps[s] * pow(1.0 - gains[g], k), 1e-12);
                assert_true(error >= -1e-12); /* never below the plan: no overshoot */
            }
            assert_near(run_slot(&f, 0.5, steps[s]), 0.5, 2e-5);
        }
    }
}

static void test_converges_within_a_few_slots(void **state)
{
    (void)state;
    static const struct {
        double gain;
        int n_slots; /* until a step of 30 points is within 1 */
    } expected[] = {{1.0, 1}, {0.75, 3}, {0.5, 5}, {0.25, 12}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        mim_feedback f;
        mim_feedback_start(&f, expected[i].gain);
        int n = 0;
        while (fabs(run_slot(&f, 0.6, 0.3) - 0.6) > 0.01)
            n++;
        assert_int_equal(n, expected[i].n_slots);
    }
}

static void test_changes_of_the_plan_are_no_errors(void **state)
{
    (void)state;
    static const double plan[] = {0.5, 0.9, 0.2, 0.0, 0.7, 1.0, 0.35};
    mim_feedback f;
    mim_feedback_start(&f, 0.5);
    for (int k = 0; k < 60; k++)
        run_slot(&f, 0.5, 0.1);
    for (size_t i = 0; i < sizeof plan / sizeof *plan; i++)
        assert_near(run_slot(&f, plan[i], 0.1), fmax(plan[i], 0.1), 1e-9);
}

static void test_nothing_winds_up(void **state)
{
    (void)state;
    mim_feedback f;
    mim_feedback_start(&f, 0.5);
    /* Others alone are above the plan for long: the row yields, and is back at once after that. */
    for (int k = 0; k < 1000; k++)
        run_slot(&f, 0.3, 0.8);
    assert_near(mim_feedback_share(&f, 0.3), 0.0, 1e-12);
    assert_near(f.others, 0.8, 1e-9);
    int n = 0;
    while (fabs(run_slot(&f, 0.3, 0.0) - 0.3) > 0.01)
        n++;
    assert_true(n <= 7);
    /* A full CPU: what others took of the row's share is no debt. */
    mim_feedback_start(&f, 1.0);
    for (int k = 0; k < 1000; k++)
        run_slot(&f, 1.0, 1.0);
    assert_true(f.others >= 0.0 && f.others <= 1.0);
    run_slot(&f, 1.0, 0.0);
    assert_near(run_slot(&f, 1.0, 0.0), 1.0, 1e-12);
}

/* Others that are there every second slot: the error stays within theirs, whatever the gain. */
static void test_an_alternating_load_does_not_grow(void **state)
{
    (void)state;
    for (double gain = 0.05; gain <= 1.0; gain += 0.05) {
        mim_feedback f;
        mim_feedback_start(&f, gain);
        for (int k = 0; k < 400; k++) {
            double error = run_slot(&f, 0.5, k % 2 ? 0.2 : 0.0) - 0.5;
            assert_true(fabs(error) <= 0.2 + 1e-12);
        }
    }
}

static void test_noise_of_ticks_is_bounded(void **state)
{
    (void)state;
    mim_feedback f;
    mim_feedback_start(&f, 0.5);
    uint32_t x = 1;
    for (int k = 0; k < 2000; k++) { /* utilisation in 100ths with a random rounding */
        x = x * 1664525u + 1013904223u;
        double asked = mim_feedback_share(&f, 0.5);
        double shown = floor(100.0 * (asked + 0.1) + (double)(x >> 8) / 16777216.0) / 100.0;
        mim_feedback_take(&f, shown, asked);
        if (k > 20)
            assert_near(mim_feedback_share(&f, 0.5), 0.4, 0.0101);
    }
}

static void test_what_tells_nothing_is_left_out(void **state)
{
    (void)state;
    mim_feedback f;
    mim_feedback_start(&f, 1.0);
    mim_feedback_take(&f, 0.7, 0.5);
    assert_near(f.others, 0.2, 1e-12);
    mim_feedback_take(&f, NAN, 0.5);
    mim_feedback_take(&f, 0.5, INFINITY);
    assert_near(f.others, 0.2, 1e-12);
    mim_feedback_take(&f, 0.1, 0.9); /* less than we used ourselves: counters' error */
    assert_near(f.others, -MIM_FEEDBACK_MAX_UNSEEN, 1e-12);
    assert_near(mim_feedback_share(&f, 0.5), 0.5 + MIM_FEEDBACK_MAX_UNSEEN, 1e-12);
    assert_near(mim_feedback_share(&f, 1.0), 1.0, 1e-12);
    assert_near(mim_feedback_share(&f, 0.0), 0.0, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_response),
        cmocka_unit_test(test_converges_within_a_few_slots),
        cmocka_unit_test(test_changes_of_the_plan_are_no_errors),
        cmocka_unit_test(test_nothing_winds_up),
        cmocka_unit_test(test_an_alternating_load_does_not_grow),
        cmocka_unit_test(test_noise_of_ticks_is_bounded),
        cmocka_unit_test(test_what_tells_nothing_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
