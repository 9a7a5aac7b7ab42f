/* How alike are the wanted and the measured metrics?
 *
 * Normalised L1 of a metric: mean over slots of |measured - wanted| / range; then the mean over the
 * metrics of a family, then over target families. Metrics of zero range are left out and listed.
 * Range: 0-100 for CPU, 0 to the node's calibrated ceiling for I/O rates, 0-100 for % of peak;
 * where there is no such figure, the wanted series' own 0 to maximum (said in the result).
 * DTW: dynamic time warping of the normalised curves, band of 10 % of the slots, path cost divided
 * by the path length, so that it has the unit of the normalised L1.
 * Noise floor of a label: the mean over pairs of repeated runs (same label) of the normalised L1
 * between them. */
#ifndef MIM_REPORT_COMPARE_H
#define MIM_REPORT_COMPARE_H

#include <stdio.h>

#include <jansson.h>

#include "trace/adapt.h"
#include "trace/series.h"

typedef struct mim_compare mim_compare;

/* `wanted` as recorded; it is adapted with `limits` first. Both are borrowed for the call. */
int mim_compare_create(const mim_series *wanted, const char *wanted_name,
                       const mim_node_limits *limits, mim_compare **compare);
void mim_compare_destroy(mim_compare **compare);
/* Slot i is compared with slot i, up to the shorter one. Same label again = a repetition. */
int mim_compare_add(mim_compare *compare, const mim_series *measured, const char *name,
                    const char *label);

/* {"wanted", "notes": [...], "left_out": [...], "files": [{"file", "label", "n_slots",
 *  "n_accepted", "families": {name: {"nl1", "mse", "dtw", "n_slots"}}, "metrics": {...},
 *  "nl1_mean"}], "labels": {label: {"n_runs", "nl1_mean", "spread", "floor": {family: nl1},
 *  "floor_mean"}}}; the caller owns it. */
int mim_compare_json(const mim_compare *compare, json_t **json);
int mim_compare_table(const mim_compare *compare, FILE *out);
/* PNG: one panel a target metric family, wanted and measured curves over time. */
int mim_compare_figure(const mim_compare *compare, const char *path);

#endif
