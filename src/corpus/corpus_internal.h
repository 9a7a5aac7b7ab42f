/* The corpus' inside, for corpus/corpus*.c and for the collective write. */
#ifndef MIM_CORPUS_CORPUS_INTERNAL_H
#define MIM_CORPUS_CORPUS_INTERNAL_H

#include "corpus/corpus.h"
#include "corpus/table_internal.h"

enum {
    MIM_CORPUS_N_COLUMNS = 10,
    MIM_CORPUS_DIGESTS_SINCE = 2, /* version of the schema */
};

void mim_corpus_columns(const mim_layout *layout, mim_column columns[MIM_CORPUS_N_COLUMNS]);
/* The arrays of samples [at, ...) in the order of the columns. */
void mim_corpus_buffers(const mim_layout *layout, const mim_samples *samples, size_t at,
                        void *buffers[MIM_CORPUS_N_COLUMNS]);

/* MIM_EINVAL, naming the sample: values, masks or shares out of range, or on the wrong side. */
int mim_samples_check(const mim_layout *layout, const mim_corpus_info *info,
                      const mim_samples *samples);
/* The same for sample i alone, which sentences call `number`. */
int mim_samples_check_one(const mim_layout *layout, const mim_corpus_info *info,
                          const mim_samples *samples, size_t i, size_t number);
/* Borrowed; the rows of an open corpus. */
const mim_table *mim_corpus_table(const mim_corpus *corpus);
/* Borrowed, [blocks][MIM_CORPUS_N_COLUMNS], and the samples of a block (may be NULL); NULL and 0
 * when the file has none. */
const uint64_t *mim_corpus_digests(const mim_corpus *corpus, size_t *block_rows);

/* ---- tallies (corpus_tally.c): what samples add up to, in any order, in any number of processes -
 */

typedef struct mim_tally {
    size_t n_metrics, n_blocks, block_rows;
    double *min, *max; /* [n_metrics] of what is present */
    uint64_t *digests; /* [n_blocks][MIM_CORPUS_N_COLUMNS] sums; NULL: not wanted */
} mim_tally;

/* Samples of a block in new files of n samples. */
size_t mim_corpus_block_rows(size_t n);
/* For a corpus of n samples, of none so far; block_rows 0: without digests. */
int mim_tally_create(const mim_layout *layout, size_t n, size_t block_rows, mim_tally **tally);
void mim_tally_destroy(mim_tally **tally);
/* Samples that stand from `first` on. */
void mim_tally_add(mim_tally *tally, const mim_layout *layout, const mim_samples *samples,
                   size_t first);
/* When all are added: ranges that nothing widened become NaN. */
void mim_tally_finish(mim_tally *tally);

/* The file with everything but its samples, n of them, at a name of the caller's own. tally: of all
 * samples, finished; without digests the file becomes one of version 1. */
int mim_corpus_make(const char *path, const mim_layout *layout, const mim_corpus_info *info,
                    size_t n, const mim_tally *tally);

/* Reads like mim_corpus_read, but values that no corpus holds as well. */
int mim_corpus_read_any(mim_corpus *corpus, size_t first, size_t n, mim_samples **samples);
/* Compares digests of the blocks that lie wholly in samples that stand from `first` on. MIM_EDATA,
 * naming dataset and samples. */
int mim_corpus_verify(const mim_corpus *corpus, const mim_samples *samples, size_t first);
/* Reads samples [first, first + n), adds and checks them. MIM_ECHECK, after all were added: names
 * the first that no corpus holds. Otherwise (MIM_EIO, MIM_EDATA) nothing can be said. */
int mim_corpus_tally(mim_corpus *corpus, size_t first, size_t n, mim_tally *tally);
/* What the finished tally of all samples says: about digests first (MIM_EDATA, naming dataset and
 * samples), then what mim_corpus_tally said (`checked`), then about ranges (MIM_ECHECK). */
int mim_corpus_judge(const mim_corpus *corpus, const mim_tally *tally, int checked);

#endif
