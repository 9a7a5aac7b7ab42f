/* The samples of all ranks as one corpus. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/text.h"
#include "corpus/corpus_internal.h"
#include "mpi/agree.h"
#include "mpi/campaign_mpi.h"
#include "mpi/parallel_h5.h"

/* Ranges over all ranks' samples: minimum and maximum do not depend on the order. [2][n_metrics] */
static int agree_ranges(MPI_Comm comm, const mim_layout *l, const mim_samples *samples,
                        double **ranges)
{
    const size_t n = l->n_metrics;
    double *made = malloc(2 * n * sizeof *made);
    int rc = mim_agree(comm, made ? MIM_OK : mim_fail(MIM_ENOMEM, "ranges"));
    if (rc != MIM_OK) {
        free(made);
        return rc;
    }
    for (size_t m = 0; m < n; m++) {
        made[m] = INFINITY;
        made[n + m] = -INFINITY;
    }
    mim_samples_ranges(l, samples, made, made + n);
    MPI_Allreduce(MPI_IN_PLACE, made, (int)n, MPI_DOUBLE, MPI_MIN, comm);
    MPI_Allreduce(MPI_IN_PLACE, made + n, (int)n, MPI_DOUBLE, MPI_MAX, comm);
    mim_ranges_finish(l, made, made + n);
    *ranges = made;
    return MIM_OK;
}

static int write_rows(MPI_Comm comm, const char *part, const mim_layout *l,
                      const mim_samples *samples, size_t first, size_t total)
{
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    mim_parallel_h5 parallel = {0, 0};
    mim_table *table = NULL;
    mim_corpus_columns(l, columns);
    mim_corpus_buffers(l, samples, 0, buffers);
    int rc = mim_agree(comm, mim_parallel_h5_create(comm, &parallel));
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_table_open(part, true, parallel.access, parallel.transfer,
                                            MIM_CORPUS_N_COLUMNS, columns, total, &table));
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_table_write(table, first, samples->n, buffers));
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_table_close(&table));
    mim_table_close(&table);
    mim_parallel_h5_clear(&parallel);
    if (rc == MIM_OK)
        rc = mim_agree(comm, mim_sync_path(part));
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

int mim_corpus_mpi_write(MPI_Comm comm, const char *path, const mim_layout *l,
                         const mim_corpus_info *info, const mim_samples *samples, double *write_s)
{
    int rank = 0;
    unsigned long long mine = samples->n, before = 0, total = 0;
    double *ranges = NULL;
    char *part = NULL;
    MPI_Comm_rank(comm, &rank);
    int rc = mim_agree(comm, mim_samples_check(l, info, samples));
    if (rc != MIM_OK)
        return rc;
    MPI_Exscan(&mine, &before, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    MPI_Allreduce(&mine, &total, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    if (rank == 0)
        before = 0;
    if (total == 0)
        return mim_fail(MIM_EDATA, "%s: a corpus needs at least one sample, there is none", path);
    rc = agree_ranges(comm, l, samples, &ranges);
    if (rank == 0 && rc == MIM_OK && !(part = mim_format("%s.part.%ld", path, (long)getpid())))
        rc = mim_fail(MIM_ENOMEM, "%s: file name", path);
    if (rank == 0 && rc == MIM_OK)
        rc = mim_corpus_make(part, l, info, (size_t)total, ranges, ranges + l->n_metrics);
    if ((rc = mim_agree(comm, rc)) == MIM_OK)
        rc = mim_share_text(comm, 0, &part);
    const double begin_s = MPI_Wtime();
    if (rc == MIM_OK)
        rc = write_rows(comm, part, l, samples, (size_t)before, (size_t)total);
    if (rc == MIM_OK && write_s)
        *write_s = MPI_Wtime() - begin_s;
    if (rc == MIM_OK)
        rc = mim_agree(comm, rank == 0 ? publish(part, path) : MIM_OK);
    if (rc != MIM_OK && rank == 0 && part)
        unlink(part);
    free(part);
    free(ranges);
    return rc;
}
