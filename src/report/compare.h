/* How alike are the wanted and the measured metrics?
 *
 * Normalised L1 of a metric: mean over slots of |measured - wanted| / range; then the mean over the
 * metrics of a family, then over target families. Metrics of zero range are left out and listed.
 * Range: maximum - minimum in a training corpus, where one is given and has the metric. Else 0-100
 * for CPU, 0 to the node's calibrated ceiling for I/O rates, 0-100 for % of peak; where there is no
 * such figure, the wanted series' own 0 to maximum (said in the result).
 * MSE: mean over slots of the square of the same normalised difference.
 * DTW: dynamic time warping of the normalised curves, band of 10 % of the slots, path cost divided
 * by the path length, so that it has the unit of the normalised L1 and is never above it.
 * A slot in which either side is absent (NaN) is skipped for that metric and counted.
 * Noise floor of a label: the mean over pairs of repeated runs (same label) of the normalised L1
 * between them. Spread of a label: largest minus smallest nl1_mean of its runs. */
#ifndef MIM_REPORT_COMPARE_H
#define MIM_REPORT_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "trace/adapt.h"
#include "trace/series.h"

/* Fewer accepted slots than this: "not measurable now". */
enum { MIM_COMPARE_MIN_ACCEPTED = 50 };

typedef struct mim_compare mim_compare;

/* `wanted` as recorded; it is adapted with `limits` first. Both are borrowed for the call. */
int mim_compare_create(const mim_series *wanted, const char *wanted_name,
                       const mim_node_limits *limits, mim_compare **compare);
void mim_compare_destroy(mim_compare **compare);
/* What a training corpus held of each metric. */
typedef struct mim_compare_ranges {
    const char *source; /* named in notes */
    size_t n_metrics;
    const char *const *metrics;      /* [n_metrics] names */
    const double *minimum, *maximum; /* [n_metrics]; NaN: never measured, so not known */
    size_t n_threads;
    const size_t *thread_metric; /* [n_threads] what core t has there, SIZE_MAX = nothing */
} mim_compare_ranges;
/* Normalises by these ranges. A metric that is constant there is left out; one that is not known
 * there keeps its range, and a note says so. Call before the first mim_compare_add. Borrowed for
 * the call. */
int mim_compare_use_ranges(mim_compare *compare, const mim_compare_ranges *ranges);
/* From now on only accepted slots count; call before the first mim_compare_add. */
void mim_compare_only_accepted(mim_compare *compare);
/* A sentence that is shown with the results (nothing happens when it is there already). */
int mim_compare_note(mim_compare *compare, const char *format, ...) MIM_PRINTF(2, 3);
/* The caller's sentence in place of the ones on metrics without a ceiling of this node, when it
 * knows why there is none; call before the first mim_compare_add. */
int mim_compare_note_ceilings(mim_compare *compare, const char *sentence);
/* Slot i is compared with slot i, up to the shorter one. Same label again = a repetition. Where
 * the file tells the CPU of each row of the plan, core r is paired with the CPU of row r, and CPUs
 * without a row do not count; with several rows on a CPU, core r with the r-th CPU that has rows
 * when there are as many. Else cores are paired by rank when both sides have as many, else by
 * number. Where the file does not tell which slots were undisturbed (trace/accept.h), all count and
 * a note says so. MIM_EDATA when no slot has a target metric on both sides. Borrowed for the call.
 */
int mim_compare_add(mim_compare *compare, const mim_series *measured, const char *name,
                    const char *label);

/* {"wanted", "accepted_only", "notes": [text], "left_out": [{"metric", "file", "reason"}],
 *  "files": [{"file", "label", "hostname", "n_slots", "n_accepted", "is_measurable",
 *  "families": {name: {"nl1", "mse", "dtw", "n_slots"} or null},
 *  "metrics": {name: {"family", "unit", "range", "nl1", "mse", "dtw", "wanted_mean",
 *  "measured_mean", "n_slots", "n_absent"}}, "nl1_mean"}],
 *  "labels": {label: {"n_runs", "n_accepted" (the smallest), "is_measurable", "families": means
 *  over the runs, "nl1_mean", "spread", "floor": {family: nl1 or null}, "floor_mean"}}}; the caller
 * owns it. What is not known is null: n_accepted and is_measurable without marks, spread and floor
 * of a single run. left_out's file is null when the metric is left
 * out for every file. */
int mim_compare_json(const mim_compare *compare, json_t **json);
/* For people: one row a label, in the order of the first run of each; with `is_verbose` every
 * family of every label and every metric of every file, too. */
int mim_compare_table(const mim_compare *compare, bool is_verbose, FILE *out);
/* PNG: one panel a target metric family, wanted and measured curves over time. */
int mim_compare_figure(const mim_compare *compare, const char *path);

#endif
