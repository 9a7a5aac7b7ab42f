/* diffusion/order: permutations, draws by weight, independence of who asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/order.h"

static mim_order *make(uint64_t seed, size_t n, const double *weights)
{
    mim_order *order = NULL;
    if (mim_order_create(seed, n, weights, &order) != MIM_OK)
        fail_msg("%s", mim_error());
    return order;
}

/* Every example once per shuffle; shuffles differ; the seed matters. */
static void test_permutations(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 7, 64, 1000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        size_t n_same_epoch = 0, n_same_seed = 0;
        mim_order *order = make(9, n, NULL), *other = make(10, n, NULL);
        assert_int_equal(mim_order_n(order), n);
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            unsigned char seen[1000] = {0};
            for (size_t i = 0; i < n; i++) {
                const size_t e = mim_order_at(order, epoch * n + i);
                assert_true(e < n);
                assert_false(seen[e]);
                seen[e] = 1;
            }
        }
        for (size_t i = 0; i < n; i++) {
            n_same_epoch += mim_order_at(order, i) == mim_order_at(order, n + i);
            n_same_seed += mim_order_at(order, i) == mim_order_at(other, i);
        }
        if (n >= 64)
            assert_true(n_same_epoch < n / 8 && n_same_seed < n / 8);
        mim_order_destroy(&order);
        mim_order_destroy(&other);
    }
}

/* Equal weights are no weights; those that are left out leave a permutation of the others. */
static void test_alike(void **state)
{
    (void)state;
    enum { N = 100 };
    double weights[N];
    for (size_t i = 0; i < N; i++)
        weights[i] = 3;
    mim_order *plain = make(4, N, NULL), *order = make(4, N, weights);
    for (uint64_t i = 0; i < 3 * N; i++)
        assert_int_equal(mim_order_at(plain, i), mim_order_at(order, i));
    mim_order_destroy(&order);
    for (size_t i = 0; i < N; i += 2)
        weights[i] = 0;
    order = make(4, N, weights);
    assert_int_equal(mim_order_n(order), N / 2);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        unsigned char seen[N] = {0};
        for (size_t i = 0; i < N / 2; i++) {
            const size_t e = mim_order_at(order, epoch * (N / 2) + i);
            assert_true(e % 2 == 1 && !seen[e]);
            seen[e] = 1;
        }
    }
    mim_order_destroy(&order);
    mim_order_destroy(&plain);
}

/* Shares of draws against the weights: the chi-square statistic of n - 1 degrees of freedom lies
 * within 5 deviations. */
static void test_weights(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 3, 10, 257};
    enum { MAX = 257, DRAWS = 200000 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        double weights[MAX], sum = 0, statistic = 0;
        size_t n_drawn[MAX] = {0}, n_possible = 0;
        for (size_t i = 0; i < n; i++) {
            weights[i] = i % 5 == 4 ? 0 : (double)(1 + i * i % 17);
            sum += weights[i];
            n_possible += weights[i] > 0;
        }
        mim_order *order = make(k, n, weights);
        assert_int_equal(mim_order_n(order), n_possible);
        for (uint64_t i = 0; i < DRAWS; i++)
            n_drawn[mim_order_at(order, i)]++;
        for (size_t i = 0; i < n; i++) {
            const double expected = DRAWS * weights[i] / sum;
            if (weights[i] > 0)
                statistic += pow((double)n_drawn[i] - expected, 2) / expected;
            else
                assert_int_equal(n_drawn[i], 0);
        }
        const double freedom = (double)n_possible - 1;
        assert_true(statistic < freedom + 5 * sqrt(2 * freedom) + 5);
        mim_order_destroy(&order);
    }
}

/* One weight of a million others: it comes about as often as they say. */
static void test_extreme_weights(void **state)
{
    (void)state;
    enum { N = 1001 };
    double weights[N];
    size_t n_first = 0;
    for (size_t i = 0; i < N; i++)
        weights[i] = i ? 1e-6 : 1;
    mim_order *order = make(1, N, weights);
    for (uint64_t i = 0; i < 100000; i++)
        n_first += mim_order_at(order, i) == 0;
    assert_true(n_first > 99800 && n_first < 99980); /* 1 / 1.001 = 0.9990 */
    mim_order_destroy(&order);
}

static void test_refusals(void **state)
{
    (void)state;
    const double zeros[3] = {0, 0, 0}, bad[3] = {1, -1, 1}, worse[3] = {1, NAN, 1};
    mim_order *order = NULL;
    assert_int_equal(mim_order_create(1, 0, NULL, &order), MIM_EDATA);
    assert_int_equal(mim_order_create(1, 3, zeros, &order), MIM_EDATA);
    assert_non_null(strstr(mim_error(), "none of the 3 examples"));
    assert_int_equal(mim_order_create(1, 3, bad, &order), MIM_EINVAL);
    assert_non_null(strstr(mim_error(), "example 1"));
    assert_int_equal(mim_order_create(1, 3, worse, &order), MIM_EINVAL);
    assert_null(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permutations), cmocka_unit_test(test_alike),
        cmocka_unit_test(test_weights),      cmocka_unit_test(test_extreme_weights),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
