#include "corpus/corpus.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "corpus/corpus_internal.h"

static const size_t max_samples = (size_t)1 << 40;
static const char digest_name[] = "digest";

struct mim_corpus {
    char *path;
    mim_layout *layout;
    mim_corpus_info info; /* its texts are owned */
    char *config, *source;
    size_t n_samples;
    double *min, *max; /* [n_metrics] */
    int version;
    uint64_t *digests; /* [blocks][MIM_CORPUS_N_COLUMNS], NULL: has none */
    size_t block_rows; /* 0: has none */
    mim_table *table;
};

/* ---- making --------------------------------------------------------------------------------- */

static int put_digests(mim_h5 *file, const mim_column *columns, const mim_tally *tally)
{
    const size_t shape[2] = {tally->n_blocks, MIM_CORPUS_N_COLUMNS};
    int rc =
        mim_h5_put_count(file, digest_name, 2, shape, tally->digests, "", "block, dataset",
                         "sums of XXH64 of the samples in each of `datasets`, over blocks of "
                         "block_rows; seed: that of the dataset's name, plus the row's number");
    if (rc == MIM_OK)
        rc = mim_columns_put_names(file, digest_name, MIM_CORPUS_N_COLUMNS, columns);
    return rc == MIM_OK ? mim_h5_put_attribute_real(file, digest_name, "block_rows",
                                                    (double)tally->block_rows)
                        : rc;
}

/* What is not the samples'. */
static int put_rest(mim_h5 *file, const mim_layout *layout, const mim_corpus_info *info,
                    const mim_tally *tally)
{
    char seed[32];
    snprintf(seed, sizeof seed, "%" PRIu64, info->split_seed);
    int rc = mim_layout_put(layout, file);
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, "range_min", 1, &layout->n_metrics, tally->min,
                             "see metric_units", "metric", "smallest value; NaN: no sample has it");
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, "range_max", 1, &layout->n_metrics, tally->max,
                             "see metric_units", "metric", "largest value; NaN: no sample has it");
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "split_seed", seed);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_real(file, NULL, "validation_share", info->validation_share);
    return rc == MIM_OK ? mim_h5_put_attribute_text(file, NULL, "source", info->source) : rc;
}

int mim_corpus_make(const char *path, const mim_layout *layout, const mim_corpus_info *info,
                    size_t n, const mim_tally *tally)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    mim_h5 *file = NULL;
    mim_corpus_columns(layout, columns);
    int rc = mim_h5_create_in_place(
        path, MIM_CORPUS_SCHEMA, tally->digests ? MIM_CORPUS_VERSION : MIM_CORPUS_DIGESTS_SINCE - 1,
        info->config, &file);
    if (rc == MIM_OK && tally->digests)
        mim_h5_seal(file);
    if (rc == MIM_OK)
        rc = put_rest(file, layout, info, tally);
    if (rc == MIM_OK && tally->digests)
        rc = put_digests(file, columns, tally);
    if (rc == MIM_OK)
        rc = mim_table_reserve(file, MIM_CORPUS_N_COLUMNS, columns, n);
    if (rc == MIM_OK)
        rc = mim_h5_commit(&file);
    mim_h5_destroy(&file);
    return rc;
}

static int write_samples(const char *path, const mim_layout *layout, const mim_samples *samples)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    mim_table *table = NULL;
    mim_corpus_columns(layout, columns);
    mim_corpus_buffers(layout, samples, 0, buffers);
    int rc = mim_table_open(path, true, H5P_DEFAULT, H5P_DEFAULT, MIM_CORPUS_N_COLUMNS, columns,
                            samples->n, &table);
    if (rc == MIM_OK)
        rc = mim_table_write(table, 0, samples->n, buffers);
    if (rc == MIM_OK)
        rc = mim_table_close(&table);
    mim_table_close(&table);
    return rc;
}

int mim_corpus_write(const char *path, const mim_layout *layout, const mim_corpus_info *info,
                     const mim_samples *samples)
{
    char *name = NULL;
    mim_atomic_file *file = NULL;
    mim_tally *tally = NULL;
    int rc = mim_samples_check(layout, info, samples);
    if (rc == MIM_OK && samples->n == 0)
        rc = mim_fail(MIM_EINVAL, "%s: a corpus needs at least one sample", path);
    if (rc == MIM_OK)
        rc = mim_tally_create(layout, samples->n, mim_corpus_block_rows(samples->n), &tally);
    if (rc == MIM_OK) {
        mim_tally_add(tally, layout, samples, 0);
        mim_tally_finish(tally);
        rc = mim_atomic_file_open(path, &file);
    }
    if (rc == MIM_OK &&
        !(name = mim_format("/proc/self/fd/%d", fileno(mim_atomic_file_stream(file)))))
        rc = mim_fail(MIM_ENOMEM, "%s: file name", path);
    if (rc == MIM_OK)
        rc = mim_corpus_make(name, layout, info, samples->n, tally);
    if (rc == MIM_OK)
        rc = write_samples(name, layout, samples);
    if (rc == MIM_OK)
        rc = mim_atomic_file_commit(&file);
    mim_atomic_file_destroy(&file);
    mim_tally_destroy(&tally);
    free(name);
    return rc;
}

/* ---- opening -------------------------------------------------------------------------------- */

void mim_corpus_destroy(mim_corpus **corpus)
{
    mim_corpus *c = *corpus;
    if (!c)
        return;
    mim_table_close(&c->table);
    mim_layout_destroy(&c->layout);
    free(c->min);
    free(c->max);
    free(c->digests);
    free(c->config);
    free(c->source);
    free(c->path);
    free(c);
    *corpus = NULL;
}

static int read_info(mim_corpus *c, mim_h5 *file)
{
    bool has_share = false;
    char *seed = NULL, *end = NULL;
    int rc = mim_h5_get_attribute_text(file, NULL, "config", &c->config);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "source", &c->source);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "split_seed", &seed);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_real(file, NULL, "validation_share", &has_share,
                                       &c->info.validation_share);
    errno = 0;
    c->info.split_seed = seed ? strtoull(seed, &end, 10) : 0;
    if (rc == MIM_OK && (!seed || errno != 0 || end == seed || *end || !has_share ||
                         !(c->info.validation_share >= 0.0 && c->info.validation_share <= 1.0)))
        rc = mim_fail(MIM_EDATA, "%s: does not tell how it is split", c->path);
    free(seed);
    c->info.config = c->config ? c->config : "";
    c->info.source = c->source ? c->source : "";
    return rc;
}

static int read_ranges(mim_corpus *c, mim_h5 *file)
{
    const size_t n = c->layout->n_metrics;
    size_t n_min = 0, n_max = 0;
    int rc = mim_h5_get_real(file, "range_min", 1, n, &n_min, &c->min);
    if (rc == MIM_OK)
        rc = mim_h5_get_real(file, "range_max", 1, n, &n_max, &c->max);
    if (rc == MIM_OK && (n_min != n || n_max != n))
        rc = mim_fail(MIM_EDATA, "%s: ranges of %zu and %zu metrics, expected %zu", c->path, n_min,
                      n_max, n);
    for (size_t m = 0; rc == MIM_OK && m < n; m++)
        if (isnan(c->min[m]) != isnan(c->max[m]) || isinf(c->min[m]) || isinf(c->max[m]) ||
            c->min[m] > c->max[m])
            rc = mim_fail(MIM_EDATA, "%s: the range of %s is %g to %g", c->path,
                          c->layout->metric_names[m], c->min[m], c->max[m]);
    return rc;
}

static int read_digests(mim_corpus *c, mim_h5 *file)
{
    bool is_there = false;
    double rows = 0;
    size_t shape[2] = {0};
    int rc = mim_h5_get_attribute_real(file, digest_name, "block_rows", &is_there, &rows);
    if (rc == MIM_OK && !(is_there && rows >= 1 && rows <= (double)max_samples))
        rc = mim_fail(MIM_EDATA, "%s: digest does not tell of how many samples", c->path);
    if (rc == MIM_OK) {
        c->block_rows = (size_t)rows;
        const size_t n_blocks = (c->n_samples + c->block_rows - 1) / c->block_rows;
        rc = mim_h5_get_count(file, digest_name, 2, n_blocks * MIM_CORPUS_N_COLUMNS, shape,
                              &c->digests);
        if (rc == MIM_OK && (shape[0] != n_blocks || shape[1] != MIM_CORPUS_N_COLUMNS))
            rc = mim_fail(MIM_EDATA, "%s: digest is that of another number of samples", c->path);
    }
    return rc;
}

static int read_header(mim_corpus *c, mim_h5 *file)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    int rc = mim_table_check_schema(file, c->path, "a training corpus", MIM_CORPUS_SCHEMA,
                                    MIM_CORPUS_VERSION, &c->version);
    if (rc == MIM_OK)
        rc = mim_layout_get(file, c->path, &c->layout);
    if (rc == MIM_OK)
        rc = read_info(c, file);
    if (rc == MIM_OK)
        rc = read_ranges(c, file);
    if (rc == MIM_OK) {
        mim_corpus_columns(c->layout, columns);
        rc = mim_table_check_columns(file, c->path, MIM_CORPUS_N_COLUMNS, columns, &c->n_samples);
    }
    if (rc == MIM_OK && (c->n_samples == 0 || c->n_samples > max_samples))
        rc = mim_fail(MIM_EDATA, "%s: holds %zu samples", c->path, c->n_samples);
    return rc == MIM_OK && c->version >= MIM_CORPUS_DIGESTS_SINCE ? read_digests(c, file) : rc;
}

int mim_corpus_open(const char *path, mim_corpus **corpus)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    mim_h5 *file = NULL;
    mim_corpus *c = calloc(1, sizeof *c);
    int rc = c && (c->path = mim_strdup(path)) ? mim_h5_open(path, &file)
                                               : mim_fail(MIM_ENOMEM, "%s: corpus handle", path);
    if (rc == MIM_OK)
        rc = read_header(c, file);
    mim_h5_destroy(&file);
    if (rc == MIM_OK) {
        mim_corpus_columns(c->layout, columns);
        rc = mim_table_open(path, false, H5P_DEFAULT, H5P_DEFAULT, MIM_CORPUS_N_COLUMNS, columns,
                            c->n_samples, &c->table);
    }
    if (rc == MIM_OK) {
        *corpus = c;
        c = NULL;
    }
    if (c)
        mim_corpus_destroy(&c);
    return rc;
}

const mim_table *mim_corpus_table(const mim_corpus *corpus) { return corpus->table; }
const char *mim_corpus_path(const mim_corpus *corpus) { return corpus->path; }
const uint64_t *mim_corpus_digests(const mim_corpus *corpus, size_t *block_rows)
{
    if (block_rows)
        *block_rows = corpus->block_rows;
    return corpus->digests;
}

int mim_corpus_version(const mim_corpus *corpus) { return corpus->version; }
const mim_layout *mim_corpus_layout(const mim_corpus *corpus) { return corpus->layout; }
const mim_corpus_info *mim_corpus_about(const mim_corpus *corpus) { return &corpus->info; }
size_t mim_corpus_n_samples(const mim_corpus *corpus) { return corpus->n_samples; }
const double *mim_corpus_range_min(const mim_corpus *corpus) { return corpus->min; }
const double *mim_corpus_range_max(const mim_corpus *corpus) { return corpus->max; }

uint64_t mim_corpus_hash(const mim_corpus *c)
{
    uint64_t hash = MIM_HASH_START;
    const mim_layout *l = c->layout;
    char text[128];
    for (size_t i = 0; i < l->n_stressors; i++)
        hash = mim_hash_text(hash, l->action_names[i], strlen(l->action_names[i]) + 1);
    if (strcmp(l->sizes, "original") != 0) /* before there was a choice it was not counted */
        hash = mim_hash_text(hash, l->sizes, strlen(l->sizes) + 1);
    for (size_t m = 0; m < l->n_metrics; m++) {
        hash = mim_hash_text(hash, l->metric_names[m], strlen(l->metric_names[m]) + 1);
        int n = snprintf(text, sizeof text, "%.17g %.17g", c->min[m], c->max[m]);
        hash = mim_hash_text(hash, text, (size_t)n);
    }
    int n = snprintf(text, sizeof text, "%zu %zu %" PRIu64 " %.17g", l->n_threads, c->n_samples,
                     c->info.split_seed, c->info.validation_share);
    return mim_hash_text(hash, text, (size_t)n);
}

/* ---- reading -------------------------------------------------------------------------------- */

int mim_corpus_read_any(mim_corpus *c, size_t first, size_t n, mim_samples **samples)
{
    void *buffers[MIM_CORPUS_N_COLUMNS];
    mim_samples *made = NULL;
    if (first > c->n_samples || n > c->n_samples - first)
        return mim_fail(MIM_EINVAL, "%s: samples %zu to %zu of %zu", c->path, first, first + n,
                        c->n_samples);
    int rc = mim_samples_create(c->layout, n, &made);
    if (rc == MIM_OK) {
        mim_corpus_buffers(c->layout, made, 0, buffers);
        rc = mim_table_read(c->table, first, n, buffers);
    }
    if (rc == MIM_OK) {
        *samples = made;
        made = NULL;
    }
    mim_samples_destroy(&made);
    return rc;
}

int mim_corpus_read(mim_corpus *c, size_t first, size_t n, mim_samples **samples)
{
    mim_samples *made = NULL;
    int rc = mim_corpus_read_any(c, first, n, &made);
    if (rc == MIM_OK)
        rc = mim_corpus_verify(c, made, first);
    if (rc == MIM_OK && mim_samples_check(c->layout, &c->info, made) != MIM_OK)
        rc = mim_fail_in(MIM_EDATA, "%s: from sample %zu on", c->path, first);
    if (rc == MIM_OK) {
        *samples = made;
        made = NULL;
    }
    mim_samples_destroy(&made);
    return rc;
}
