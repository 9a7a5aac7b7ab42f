/* The samples of all ranks as one corpus. */
#include <math.h>
#include <stdlib.h>

#include "corpus/corpus_internal.h"
#include "mpi/agree.h"
#include "mpi/campaign_mpi.h"
#include "mpi/rows_h5.h"

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

typedef struct corpus_form {
    const mim_layout *layout;
    const mim_corpus_info *info;
    const double *ranges; /* [2][n_metrics] */
} corpus_form;

static int make_form(void *context, const char *part, size_t n_rows)
{
    const corpus_form *form = context;
    return mim_corpus_make(part, form->layout, form->info, n_rows, form->ranges,
                           form->ranges + form->layout->n_metrics);
}

int mim_corpus_mpi_write(MPI_Comm comm, const char *path, const mim_layout *l,
                         const mim_corpus_info *info, const mim_samples *samples, double *write_s)
{
    unsigned long long total = samples->n;
    double *ranges = NULL;
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    int rc = mim_agree(comm, mim_samples_check(l, info, samples));
    if (rc != MIM_OK)
        return rc;
    MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    if (total == 0)
        return mim_fail(MIM_EDATA, "%s: a corpus needs at least one sample, there is none", path);
    rc = agree_ranges(comm, l, samples, &ranges);
    if (rc != MIM_OK)
        return rc;
    mim_corpus_columns(l, columns);
    mim_corpus_buffers(l, samples, 0, buffers);
    const mim_rows_h5 rows = {MIM_CORPUS_N_COLUMNS, columns, samples->n, buffers};
    corpus_form form = {l, info, ranges};
    rc = mim_rows_h5_write(comm, path, &rows, make_form, &form, write_s);
    free(ranges);
    return rc;
}
