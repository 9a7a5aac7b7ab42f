#include "trace/slots.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int median_interval_s(const mim_stats *stats, double *median_s)
{
    size_t n = mim_stats_n_records(stats), step = n > 2 ? 2 : 1, n_sums = n - step;
    double *sums = malloc(n_sums * sizeof *sums);
    if (!sums)
        return mim_fail(MIM_ENOMEM, "%zu intervals", n_sums);
    for (size_t i = 0; i < n_sums; i++)
        sums[i] = mim_stats_record_time_s(stats, i + step) - mim_stats_record_time_s(stats, i);
    qsort(sums, n_sums, sizeof *sums, by_value);
    *median_s = 0.5 * (sums[n_sums / 2] + sums[(n_sums - 1) / 2]) / (double)step;
    free(sums);
    return MIM_OK;
}

int mim_slots_choose(const mim_stats *stats, size_t **kept, size_t *n_kept)
{
    size_t n = mim_stats_n_records(stats), n_taken = 0;
    double median_s = 0.0;
    if (n < 2)
        return mim_fail(MIM_EDATA, "expected at least 2 records, found %zu", n);
    int rc = median_interval_s(stats, &median_s);
    if (rc != MIM_OK)
        return rc;
    size_t *taken = malloc(n * sizeof *taken);
    if (!taken)
        return mim_fail(MIM_ENOMEM, "%zu records", n);
    for (size_t i = 0; i < n; i++) {
        double gap_s = n_taken ? mim_stats_record_time_s(stats, i) -
                                     mim_stats_record_time_s(stats, taken[n_taken - 1])
                               : 0.0;
        if (n_taken == 0 || (gap_s >= 0.25 * median_s && gap_s > 0))
            taken[n_taken++] = i;
        else if (n_taken > 1)
            taken[n_taken - 1] = i;
    }
    if (n_taken < 2) {
        free(taken);
        return mim_fail(MIM_EDATA,
                        "expected at least 2 records at different times, found %zu at one", n);
    }
    *kept = taken;
    *n_kept = n_taken;
    return MIM_OK;
}
