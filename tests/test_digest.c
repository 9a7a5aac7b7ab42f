/* core/digest: the published hash, and what its sums are to tell apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/digest.h"

/* XXH64 with seed 0, as other programs print it (xxhsum -H64). */
static void is_the_published_hash(void **state)
{
    (void)state;
    assert_true(mim_digest_row(0, 0, 0, NULL) == UINT64_C(0xef46db3751d8e999));
    assert_true(mim_digest_row(0, 0, 3, "abc") == UINT64_C(0x44bc2cf5ad770999));
    assert_true(mim_digest_seed("abc") == UINT64_C(0x44bc2cf5ad770999));
}

static uint64_t sum_of(const char *dataset, size_t n, const uint32_t *rows, size_t step)
{
    uint64_t sum = 0;
    for (size_t i = 0, at = 0; i < n; i++, at = (at + step) % n)
        sum += mim_digest_row(mim_digest_seed(dataset), at, sizeof *rows, &rows[at]);
    return sum;
}

static void sums_tell_changes_not_orders(void **state)
{
    (void)state;
    enum { N = 97 };
    uint32_t rows[N];
    for (uint32_t i = 0; i < N; i++)
        rows[i] = i / 3;
    const uint64_t sum = sum_of("window", N, rows, 1);
    assert_true(sum_of("window", N, rows, 10) == sum); /* the same rows in another order */
    assert_true(sum_of("round", N, rows, 1) != sum);
    for (size_t bit = 0; bit < 32; bit++) {
        rows[bit] ^= UINT32_C(1) << bit;
        assert_true(sum_of("window", N, rows, 1) != sum);
        rows[bit] ^= UINT32_C(1) << bit;
    }
    rows[5] = 6 / 3; /* rows 5 and 6 change places */
    rows[6] = 5 / 3;
    assert_true(sum_of("window", N, rows, 1) != sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_published_hash),
        cmocka_unit_test(sums_tell_changes_not_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
