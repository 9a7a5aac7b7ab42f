/* Nearest neighbour: each slot gets the action of the training sample whose metrics are nearest.
 *
 * Distance of a wanted slot and a sample: root of the mean over the metrics that both have of
 * ((wanted - sample) / (max - min))^2, with the ranges of the corpus; a wanted value beyond its
 * range counts as the end of it. Only metrics of the families that a plan can be asked to imitate
 * count, and none that is constant in the corpus. Of equal distances the earlier sample is taken.
 * Only training samples are looked at; what ran in the slot before is not. Every sample is compared
 * with: n_samples * n_metrics operations a slot. */
#ifndef MIM_BASELINE_NEAREST_H
#define MIM_BASELINE_NEAREST_H

#include "corpus/corpus.h"
#include "plan/plan.h"
#include "trace/series.h"

/* The training samples of a corpus, to be searched. */
typedef struct mim_nearest mim_nearest;

/* All arguments are kept, borrowed for the life of the index; range_min, range_max: [n_metrics].
 * MIM_EDATA: no training samples. */
int mim_nearest_create(const mim_layout *layout, const double *range_min, const double *range_max,
                       const mim_samples *samples, mim_nearest **nearest);
/* The same of a file, which is read whole. Errors of mim_corpus_open, too. */
int mim_nearest_open(const char *corpus, mim_nearest **nearest);
void mim_nearest_destroy(mim_nearest **nearest);

const mim_layout *mim_nearest_layout(const mim_nearest *nearest);

typedef struct mim_neighbour {
    double distance;     /* 0 = alike; 1 = all metrics at opposite ends of their ranges */
    size_t sample;       /* number in the corpus */
    const float *action; /* [n_threads][n_stressors], borrowed */
} mim_neighbour;

/* The k nearest, nearest first; fewer when fewer have a metric in common with the query. query:
 * [n_metrics] of the layout, in its units, NaN = do not care. found: [k], k >= 1. */
int mim_nearest_find(const mim_nearest *nearest, const double *query, size_t k,
                     mim_neighbour *found, size_t *n_found);

/* What differs between methods: puts a row-major action [n_threads][n_stressors] together. */
typedef void (*mim_nearest_blend)(size_t n_found, const mim_neighbour *found, size_t n_weights,
                                  double *action);

/* `wanted` is adapted to the node (trace/adapt.h): its i-th core is row i of the plan, whose
 * stressors are the corpus's. Rows above 1 (by rounding) are normalised. A slot that has none of
 * the metrics stays idle. MIM_EUNSUP: the plans of the corpus have another number of threads than
 * the wanted series has cores; MIM_EDATA: no metric in common, or no cores; MIM_EINVAL: k is 0. */
int mim_nearest_plan_with(const mim_nearest *nearest, const mim_series *wanted, size_t k,
                          mim_nearest_blend blend, mim_plan **plan);
int mim_nearest_plan(const mim_nearest *nearest, const mim_series *wanted, mim_plan **plan);

/* New sentence when slots want more or less of a metric than any sample of the corpus did, by over
 * a thousandth of its range; NULL when none does. The caller frees it. */
int mim_nearest_outside_note(const mim_nearest *nearest, const mim_series *wanted, char **note);

#endif
