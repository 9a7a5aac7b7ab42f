/* The figure of a comparison: wanted in black, each label in its colour, repetitions lighter. */
#include "report/compare_model.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "report/chart.h"

enum {
    MAX_CORE_PANELS = 4, /* more cores than this are shown by their mean only */
    MAX_OTHER_PANELS = 8,
    MAX_LABEL_LINES = 4,
    MAX_NOTE_LINES = 2,
    TITLE_BYTES = 2048,
};

static void append(char title[TITLE_BYTES], const char *text)
{
    const size_t n = strlen(title);
    snprintf(title + n, TITLE_BYTES - n, "%s", text);
}

static void append_label_line(char title[TITLE_BYTES], const mim_label_summary *summary,
                              bool is_accepted_only)
{
    char text[160];
    snprintf(text, sizeof text, "\n%.60s: normalised L1 ", summary->label);
    append(title, text);
    if (isnan(summary->nl1_mean))
        append(title, "not known");
    else {
        snprintf(text, sizeof text, "%.3f", summary->nl1_mean);
        append(title, text);
    }
    const char *separator = " (";
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        const mim_family_error *family = &summary->families[f];
        if (!mim_family_is_target((mim_family)f) || family->n_metrics == 0)
            continue;
        snprintf(text, sizeof text, "%s%s %.3f", separator, mim_family_name((mim_family)f),
                 family->nl1);
        append(title, text);
        separator = ", ";
    }
    append(title, *separator == ',' ? ")" : "");
    if (!isnan(summary->floor_mean)) {
        snprintf(text, sizeof text, ", noise floor %.3f of %zu runs", summary->floor_mean,
                 summary->n_runs);
        append(title, text);
    }
    if (is_accepted_only && summary->is_judged && summary->n_accepted < MIM_COMPARE_MIN_ACCEPTED) {
        snprintf(text, sizeof text, ", not measurable now: %zu accepted slots, %d needed",
                 summary->n_accepted, MIM_COMPARE_MIN_ACCEPTED);
        append(title, text);
    }
}

static void make_title(const mim_compare *compare, char title[TITLE_BYTES])
{
    const char *host = compare->n_runs ? compare->runs[0].hostname : "";
    size_t n_lines = 0;
    for (size_t i = 1; i < compare->n_runs; i++)
        if (strcmp(compare->runs[i].hostname, host) != 0)
            host = "several machines";
    snprintf(title, TITLE_BYTES, "%.200s%s%.100s", mim_basename(compare->wanted_name),
             *host ? " imitated on " : "", host);
    for (size_t i = 0; i < compare->n_runs && n_lines < MAX_LABEL_LINES; i++) {
        mim_label_summary summary;
        if (!mim_compare_first_of_label(compare, i))
            continue;
        mim_compare_summarise(compare, i, &summary);
        append_label_line(title, &summary, compare->only_accepted);
        n_lines++;
    }
    for (size_t i = 0; i < compare->adaptation->n_notes && i < MAX_NOTE_LINES; i++) {
        append(title, "\n");
        append(title, compare->adaptation->notes[i]);
    }
}

/* Means over the cores present in each slot. values: [n_slots][n_metrics], out: [n_slots]. */
static void mean_of_cores(const mim_series *wanted, const double *values, size_t n_slots,
                          double *out)
{
    for (size_t i = 0; i < n_slots; i++) {
        double sum = 0.0;
        size_t n = 0;
        for (size_t m = 0; m < wanted->n_metrics; m++) {
            const double value = values[i * wanted->n_metrics + m];
            if (wanted->metrics[m].family != MIM_FAMILY_CPU || wanted->metrics[m].core < 0 ||
                isnan(value))
                continue;
            sum += value;
            n++;
        }
        out[i] = n ? sum / (double)n : NAN;
    }
}

/* metric SIZE_MAX: the mean of all cores. */
static void extract(const mim_series *wanted, const double *values, size_t n_slots, size_t metric,
                    double *out)
{
    if (metric == SIZE_MAX)
        mean_of_cores(wanted, values, n_slots, out);
    else
        for (size_t i = 0; i < n_slots; i++)
            out[i] = values[i * wanted->n_metrics + metric];
}

typedef struct figure {
    const mim_compare *compare;
    mim_chart *chart;
    double *x, *y; /* [n_slots of wanted]: middles of the slots, and scratch */
} figure;

static int add_panel(figure *f, const char *title, const char *unit, double y_max, size_t metric)
{
    const mim_series *wanted = f->compare->wanted;
    int rc = mim_chart_panel(f->chart, title, unit, 0.0, y_max);
    if (rc != MIM_OK)
        return rc;
    extract(wanted, wanted->values, wanted->n_slots, metric, f->y);
    rc = mim_chart_curve(f->chart, "wanted", wanted->n_slots, f->x, f->y);
    for (size_t i = 0; i < f->compare->n_runs && rc == MIM_OK; i++) {
        const mim_compare_run *run = &f->compare->runs[i];
        extract(wanted, run->values, run->n_slots, metric, f->y);
        rc = mim_chart_curve(f->chart, run->label, run->n_slots, f->x, f->y);
    }
    return rc;
}

static int add_cpu_panels(figure *f)
{
    const mim_series *wanted = f->compare->wanted;
    const size_t n_cores = mim_series_n_cores(wanted);
    char title[96];
    if (n_cores == 0)
        return MIM_OK;
    snprintf(title, sizeof title, "CPU, mean of %zu cores", n_cores);
    int rc = add_panel(f, n_cores == 1 ? "CPU" : title, "%", 100.0, SIZE_MAX);
    for (size_t m = 0; m < wanted->n_metrics && rc == MIM_OK; m++) {
        if (n_cores < 2 || n_cores > MAX_CORE_PANELS || wanted->metrics[m].core < 0 ||
            wanted->metrics[m].family != MIM_FAMILY_CPU)
            continue;
        snprintf(title, sizeof title, "CPU core %d", wanted->metrics[m].core);
        rc = add_panel(f, title, "%", 100.0, m);
    }
    return rc;
}

static bool is_compared(const mim_compare *compare, size_t metric)
{
    bool is = false;
    for (size_t i = 0; i < compare->n_runs; i++)
        is = is || !compare->runs[i].metrics[metric].is_left_out;
    return is;
}

static int add_other_panels(figure *f)
{
    static const struct {
        mim_family family;
        const char *title;
    } families[] = {{MIM_FAMILY_IO_READ, "block reads"},
                    {MIM_FAMILY_IO_WRITE, "block writes"},
                    {MIM_FAMILY_MEMORY, NULL},
                    {MIM_FAMILY_CACHE, NULL}};
    const mim_series *wanted = f->compare->wanted;
    size_t n_panels = 0;
    int rc = MIM_OK;
    for (size_t k = 0; k < sizeof families / sizeof families[0]; k++)
        for (size_t m = 0; m < wanted->n_metrics && rc == MIM_OK; m++) {
            const mim_metric *metric = &wanted->metrics[m];
            if (metric->family != families[k].family || !is_compared(f->compare, m) ||
                n_panels == MAX_OTHER_PANELS)
                continue;
            rc = add_panel(f, families[k].title ? families[k].title : metric->name,
                           metric->unit ? metric->unit : "", 0.0, m);
            n_panels++;
        }
    return rc;
}

int mim_compare_figure(const mim_compare *compare, const char *path)
{
    const mim_series *wanted = compare->wanted;
    char title[TITLE_BYTES];
    figure f = {.compare = compare};
    int rc = MIM_OK;
    f.x = malloc(wanted->n_slots * sizeof *f.x);
    f.y = malloc(wanted->n_slots * sizeof *f.y);
    if (!f.x || !f.y) {
        rc = mim_fail(MIM_ENOMEM, "a figure of %zu slots", wanted->n_slots);
        goto done;
    }
    for (size_t i = 0; i < wanted->n_slots; i++)
        f.x[i] = wanted->start_s[i] - wanted->start_s[0] + 0.5 * wanted->length_s[i];
    make_title(compare, title);
    if ((rc = mim_chart_create(title, "time [s]", &f.chart)) != MIM_OK)
        goto done;
    if ((rc = add_cpu_panels(&f)) == MIM_OK)
        rc = add_other_panels(&f);
    if (rc == MIM_OK)
        rc = mim_chart_write(f.chart, path);
done:
    mim_chart_destroy(&f.chart);
    free(f.x);
    free(f.y);
    return rc;
}
