/* What a training corpus gives a training: all samples in memory, or, for corpora that are too
 * large, which samples there are and a way to read them. Either gives the same examples in the same
 * places, so training comes to the same to the bit. */
#ifndef MIM_DIFFUSION_LESSONS_H
#define MIM_DIFFUSION_LESSONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "corpus/corpus.h"
#include "corpus/rows.h"
#include "diffusion/domain.h"
#include "diffusion/examples.h"
#include "diffusion/order.h"
#include "diffusion/weighting.h"

typedef struct mim_lessons_options {
    uint64_t max_bytes;    /* of samples in memory; a larger corpus is read as it is needed */
    size_t max_validation; /* samples for validation that are used, >= 1; evenly chosen */
    size_t max_fit_rows;   /* plan rows (threads of samples) to which anything is fitted, >= 1 */
} mim_lessons_options;

typedef struct mim_lessons {
    size_t n_train, n_validation; /* in the corpus */
    size_t *train_rows;           /* [n_train] samples of the corpus */
    mim_samples *samples;         /* all of them, where train_rows point to; NULL: not in memory */
    mim_corpus_rows *rows;        /* NULL: all are in memory */
    mim_examples validation, fit; /* in memory */
    mim_samples *kept;            /* behind both when not all are */
    size_t *kept_rows;            /* their rows, [validation.n + fit.n] */
} mim_lessons;

/* MIM_EDATA, naming the file, when no sample is for training, and as mim_corpus_read() where all
 * are in memory; what is read as it is needed is not compared with digests (corpus/rows.h). */
int mim_lessons_read(mim_corpus *corpus, const mim_lessons_options *options, mim_lessons **lessons);
void mim_lessons_destroy(mim_lessons **lessons);

/* The order in which training meets them: example i is sample train_rows[i]. */
int mim_lessons_order(mim_lessons *lessons, const mim_domain *domain,
                      const mim_weighting *weighting, uint64_t seed, mim_order **order);

/* Memory that the samples of a corpus take. */
double mim_lessons_bytes(const mim_corpus *corpus);

#endif
