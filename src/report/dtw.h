/* Dynamic time warping of two curves of equal length. */
#ifndef MIM_REPORT_DTW_H
#define MIM_REPORT_DTW_H

#include <stddef.h>

#include "core/error.h"

/* Smallest sum of |a[i] - b[j]| over a path from (0, 0) to (n - 1, n - 1) in steps (+1, 0), (0,
 * +1),
 * (+1, +1) within the band |i - j| <= band (Sakoe and Chiba 1978), divided by the number of cells
 * of that path; among paths of equal sum the shortest counts, so that the result is symmetric and
 * never above the mean of |a[i] - b[i]|. a, b: [n], finite. MIM_EINVAL when n is 0 or a value is
 * not finite. Costs n * (2 band + 1). */
int mim_dtw(size_t n, const double *a, const double *b, size_t band, double *distance);

#endif
