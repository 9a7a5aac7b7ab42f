#include "trace/adapt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/quantile.h"
#include "core/text.h"
#include "trace/series_internal.h"

static int add_note(mim_adaptation *a, char *note)
{
    char **notes = note ? realloc(a->notes, (a->n_notes + 1) * sizeof *notes) : NULL;
    if (!notes) {
        free(note);
        return mim_fail(MIM_ENOMEM, "notes of the adaptation");
    }
    a->notes = notes;
    a->notes[a->n_notes++] = note;
    return MIM_OK;
}

/* ---- cores -------------------------------------------------------------------------------------
 */

/* Values of n ranks from m sorted ones: each the mean of the sorted staircase over its share of the
 * ranks, so that the mean over all stays what it was. m > 0. */
static void resample_ranks(size_t m, const double *sorted, size_t n, double *out)
{
    for (size_t j = 0; j < n; j++) {
        double begin = (double)(j * m) / (double)n, end = (double)((j + 1) * m) / (double)n;
        double sum = 0.0;
        for (size_t i = (size_t)begin; i < m && (double)i < end; i++)
            sum += sorted[i] * (fmin(end, (double)(i + 1)) - fmax(begin, (double)i));
        out[j] = sum / (end - begin);
    }
}

/* One slot. in: [m] cores of the trace by number, scratch: [m], out: [n] cores of the node. Sockets
 * are equal blocks of neighbouring cores on both sides. */
static void resample_cores(size_t m, const double *in, double *scratch, size_t n, double *out,
                           size_t n_sockets)
{
    for (size_t s = 0; s < n_sockets; s++) {
        size_t first = s * n / n_sockets, n_out = (s + 1) * n / n_sockets - first, n_present = 0;
        for (size_t i = s * m / n_sockets; i < (s + 1) * m / n_sockets; i++)
            if (!isnan(in[i]))
                scratch[n_present++] = in[i];
        qsort(scratch, n_present, sizeof *scratch, mim_by_value);
        if (n_present > 0)
            resample_ranks(n_present, scratch, n_out, out + first);
        else
            for (size_t j = 0; j < n_out; j++)
                out[first + j] = NAN;
    }
}

/* The cores come first: their names sort before all others (mim_adapt has checked). */
static int adapt_cores(const mim_series *wanted, const mim_node_limits *limits, size_t n_wanted,
                       mim_adaptation *a)
{
    mim_series *s = a->series;
    size_t n = limits->n_cores, n_sockets = limits->n_sockets;
    if (n_sockets > n_wanted || n_sockets > n)
        n_sockets = 1;
    double *in = malloc(2 * n_wanted * sizeof *in);
    if (!in)
        return mim_fail(MIM_ENOMEM, "%zu cores", n_wanted);
    for (size_t i = 0; i < n; i++)
        s->metrics[i] = mim_metric_of_core((int)i, (int)n - 1);
    for (size_t slot = 0; slot < s->n_slots; slot++) {
        double *out = s->values + slot * s->n_metrics;
        memcpy(in, wanted->values + slot * wanted->n_metrics, n_wanted * sizeof *in);
        if (n == n_wanted)
            memcpy(out, in, n * sizeof *out);
        else
            resample_cores(n_wanted, in, in + n_wanted, n, out, n_sockets);
    }
    free(in);
    if (n == n_wanted)
        return MIM_OK;
    return add_note(a, mim_format("CPU use of %zu cores is resampled to %zu by rank in each of %zu "
                                  "socket%s",
                                  n_wanted, n, n_sockets, n_sockets == 1 ? "" : "s"));
}

/* ---- rates -------------------------------------------------------------------------------------
 */

static int scale_rate(mim_adaptation *a, const char *metric, double ceiling_kbs)
{
    mim_series *s = a->series;
    size_t m = mim_series_find(s, metric);
    if (m == SIZE_MAX || !(ceiling_kbs > 0))
        return MIM_OK;
    double highest = mim_series_figures(s, m).max;
    if (!(highest > ceiling_kbs))
        return MIM_OK;
    for (size_t slot = 0; slot < s->n_slots; slot++)
        s->values[slot * s->n_metrics + m] *= ceiling_kbs / highest;
    return add_note(a, mim_format("%s is scaled by %.3g: up to %.0f KB/s in the trace, at most "
                                  "%.0f KB/s on this node",
                                  metric, ceiling_kbs / highest, highest, ceiling_kbs));
}

/* A series of the same slots with room for the node's cores in place of the trace's. */
static int reshape(const mim_series *wanted, size_t n_wanted, size_t n_cores, mim_series **series)
{
    mim_series *s = NULL;
    size_t n_rest = wanted->n_metrics - n_wanted;
    int rc = mim_series_allocate(wanted->n_slots, n_cores + n_rest, wanted->hostname, &s);
    if (rc != MIM_OK)
        return rc;
    memcpy(s->metrics + n_cores, wanted->metrics + n_wanted, n_rest * sizeof *s->metrics);
    for (size_t slot = 0; slot < s->n_slots; slot++)
        memcpy(s->values + slot * s->n_metrics + n_cores,
               wanted->values + slot * wanted->n_metrics + n_wanted, n_rest * sizeof *s->values);
    memcpy(s->start_s, wanted->start_s, s->n_slots * sizeof *s->start_s);
    memcpy(s->length_s, wanted->length_s, s->n_slots * sizeof *s->length_s);
    s->n_records = wanted->n_records;
    *series = s;
    return MIM_OK;
}

int mim_adapt(const mim_series *wanted, const mim_node_limits *limits, mim_adaptation **adaptation)
{
    if (limits->n_cores == 0 || limits->n_sockets == 0 || limits->n_cores > 65536)
        return mim_fail(MIM_EINVAL, "a node of %zu cores in %zu sockets", limits->n_cores,
                        limits->n_sockets);
    size_t n_wanted = mim_series_n_cores(wanted);
    for (size_t i = 0; i < n_wanted; i++)
        if (wanted->metrics[i].core < 0)
            return mim_fail(MIM_EINVAL, "metric %s before the cores", wanted->metrics[i].name);
    mim_adaptation *a = calloc(1, sizeof *a);
    if (!a)
        return mim_fail(MIM_ENOMEM, "adaptation");
    int rc = reshape(wanted, n_wanted, n_wanted > 0 ? limits->n_cores : 0, &a->series);
    if (rc == MIM_OK && n_wanted > 0)
        rc = adapt_cores(wanted, limits, n_wanted, a);
    if (rc == MIM_OK)
        rc = scale_rate(a, "io_read", limits->io_read_max_kbs);
    if (rc == MIM_OK)
        rc = scale_rate(a, "io_write", limits->io_write_max_kbs);
    if (rc == MIM_OK) {
        *adaptation = a;
        a = NULL;
    }
    mim_adaptation_destroy(&a);
    return rc;
}

void mim_adaptation_destroy(mim_adaptation **adaptation)
{
    if (!adaptation || !*adaptation)
        return;
    mim_series_destroy(&(*adaptation)->series);
    for (size_t i = 0; i < (*adaptation)->n_notes; i++)
        free((*adaptation)->notes[i]);
    free((*adaptation)->notes);
    free(*adaptation);
    *adaptation = NULL;
}
