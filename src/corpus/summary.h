/* Robust summary of repeated measurements of a slot. */
#ifndef MIM_CORPUS_SUMMARY_H
#define MIM_CORPUS_SUMMARY_H

#include <stddef.h>

#include "core/error.h"

/* Per metric over the repetitions that have it: median and median absolute deviation from it (not
 * scaled). Zeros are values like others; NaN is absent and left out; a metric that no repetition
 * has is NaN in both. One repetition has a spread of 0.
 * values: [n_repeats][stride] of which the first n_metrics of each row are read; median, spread:
 * [n_metrics]. MIM_EINVAL: an infinite value. */
int mim_summarize_slot(size_t n_repeats, size_t n_metrics, size_t stride, const double *values,
                       double *median, double *spread);

#endif
