#include "mpi/train_mpi.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "mpi/agree.h"

/* Behind the gradient, summed up apart. */
enum { AT_LOSS, AT_STOP, AT_FAILURE, N_EXTRAS };

/* A part of the gradient. Each has its own communicator: ranks need not begin with buckets in the
 * same order, as one without shards, or with an error, does not know it. */
typedef struct bucket {
    size_t first, n;
    size_t n_left; /* values of this rank that are not complete yet */
    MPI_Comm comm;
} bucket;

struct mim_train_mpi {
    MPI_Comm comm;
    mim_trainer *trainer;
    size_t first, count;        /* shards of this rank */
    size_t n;                   /* values of a gradient */
    double *sums;               /* [n + N_EXTRAS] */
    size_t n_buckets, n_bucket; /* of n_bucket values each, fewer in the last */
    bucket *buckets;
    MPI_Request *requests; /* [n_buckets + 1] the last of the extras */
};

/* ---- creation ------------------------------------------------------------------------------- */

size_t mim_train_mpi_n_bucket(size_t n_values, size_t bucket_bytes)
{
    const size_t most = MIM_TRAIN_MPI_MAX_BUCKETS, per_bucket = bucket_bytes / sizeof(double);
    const size_t fewest = (n_values + most - 1) / most;
    const size_t n = bucket_bytes == 0 ? n_values : per_bucket > fewest ? per_bucket : fewest;
    return n < INT_MAX ? n : INT_MAX; /* what a call of MPI can take */
}

static int take_memory(mim_train_mpi *job, size_t bucket_bytes)
{
    job->n_bucket = mim_train_mpi_n_bucket(job->n, bucket_bytes);
    job->n_buckets = (job->n + job->n_bucket - 1) / job->n_bucket;
    job->sums = calloc(job->n + N_EXTRAS, sizeof *job->sums);
    job->buckets = calloc(job->n_buckets, sizeof *job->buckets);
    job->requests = calloc(job->n_buckets + 1, sizeof *job->requests);
    if (!job->sums || !job->buckets || !job->requests)
        return mim_fail(MIM_ENOMEM, "gradient");
    for (size_t k = 0; k < job->n_buckets; k++) {
        const size_t first = k * job->n_bucket, left = job->n - first;
        job->buckets[k] =
            (bucket){first, left < job->n_bucket ? left : job->n_bucket, 0, MPI_COMM_NULL};
    }
    return MIM_OK;
}

int mim_train_mpi_create(MPI_Comm comm, mim_trainer *trainer, size_t n_shards, size_t bucket_bytes,
                         mim_train_mpi **job)
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
    }
    rc = mim_agree(comm, made ? take_memory(made, bucket_bytes)
                              : mim_fail(MIM_ENOMEM, "parallel training"));
    if (rc == MIM_OK) {
        MPI_Comm_dup(comm, &made->comm);
        for (size_t k = 0; k < made->n_buckets; k++)
            MPI_Comm_dup(comm, &made->buckets[k].comm);
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
    for (size_t k = 0; old->buckets && k < old->n_buckets; k++)
        if (old->buckets[k].comm != MPI_COMM_NULL)
            MPI_Comm_free(&old->buckets[k].comm);
    if (old->comm != MPI_COMM_NULL)
        MPI_Comm_free(&old->comm);
    free(old->sums);
    free(old->buckets);
    free(old->requests);
    free(old);
}

/* ---- a step --------------------------------------------------------------------------------- */

static void begin_sum(mim_train_mpi *job, size_t k)
{
    bucket *b = &job->buckets[k];
    b->n_left = 0;
    MPI_Iallreduce(MPI_IN_PLACE, job->sums + b->first, (int)b->n, MPI_DOUBLE, MPI_SUM, b->comm,
                   &job->requests[k]);
}

/* Values first to first + n - 1 of this rank's sums are complete. Sums on their way go on while
 * their rank is in MPI, so they are looked after here. */
static void complete(void *context, size_t first, size_t n)
{
    mim_train_mpi *job = context;
    int is_done = 0;
    while (n > 0) {
        const size_t k = first / job->n_bucket;
        bucket *b = &job->buckets[k];
        const size_t left = b->first + b->n - first, here = left < n ? left : n;
        if ((b->n_left -= here) == 0)
            begin_sum(job, k);
        first += here;
        n -= here;
    }
    MPI_Testall((int)job->n_buckets, job->requests, &is_done, MPI_STATUSES_IGNORE);
}

/* Buckets that this rank has not begun with, as it has no shards, or after an error. */
static void begin_others(mim_train_mpi *job)
{
    for (size_t k = 0; k < job->n_buckets; k++)
        if (job->buckets[k].n_left > 0)
            begin_sum(job, k);
}

int mim_train_mpi_step(mim_train_mpi *job, int local, bool wishes_stop, double *loss, double *norm,
                       bool *is_wished)
{
    const mim_grads_ready ready = {complete, job};
    const size_t n_requests = job->n_buckets + 1;
    double *extras = job->sums + job->n;
    memset(job->sums, 0, (job->n + N_EXTRAS) * sizeof *job->sums);
    for (size_t k = 0; k < n_requests; k++)
        job->requests[k] = MPI_REQUEST_NULL;
    for (size_t k = 0; k < job->n_buckets; k++)
        job->buckets[k].n_left = job->buckets[k].n;
    if (local == MIM_OK)
        local = mim_trainer_shards(job->trainer, job->first, job->count, job->sums,
                                   &extras[AT_LOSS], &ready);
    begin_others(job);
    extras[AT_STOP] = wishes_stop ? 1 : 0;
    extras[AT_FAILURE] = local == MIM_OK ? 0 : 1;
    MPI_Iallreduce(MPI_IN_PLACE, extras, N_EXTRAS, MPI_DOUBLE, MPI_SUM, job->comm,
                   &job->requests[job->n_buckets]);
    MPI_Waitall((int)n_requests, job->requests, MPI_STATUSES_IGNORE);
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
