/* The samples of all ranks as one corpus. */
#include "mpi/agree.h"
#include "mpi/campaign_mpi.h"
#include "mpi/rows_h5.h"
#include "mpi/tally.h"

/* Of all ranks' samples, which stand in the order of ranks. */
static int agree_tally(MPI_Comm comm, const mim_layout *l, const mim_samples *samples,
                       unsigned long long total, mim_tally **tally)
{
    unsigned long long mine = samples->n, end = 0;
    mim_tally *made = NULL;
    MPI_Scan(&mine, &end, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    int rc = mim_agree(
        comm, mim_tally_create(l, (size_t)total, mim_corpus_block_rows((size_t)total), &made));
    if (rc != MIM_OK) {
        mim_tally_destroy(&made);
        return rc;
    }
    mim_tally_add(made, l, samples, (size_t)(end - mine));
    mim_tally_reduce(comm, made);
    mim_tally_finish(made);
    *tally = made;
    return MIM_OK;
}

typedef struct corpus_form {
    const mim_layout *layout;
    const mim_corpus_info *info;
    const mim_tally *tally;
} corpus_form;

static int make_form(void *context, const char *part, size_t n_rows)
{
    const corpus_form *form = context;
    return mim_corpus_make(part, form->layout, form->info, n_rows, form->tally);
}

int mim_corpus_mpi_write(MPI_Comm comm, const char *path, const mim_layout *l,
                         const mim_corpus_info *info, const mim_samples *samples, double *write_s)
{
    unsigned long long total = samples->n;
    mim_tally *tally = NULL;
    mim_column columns[MIM_CORPUS_N_COLUMNS];
    void *buffers[MIM_CORPUS_N_COLUMNS];
    int rc = mim_agree(comm, mim_samples_check(l, info, samples));
    if (rc != MIM_OK)
        return rc;
    MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, comm);
    if (total == 0)
        return mim_fail(MIM_EDATA, "%s: a corpus needs at least one sample, there is none", path);
    rc = agree_tally(comm, l, samples, total, &tally);
    if (rc != MIM_OK)
        return rc;
    mim_corpus_columns(l, columns);
    mim_corpus_buffers(l, samples, 0, buffers);
    const mim_rows_h5 rows = {MIM_CORPUS_N_COLUMNS, columns, samples->n, buffers};
    corpus_form form = {l, info, tally};
    rc = mim_rows_h5_write(comm, path, &rows, make_form, &form, write_s);
    mim_tally_destroy(&tally);
    return rc;
}
