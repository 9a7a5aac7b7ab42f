#include "corpus/summary.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/quantile.h"

/* Gathers what is present of one metric; false at an infinite value. */
static bool gather(size_t n_repeats, size_t stride, const double *values, double *present,
                   size_t *n_present)
{
    size_t n = 0;
    for (size_t i = 0; i < n_repeats; i++) {
        const double value = values[i * stride];
        if (isinf(value))
            return false;
        if (!isnan(value))
            present[n++] = value;
    }
    *n_present = n;
    return true;
}

int mim_summarize_slot(size_t n_repeats, size_t n_metrics, size_t stride, const double *values,
                       double *median, double *spread)
{
    int rc = MIM_OK;
    double *work = malloc((n_repeats + 2 * n_metrics + 1) * sizeof *work);
    if (!work)
        return mim_fail(MIM_ENOMEM, "%zu repetitions of %zu metrics", n_repeats, n_metrics);
    double *made = work + n_repeats; /* [n_metrics] medians, then spreads */
    for (size_t m = 0; rc == MIM_OK && m < n_metrics; m++) {
        size_t n = 0;
        if (!gather(n_repeats, stride, values + m, work, &n)) {
            rc = mim_fail(MIM_EINVAL, "metric %zu has an infinite value in a repetition", m);
            break;
        }
        rc = mim_quantile(work, n, 0.5, &made[m]);
        for (size_t i = 0; i < n; i++)
            work[i] = fabs(work[i] - made[m]);
        if (rc == MIM_OK)
            rc = mim_quantile(work, n, 0.5, &made[n_metrics + m]);
    }
    for (size_t m = 0; rc == MIM_OK && m < n_metrics; m++) {
        median[m] = made[m];
        spread[m] = made[n_metrics + m];
    }
    free(work);
    return rc;
}
