#include "report/dtw.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct cell {
    double cost;
    size_t length; /* cells on the path so far */
} cell;

static cell better(cell a, cell b)
{
    if (a.cost != b.cost)
        return a.cost < b.cost ? a : b;
    return a.length <= b.length ? a : b;
}

static int check_finite(size_t n, const double *values, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return mim_fail(MIM_EINVAL, "time warping: value %zu of the %s curve is not finite", i,
                            what);
    return MIM_OK;
}

int mim_dtw(size_t n, const double *a, const double *b, size_t band, double *distance)
{
    if (n == 0)
        return mim_fail(MIM_EINVAL, "time warping: the curves are empty");
    int rc = check_finite(n, a, "first");
    if (rc == MIM_OK)
        rc = check_finite(n, b, "second");
    if (rc != MIM_OK)
        return rc;
    if (n > SIZE_MAX / 2 / sizeof(cell))
        return mim_fail(MIM_EINVAL, "time warping: %zu values are too many", n);
    cell *rows = malloc(2 * n * sizeof *rows);
    if (!rows)
        return mim_fail(MIM_ENOMEM, "time warping of %zu values", n);

    const cell nowhere = {INFINITY, 0};
    cell *above = rows, *row = rows + n;
    for (size_t j = 0; j < n; j++)
        above[j] = nowhere;
    for (size_t i = 0; i < n; i++) {
        const size_t first = i > band ? i - band : 0;
        const size_t last = n - 1 - i > band ? i + band : n - 1;
        for (size_t j = first; j <= last; j++) {
            cell from = i == 0 && j == 0 ? (cell){0.0, 0} : nowhere;
            if (i > 0 && j > 0)
                from = better(from, above[j - 1]);
            if (i > 0)
                from = better(from, above[j]);
            if (j > first)
                from = better(from, row[j - 1]);
            row[j] = (cell){from.cost + fabs(a[i] - b[j]), from.length + 1};
        }
        /* The next row looks one cell beyond this band. */
        if (last + 1 < n)
            row[last + 1] = nowhere;
        cell *swap = above;
        above = row;
        row = swap;
    }
    *distance = above[n - 1].cost / (double)above[n - 1].length;
    free(rows);
    return MIM_OK;
}
