#include "trace/slots.h"

#include <stdlib.h>

#include "core/quantile.h"

/* Times over `step` neighbouring intervals, sorted; returns their number. times: [n_records]. */
static size_t sort_times(const mim_stats *stats, size_t step, double *times)
{
    size_t n = mim_stats_n_records(stats) - step;
    for (size_t i = 0; i < n; i++)
        times[i] = mim_stats_record_time_s(stats, i + step) - mim_stats_record_time_s(stats, i);
    qsort(times, n, sizeof *times, mim_by_value);
    return n;
}

static int median_interval_s(const mim_stats *stats, double *median_s)
{
    size_t n = mim_stats_n_records(stats);
    double *times = malloc(n * sizeof *times);
    if (!times)
        return mim_fail(MIM_ENOMEM, "%zu intervals", n);
    size_t n_times = sort_times(stats, 1, times);
    *median_s = 0.5 * (times[n_times / 2] + times[(n_times - 1) / 2]);
    if (n > 2) {
        n_times = sort_times(stats, 2, times);
        double pair_s = 0.5 * times[n_times / 4];
        *median_s = pair_s > *median_s ? pair_s : *median_s;
    }
    free(times);
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
