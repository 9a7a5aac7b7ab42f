#include "diffusion/lessons.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 }; /* samples that are looked through at a time */

double mim_lessons_bytes(const mim_corpus *corpus)
{
    const mim_layout *l = mim_corpus_layout(corpus);
    const double cells = (double)l->n_threads * (double)l->n_stressors;
    return (double)mim_corpus_n_samples(corpus) *
           (22 + 9 * (double)l->n_metrics + 8 * cells); /* mim_samples */
}

/* ---- which samples -------------------------------------------------------------------------- */

/* Sorts samples [first, first + n) into those for training, from the front of `sides`, and those
 * for validation, from its end. */
static void take_sides(mim_lessons *l, size_t first, size_t n, const uint8_t *is_validation,
                       size_t n_all)
{
    for (size_t i = 0; i < n; i++) {
        if (is_validation[i])
            l->train_rows[n_all - ++l->n_validation] = first + i;
        else
            l->train_rows[l->n_train++] = first + i;
    }
}

static int scan_sides(mim_lessons *l, const char *path, size_t n_all)
{
    uint8_t has_previous[BLOCK], is_validation[BLOCK];
    int rc = MIM_OK;
    for (size_t at = 0; rc == MIM_OK && at < n_all; at += BLOCK) {
        const size_t n = n_all - at < BLOCK ? n_all - at : BLOCK;
        rc = mim_corpus_rows_scan(l->rows, at, n, NULL, NULL, has_previous, is_validation);
        for (size_t i = 0; rc == MIM_OK && i < n; i++)
            if (is_validation[i] > 1)
                rc =
                    mim_fail(MIM_EDATA, "%s: sample %zu: is on no side of the split", path, at + i);
        if (rc == MIM_OK)
            take_sides(l, at, n, is_validation, n_all);
    }
    return rc;
}

/* k of n evenly, the i-th of them. */
static size_t even(size_t i, size_t k, size_t n)
{
    return (size_t)((double)i * ((double)n / (double)k));
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Samples of the corpus that stay in memory in any case. */
static int choose_kept(mim_lessons *l, const mim_lessons_options *o, size_t n_threads)
{
    l->validation.n = smaller(l->n_validation, o->max_validation);
    l->fit.n = smaller(l->n_train, o->max_fit_rows / n_threads + 1);
    l->kept_rows = calloc(l->validation.n + l->fit.n + 1, sizeof *l->kept_rows);
    if (!l->kept_rows)
        return mim_fail(MIM_ENOMEM, "%zu samples", l->validation.n + l->fit.n);
    for (size_t i = 0; i < l->validation.n; i++)
        l->kept_rows[i] = l->train_rows[l->n_train + even(i, l->validation.n, l->n_validation)];
    for (size_t i = 0; i < l->fit.n; i++)
        l->kept_rows[l->validation.n + i] = l->train_rows[even(i, l->fit.n, l->n_train)];
    return MIM_OK;
}

/* Points both at arrays of samples; `are_all`: kept_rows are rows of it, else it holds them one
 * behind the other. */
static void point(mim_lessons *l, const mim_samples *samples, bool are_all)
{
    const size_t n_validation = l->validation.n, n_fit = l->fit.n;
    for (size_t i = 0; !are_all && i < n_validation + n_fit; i++)
        l->kept_rows[i] = i;
    l->validation = l->fit = mim_examples_of_samples(samples);
    l->validation.n = n_validation;
    l->fit.n = n_fit;
    l->validation.rows = l->kept_rows;
    l->fit.rows = l->kept_rows + n_validation;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int read_all(mim_corpus *corpus, mim_lessons *l)
{
    const size_t n = mim_corpus_n_samples(corpus);
    const int rc = mim_corpus_read(corpus, 0, n, &l->samples);
    if (rc == MIM_OK)
        take_sides(l, 0, n, l->samples->is_validation, n);
    return rc;
}

static int read_kept(const mim_corpus *corpus, mim_lessons *l)
{
    const size_t n = l->validation.n + l->fit.n;
    int rc = mim_samples_create(mim_corpus_layout(corpus), n, &l->kept);
    if (rc == MIM_OK)
        rc = mim_corpus_rows_read(l->rows, n, l->kept_rows, l->kept);
    return rc;
}

int mim_lessons_read(mim_corpus *corpus, const mim_lessons_options *options, mim_lessons **lessons)
{
    const size_t n = mim_corpus_n_samples(corpus);
    const bool is_small = mim_lessons_bytes(corpus) <= (double)options->max_bytes;
    mim_lessons *made = calloc(1, sizeof *made);
    int rc = made && (made->train_rows = calloc(n ? n : 1, sizeof *made->train_rows))
                 ? MIM_OK
                 : mim_fail(MIM_ENOMEM, "%zu samples", n);
    if (rc == MIM_OK && is_small)
        rc = read_all(corpus, made);
    else if (rc == MIM_OK && (rc = mim_corpus_rows_open(corpus, &made->rows)) == MIM_OK)
        rc = scan_sides(made, mim_corpus_path(corpus), n);
    if (rc == MIM_OK && made->n_train == 0)
        rc = mim_fail(MIM_EDATA, "%s: none of its %zu samples is for training",
                      mim_corpus_path(corpus), n);
    if (rc == MIM_OK)
        rc = choose_kept(made, options, mim_corpus_layout(corpus)->n_threads);
    if (rc == MIM_OK && !is_small)
        rc = read_kept(corpus, made);
    if (rc == MIM_OK) {
        point(made, is_small ? made->samples : made->kept, is_small);
        *lessons = made;
        made = NULL;
    }
    mim_lessons_destroy(&made);
    return rc;
}

void mim_lessons_destroy(mim_lessons **lessons)
{
    mim_lessons *old = *lessons;
    if (!old)
        return;
    *lessons = NULL;
    mim_samples_destroy(&old->samples);
    mim_samples_destroy(&old->kept);
    mim_corpus_rows_close(&old->rows);
    free(old->train_rows);
    free(old->kept_rows);
    free(old);
}

/* ---- order ---------------------------------------------------------------------------------- */

/* One block's figures while weights are found; D metrics. */
typedef struct block {
    float *metric; /* [BLOCK][D] */
    uint8_t *mask; /* [BLOCK][D] */
    uint8_t has_previous[BLOCK], is_validation[BLOCK];
} block;

/* Weights of the samples for training from the corpus's front to its end, which is their order. */
static int scan_weights(mim_lessons *l, const mim_domain *d, const mim_weighting *w, block *b,
                        double *weights)
{
    const size_t n_all = l->n_train + l->n_validation, n_metrics = d->n_metrics;
    size_t n_done = 0;
    int rc = MIM_OK;
    for (size_t at = 0; rc == MIM_OK && at < n_all; at += BLOCK) {
        const size_t n = smaller(n_all - at, BLOCK);
        rc = mim_corpus_rows_scan(l->rows, at, n, b->metric, b->mask, b->has_previous,
                                  b->is_validation);
        for (; rc == MIM_OK && n_done < l->n_train && l->train_rows[n_done] < at + n; n_done++) {
            const size_t i = l->train_rows[n_done] - at;
            weights[n_done] = mim_weighting_of(w, d, b->metric + i * n_metrics,
                                               b->mask + i * n_metrics, b->has_previous[i]);
        }
    }
    return rc;
}

static int find_weights(mim_lessons *l, const mim_domain *d, const mim_weighting *w,
                        double *weights)
{
    for (size_t i = 0; l->samples && i < l->n_train; i++) {
        const size_t row = l->train_rows[i];
        weights[i] =
            mim_weighting_of(w, d, l->samples->metric + row * d->n_metrics,
                             l->samples->mask + row * d->n_metrics, l->samples->has_previous[row]);
    }
    if (l->samples)
        return MIM_OK;
    block *b = calloc(1, sizeof *b);
    int rc = b && (b->metric = calloc(BLOCK * d->n_metrics, sizeof *b->metric)) &&
                     (b->mask = calloc(BLOCK * d->n_metrics, sizeof *b->mask))
                 ? scan_weights(l, d, w, b, weights)
                 : mim_fail(MIM_ENOMEM, "%d samples of %zu metrics", BLOCK, d->n_metrics);
    if (b) {
        free(b->metric);
        free(b->mask);
    }
    free(b);
    return rc;
}

int mim_lessons_order(mim_lessons *l, const mim_domain *domain, const mim_weighting *weighting,
                      uint64_t seed, mim_order **order)
{
    if (mim_weighting_is_uniform(weighting))
        return mim_order_create(seed, l->n_train, NULL, order);
    double *weights = calloc(l->n_train, sizeof *weights);
    int rc = weights ? mim_weighting_check(weighting)
                     : mim_fail(MIM_ENOMEM, "weights of %zu samples", l->n_train);
    if (rc == MIM_OK)
        rc = find_weights(l, domain, weighting, weights);
    if (rc == MIM_OK)
        rc = mim_order_create(seed, l->n_train, weights, order);
    free(weights);
    return rc;
}
