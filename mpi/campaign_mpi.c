#include "mpi/campaign_mpi.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "corpus/campaign_internal.h"
#include "mpi/agree.h"
#include "mpi/parallel_h5.h"

struct mim_campaign_mpi {
    MPI_Comm comm;
    int rank, n_ranks;
    char *path;
    mim_campaign *store; /* rank 0: header, lock, plan ids, commits; its rows stay closed */
    mim_layout *layout;
    unsigned long long n_rows, capacity;
    int version;
    mim_parallel_h5 parallel;
    mim_table *table;
};

static int open_rows(mim_campaign_mpi *c)
{
    mim_column columns[MIM_CAMPAIGN_MAX_COLUMNS];
    const size_t n_columns = mim_campaign_all_columns(c->layout, c->version, columns);
    return mim_agree(c->comm,
                     mim_table_open(c->path, true, c->parallel.access, c->parallel.transfer,
                                    n_columns, columns, (size_t)c->capacity, &c->table));
}

/* Rank 0's view of the file becomes everyone's. */
static void share_sizes(mim_campaign_mpi *c)
{
    unsigned long long sizes[3] = {0, 0, 0};
    if (c->rank == 0) {
        sizes[0] = mim_campaign_n_rows(c->store);
        sizes[1] = c->store->capacity;
        sizes[2] = (unsigned long long)mim_campaign_version(c->store);
    }
    MPI_Bcast(sizes, 3, MPI_UNSIGNED_LONG_LONG, 0, c->comm);
    c->n_rows = sizes[0];
    c->capacity = sizes[1];
    c->version = (int)sizes[2];
}

static int share_layout(mim_campaign_mpi *c)
{
    char *text = NULL;
    int rc = c->rank == 0 ? mim_layout_to_text(mim_campaign_layout(c->store), &text) : MIM_OK;
    rc = mim_agree(c->comm, rc);
    if (rc == MIM_OK)
        rc = mim_share_text(c->comm, 0, &text);
    if (rc == MIM_OK)
        rc = mim_agree(c->comm, mim_layout_from_text(text, &c->layout));
    free(text);
    return rc;
}

int mim_campaign_mpi_open(MPI_Comm comm, const char *path, mim_campaign_mpi **campaign)
{
    mim_campaign_mpi *c = calloc(1, sizeof *c);
    int rc = c && (c->path = mim_strdup(path)) ? MIM_OK
                                               : mim_fail(MIM_ENOMEM, "%s: campaign handle", path);
    if ((rc = mim_agree(comm, rc)) != MIM_OK) {
        if (c)
            free(c->path);
        free(c);
        return rc;
    }
    MPI_Comm_dup(comm, &c->comm);
    MPI_Comm_rank(c->comm, &c->rank);
    MPI_Comm_size(c->comm, &c->n_ranks);
    rc = c->rank == 0 ? mim_campaign_open(path, true, &c->store) : MIM_OK;
    rc = mim_agree(c->comm, rc);
    if (rc == MIM_OK)
        rc = share_layout(c);
    if (rc == MIM_OK)
        rc = mim_agree(c->comm, mim_parallel_h5_create(c->comm, &c->parallel));
    if (rc == MIM_OK) {
        share_sizes(c);
        rc = open_rows(c);
    }
    if (rc == MIM_OK) {
        *campaign = c;
        c = NULL;
    }
    mim_campaign_mpi_destroy(&c);
    return rc;
}

void mim_campaign_mpi_destroy(mim_campaign_mpi **campaign)
{
    mim_campaign_mpi *c = *campaign;
    if (!c)
        return;
    mim_table_close(&c->table);
    mim_parallel_h5_clear(&c->parallel);
    mim_campaign_destroy(&c->store);
    mim_layout_destroy(&c->layout);
    MPI_Comm_free(&c->comm);
    free(c->path);
    free(c);
    *campaign = NULL;
}

const mim_layout *mim_campaign_mpi_layout(const mim_campaign_mpi *campaign)
{
    return campaign->layout;
}

size_t mim_campaign_mpi_n_rows(const mim_campaign_mpi *campaign)
{
    return (size_t)campaign->n_rows;
}

/* ---- appending ------------------------------------------------------------------------------ */

/* All ranks' plan ids on rank 0, which says whether they are new; the caller frees *ids there. */
static int gather_plans(mim_campaign_mpi *c, const mim_campaign_rows *rows, size_t *n,
                        uint64_t **ids)
{
    uint64_t *mine = NULL, *all = NULL;
    size_t n_mine = 0;
    int *counts = NULL, *starts = NULL, total = 0;
    int rc = mim_campaign_rows_plans(rows, &n_mine, &mine);
    if (rc == MIM_OK && n_mine > INT_MAX / 2 / (size_t)c->n_ranks)
        rc = mim_fail(MIM_EINVAL, "%zu plans are too many for one append", n_mine);
    counts = calloc(2 * (size_t)c->n_ranks, sizeof *counts);
    starts = counts ? counts + c->n_ranks : NULL;
    if (rc == MIM_OK && !counts)
        rc = mim_fail(MIM_ENOMEM, "plan ids of %d ranks", c->n_ranks);
    if ((rc = mim_agree(c->comm, rc)) != MIM_OK)
        goto done;
    const int count = (int)n_mine;
    MPI_Gather(&count, 1, MPI_INT, counts, 1, MPI_INT, 0, c->comm);
    for (int r = 0; c->rank == 0 && r < c->n_ranks; r++) {
        starts[r] = total;
        total += counts[r];
    }
    all = malloc(((size_t)total + 1) * sizeof *all);
    if ((rc = mim_agree(c->comm, all ? MIM_OK : mim_fail(MIM_ENOMEM, "%d plan ids", total))) !=
        MIM_OK)
        goto done;
    MPI_Gatherv(mine, count, MPI_UINT64_T, all, counts, starts, MPI_UINT64_T, 0, c->comm);
    if (c->rank == 0)
        rc = mim_campaign_check_new(c->store, (size_t)total, all);
    rc = mim_agree(c->comm, rc);
    if (rc == MIM_OK) {
        *n = (size_t)total;
        *ids = all;
        all = NULL;
    }
done:
    free(all);
    free(mine);
    free(counts);
    return rc;
}

/* A larger file is made by rank 0 alone, while nobody has the old one open. */
static int make_room(mim_campaign_mpi *c, unsigned long long n_rows)
{
    if (n_rows <= c->capacity)
        return MIM_OK;
    int rc = mim_agree(c->comm, mim_table_close(&c->table));
    if (rc == MIM_OK)
        rc =
            mim_agree(c->comm, c->rank == 0 ? mim_campaign_grow(c->store, (size_t)n_rows) : MIM_OK);
    share_sizes(c);
    const int opened = open_rows(c); /* also after a failure: the store stays usable */
    return rc != MIM_OK ? rc : opened;
}

/* This rank's rows with their digests, from row `first` on. */
static int write_rows(mim_campaign_mpi *c, const mim_campaign_rows *rows, size_t first)
{
    void *buffers[MIM_CAMPAIGN_MAX_COLUMNS];
    uint64_t *digests = NULL;
    int rc = mim_agree(c->comm, mim_campaign_digests(c->layout, rows, first, &digests));
    if (rc == MIM_OK) {
        mim_campaign_buffers(c->layout, rows, 0, buffers);
        buffers[MIM_CAMPAIGN_N_COLUMNS] = digests;
        rc = mim_agree(c->comm, mim_table_write(c->table, first, rows->n, buffers));
    }
    free(digests);
    return rc;
}

int mim_campaign_mpi_append(mim_campaign_mpi *c, const mim_campaign_rows *rows)
{
    unsigned long long before = 0, mine = rows->n, total = 0;
    uint64_t *ids = NULL;
    size_t n = 0;
    int rc = c->table ? mim_campaign_rows_check(c->layout, rows)
                      : mim_fail(MIM_EIO, "%s: was lost by an earlier failure", c->path);
    rc = mim_agree(c->comm, rc);
    if (rc == MIM_OK)
        rc = gather_plans(c, rows, &n, &ids);
    if (rc != MIM_OK)
        return rc;
    MPI_Exscan(&mine, &before, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, c->comm);
    MPI_Allreduce(&mine, &total, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, c->comm);
    if (c->rank == 0)
        before = 0; /* MPI_Exscan leaves it undefined there */
    if ((rc = make_room(c, c->n_rows + total)) == MIM_OK)
        rc = write_rows(c, rows, (size_t)(c->n_rows + before));
    if (rc == MIM_OK)
        rc = mim_agree(c->comm, mim_table_flush(c->table));
    if (rc == MIM_OK)
        rc = mim_agree(c->comm, mim_sync_path(c->path)); /* each node its own share */
    if (rc == MIM_OK)
        rc = mim_agree(c->comm, c->rank == 0 ? mim_campaign_commit(c->store, (size_t)total, n, ids)
                                             : MIM_OK);
    if (rc == MIM_OK)
        c->n_rows += total;
    free(ids);
    return rc;
}
