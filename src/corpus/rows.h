/* Samples of a training corpus in any order, for corpora that do not fit into memory.
 *
 * Every column of a corpus stands at one place of the file, so rows are read from there without the
 * HDF5 library, which has no locks: a thread may read rows while others write checkpoints.
 *
 * Rows are not compared with digests, which are those of whole blocks of neighbours: reading a
 * block for each row is too dear. mim_corpus_check tells whether a file is damaged. */
#ifndef MIM_CORPUS_ROWS_H
#define MIM_CORPUS_ROWS_H

#include <stddef.h>

#include "corpus/corpus.h"

typedef struct mim_corpus_rows mim_corpus_rows; /* used by one thread at a time */

/* Keeps nothing of `corpus`. MIM_EIO; MIM_EUNSUP: numbers of another kind of machine. */
int mim_corpus_rows_open(const mim_corpus *corpus, mim_corpus_rows **rows);
void mim_corpus_rows_close(mim_corpus_rows **rows);

/* Tells the kernel that the n samples `which` will be read soon. */
void mim_corpus_rows_announce(const mim_corpus_rows *rows, size_t n, const size_t *which);
/* Sample which[i] becomes the i-th of `samples`, which has room for n or more; spread, window and
 * n_repeats are left alone. MIM_EDATA: the file was cut short or changed since it was opened, or
 * holds values that no corpus holds; MIM_EINVAL: there is no such sample. */
int mim_corpus_rows_read(mim_corpus_rows *rows, size_t n, const size_t *which,
                         mim_samples *samples);

/* What is needed of all samples to choose among them, read from front to end: of the n samples from
 * `first` on, metric [n][D] and mask [n][D] (both NULL: not these), has_previous [n] and
 * is_validation [n]. */
int mim_corpus_rows_scan(mim_corpus_rows *rows, size_t first, size_t n, float *metric,
                         uint8_t *mask, uint8_t *has_previous, uint8_t *is_validation);

#endif
