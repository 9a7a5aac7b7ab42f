#include "trace/series.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/quantile.h"
#include "core/text.h"
#include "trace/series_internal.h"
#include "trace/slots.h"

/* 1 GiB of values: 256 cores for six days of seconds. */
static const size_t max_values = (size_t)1 << 27;

int mim_series_allocate(size_t n_slots, size_t n_metrics, const char *hostname, mim_series **series)
{
    if (n_metrics > 0 && n_slots > max_values / n_metrics)
        return mim_fail(MIM_EDATA, "%zu slots of %zu metrics are more than %zu values", n_slots,
                        n_metrics, max_values);
    mim_series *s = calloc(1, sizeof *s);
    if (!s)
        return mim_fail(MIM_ENOMEM, "series");
    s->n_slots = n_slots;
    s->n_metrics = n_metrics;
    s->metrics = calloc(n_metrics + 1, sizeof *s->metrics);
    s->values = malloc((n_slots * n_metrics + 1) * sizeof *s->values);
    s->start_s = calloc(n_slots + 1, sizeof *s->start_s);
    s->length_s = calloc(n_slots + 1, sizeof *s->length_s);
    s->hostname = mim_strdup(hostname ? hostname : "");
    if (!s->metrics || !s->values || !s->start_s || !s->length_s || !s->hostname) {
        mim_series_destroy(&s);
        return mim_fail(MIM_ENOMEM, "%zu slots of %zu metrics", n_slots, n_metrics);
    }
    for (size_t i = 0; i < n_slots * n_metrics; i++)
        s->values[i] = NAN;
    *series = s;
    return MIM_OK;
}

void mim_series_destroy(mim_series **series)
{
    if (!series || !*series)
        return;
    free((*series)->metrics);
    free((*series)->values);
    free((*series)->start_s);
    free((*series)->length_s);
    free((*series)->hostname);
    free((*series)->row_cpus);
    free(*series);
    *series = NULL;
}

/* ---- rows ---------------------------------------------------------------------------------------
 */

/* The CPU of each row as one record tells; false when it has not all rows. cpus: [n] */
static bool read_rows(const mim_stats *stats, size_t record, size_t type, size_t n, int *cpus)
{
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++)
        cpus[i] = -1;
    for (size_t i = 0; i < mim_stats_n_rows(stats, record); i++) {
        const mim_row row = mim_stats_row(stats, record, i);
        uint64_t cpu = 0;
        if (row.type != type)
            continue;
        const int number = mim_series_device_number(mim_stats_device(stats, type, row.device));
        if (!mim_row_value(&row, 0, &cpu) || cpu >= MIM_SERIES_MAX_CPUS || number < 0 ||
            (size_t)number >= n || cpus[number] >= 0)
            return false;
        cpus[number] = (int)cpu;
        n_found++;
    }
    return n_found == n;
}

/* The rows of the last record that has all of them: a cut file may lack some in its last one. */
static int find_rows(const mim_stats *stats, mim_series *s)
{
    const size_t type = mim_stats_find_type(stats, "x_thr");
    const size_t n = type == SIZE_MAX ? 0 : mim_stats_n_devices(stats, type);
    if (n == 0 || mim_stats_find_key(stats, type, "cpu") != 0)
        return MIM_OK;
    int *cpus = malloc(n * sizeof *cpus);
    if (!cpus)
        return mim_fail(MIM_ENOMEM, "%zu rows", n);
    for (size_t i = mim_stats_n_records(stats); i-- > 0 && s->n_rows == 0;)
        if (read_rows(stats, i, type, n, cpus))
            s->n_rows = n;
    if (s->n_rows > 0)
        s->row_cpus = cpus;
    else
        free(cpus);
    return MIM_OK;
}

/* ---- columns -----------------------------------------------------------------------------------
 */

typedef struct column {
    mim_metric metric;
    size_t *place; /* where the plan keeps its number */
} column;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const column *)a)->metric.name, ((const column *)b)->metric.name);
}

/* All metrics of the plan, in no order yet. `columns` has room for all. */
static size_t list_columns(mim_series_plan *plan, column *columns)
{
    size_t n = 0;
    int highest = 0;
    for (size_t i = 0; i < plan->n_cpus; i++)
        highest = plan->cpu_numbers[i] > highest ? plan->cpu_numbers[i] : highest;
    for (size_t i = 0; i < plan->n_cpus; i++) {
        if (plan->cpu_numbers[i] < 0)
            continue;
        columns[n++] =
            (column){mim_metric_of_core(plan->cpu_numbers[i], highest), &plan->cpu_columns[i]};
    }
    for (size_t i = 0; i < plan->n_channels; i++) {
        plan->channels[i].column = SIZE_MAX;
        if (!plan->channels[i].is_hidden)
            columns[n++] = (column){plan->channels[i].metric, &plan->channels[i].column};
    }
    if (plan->n_cpus > 0 && plan->steal_channel != SIZE_MAX && plan->own_channel != SIZE_MAX)
        columns[n++] = (column){{.name = "others_cpu_pct",
                                 .unit = "%",
                                 .family = MIM_FAMILY_KERNEL,
                                 .tier = MIM_TIER_PROC,
                                 .core = -1},
                                &plan->others_column};
    if (plan->cycles_channel != SIZE_MAX && plan->instructions_channel != SIZE_MAX)
        columns[n++] = (column){{.name = "pqos_ipc",
                                 .unit = "instructions/cycle",
                                 .family = MIM_FAMILY_CACHE,
                                 .tier = MIM_TIER_PERF,
                                 .core = -1},
                                &plan->ipc_column};
    qsort(columns, n, sizeof *columns, by_name);
    for (size_t i = 0; i < n; i++)
        *columns[i].place = i;
    return n;
}

int mim_series_create(const mim_stats *stats, const mim_series_options *options,
                      mim_series **series)
{
    mim_series_plan *plan = NULL;
    mim_series *s = NULL;
    column *columns = NULL;
    size_t *kept = NULL, n_kept = 0;
    int rc = mim_slots_choose(stats, &kept, &n_kept);
    if (rc == MIM_OK)
        rc = mim_series_plan_create(stats, options, &plan);
    if (rc != MIM_OK)
        goto done;
    columns = calloc(plan->n_cpus + plan->n_channels + 1, sizeof *columns);
    if (!columns) {
        rc = mim_fail(MIM_ENOMEM, "metrics of the series");
        goto done;
    }
    size_t n_metrics = list_columns(plan, columns);
    rc = mim_series_allocate(n_kept - 1, n_metrics, mim_stats_property(stats, "hostname"), &s);
    if (rc != MIM_OK)
        goto done;
    for (size_t i = 0; i < n_metrics; i++)
        s->metrics[i] = columns[i].metric;
    for (size_t i = 0; i < s->n_slots; i++) {
        s->start_s[i] = mim_stats_record_time_s(stats, kept[i]);
        s->length_s[i] = mim_stats_record_time_s(stats, kept[i + 1]) - s->start_s[i];
    }
    s->n_records = mim_stats_n_records(stats);
    rc = mim_series_fill(stats, plan, kept, s);
    if (rc == MIM_OK)
        rc = find_rows(stats, s);
    if (rc == MIM_OK) {
        *series = s;
        s = NULL;
    }
done:
    mim_series_destroy(&s);
    mim_series_plan_destroy(&plan);
    free(columns);
    free(kept);
    return rc;
}

int mim_series_read(const char *path, const mim_series_options *options, mim_series **series)
{
    mim_stats *stats = NULL;
    int rc = mim_stats_read(path, &stats);
    if (rc == MIM_OK) {
        rc = mim_series_create(stats, options, series);
        if (rc != MIM_OK)
            mim_fail_in(rc, "%s", path);
    }
    mim_stats_destroy(&stats);
    return rc;
}

int mim_series_cut(const mim_series *series, size_t first, size_t n, mim_series **cut)
{
    mim_series *s = NULL;
    if (first > series->n_slots)
        return mim_fail(MIM_EINVAL, "slot %zu of a series of %zu", first, series->n_slots);
    if (n > series->n_slots - first)
        n = series->n_slots - first;
    int rc = mim_series_allocate(n, series->n_metrics, series->hostname, &s);
    if (rc != MIM_OK)
        return rc;
    memcpy(s->metrics, series->metrics, s->n_metrics * sizeof *s->metrics);
    memcpy(s->values, series->values + first * s->n_metrics, n * s->n_metrics * sizeof *s->values);
    memcpy(s->start_s, series->start_s + first, n * sizeof *s->start_s);
    memcpy(s->length_s, series->length_s + first, n * sizeof *s->length_s);
    s->n_records = series->n_records;
    if (series->n_rows > 0 && !(s->row_cpus = malloc(series->n_rows * sizeof *s->row_cpus))) {
        mim_series_destroy(&s);
        return mim_fail(MIM_ENOMEM, "%zu rows", series->n_rows);
    }
    if (series->n_rows > 0)
        memcpy(s->row_cpus, series->row_cpus, series->n_rows * sizeof *s->row_cpus);
    s->n_rows = series->n_rows;
    *cut = s;
    return MIM_OK;
}

int mim_series_window(const mim_series *series, const char *path, size_t first, size_t n,
                      mim_series **window)
{
    if (first >= series->n_slots)
        return mim_fail(MIM_EUSAGE, "--first %zu: %s has %zu slot%s only", first, path,
                        series->n_slots, series->n_slots == 1 ? "" : "s");
    return mim_series_cut(series, first, n, window);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

size_t mim_series_find(const mim_series *series, const char *metric)
{
    size_t low = 0, high = series->n_metrics;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(series->metrics[middle].name, metric);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

size_t mim_series_n_cores(const mim_series *series)
{
    size_t n = 0;
    for (size_t i = 0; i < series->n_metrics; i++)
        n += series->metrics[i].family == MIM_FAMILY_CPU && series->metrics[i].core >= 0;
    return n;
}

size_t mim_series_n_row_cpus(const mim_series *series)
{
    uint64_t seen[MIM_SERIES_MAX_CPUS / 64] = {0};
    size_t n = 0;
    for (size_t i = 0; i < series->n_rows; i++) {
        const unsigned cpu = (unsigned)series->row_cpus[i];
        const uint64_t bit = UINT64_C(1) << cpu % 64;
        n += !(seen[cpu / 64] & bit);
        seen[cpu / 64] |= bit;
    }
    return n;
}

double mim_series_median_length_s(const mim_series *series)
{
    double median = NAN;
    mim_quantile(series->length_s, series->n_slots, 0.5, &median);
    return median;
}

int mim_series_gap_note(const mim_series *series, char **note)
{
    const double median_s = mim_series_median_length_s(series);
    double longest_s = 0.0;
    size_t n = 0;
    char *text = NULL;
    for (size_t i = 0; i < series->n_slots; i++) {
        n += series->length_s[i] > 1.5 * median_s;
        longest_s = fmax(longest_s, series->length_s[i]);
    }
    if (n > 0 &&
        !(text = mim_format("%zu slot%s longer than 1.5 times the median of %.4g s, the longest "
                            "%.4g s: the recording has gaps",
                            n, n == 1 ? " is" : "s are", median_s, longest_s)))
        return mim_fail(MIM_ENOMEM, "a note");
    *note = text;
    return MIM_OK;
}

double mim_series_at(const mim_series *series, size_t slot, size_t metric)
{
    assert(slot < series->n_slots && metric < series->n_metrics);
    return series->values[slot * series->n_metrics + metric];
}

mim_metric_figures mim_series_figures(const mim_series *series, size_t metric)
{
    mim_metric_figures figures = {.mean = NAN, .min = NAN, .max = NAN};
    double sum = 0.0, time_s = 0.0;
    for (size_t i = 0; i < series->n_slots; i++) {
        double value = mim_series_at(series, i, metric);
        if (isnan(value)) {
            figures.n_absent++;
            continue;
        }
        sum += value * series->length_s[i];
        time_s += series->length_s[i];
        figures.min = fmin(figures.min, value); /* fmin passes over NaN */
        figures.max = fmax(figures.max, value);
    }
    if (time_s > 0)
        figures.mean = sum / time_s;
    return figures;
}
