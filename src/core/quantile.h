/* Order statistics. */
#ifndef MIM_CORE_QUANTILE_H
#define MIM_CORE_QUANTILE_H

#include <stddef.h>

#include "core/error.h"

/* Quantile q in [0, 1] of values[n] by linear interpolation between order statistics (type 7 of
 * Hyndman and Fan 1996); NaN when n is 0. The values are left as they are; none may be NaN. */
int mim_quantile(const double *values, size_t n, double q, double *quantile);
/* For qsort of doubles, the smallest first. */
int mim_by_value(const void *a, const void *b);

#endif
