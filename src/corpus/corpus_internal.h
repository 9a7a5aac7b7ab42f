/* The corpus' inside, for corpus/corpus*.c and for the collective write. */
#ifndef MIM_CORPUS_CORPUS_INTERNAL_H
#define MIM_CORPUS_CORPUS_INTERNAL_H

#include "corpus/corpus.h"
#include "corpus/table_internal.h"

enum { MIM_CORPUS_N_COLUMNS = 10 };

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
/* Widens the ranges by the samples. min, max: [n_metrics]; begin with INFINITY and -INFINITY. */
void mim_samples_ranges(const mim_layout *layout, const mim_samples *samples, double *min,
                        double *max);
/* Makes ranges that nothing widened NaN. */
void mim_ranges_finish(const mim_layout *layout, double *min, double *max);

/* Borrowed; the rows of an open corpus. */
const mim_table *mim_corpus_table(const mim_corpus *corpus);
const char *mim_corpus_path(const mim_corpus *corpus);

/* The file with everything but its samples, n of them, at a name of the caller's own. */
int mim_corpus_make(const char *path, const mim_layout *layout, const mim_corpus_info *info,
                    size_t n, const double *min, const double *max);

#endif
