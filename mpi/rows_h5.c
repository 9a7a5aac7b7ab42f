#include "mpi/rows_h5.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/asleep.h"
#include "mpi/parallel_h5.h"

enum { TAG_TURN = 121, TAG_ROWS = 122 };
enum { BLOCK_BYTES = 4 << 20 }; /* of rows on their way to rank 0 */

/* ---- in parallel ----------------------------------------------------------------------------- */

/* The name is of this moment and process: a file that has it is rank 0's. */
static bool is_seen_by_all(MPI_Comm comm, const char *part)
{
    const int fd = open(part, O_RDONLY | O_CLOEXEC); /* asks the server where a look would not */
    int is_seen = fd >= 0;
    if (fd >= 0)
        close(fd);
    MPI_Allreduce(MPI_IN_PLACE, &is_seen, 1, MPI_INT, MPI_LAND, comm);
    return is_seen;
}

static int fill_together(MPI_Comm comm, const char *part, const mim_rows_h5 *rows, size_t first,
                         size_t total)
{
    mim_parallel_h5 parallel = {0, 0};
    mim_table *table = NULL;
    int rc = mim_agree(comm, mim_parallel_h5_create(comm, &parallel));
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_table_open(part, true, parallel.access, parallel.transfer,
                                            rows->n_columns, rows->columns, total, &table));
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_table_write(table, first, rows->n_rows, rows->buffers));
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_table_close(&table));
    mim_table_close(&table);
    mim_parallel_h5_clear(&parallel);
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_sync_path(part));
    return rc;
}

/* ---- through rank 0 -------------------------------------------------------------------------- */

static size_t block_rows(const mim_rows_h5 *rows)
{
    size_t row_bytes = 1;
    for (size_t c = 0; c < rows->n_columns; c++)
        row_bytes += mim_column_row_bytes(&rows->columns[c]);
    return row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
}

/* When rank 0 asks. It takes the rows whatever becomes of them. */
static void hand_over(MPI_Comm comm, const mim_rows_h5 *rows)
{
    MPI_Status status;
    const size_t most = block_rows(rows);
    mim_probe_asleep(comm, 0, TAG_TURN, &status);
    MPI_Recv(NULL, 0, MPI_BYTE, 0, TAG_TURN, comm, MPI_STATUS_IGNORE);
    for (size_t at = 0; at < rows->n_rows; at += most) {
        const size_t n = rows->n_rows - at < most ? rows->n_rows - at : most;
        for (size_t c = 0; c < rows->n_columns; c++) {
            const size_t row_bytes = mim_column_row_bytes(&rows->columns[c]);
            const char *bytes = rows->buffers[c];
            MPI_Send(bytes + at * row_bytes, (int)(n * row_bytes), MPI_BYTE, 0, TAG_ROWS, comm);
        }
    }
}

/* Rows of another rank go to [first, first + n_rows) of the table, NULL: nowhere. */
static int take_over(MPI_Comm comm, int rank, const mim_rows_h5 *form, size_t first, size_t n_rows,
                     void *const *blocks, mim_table *table)
{
    const size_t most = block_rows(form);
    int rc = MIM_OK;
    MPI_Send(NULL, 0, MPI_BYTE, rank, TAG_TURN, comm);
    for (size_t at = 0; at < n_rows; at += most) {
        const size_t n = n_rows - at < most ? n_rows - at : most;
        for (size_t c = 0; c < form->n_columns; c++)
            MPI_Recv(blocks[c], (int)(n * mim_column_row_bytes(&form->columns[c])), MPI_BYTE, rank,
                     TAG_ROWS, comm, MPI_STATUS_IGNORE);
        if (table && rc == MIM_OK)
            rc = mim_table_write(table, first + at, n, blocks);
    }
    return rc;
}

static int make_blocks(const mim_rows_h5 *form, void **blocks)
{
    for (size_t c = 0; c < form->n_columns; c++)
        if (!(blocks[c] = malloc(block_rows(form) * mim_column_row_bytes(&form->columns[c]))))
            return mim_fail(MIM_ENOMEM, "rows of another rank");
    return MIM_OK;
}

/* counts: rows of every rank, on rank 0 only. */
static int fill_alone(MPI_Comm comm, const char *part, const mim_rows_h5 *rows,
                      const unsigned long long *counts, size_t total)
{
    int rank = 0, n_ranks = 0;
    void *blocks[MIM_TABLE_MAX_COLUMNS] = {NULL};
    mim_table *table = NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int rc = rank == 0 ? make_blocks(rows, blocks) : MIM_OK;
    if (rc == MIM_OK && rank == 0)
        rc = mim_table_open(part, true, H5P_DEFAULT, H5P_DEFAULT, rows->n_columns, rows->columns,
                            total, &table);
    if ((rc = mim_agree(comm, rc)) == MIM_OK && rank > 0)
        hand_over(comm, rows);
    if (rc == MIM_OK && rank == 0) {
        size_t first = rows->n_rows;
        rc = mim_table_write(table, 0, rows->n_rows, rows->buffers);
        for (int r = 1; r < n_ranks; first += (size_t)counts[r++]) {
            const int took = take_over(comm, r, rows, first, (size_t)counts[r], blocks,
                                       rc == MIM_OK ? table : NULL);
            rc = rc == MIM_OK ? took : rc; /* with the sentence of the first failure */
        }
        if (rc == MIM_OK)
            rc = mim_table_close(&table);
        if (rc == MIM_OK)
            rc = mim_sync_path(part);
    }
    mim_table_close(&table);
    for (size_t c = 0; c < rows->n_columns; c++)
        free(blocks[c]);
    return mim_agree(comm, rc);
}

/* ---- both ------------------------------------------------------------------------------------ */

/* No message of rows, and no transfer, may be larger than an int tells. */
static int check(const mim_rows_h5 *rows)
{
    for (size_t c = 0; c < rows->n_columns; c++)
        if (mim_column_row_bytes(&rows->columns[c]) > INT_MAX)
            return mim_fail(MIM_EINVAL, "a row of %s takes %zu bytes, at most %d can be written",
                            rows->columns[c].name, mim_column_row_bytes(&rows->columns[c]),
                            INT_MAX);
    return rows->n_columns <= MIM_TABLE_MAX_COLUMNS
               ? MIM_OK
               : mim_fail(MIM_EINVAL, "%zu columns, at most %d can be written", rows->n_columns,
                          MIM_TABLE_MAX_COLUMNS);
}

int mim_rows_h5_fill(MPI_Comm comm, const char *part, const mim_rows_h5 *rows)
{
    int rank = 0, n_ranks = 0;
    unsigned long long mine = rows->n_rows, before = 0, total = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    unsigned long long *counts = calloc((size_t)n_ranks, sizeof *counts);
    int rc = counts ? check(rows) : mim_fail(MIM_ENOMEM, "rows of %d ranks", n_ranks);
    if ((rc = mim_agree(comm, rc)) == MIM_OK) {
        MPI_Allgather(&mine, 1, MPI_UNSIGNED_LONG_LONG, counts, 1, MPI_UNSIGNED_LONG_LONG, comm);
        for (int r = 0; r < n_ranks; total += counts[r++])
            before += r < rank ? counts[r] : 0;
        rc = total == 0 ? mim_agree(comm, rank == 0 ? mim_sync_path(part) : MIM_OK)
             : is_seen_by_all(comm, part)
                 ? fill_together(comm, part, rows, (size_t)before, (size_t)total)
                 : fill_alone(comm, part, rows, counts, (size_t)total);
    }
    free(counts);
    return rc;
}

/* Gives the whole file its name. */
static int publish(const char *part, const char *path)
{
    char *folder = mim_strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    int rc = folder ? mim_fault(path) : mim_fail(MIM_ENOMEM, "%s: its folder", path);
    if (rc == MIM_OK && rename(part, path) != 0)
        rc = mim_fail(MIM_EIO, "%s: cannot be given its name: %s", path, strerror(errno));
    if (slash)
        slash[slash == folder ? 1 : 0] = 0;
    if (rc == MIM_OK)
        rc = mim_sync_path(slash ? folder : ".");
    free(folder);
    return rc;
}

int mim_rows_h5_write(MPI_Comm comm, const char *path, const mim_rows_h5 *rows,
                      int (*make)(void *context, const char *part, size_t total_rows),
                      void *context, double *write_s)
{
    int rank = 0, rc = MIM_OK;
    unsigned long long total = rows->n_rows;
    char *part = NULL;
    MPI_Comm_rank(comm, &rank);
    MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    if (rank == 0 && !(part = mim_format("%s.part.%ld-%llx", path, (long)getpid(),
                                         (unsigned long long)mim_clock_real_ns())))
        rc = mim_fail(MIM_ENOMEM, "%s: file name", path);
    if (rank == 0 && rc == MIM_OK)
        rc = make(context, part, (size_t)total);
    if ((rc = mim_agree(comm, rc)) == MIM_OK)
        rc = mim_share_text(comm, 0, &part);
    const double begin_s = MPI_Wtime();
    if (rc == MIM_OK)
        rc = mim_rows_h5_fill(comm, part, rows);
    if (rc == MIM_OK && write_s)
        *write_s = MPI_Wtime() - begin_s;
    if (rc == MIM_OK)
        rc = mim_agree(comm, rank == 0 ? publish(part, path) : MIM_OK);
    if (rc != MIM_OK && rank == 0 && part)
        unlink(part);
    free(part);
    return rc;
}
