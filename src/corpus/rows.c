#include "corpus/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/text.h"
#include "corpus/corpus_internal.h"

/* Columns in the order of mim_corpus_columns(). */
enum { PLAN, METRIC = 2, MASK, ACTION = 6, PREVIOUS, HAS_PREVIOUS, IS_VALIDATION };

static const int needed[] = {PLAN, METRIC, MASK, ACTION, PREVIOUS, HAS_PREVIOUS, IS_VALIDATION};
enum { N_NEEDED = sizeof needed / sizeof *needed };

struct mim_corpus_rows {
    char *path;
    int fd;
    struct stat then; /* at the opening */
    mim_layout *layout;
    mim_corpus_info info; /* without texts */
    size_t n_samples;
    uint64_t places[MIM_CORPUS_N_COLUMNS];
    size_t row_bytes[MIM_CORPUS_N_COLUMNS];
};

static int check_places(const mim_corpus_rows *r)
{
    for (size_t c = 0; c < MIM_CORPUS_N_COLUMNS; c++)
        if (r->places[c] + r->n_samples * r->row_bytes[c] > (uint64_t)r->then.st_size)
            return mim_fail(MIM_EDATA, "%s: is cut short: %lld bytes do not hold %zu samples",
                            r->path, (long long)r->then.st_size, r->n_samples);
    return MIM_OK;
}

int mim_corpus_rows_open(const mim_corpus *corpus, mim_corpus_rows **rows)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    const char *path = mim_corpus_path(corpus);
    mim_corpus_rows *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "%s: handle", path);
    made->fd = -1;
    made->n_samples = mim_corpus_n_samples(corpus);
    made->info = *mim_corpus_about(corpus);
    made->info.config = made->info.source = "";
    int rc = (made->path = mim_strdup(path))
                 ? mim_layout_copy(mim_corpus_layout(corpus), &made->layout)
                 : mim_fail(MIM_ENOMEM, "%s: handle", path);
    if (rc == MIM_OK)
        rc = mim_table_places(mim_corpus_table(corpus), made->places);
    if (rc == MIM_OK &&
        ((made->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 || fstat(made->fd, &made->then) != 0))
        rc = mim_fail(MIM_EIO, "%s: %s", path, strerror(errno));
    if (rc == MIM_OK) {
        mim_corpus_columns(made->layout, columns);
        for (size_t c = 0; c < MIM_CORPUS_N_COLUMNS; c++)
            made->row_bytes[c] = mim_column_row_bytes(&columns[c]);
        rc = check_places(made);
    }
    if (rc == MIM_OK) {
        *rows = made;
        made = NULL;
    }
    mim_corpus_rows_close(&made);
    return rc;
}

void mim_corpus_rows_close(mim_corpus_rows **rows)
{
    mim_corpus_rows *old = *rows;
    if (!old)
        return;
    *rows = NULL;
    if (old->fd >= 0)
        close(old->fd);
    mim_layout_destroy(&old->layout);
    free(old->path);
    free(old);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int read_at(const mim_corpus_rows *r, int column, size_t first, size_t n, void *out)
{
    size_t left = n * r->row_bytes[column];
    off_t at = (off_t)(r->places[column] + first * r->row_bytes[column]);
    for (char *to = out; left > 0;) {
        const ssize_t got = pread(r->fd, to, left, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mim_fail(MIM_EIO, "%s: cannot be read: %s", r->path, strerror(errno));
        if (got == 0)
            return mim_fail(MIM_EDATA,
                            "%s: was cut short while it was in use: ends before sample "
                            "%zu",
                            r->path, first + n - 1);
        to += got;
        at += got;
        left -= (size_t)got;
    }
    return MIM_OK;
}

/* Whoever writes into it, or cuts it, is found out by size or time of change. */
static int check_same(const mim_corpus_rows *r)
{
    struct stat now;
    if (fstat(r->fd, &now) != 0)
        return mim_fail(MIM_EIO, "%s: %s", r->path, strerror(errno));
    if (now.st_size != r->then.st_size)
        return mim_fail(MIM_EDATA, "%s: was %lld bytes long when it was opened and is %lld now",
                        r->path, (long long)r->then.st_size, (long long)now.st_size);
    if (now.st_mtim.tv_sec != r->then.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != r->then.st_mtim.tv_nsec)
        return mim_fail(MIM_EDATA, "%s: was changed while it was in use", r->path);
    return mim_fault(r->path);
}

void mim_corpus_rows_announce(const mim_corpus_rows *r, size_t n, const size_t *which)
{
    static const int wide[] = {METRIC, ACTION, PREVIOUS}; /* neighbours share pages of the others */
    for (size_t k = 0; k < sizeof wide / sizeof *wide; k++)
        for (size_t i = 0; i < n; i++)
            posix_fadvise(r->fd, (off_t)(r->places[wide[k]] + which[i] * r->row_bytes[wide[k]]),
                          (off_t)r->row_bytes[wide[k]], POSIX_FADV_WILLNEED);
}

int mim_corpus_rows_read(mim_corpus_rows *r, size_t n, const size_t *which, mim_samples *samples)
{
    void *buffers[MIM_CORPUS_N_COLUMNS];
    int rc = check_same(r);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        if (which[i] >= r->n_samples)
            return mim_fail(MIM_EINVAL, "%s: sample %zu of %zu", r->path, which[i], r->n_samples);
        mim_corpus_buffers(r->layout, samples, i, buffers);
        for (size_t k = 0; rc == MIM_OK && k < N_NEEDED; k++)
            rc = read_at(r, needed[k], which[i], 1, buffers[needed[k]]);
    }
    if (rc == MIM_OK) /* written into between */
        rc = check_same(r);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        rc = mim_samples_check_one(r->layout, &r->info, samples, i, which[i]);
    return rc == MIM_EINVAL ? mim_fail_in(MIM_EDATA, "%s", r->path) : rc;
}

int mim_corpus_rows_scan(mim_corpus_rows *r, size_t first, size_t n, float *metric, uint8_t *mask,
                         uint8_t *has_previous, uint8_t *is_validation)
{
    if (first > r->n_samples || n > r->n_samples - first)
        return mim_fail(MIM_EINVAL, "%s: samples %zu to %zu of %zu", r->path, first, first + n,
                        r->n_samples);
    int rc = check_same(r);
    if (rc == MIM_OK && metric)
        rc = read_at(r, METRIC, first, n, metric);
    if (rc == MIM_OK && metric)
        rc = read_at(r, MASK, first, n, mask);
    if (rc == MIM_OK)
        rc = read_at(r, HAS_PREVIOUS, first, n, has_previous);
    return rc == MIM_OK ? read_at(r, IS_VALIDATION, first, n, is_validation) : rc;
}
