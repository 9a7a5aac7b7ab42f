/* What the samples of a training corpus add up to, when it is made and when it is looked through.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/corpus_internal.h"

enum { BLOCK_ROWS = 256, MAX_BLOCKS = 65536, READ_ROWS = 4096 };

size_t mim_corpus_block_rows(size_t n)
{
    size_t rows = BLOCK_ROWS;
    while (n / rows >= MAX_BLOCKS)
        rows *= 2;
    return rows;
}

int mim_tally_create(const mim_layout *layout, size_t n, size_t block_rows, mim_tally **tally)
{
    const size_t n_metrics = layout->n_metrics;
    mim_tally *t = calloc(1, sizeof *t);
    if (t) {
        t->n_metrics = n_metrics;
        t->n_blocks = block_rows ? (n + block_rows - 1) / block_rows : 0;
        t->block_rows = block_rows;
        t->min = malloc(n_metrics * sizeof *t->min);
        t->max = malloc(n_metrics * sizeof *t->max);
        if (block_rows)
            t->digests = calloc(t->n_blocks + 1, MIM_CORPUS_N_COLUMNS * sizeof *t->digests);
    }
    if (!t || !t->min || !t->max || (block_rows && !t->digests)) {
        mim_tally_destroy(&t);
        return mim_fail(MIM_ENOMEM, "ranges and digests of %zu samples", n);
    }
    for (size_t m = 0; m < n_metrics; m++) {
        t->min[m] = INFINITY;
        t->max[m] = -INFINITY;
    }
    *tally = t;
    return MIM_OK;
}

void mim_tally_destroy(mim_tally **tally)
{
    mim_tally *t = *tally;
    if (!t)
        return;
    free(t->min);
    free(t->max);
    free(t->digests);
    free(t);
    *tally = NULL;
}

void mim_tally_add(mim_tally *t, const mim_layout *l, const mim_samples *s, size_t first)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    for (size_t i = 0; i < s->n * l->n_metrics; i++) {
        const size_t m = i % l->n_metrics;
        if (!s->mask[i])
            continue;
        t->min[m] = fmin(t->min[m], (double)s->metric[i]);
        t->max[m] = fmax(t->max[m], (double)s->metric[i]);
    }
    if (!t->digests)
        return;
    mim_corpus_columns(l, columns);
    mim_corpus_buffers(l, s, 0, buffers);
    mim_columns_digest(MIM_CORPUS_N_COLUMNS, columns, buffers, first, s->n, t->block_rows,
                       MIM_CORPUS_N_COLUMNS,
                       t->digests + first / t->block_rows * MIM_CORPUS_N_COLUMNS);
}

void mim_tally_finish(mim_tally *t)
{
    for (size_t m = 0; m < t->n_metrics; m++)
        if (t->min[m] > t->max[m])
            t->min[m] = t->max[m] = NAN;
}

/* ---- looking through ------------------------------------------------------------------------- */

int mim_corpus_tally(mim_corpus *c, size_t first, size_t n, mim_tally *tally)
{
    char sentence[MIM_ERROR_TEXT_BYTES] = "";
    for (size_t at = first; at < first + n; at += READ_ROWS) {
        mim_samples *block = NULL;
        const size_t left = first + n - at;
        int rc = mim_corpus_read_any(c, at, left < READ_ROWS ? left : READ_ROWS, &block);
        if (rc != MIM_OK)
            return rc;
        mim_tally_add(tally, mim_corpus_layout(c), block, at);
        rc = MIM_OK;
        for (size_t i = 0; rc == MIM_OK && !*sentence && i < block->n; i++)
            rc = mim_samples_check_one(mim_corpus_layout(c), mim_corpus_about(c), block, i, at + i);
        if (rc != MIM_OK)
            strcpy(sentence, mim_error());
        mim_samples_destroy(&block);
    }
    return *sentence ? mim_fail(MIM_ECHECK, "%s: %s", mim_corpus_path(c), sentence) : MIM_OK;
}

/* found: [n_blocks][MIM_CORPUS_N_COLUMNS] sums of the blocks from first_block on. */
static int judge_digests(const mim_corpus *c, size_t first_block, size_t n_blocks,
                         const uint64_t *found)
{
    const size_t n = mim_corpus_n_samples(c), width = MIM_CORPUS_N_COLUMNS;
    size_t block_rows = 0, i = 0;
    const uint64_t *stored = mim_corpus_digests(c, &block_rows);
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    if (n_blocks == 0)
        return MIM_OK;
    stored += first_block * width;
    while (i < n_blocks * width && found[i] == stored[i])
        i++;
    if (i == n_blocks * width)
        return MIM_OK;
    const size_t block = i / width;
    size_t end = block + 1;
    while (end < n_blocks && found[i + (end - block) * width] != stored[i + (end - block) * width])
        end++;
    const size_t after = (first_block + end) * block_rows;
    mim_corpus_columns(mim_corpus_layout(c), columns);
    return mim_fail(
        MIM_EDATA, "%s: %s is damaged in samples %zu to %zu: not the digest they were written with",
        mim_corpus_path(c), columns[i % width].name, (first_block + block) * block_rows,
        (after < n ? after : n) - 1);
}

int mim_corpus_verify(const mim_corpus *c, const mim_samples *s, size_t first)
{
    const size_t n = mim_corpus_n_samples(c), width = MIM_CORPUS_N_COLUMNS;
    size_t rows = 0;
    if (!mim_corpus_digests(c, &rows))
        return MIM_OK;
    const size_t block = (first + rows - 1) / rows;
    const size_t end = first + s->n == n ? (n + rows - 1) / rows : (first + s->n) / rows;
    if (block >= end)
        return MIM_OK;
    const size_t from = block * rows, to = end * rows < n ? end * rows : n;
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    uint64_t *found = calloc((end - block) * width, sizeof *found);
    if (!found)
        return mim_fail(MIM_ENOMEM, "%s: digests of %zu samples", mim_corpus_path(c), s->n);
    mim_corpus_columns(mim_corpus_layout(c), columns);
    mim_corpus_buffers(mim_corpus_layout(c), s, from - first, buffers);
    mim_columns_digest(width, columns, buffers, from, to - from, rows, width, found);
    const int rc = judge_digests(c, block, end - block, found);
    free(found);
    return rc;
}

static bool is_same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

int mim_corpus_judge(const mim_corpus *c, const mim_tally *t, int checked)
{
    const mim_layout *l = mim_corpus_layout(c);
    const double *min = mim_corpus_range_min(c), *max = mim_corpus_range_max(c);
    int rc = judge_digests(c, 0, t->n_blocks, t->digests);
    if (rc != MIM_OK || checked != MIM_OK)
        return rc != MIM_OK ? rc : checked;
    for (size_t m = 0; m < l->n_metrics; m++)
        if (!is_same(t->min[m], min[m]) || !is_same(t->max[m], max[m]))
            return mim_fail(MIM_ECHECK, "%s: %s goes from %g to %g, the file says %g to %g",
                            mim_corpus_path(c), l->metric_names[m], t->min[m], t->max[m], min[m],
                            max[m]);
    return MIM_OK;
}

int mim_corpus_check(mim_corpus *c)
{
    const size_t n = mim_corpus_n_samples(c);
    size_t block_rows = 0;
    mim_tally *tally = NULL;
    mim_corpus_digests(c, &block_rows);
    int rc = mim_tally_create(mim_corpus_layout(c), n, block_rows, &tally);
    if (rc == MIM_OK)
        rc = mim_corpus_tally(c, 0, n, tally);
    if (rc == MIM_OK || rc == MIM_ECHECK) {
        mim_tally_finish(tally);
        rc = mim_corpus_judge(c, tally, rc);
    }
    mim_tally_destroy(&tally);
    return rc;
}
