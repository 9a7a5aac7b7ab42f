#include "core/text.h"
#include "report/compare_model.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
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

static void row(FILE *out, int width, const char *label, const char *family,
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

static void accepted_line(FILE *out, const mim_compare *compare, const mim_label_summary *summary)
{
    if (!summary->is_judged)
        return;
    if (summary->n_accepted >= MIM_COMPARE_MIN_ACCEPTED)
        fprintf(out, "; %zu accepted slots%s", summary->n_accepted,
                compare->only_accepted ? ", only these are counted" : "");
    else if (compare->only_accepted)
        fprintf(out, "; not measurable now: %zu accepted slots, %d needed", summary->n_accepted,
                MIM_COMPARE_MIN_ACCEPTED);
    else
        fprintf(out, "; %zu accepted slots", summary->n_accepted);
}

static void label_rows(FILE *out, const mim_compare *compare, int width, bool is_verbose,
                       const mim_label_summary *summary)
{
    char text[FIGURE_TEXT_BYTES], name[MIM_ERROR_TEXT_BYTES];
    const char *label = safe(summary->label, name);
    for (int f = 0; f < MIM_N_FAMILIES; f++) {
        const mim_family_error *family = &summary->families[f];
        if (family->n_metrics == 0 || (!is_verbose && !mim_family_is_target((mim_family)f)))
            continue;
        row(out, width, label, mim_family_name((mim_family)f), family, summary->floor[f]);
        label = "";
    }
    /* The mean over target families has one figure only: the one that methods are judged by. */
    const mim_family_error mean = {.nl1 = summary->nl1_mean, .mse = NAN, .dtw = NAN};
    row(out, width, label, "mean", &mean, summary->floor_mean);
    fprintf(out, "%-*s  %zu run%s", width, "", summary->n_runs, summary->n_runs == 1 ? "" : "s");
    if (!isnan(summary->spread))
        fprintf(out, ", spread of the mean %s", figure(summary->spread, text));
    else
        fprintf(out, ": no noise floor without a repetition");
    accepted_line(out, compare, summary);
    fputc('\n', out);
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

int mim_compare_table(const mim_compare *compare, bool is_verbose, FILE *out)
{
    const mim_series *wanted = compare->wanted;
    const int width = label_width(compare);
    const size_t n_cores = mim_series_n_cores(wanted);
    char name[MIM_ERROR_TEXT_BYTES], host[MIM_ERROR_TEXT_BYTES];
    fprintf(out, "wanted: %s (%s), %zu slot%s of %.3g s, %zu core%s\n\n",
            safe(compare->wanted_name, name), safe(wanted->hostname, host), wanted->n_slots,
            wanted->n_slots == 1 ? "" : "s", mim_series_median_length_s(wanted), n_cores,
            n_cores == 1 ? "" : "s");
    fprintf(out, "%-*s  %-10s %8s %8s %8s %8s %6s\n", width, "label", "family", "nl1", "mse", "dtw",
            "floor", "slots");
    for (size_t i = 0; i < compare->n_runs; i++) {
        mim_label_summary summary;
        if (!mim_compare_first_of_label(compare, i))
            continue;
        mim_compare_summarise(compare, i, &summary);
        label_rows(out, compare, width, is_verbose, &summary);
    }
    for (size_t i = 0; is_verbose && i < compare->n_runs; i++)
        metric_rows(out, compare, &compare->runs[i]);
    foot(out, compare, is_verbose);
    if (fflush(out) != 0 || ferror(out))
        return mim_fail(MIM_EIO, "the table could not be written: %s", strerror(errno));
    return MIM_OK;
}
