/* What differences are divided by: the range of each metric. */
#include "report/compare_model.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

enum { MAX_NAMED = 4 };

static bool is_known(double ceiling) { return isfinite(ceiling) && ceiling > 0.0; }

/* The range that is fixed for a metric, or NaN where the wanted series must give it. */
static double fixed_range(const mim_metric *metric, const mim_node_limits *limits)
{
    const bool is_percent = metric->unit && !strcmp(metric->unit, "%");
    const bool is_rate = metric->unit && !strcmp(metric->unit, "KB/s");
    if (is_percent)
        return 100.0;
    if (is_rate && metric->family == MIM_FAMILY_IO_READ && is_known(limits->io_read_max_kbs))
        return limits->io_read_max_kbs;
    if (is_rate && metric->family == MIM_FAMILY_IO_WRITE && is_known(limits->io_write_max_kbs))
        return limits->io_write_max_kbs;
    return NAN;
}

/* From 0 (or the minimum, where values are negative) to the maximum; 0 when nothing is there. */
static double own_range(const mim_series *series, size_t metric)
{
    double low = 0.0, high = 0.0;
    for (size_t i = 0; i < series->n_slots; i++) {
        const double value = mim_series_at(series, i, metric);
        if (!isfinite(value))
            continue;
        low = fmin(low, value);
        high = fmax(high, value);
    }
    return isfinite(high - low) ? high - low : 0.0;
}

/* The range by the rule for nodes without a training corpus. */
static int range_without_corpus(mim_compare *compare, size_t m, double *range)
{
    const mim_metric *metric = &compare->wanted->metrics[m];
    int rc = MIM_OK;
    *range = fixed_range(metric, &compare->limits);
    if (isnan(*range)) {
        *range = own_range(compare->wanted, m);
        if (*range > 0.0 && mim_family_is_target(metric->family))
            rc = mim_compare_note(compare,
                                  "%s: no ceiling of this node known, normalised by the wanted "
                                  "trace's own maximum, %.*f %s",
                                  metric->name, *range < 1000.0 ? 2 : 0, *range,
                                  metric->unit ? metric->unit : "");
    }
    if (rc == MIM_OK && !(*range > 0.0))
        rc = mim_compare_leave_out(compare, m, SIZE_MAX, "always 0 or absent in the wanted trace");
    return rc;
}

/* The range in the training corpus, NaN when that does not know the metric. */
static double corpus_range(const mim_compare_ranges *ranges, const mim_metric *metric)
{
    size_t found = SIZE_MAX;
    if (metric->core >= 0) {
        if ((size_t)metric->core < ranges->n_threads)
            found = ranges->thread_metric[metric->core];
    } else {
        for (size_t i = 0; i < ranges->n_metrics && found == SIZE_MAX; i++)
            if (!strcmp(ranges->metrics[i], metric->name))
                found = i;
    }
    return found < ranges->n_metrics ? ranges->maximum[found] - ranges->minimum[found] : NAN;
}

static int note_unknown(mim_compare *compare, const char *source, const bool *is_unknown)
{
    const mim_series *wanted = compare->wanted;
    char names[MAX_NAMED * (MIM_METRIC_NAME_BYTES + 2) + 1] = "";
    size_t n = 0, length = 0;
    for (size_t m = 0; m < wanted->n_metrics; m++)
        if (is_unknown[m] && mim_family_is_target(wanted->metrics[m].family) && n++ < MAX_NAMED)
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s",
                                       n > 1 ? ", " : "", wanted->metrics[m].name);
    if (n == 0)
        return MIM_OK;
    char more[48] = "";
    if (n > MAX_NAMED)
        snprintf(more, sizeof more, " and %zu more", n - MAX_NAMED);
    return mim_compare_note(compare, "%s does not know %s%s: normalised as without it", source,
                            names, more);
}

int mim_compare_find_ranges(mim_compare *compare, const mim_compare_ranges *ranges)
{
    const mim_series *wanted = compare->wanted;
    int rc = MIM_OK;
    bool *is_unknown = calloc(wanted->n_metrics, sizeof *is_unknown);
    if (!is_unknown)
        return mim_fail(MIM_ENOMEM, "ranges of %zu metrics", wanted->n_metrics);
    compare->first_range_note = compare->n_notes;
    for (size_t m = 0; m < wanted->n_metrics && rc == MIM_OK; m++) {
        double range = ranges ? corpus_range(ranges, &wanted->metrics[m]) : NAN;
        is_unknown[m] = isnan(range);
        if (is_unknown[m])
            rc = range_without_corpus(compare, m, &range);
        else if (!(range > 0.0))
            rc = mim_compare_leave_out(compare, m, SIZE_MAX, "constant in the training corpus");
        compare->ranges[m] = range;
    }
    if (rc == MIM_OK && ranges)
        rc = note_unknown(compare, ranges->source, is_unknown);
    compare->n_range_notes = compare->n_notes - compare->first_range_note;
    free(is_unknown);
    return rc;
}

static void drop_range_notes(mim_compare *compare)
{
    const size_t first = compare->first_range_note, n = compare->n_range_notes;
    for (size_t i = 0; i < n; i++)
        free(compare->notes[first + i]);
    if (n > 0)
        memmove(compare->notes + first, compare->notes + first + n,
                (compare->n_notes - first - n) * sizeof *compare->notes);
    compare->n_notes -= n;
    compare->n_range_notes = 0;
}

int mim_compare_note_ceilings(mim_compare *compare, const char *sentence)
{
    drop_range_notes(compare);
    return mim_compare_note(compare, "%s", sentence);
}

int mim_compare_use_ranges(mim_compare *compare, const mim_compare_ranges *ranges)
{
    drop_range_notes(compare);
    compare->n_left_out = 0;
    return mim_compare_find_ranges(compare, ranges);
}

int mim_compare_leave_out(mim_compare *compare, size_t metric, size_t run, const char *reason)
{
    mim_left_out *grown =
        realloc(compare->left_out, (compare->n_left_out + 1) * sizeof *compare->left_out);
    if (!grown)
        return mim_fail(MIM_ENOMEM, "the list of metrics left out");
    compare->left_out = grown;
    compare->left_out[compare->n_left_out++] = (mim_left_out){metric, run, reason};
    return MIM_OK;
}
