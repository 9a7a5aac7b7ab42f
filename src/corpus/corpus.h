/* The training corpus: what a model learns from.
 *
 * A sample is one measured window: metrics with their mask, the action, and the action of the slot
 * before. Which samples are for validation is decided per plan by (plan id, seed) alone, before any
 * augmentation, so that no plan stands on both sides. Augmentation is the trainer's, on the fly.
 *
 * File: schema "mimesys_corpus", written once, whole. Datasets over samples [n_samples]: plan_id,
 * window, metric [metric], mask [metric], spread [metric], n_repeats, action [thread][stressor],
 * previous_action [thread][stressor], has_previous, is_validation; range_min, range_max [metric];
 * names and stressor_sizes as in the campaign store; digest [block][dataset]. Opened like it (see
 * corpus/campaign.h).
 *
 * Damage: the digests of the samples (core/digest.h), added over blocks of neighbours, are compared
 * by mim_corpus_check and mim_corpus_read; the small datasets (see mim_h5_seal) when the file is
 * opened. Files of version 1 have no digests. Samples in any order (corpus/rows.h) are not
 * compared. */
#ifndef MIM_CORPUS_CORPUS_H
#define MIM_CORPUS_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "corpus/layout.h"

#define MIM_CORPUS_SCHEMA "mimesys_corpus"

enum { MIM_CORPUS_VERSION = 2 };

/* n samples, each array [n] or [n][shape]; T threads, S stressors, D metrics of the layout. */
typedef struct mim_samples {
    size_t n;
    uint64_t *plan_id;
    uint32_t *window;
    float *metric;          /* [n][D] in the layout's units; 0 where absent */
    uint8_t *mask;          /* [n][D] 1 = present, 0 = absent */
    float *spread;          /* [n][D] median absolute deviation over repetitions; 0 where absent */
    uint32_t *n_repeats;    /* repetitions behind the figures */
    float *action;          /* [n][T][S] */
    float *previous_action; /* [n][T][S] zeros without a previous slot */
    uint8_t *has_previous;  /* 0: the window began from an idle machine */
    uint8_t *is_validation; /* by mim_corpus_is_validation */
} mim_samples;

int mim_samples_create(const mim_layout *layout, size_t n, mim_samples **samples); /* zeros */
void mim_samples_destroy(mim_samples **samples);

/* Whether a plan is for validation: a pure function of its arguments. share: 0 to 1. */
bool mim_corpus_is_validation(uint64_t plan_id, uint64_t seed, double share);

typedef struct mim_corpus_info {
    uint64_t split_seed;
    double validation_share;
    const char *config; /* borrowed: resolved configuration it was made with */
    const char *source; /* borrowed: what it was made from, for people */
} mim_corpus_info;

typedef struct mim_corpus mim_corpus;

/* One process writes all samples; atomic. Computes ranges and checks the samples (MIM_EINVAL). */
int mim_corpus_write(const char *path, const mim_layout *layout, const mim_corpus_info *info,
                     const mim_samples *samples);

/* MIM_EIO; MIM_EDATA: another schema or a later version, named, damaged, or not such a file. */
int mim_corpus_open(const char *path, mim_corpus **corpus);
void mim_corpus_destroy(mim_corpus **corpus);

const char *mim_corpus_path(const mim_corpus *corpus); /* borrowed */
int mim_corpus_version(const mim_corpus *corpus);      /* of the file's schema; 1: no digests */
const mim_layout *mim_corpus_layout(const mim_corpus *corpus);
const mim_corpus_info *mim_corpus_about(const mim_corpus *corpus);
size_t mim_corpus_n_samples(const mim_corpus *corpus);
/* [n_metrics] over all samples where present; both NaN for a metric that no sample has. */
const double *mim_corpus_range_min(const mim_corpus *corpus);
const double *mim_corpus_range_max(const mim_corpus *corpus);
/* Identity of the content (FNV-1a of names, working sets, ranges and size), for checkpoints. */
uint64_t mim_corpus_hash(const mim_corpus *corpus);

/* Samples [first, first + n) as new memory. MIM_EDATA, naming the file: values that no corpus
 * holds, or damaged, as mim_corpus_check tells it; that is known of blocks that are read whole, so
 * of all samples when all are read. */
int mim_corpus_read(mim_corpus *corpus, size_t first, size_t n, mim_samples **samples);

/* Reads all and checks digests, values, masks, ranges and the split. MIM_EDATA, naming dataset and
 * samples: damaged; MIM_ECHECK, naming the sample: stored like this, but not what a corpus holds.
 */
int mim_corpus_check(mim_corpus *corpus);
/* One line of names, then one line a sample; an absent value is an empty field. Atomic. */
int mim_corpus_write_csv(mim_corpus *corpus, const char *path);

#endif
