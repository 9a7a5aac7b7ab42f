/* The figures of a comparison: errors of metrics and families, noise floors. */
#include "report/compare_model.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/dtw.h"

/* Above this many slots time warping works on means of several slots each: its cost is quadratic.
 */
enum { DTW_MAX_POINTS = 4096, DTW_BAND_SHARE = 10 };

/* Mean that knows how many values it has; NaN values do not count. */
typedef struct mean {
    double sum;
    size_t n;
} mean;

static void mean_add(mean *m, double value)
{
    if (isnan(value))
        return;
    m->sum += value;
    m->n++;
}

static double mean_of(const mean *m) { return m->n ? m->sum / (double)m->n : NAN; }

/* Means of k neighbours each, in place; the last group may be smaller. */
static size_t condense(double *values, size_t n, size_t k)
{
    size_t n_out = 0;
    for (size_t i = 0; i < n; i += k) {
        double sum = 0.0;
        size_t n_group = n - i < k ? n - i : k;
        for (size_t j = 0; j < n_group; j++)
            sum += values[i + j];
        values[n_out++] = sum / (double)n_group;
    }
    return n_out;
}

static int warp(size_t n, double *a, double *b, double *dtw)
{
    if (n > DTW_MAX_POINTS) {
        size_t k = (n + DTW_MAX_POINTS - 1) / DTW_MAX_POINTS;
        condense(a, n, k);
        n = condense(b, n, k);
    }
    size_t band = n / DTW_BAND_SHARE;
    return mim_dtw(n, a, b, band ? band : 1, dtw);
}

/* scratch: [2][n_slots] */
static int measure_metric(const mim_compare *compare, const mim_compare_run *run, size_t metric,
                          double *scratch, mim_metric_error *error)
{
    const size_t n_metrics = compare->wanted->n_metrics;
    const double range = compare->ranges[metric];
    double *a = scratch, *b = scratch + run->n_slots;
    mean nl1 = {0}, mse = {0}, wanted = {0}, measured = {0};
    size_t n = 0, n_absent = 0;

    for (size_t i = 0; i < run->n_slots; i++) {
        if (compare->only_accepted && !run->accepted[i])
            continue;
        const double w = mim_series_at(compare->wanted, i, metric);
        const double m = run->values[i * n_metrics + metric];
        a[n] = w / range;
        b[n] = m / range;
        if (!isfinite(a[n]) || !isfinite(b[n])) {
            n_absent++;
            continue;
        }
        const double difference = fabs(b[n] - a[n]);
        mean_add(&nl1, difference);
        mean_add(&mse, difference * difference);
        mean_add(&wanted, w);
        mean_add(&measured, m);
        n++;
    }
    *error = (mim_metric_error){.nl1 = mean_of(&nl1),
                                .mse = mean_of(&mse),
                                .dtw = NAN,
                                .wanted_mean = mean_of(&wanted),
                                .measured_mean = mean_of(&measured),
                                .n_slots = n,
                                .n_absent = n_absent};
    return n ? warp(n, a, b, &error->dtw) : MIM_OK;
}

static double mean_over_targets(const double figures[MIM_N_FAMILIES])
{
    mean m = {0};
    for (int f = 0; f < MIM_N_FAMILIES; f++)
        if (mim_family_is_target((mim_family)f))
            mean_add(&m, figures[f]);
    return mean_of(&m);
}

static void gather_families(const mim_series *wanted, mim_compare_run *run)
{
    double nl1s[MIM_N_FAMILIES];
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        mean nl1 = {0}, mse = {0}, dtw = {0};
        mim_family_error *family = &run->families[f];
        *family = (mim_family_error){0};
        for (size_t m = 0; m < wanted->n_metrics; m++) {
            const mim_metric_error *error = &run->metrics[m];
            if ((int)wanted->metrics[m].family != f || error->is_left_out)
                continue;
            mean_add(&nl1, error->nl1);
            mean_add(&mse, error->mse);
            mean_add(&dtw, error->dtw);
            family->n_metrics++;
            if (error->n_slots > family->n_slots)
                family->n_slots = error->n_slots;
        }
        family->nl1 = nl1s[f] = mean_of(&nl1);
        family->mse = mean_of(&mse);
        family->dtw = mean_of(&dtw);
    }
    run->nl1_mean = mean_over_targets(nl1s);
}

int mim_compare_measure(const mim_compare *compare, mim_compare_run *run)
{
    int rc = MIM_OK;
    double *scratch = malloc((run->n_slots ? run->n_slots : 1) * 2 * sizeof *scratch);
    if (!scratch)
        return mim_fail(MIM_ENOMEM, "comparing %zu slots", run->n_slots);
    for (size_t m = 0; m < compare->wanted->n_metrics && rc == MIM_OK; m++) {
        if (compare->ranges[m] > 0.0)
            rc = measure_metric(compare, run, m, scratch, &run->metrics[m]);
        else
            run->metrics[m] = (mim_metric_error){.nl1 = NAN, .mse = NAN, .dtw = NAN};
        /* Left out when there is no range or not a single common slot. */
        run->metrics[m].is_left_out = run->metrics[m].n_slots == 0;
    }
    if (rc == MIM_OK)
        gather_families(compare->wanted, run);
    free(scratch);
    return rc;
}

bool mim_compare_first_of_label(const mim_compare *compare, size_t run)
{
    for (size_t i = 0; i < run; i++)
        if (!strcmp(compare->runs[i].label, compare->runs[run].label))
            return false;
    return true;
}

/* Normalised L1 between two runs, per family. */
static void between_runs(const mim_compare *compare, const mim_compare_run *a,
                         const mim_compare_run *b, double nl1s[MIM_N_FAMILIES])
{
    const mim_series *wanted = compare->wanted;
    const size_t n_slots = a->n_slots < b->n_slots ? a->n_slots : b->n_slots;
    mean families[MIM_N_FAMILIES] = {{0}};

    for (size_t m = 0; m < wanted->n_metrics; m++) {
        mean nl1 = {0};
        if (a->metrics[m].is_left_out || b->metrics[m].is_left_out)
            continue;
        for (size_t i = 0; i < n_slots; i++) {
            const size_t at = i * wanted->n_metrics + m;
            if (compare->only_accepted && !(a->accepted[i] && b->accepted[i]))
                continue;
            if (isfinite(a->values[at]) && isfinite(b->values[at]))
                mean_add(&nl1, fabs(a->values[at] - b->values[at]) / compare->ranges[m]);
        }
        mean_add(&families[wanted->metrics[m].family], mean_of(&nl1));
    }
    for (int f = 0; f < MIM_N_FAMILIES; f++)
        nl1s[f] = mean_of(&families[f]);
}

static void find_floor(const mim_compare *compare, mim_label_summary *summary)
{
    mean floors[MIM_N_FAMILIES] = {{0}};
    for (size_t i = 0; i < compare->n_runs; i++) {
        if (strcmp(compare->runs[i].label, summary->label) != 0)
            continue;
        for (size_t k = i + 1; k < compare->n_runs; k++) {
            double nl1s[MIM_N_FAMILIES];
            if (strcmp(compare->runs[k].label, summary->label) != 0)
                continue;
            between_runs(compare, &compare->runs[i], &compare->runs[k], nl1s);
            for (int f = 0; f < MIM_N_FAMILIES; f++)
                mean_add(&floors[f], nl1s[f]);
        }
    }
    for (int f = 0; f < MIM_N_FAMILIES; f++)
        summary->floor[f] = mean_of(&floors[f]);
    summary->floor_mean = mean_over_targets(summary->floor);
}

static void summarise_families(const mim_compare *compare, mim_label_summary *summary)
{
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        mean nl1 = {0}, mse = {0}, dtw = {0};
        mim_family_error *family = &summary->families[f];
        for (size_t i = 0; i < compare->n_runs; i++) {
            const mim_family_error *one = &compare->runs[i].families[f];
            if (strcmp(compare->runs[i].label, summary->label) != 0 || one->n_metrics == 0)
                continue;
            mean_add(&nl1, one->nl1);
            mean_add(&mse, one->mse);
            mean_add(&dtw, one->dtw);
            if (family->n_metrics == 0 || one->n_slots < family->n_slots)
                family->n_slots = one->n_slots;
            family->n_metrics = one->n_metrics;
        }
        family->nl1 = mean_of(&nl1);
        family->mse = mean_of(&mse);
        family->dtw = mean_of(&dtw);
    }
}

void mim_compare_summarise(const mim_compare *compare, size_t run, mim_label_summary *summary)
{
    mean nl1 = {0};
    double low = INFINITY, high = -INFINITY;
    *summary = (mim_label_summary){.label = compare->runs[run].label, .is_judged = true};
    summary->n_accepted = SIZE_MAX;
    for (size_t i = 0; i < compare->n_runs; i++) {
        const mim_compare_run *one = &compare->runs[i];
        if (strcmp(one->label, summary->label) != 0)
            continue;
        summary->n_runs++;
        summary->is_judged = summary->is_judged && one->is_judged;
        if (one->n_accepted < summary->n_accepted)
            summary->n_accepted = one->n_accepted;
        mean_add(&nl1, one->nl1_mean);
        low = fmin(low, one->nl1_mean); /* fmin and fmax ignore NaN */
        high = fmax(high, one->nl1_mean);
    }
    summary->nl1_mean = mean_of(&nl1);
    summary->spread = nl1.n > 1 ? high - low : NAN;
    summarise_families(compare, summary);
    find_floor(compare, summary);
}
