#include "mpi/train_mpi.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "mpi/agree.h"

/* Behind the gradient, in the same sum: one reduction a step. */
enum { AT_LOSS, AT_STOP, AT_FAILURE, N_EXTRAS };

struct mim_train_mpi {
    MPI_Comm comm;
    mim_trainer *trainer;
    size_t first, count; /* shards of this rank */
    size_t n;            /* values of a gradient */
    double *sums;        /* [n + N_EXTRAS] */
};

int mim_train_mpi_create(MPI_Comm comm, mim_trainer *trainer, size_t n_shards, mim_train_mpi **job)
{
    int rank = 0, n_ranks = 0, rc = MIM_OK;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    mim_train_mpi *made = calloc(1, sizeof *made);
    if (made) {
        made->comm = MPI_COMM_NULL;
        made->trainer = trainer;
        made->n = mim_trainer_n_values(trainer);
        mim_share_of(n_shards, rank, n_ranks, &made->first, &made->count);
        made->sums = calloc(made->n + N_EXTRAS, sizeof *made->sums);
    }
    if (!made || !made->sums)
        rc = mim_fail(MIM_ENOMEM, "gradient");
    else if (made->n > INT_MAX - N_EXTRAS)
        rc = mim_fail(MIM_EINVAL, "%zu parameters are too many for one reduction", made->n);
    rc = mim_agree(comm, rc);
    if (rc == MIM_OK) {
        MPI_Comm_dup(comm, &made->comm);
        *job = made;
        made = NULL;
    }
    mim_train_mpi_destroy(&made);
    return rc;
}

void mim_train_mpi_destroy(mim_train_mpi **job)
{
    mim_train_mpi *old = *job;
    if (!old)
        return;
    *job = NULL;
    if (old->comm != MPI_COMM_NULL)
        MPI_Comm_free(&old->comm);
    free(old->sums);
    free(old);
}

int mim_train_mpi_step(mim_train_mpi *job, int local, bool wishes_stop, double *loss, double *norm,
                       bool *is_wished)
{
    double *extras = job->sums + job->n;
    memset(job->sums, 0, (job->n + N_EXTRAS) * sizeof *job->sums);
    for (size_t i = 0; local == MIM_OK && i < job->count; i++)
        local = mim_trainer_shard(job->trainer, job->first + i, job->sums, &extras[AT_LOSS]);
    extras[AT_STOP] = wishes_stop ? 1 : 0;
    extras[AT_FAILURE] = local == MIM_OK ? 0 : 1;
    MPI_Allreduce(MPI_IN_PLACE, job->sums, (int)(job->n + N_EXTRAS), MPI_DOUBLE, MPI_SUM,
                  job->comm);
    if (extras[AT_FAILURE] > 0)
        return mim_agree(job->comm, local);
    const int rc = mim_trainer_apply(job->trainer, job->sums, norm); /* the same on all ranks */
    if (rc != MIM_OK)
        return rc;
    *loss = extras[AT_LOSS];
    *is_wished = extras[AT_STOP] > 0;
    return MIM_OK;
}

double mim_train_mpi_validate(mim_train_mpi *job, const mim_examples *examples, size_t n_draws,
                              bool use_ema)
{
    int rank = 0, n_ranks = 0;
    size_t first = 0, count = 0;
    MPI_Comm_rank(job->comm, &rank);
    MPI_Comm_size(job->comm, &n_ranks);
    if (examples->n == 0)
        return NAN;
    mim_share_of(examples->n, rank, n_ranks, &first, &count);
    double sum = mim_trainer_validate(job->trainer, examples, first, count, n_draws, use_ema);
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, job->comm);
    return sum / (double)examples->n;
}

int mim_train_mpi_check_same(mim_train_mpi *job, const mim_model *model)
{
    const size_t n_bytes = model->params->n_values * sizeof *model->params->values;
    unsigned long long hash =
        mim_hash_text(MIM_HASH_START, (const char *)model->params->values, n_bytes);
    hash = mim_hash_text(hash, (const char *)model->params->ema, n_bytes);
    unsigned long long first = hash;
    int rank = 0;
    MPI_Comm_rank(job->comm, &rank);
    MPI_Bcast(&first, 1, MPI_UNSIGNED_LONG_LONG, 0, job->comm);
    return mim_agree(job->comm, hash == first
                                    ? MIM_OK
                                    : mim_fail(MIM_ECHECK,
                                               "after step %llu rank %d has another model than "
                                               "rank 0: different hardware or libraries?",
                                               (unsigned long long)model->step, rank));
}
