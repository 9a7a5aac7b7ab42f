#include "core/quantile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int mim_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int mim_quantile(const double *values, size_t n, double q, double *quantile)
{
    if (n == 0) {
        *quantile = NAN;
        return MIM_OK;
    }
    double *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return mim_fail(MIM_ENOMEM, "%zu values", n);
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, mim_by_value);
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    double next = sorted[i + 1 < n ? i + 1 : i];
    *quantile = sorted[i] + (at - (double)i) * (next - sorted[i]);
    free(sorted);
    return MIM_OK;
}
