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

/* The row of example i. */
size_t mim_examples_row(const mim_examples *examples, size_t i);
/* All rows of samples that live as long. */
mim_examples mim_examples_of_samples(const mim_samples *samples);
/* MIM_EDATA, naming the row: a known metric that is not finite, a weight that is not 0 to 1. */
int mim_examples_check(const mim_examples *examples, const mim_domain *domain);

/* The domain of a model of this corpus: its names, ranges, threads and sockets; linear. */
int mim_domain_of_corpus(const mim_corpus *corpus, mim_domain **domain);

#endif
