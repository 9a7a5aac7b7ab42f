#include "core/text.h"
#include "report/compare_model.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LABEL_WIDTH = 40, FIGURE_TEXT_BYTES = 32 };

/* A figure in `width` columns; "-" when there is none. */
static const char *figure(double value, char text[FIGURE_TEXT_BYTES])
{
    if (isnan(value))
        return "-";
    snprintf(text, FIGURE_TEXT_BYTES, "%.4f", value);
    return text;
}

static const char *quantity(double value, char text[FIGURE_TEXT_BYTES])
{
    if (isnan(value))
        return "-";
    snprintf(text, FIGURE_TEXT_BYTES, fabs(value) < 1e6 ? "%.2f" : "%.4g", value);
    return text;
}

/* Names come from files and folders: nothing of them shall steer the terminal. */
static const char *safe(const char *name, char text[MIM_ERROR_TEXT_BYTES])
{
    snprintf(text, MIM_ERROR_TEXT_BYTES, "%s", name ? name : "");
    mim_make_one_line(text);
    return text;
}

static int label_width(const mim_compare *compare)
{
    size_t width = strlen("label");
    for (size_t i = 0; i < compare->n_runs; i++)
        if (strlen(compare->runs[i].label) > width)
            width = strlen(compare->runs[i].label);
    return width > MAX_LABEL_WIDTH ? MAX_LABEL_WIDTH : (int)width;
}

static void family_row(FILE *out, int width, const char *label, const char *family,
                       const mim_family_error *error, double floor)
{
    char nl1[FIGURE_TEXT_BYTES], mse[FIGURE_TEXT_BYTES], dtw[FIGURE_TEXT_BYTES];
    char noise[FIGURE_TEXT_BYTES];
    fprintf(out, "%-*.*s  %-10s %8s %8s %8s %8s", width, width, label, family,
            figure(error->nl1, nl1), figure(error->mse, mse), figure(error->dtw, dtw),
            figure(floor, noise));
    if (error->n_slots)
        fprintf(out, " %6zu", error->n_slots);
    fputc('\n', out);
}

static bool is_shown(const mim_compare *compare, int family)
{
    bool is = false;
    for (size_t i = 0; i < compare->n_runs; i++)
        is = is || compare->runs[i].families[family].n_metrics > 0;
    return is && mim_family_is_target((mim_family)family);
}

static void label_head(FILE *out, const mim_compare *compare, int width)
{
    fprintf(out, "%-*s %5s", width, "label", "runs");
    for (int f = 0; f < MIM_N_FAMILIES; f++)
        if (is_shown(compare, f))
            fprintf(out, " %8s", mim_family_name((mim_family)f));
    fprintf(out, " %8s %8s %8s %9s\n", "mean", "spread", "floor", "accepted");
}

static void label_row(FILE *out, const mim_compare *compare, int width,
                      const mim_label_summary *summary)
{
    char text[FIGURE_TEXT_BYTES], name[MIM_ERROR_TEXT_BYTES];
    fprintf(out, "%-*.*s %5zu", width, width, safe(summary->label, name), summary->n_runs);
    for (int f = 0; f < MIM_N_FAMILIES; f++)
        if (is_shown(compare, f))
            fprintf(out, " %8s", figure(summary->families[f].nl1, text));
    fprintf(out, " %8s", figure(summary->nl1_mean, text));
    fprintf(out, " %8s", figure(summary->spread, text));
    fprintf(out, " %8s", figure(summary->floor_mean, text));
    if (summary->is_judged)
        fprintf(out, " %9zu\n", summary->n_accepted);
    else
        fprintf(out, " %9s\n", "-");
}

/* What keeps the figures of a row from being taken at their face value. */
static void label_caveats(FILE *out, const mim_compare *compare, const mim_label_summary *summary)
{
    char name[MIM_ERROR_TEXT_BYTES];
    const char *label = safe(summary->label, name);
    if (summary->n_runs < 2)
        fprintf(out, "%s: no noise floor without a repetition\n", label);
    if (compare->only_accepted && summary->is_judged &&
        summary->n_accepted < MIM_COMPARE_MIN_ACCEPTED)
        fprintf(out, "%s: not measurable now: %zu accepted slots, %d needed\n", label,
                summary->n_accepted, MIM_COMPARE_MIN_ACCEPTED);
}

static void family_head(FILE *out, int width)
{
    fprintf(out, "\n%-*s  %-10s %8s %8s %8s %8s %6s\n", width, "label", "family", "nl1", "mse",
            "dtw", "floor", "slots");
}

static void family_rows(FILE *out, int width, const mim_label_summary *summary)
{
    char name[MIM_ERROR_TEXT_BYTES];
    const char *label = safe(summary->label, name);
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        if (summary->families[f].n_metrics == 0)
            continue;
        family_row(out, width, label, mim_family_name((mim_family)f), &summary->families[f],
                   summary->floor[f]);
        label = "";
    }
}

static void metric_rows(FILE *out, const mim_compare *compare, const mim_compare_run *run)
{
    const mim_series *wanted = compare->wanted;
    char name[MIM_ERROR_TEXT_BYTES], label[MIM_ERROR_TEXT_BYTES], host[MIM_ERROR_TEXT_BYTES];
    fprintf(out, "\n%s (%s, %s)\n", safe(run->name, name), safe(run->label, label),
            safe(run->hostname, host));
    fprintf(out, "  %-32s %-8s %8s %8s %8s %12s %12s %6s %6s\n", "metric", "unit", "nl1", "mse",
            "dtw", "wanted", "measured", "slots", "absent");
    for (size_t m = 0; m < wanted->n_metrics; m++) {
        char text[5][FIGURE_TEXT_BYTES];
        const mim_metric_error *error = &run->metrics[m];
        if (error->is_left_out)
            continue;
        fprintf(out, "  %-32s %-8s %8s %8s %8s %12s %12s %6zu %6zu\n", wanted->metrics[m].name,
                wanted->metrics[m].unit ? wanted->metrics[m].unit : "", figure(error->nl1, text[0]),
                figure(error->mse, text[1]), figure(error->dtw, text[2]),
                quantity(error->wanted_mean, text[3]), quantity(error->measured_mean, text[4]),
                error->n_slots, error->n_absent);
    }
}

static void foot(FILE *out, const mim_compare *compare, bool is_verbose)
{
    bool is_first = true;
    char name[MIM_ERROR_TEXT_BYTES];
    for (size_t i = 0; i < compare->n_left_out; i++) {
        const mim_left_out *left = &compare->left_out[i];
        const mim_metric *metric = &compare->wanted->metrics[left->metric];
        if (!is_verbose && !mim_family_is_target(metric->family))
            continue;
        if (is_first)
            fprintf(out, "\nleft out\n");
        is_first = false;
        fprintf(out, "  %s: %s%s%s\n", metric->name, left->reason,
                left->run == SIZE_MAX ? "" : ", ",
                left->run == SIZE_MAX ? "" : safe(compare->runs[left->run].name, name));
    }
    if (compare->n_notes)
        fprintf(out, "\nnotes\n");
    for (size_t i = 0; i < compare->n_notes; i++)
        fprintf(out, "  %s\n", compare->notes[i]);
}

static void head(FILE *out, const mim_compare *compare)
{
    const mim_series *wanted = compare->wanted;
    const size_t n_cores = mim_series_n_cores(wanted);
    char name[MIM_ERROR_TEXT_BYTES], host[MIM_ERROR_TEXT_BYTES];
    fprintf(out, "wanted: %s (%s), %zu slot%s of %.3g s, %zu core%s\n",
            safe(compare->wanted_name, name), safe(wanted->hostname, host), wanted->n_slots,
            wanted->n_slots == 1 ? "" : "s", mim_series_median_length_s(wanted), n_cores,
            n_cores == 1 ? "" : "s");
    fprintf(out, "normalised L1, means over runs%s\n\n",
            compare->only_accepted ? ", of accepted slots only" : "");
}

int mim_compare_table(const mim_compare *compare, bool is_verbose, FILE *out)
{
    const int width = label_width(compare);
    size_t n = 0;
    mim_label_summary *labels = calloc(compare->n_runs + 1, sizeof *labels);
    if (!labels)
        return mim_fail(MIM_ENOMEM, "a table of %zu runs", compare->n_runs);
    for (size_t i = 0; i < compare->n_runs; i++)
        if (mim_compare_first_of_label(compare, i))
            mim_compare_summarise(compare, i, &labels[n++]);
    head(out, compare);
    label_head(out, compare, width);
    for (size_t i = 0; i < n; i++)
        label_row(out, compare, width, &labels[i]);
    for (size_t i = 0; i < n; i++)
        label_caveats(out, compare, &labels[i]);
    if (is_verbose)
        family_head(out, width);
    for (size_t i = 0; i < n && is_verbose; i++)
        family_rows(out, width, &labels[i]);
    for (size_t i = 0; i < compare->n_runs && is_verbose; i++)
        metric_rows(out, compare, &compare->runs[i]);
    foot(out, compare, is_verbose);
    free(labels);
    if (fflush(out) != 0 || ferror(out))
        return mim_fail(MIM_EIO, "the table could not be written: %s", strerror(errno));
    return MIM_OK;
}
