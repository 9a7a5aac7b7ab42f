/* Training examples in memory, and what a training corpus is to a model. */
#ifndef MIM_DIFFUSION_EXAMPLES_H
#define MIM_DIFFUSION_EXAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "corpus/corpus.h"
#include "diffusion/domain.h"

/* D metrics, T threads, S stressors of a domain. Borrowed arrays, laid out like a corpus's. */
typedef struct mim_examples {
    size_t n;
    const size_t *rows;          /* [n] which rows of the arrays below; NULL = the first n */
    const float *metric;         /* [rows][D] physical units */
    const uint8_t *mask;         /* [rows][D] 1 = present, 0 = absent */
    const float *action;         /* [rows][T][S] shares of a slot, 0 to 1 */
    const float *previous;       /* [rows][T][S] of the slot before */
    const uint8_t *has_previous; /* [rows] */
} mim_examples;

/* The domain of a model of this corpus: its names, ranges, threads and sockets. */
int mim_domain_of_corpus(const mim_corpus *corpus, mim_domain **domain);

/* A corpus's samples as examples, training and validation apart. */
typedef struct mim_lessons {
    mim_samples *samples;
    size_t *rows; /* behind the rows of both */
    mim_examples train, validation;
} mim_lessons;

/* Reads all samples. MIM_EDATA when none is for training. */
int mim_lessons_read(mim_corpus *corpus, mim_lessons **lessons);
void mim_lessons_destroy(mim_lessons **lessons);

#endif
