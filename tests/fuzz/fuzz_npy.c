/* Any bytes as a .npy array: parsed or one of the documented errors; values are then finite, and
 * their head, written again, says the same. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_npy: %s (last error: %s)\n", what, mim_error());
        abort();
    }
}

static void check_again(const mim_npy *a)
{
    char head[MIM_NPY_HEAD_BYTES];
    mim_npy again = {0};
    const size_t n = mim_npy_put_head(a->rank, a->shape, head);
    check(n <= sizeof head && n % 64 == 0, "a head of an odd length");
    check(mim_npy_parse(head, n, &again) == MIM_OK, "a written head is not read");
    check(again.rank == a->rank && again.n_values == a->n_values &&
              memcmp(again.shape, a->shape, a->rank * sizeof *a->shape) == 0,
          "a written head says something else");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    mim_npy a;
    const int rc = mim_npy_parse(data, n_bytes, &a);
    check(rc == MIM_OK || rc == MIM_EDATA, "an unexpected code");
    if (rc != MIM_OK)
        return 0;
    check(a.n_head <= n_bytes && a.rank <= MIM_NPY_MAX_RANK, "a head beyond the bytes");
    check_again(&a);
    const size_t n_left = n_bytes - a.n_head;
    float *values = malloc((n_left + 1) * sizeof *values);
    if (!values)
        abort();
    if (mim_npy_floats(&a, data + a.n_head, n_left, values) == MIM_OK)
        for (size_t i = 0; i < a.n_values; i++)
            check(isfinite(values[i]), "a value that is not finite");
    free(values);
    return 0;
}
