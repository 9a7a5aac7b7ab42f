#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rng.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))

/* Random123's published kat_vectors, philox 4x32 with 10 rounds. */
static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
         {UINT32_MAX, UINT32_MAX},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        uint32_t out[4];
        mim_rng_philox4x32(cases[i].counter, cases[i].key, out);
        assert_memory_equal(out, cases[i].expected, sizeof out);
    }
}

/* The first known answer through the numbers themselves: stream 0, seed 0, a = b = 0. */
static void test_numbers_are_the_words(void **state)
{
    (void)state;
    static const uint32_t words[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    for (uint32_t draw = 0; draw < 4; draw++)
        assert_int_equal(mim_rng_u32(0, MIM_STREAM_TEST, 0, 0, draw), words[draw]);
    for (uint32_t draw = 0; draw < 2; draw++) {
        uint64_t bits = (uint64_t)words[2 * draw] << 32 | words[2 * draw + 1];
        assert_true(mim_rng_u01(0, MIM_STREAM_TEST, 0, 0, draw) ==
                    ldexp((double)(bits >> 11), -53));
    }
}

/* Many at a time, from any first draw, are the numbers one by one. */
static void test_filling_is_asking_one_by_one(void **state)
{
    (void)state;
    for (uint32_t first = 0; first < 6; first++)
        for (size_t n = 0; n < 10; n++) {
            uint32_t out[10] = {0};
            mim_rng_fill_u32(9, MIM_STREAM_TEST, 1, 2, first, n, out);
            for (size_t i = 0; i < 10; i++)
                assert_int_equal(
                    out[i], i < n ? mim_rng_u32(9, MIM_STREAM_TEST, 1, 2, first + (uint32_t)i) : 0);
        }
}

/* The same number in any order of calls, and another one when any argument differs. */
static void test_pure_function_of_all_arguments(void **state)
{
    (void)state;
    enum { N = 64 };
    double forward[N];
    for (uint32_t i = 0; i < N; i++)
        forward[i] = mim_rng_u01(42, MIM_STREAM_PLAN, 7, 3, i);
    for (uint32_t i = N; i-- > 0;) {
        mim_rng_normal(i, MIM_STREAM_NOISE, i, i, i);
        assert_true(mim_rng_u01(42, MIM_STREAM_PLAN, 7, 3, i) == forward[i]);
    }
    const uint64_t high = UINT64_C(1) << 32;
    const uint32_t base = mim_rng_u32(42, MIM_STREAM_PLAN, 7, 3, 0);
    assert_int_not_equal(mim_rng_u32(43, MIM_STREAM_PLAN, 7, 3, 0), base);
    assert_int_not_equal(mim_rng_u32(42 + high, MIM_STREAM_PLAN, 7, 3, 0), base);
    assert_int_not_equal(mim_rng_u32(42, MIM_STREAM_NOISE, 7, 3, 0), base);
    assert_int_not_equal(mim_rng_u32(42, MIM_STREAM_PLAN, 8, 3, 0), base);
    assert_int_not_equal(mim_rng_u32(42, MIM_STREAM_PLAN, 7 + high, 3, 0), base);
    assert_int_not_equal(mim_rng_u32(42, MIM_STREAM_PLAN, 7, 4, 0), base);
    assert_int_not_equal(mim_rng_u32(42, MIM_STREAM_PLAN, 7, 3, 1), base);
}

/* Many draws of one stream must not run into the numbers of the next. */
static void test_streams_stay_apart(void **state)
{
    (void)state;
    for (uint32_t shift = 16; shift < 32; shift++)
        for (uint32_t draw = 0; draw < 4; draw++) {
            uint32_t far = mim_rng_u32(1, MIM_STREAM_TEST, 0, 0, (UINT32_C(1) << shift) + draw);
            for (int stream = MIM_STREAM_TEST; stream <= MIM_STREAM_FAULT; stream++)
                assert_int_not_equal(mim_rng_u32(1, (mim_stream)stream, 0, 0, draw), far);
        }
    /* not even for the largest draws of the functions that use more than one word */
    double last = mim_rng_normal(1, MIM_STREAM_TEST, 0, 0, UINT32_MAX);
    assert_true(last != mim_rng_normal(1, MIM_STREAM_TEST, 0, 0, UINT32_MAX / 2));
    assert_true(mim_rng_u01(1, MIM_STREAM_TEST, 0, 0, UINT32_MAX) !=
                mim_rng_u01(1, MIM_STREAM_TEST, 0, 0, UINT32_MAX / 2));
}

/* Chi square over 64 cells, 63 degrees of freedom: 99.99 % of truly uniform ones are below 112.0.
 * The numbers are fixed, so this is not a matter of luck. */
static void test_uniform(void **state)
{
    (void)state;
    enum { N = 200000, N_CELLS = 64 };
    size_t cells[N_CELLS] = {0};
    double sum = 0.0, squares = 0.0;
    for (uint32_t i = 0; i < N; i++) {
        double u = mim_rng_u01(1, MIM_STREAM_TEST, i / 1000, i % 1000, i % 7);
        assert_true(u >= 0.0 && u < 1.0);
        cells[(size_t)(u * N_CELLS)]++;
        sum += u;
        squares += u * u;
    }
    double chi = 0.0, expected = (double)N / N_CELLS;
    for (size_t i = 0; i < N_CELLS; i++)
        chi += ((double)cells[i] - expected) * ((double)cells[i] - expected) / expected;
    assert_true(chi < 112.0);
    /* mean 1/2, second moment 1/3; four standard errors */
    assert_true(fabs(sum / N - 0.5) < 4.0 * sqrt(1.0 / 12.0 / N));
    assert_true(fabs(squares / N - 1.0 / 3.0) < 4.0 * sqrt(4.0 / 45.0 / N));
}

/* Moments 0, 1, 0, 3 of the normal distribution within four standard errors (variances of the
 * powers: 1, 2, 15, 96), and the share beyond one and two standard deviations. */
static void test_normal(void **state)
{
    (void)state;
    enum { N = 200000 };
    double sums[4] = {0}, beyond1 = 0.0, beyond2 = 0.0, cross = 0.0, before = 0.0;
    for (uint32_t i = 0; i < N; i++) {
        double x = mim_rng_normal(9, MIM_STREAM_NOISE, i, 5, i % 3);
        assert_true(isfinite(x));
        sums[0] += x;
        sums[1] += x * x;
        sums[2] += x * x * x;
        sums[3] += x * x * x * x;
        beyond1 += fabs(x) > 1.0;
        beyond2 += fabs(x) > 2.0;
        cross += x * before;
        before = x;
    }
    static const double expected[] = {0, 1, 0, 3}, variance[] = {1, 2, 15, 96};
    for (size_t k = 0; k < 4; k++)
        assert_true(fabs(sums[k] / N - expected[k]) < 4.0 * sqrt(variance[k] / N));
    assert_true(fabs(beyond1 / N - 0.3173105) < 4.0 * sqrt(0.3173 * 0.6827 / N));
    assert_true(fabs(beyond2 / N - 0.0455003) < 4.0 * sqrt(0.0455 * 0.9545 / N));
    assert_true(fabs(cross / N) < 4.0 / sqrt(N));
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* 2000 numbers of 32 bits: 0.0005 pairs are expected to be equal. */
static void test_neighbours_differ(void **state)
{
    (void)state;
    enum { N = 2000 };
    uint32_t numbers[N];
    for (uint32_t i = 0; i < N; i++)
        numbers[i] = mim_rng_u32(3, MIM_STREAM_KERNEL, i / 100, i / 10 % 10, i % 10);
    qsort(numbers, N, sizeof *numbers, compare_u32);
    for (uint32_t i = 1; i < N; i++)
        assert_int_not_equal(numbers[i], numbers[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_numbers_are_the_words),
        cmocka_unit_test(test_filling_is_asking_one_by_one),
        cmocka_unit_test(test_pure_function_of_all_arguments),
        cmocka_unit_test(test_streams_stay_apart),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_neighbours_differ),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
