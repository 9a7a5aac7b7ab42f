/* Digests in the campaign store: a row of them for each row, and those of the committed count. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/digest.h"
#include "core/fault.h"
#include "corpus/campaign_internal.h"

enum { N_OTHERS = MIM_CAMPAIGN_N_COLUMNS, ITSELF = MIM_CAMPAIGN_N_COLUMNS };

static const char digest_name[] = "digest";

size_t mim_campaign_all_columns(const mim_layout *l, int version,
                                mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS])
{
    mim_campaign_columns(l, columns);
    if (version < MIM_CAMPAIGN_DIGESTS_SINCE)
        return MIM_CAMPAIGN_N_COLUMNS;
    columns[MIM_CAMPAIGN_N_COLUMNS] = (mim_column){
        digest_name,
        MIM_H5_U64,
        2,
        {0, MIM_CAMPAIGN_N_DIGESTS},
        "",
        "row, dataset",
        "XXH64 of the row in each of `datasets` and of these digests; seed: that of the dataset's "
        "name, plus the row's number"};
    return MIM_CAMPAIGN_MAX_COLUMNS;
}

int mim_campaign_put_digest_names(mim_h5 *file, const mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS])
{
    return mim_columns_put_names(file, digest_name, MIM_CAMPAIGN_MAX_COLUMNS, columns);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void fill(const mim_layout *l, const mim_campaign_rows *rows, size_t first,
                 uint64_t *digests)
{
    mim_column columns[MIM_CAMPAIGN_N_COLUMNS];
    void *buffers[MIM_CAMPAIGN_N_COLUMNS];
    const uint64_t seed = mim_digest_seed(digest_name);
    mim_campaign_columns(l, columns);
    mim_campaign_buffers(l, rows, 0, buffers);
    mim_columns_digest(MIM_CAMPAIGN_N_COLUMNS, columns, buffers, first, rows->n, 1,
                       MIM_CAMPAIGN_N_DIGESTS, digests);
    for (size_t i = 0; i < rows->n; i++) {
        uint64_t *row = digests + i * MIM_CAMPAIGN_N_DIGESTS;
        row[ITSELF] = mim_digest_row(seed, first + i, N_OTHERS * sizeof *row, row);
    }
}

int mim_campaign_digests(const mim_layout *l, const mim_campaign_rows *rows, size_t first,
                         uint64_t **digests)
{
    uint64_t *made = calloc(rows->n + 1, MIM_CAMPAIGN_N_DIGESTS * sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "digests of %zu rows", rows->n);
    fill(l, rows, first, made);
    *digests = made;
    return MIM_OK;
}

/* The dataset of row i that is not what was written: the first column that differs, unless the
 * digests themselves are damaged; MIM_CAMPAIGN_MAX_COLUMNS: none. */
static size_t damaged_column(const uint64_t *stored, const uint64_t *found, size_t first, size_t i)
{
    const uint64_t *s = stored + i * MIM_CAMPAIGN_N_DIGESTS,
                   *f = found + i * MIM_CAMPAIGN_N_DIGESTS;
    if (memcmp(s, f, MIM_CAMPAIGN_N_DIGESTS * sizeof *s) == 0)
        return MIM_CAMPAIGN_MAX_COLUMNS;
    if (s[ITSELF] !=
        mim_digest_row(mim_digest_seed(digest_name), first + i, N_OTHERS * sizeof *s, s))
        return ITSELF;
    for (size_t c = 0; c < N_OTHERS; c++)
        if (s[c] != f[c])
            return c;
    return ITSELF;
}

int mim_campaign_verify(const mim_layout *l, const mim_campaign_rows *rows, size_t first,
                        const uint64_t *digests)
{
    mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS];
    uint64_t *found = NULL;
    int rc = mim_campaign_digests(l, rows, first, &found);
    size_t i = 0, c = MIM_CAMPAIGN_MAX_COLUMNS;
    for (; rc == MIM_OK && i < rows->n; i++)
        if ((c = damaged_column(digests, found, first, i)) != MIM_CAMPAIGN_MAX_COLUMNS)
            break;
    if (rc == MIM_OK && c != MIM_CAMPAIGN_MAX_COLUMNS) {
        size_t last = i;
        while (last + 1 < rows->n && rows->plan_id[last + 1] == rows->plan_id[i] &&
               damaged_column(digests, found, first, last + 1) == c)
            last++;
        mim_campaign_all_columns(l, MIM_CAMPAIGN_VERSION, columns);
        rc = mim_fail(MIM_EDATA,
                      "%s is damaged in rows %zu to %zu (plan %" PRIu64
                      "): not the digests they were written with",
                      columns[c].name, first + i, first + last, rows->plan_id[i]);
    }
    free(found);
    return rc;
}

/* ---- the committed count --------------------------------------------------------------------- */

uint64_t mim_campaign_count_digest(uint64_t count)
{
    return mim_digest_row(mim_digest_seed("committed"), 0, sizeof count, &count);
}

int mim_campaign_find_count(const char *path, int version, uint64_t *place, uint64_t *digest_place)
{
    int rc = mim_table_offset(path, "committed", place);
    return rc == MIM_OK && version >= MIM_CAMPAIGN_DIGESTS_SINCE
               ? mim_table_offset(path, "committed_digest", digest_place)
               : rc;
}

/* Another process may be appending: what does not fit together now may do so soon. */
static int read_count(mim_campaign *c, int fd)
{
    enum { TRIES = 100, NAP_NS = 1000000 };
    uint64_t count = 0, digests[2] = {0};
    for (int tries = 0; tries < TRIES; tries++) {
        if (pread(fd, &count, sizeof count, (off_t)c->count_place) != sizeof count ||
            pread(fd, digests, sizeof digests, (off_t)c->count_digest_place) != sizeof digests)
            return mim_fail(MIM_EIO, "%s: the count of its rows could not be read: %s", c->path,
                            strerror(errno));
        for (int slot = 0; count <= c->capacity && slot < 2; slot++)
            if (digests[slot] == mim_campaign_count_digest(count)) {
                c->slot = slot;
                c->n_rows = (size_t)count;
                return MIM_OK;
            }
        mim_clock_sleep_until(mim_clock_mono_ns() + NAP_NS);
    }
    return mim_fail(MIM_EDATA,
                    "%s: committed is damaged: neither digest in committed_digest is that of "
                    "%" PRIu64 " rows",
                    c->path, count);
}

int mim_campaign_verify_count(mim_campaign *c)
{
    if (c->version < MIM_CAMPAIGN_DIGESTS_SINCE)
        return MIM_OK;
    const int fd = c->fd >= 0 ? c->fd : open(c->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mim_fail(MIM_EIO, "%s: %s", c->path, strerror(errno));
    const int rc = read_count(c, fd);
    if (fd != c->fd)
        close(fd);
    return rc;
}

int mim_campaign_write_count_digest(const mim_campaign *c, uint64_t count)
{
    const uint64_t digest = mim_campaign_count_digest(count);
    const uint64_t place = c->count_digest_place + (c->slot ? 0 : sizeof digest);
    int rc = mim_fault(c->path);
    if (rc == MIM_OK && pwrite(c->fd, &digest, sizeof digest, (off_t)place) != sizeof digest)
        rc = mim_fail(MIM_EIO, "%s: the digest of its count could not be written: %s", c->path,
                      strerror(errno));
    return rc;
}
