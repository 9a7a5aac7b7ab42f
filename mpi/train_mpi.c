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
    size_t n_early;             /* of the last step, begun with while backward went on */
    bucket *buckets;
    MPI_Request *requests; /* [n_buckets + 1] the last of the extras */
    mim_params_f *params;
    int *counts, *firsts; /* [n_ranks] values that each rank updates; NULL: each updates all */
    bool has_ema;         /* the gathered average lies where gradients belong */
    bool is_alone;        /* the only rank: nobody to sum up with */
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

/* Which values each rank updates. Collective, as its result is. */
static int learn_parts(mim_train_mpi *job, MPI_Comm comm, int n_ranks)
{
    unsigned long long least = job->params->n_own;
    size_t end = 0;
    bool do_follow = true;
    MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_UNSIGNED_LONG_LONG, MPI_MIN, comm);
    if (least == job->n)
        return MIM_OK;
    if (job->n > INT_MAX)
        return mim_fail(MIM_EINVAL, "parts of %zu parameters: expected at most %d", job->n,
                        INT_MAX);
    const int first = (int)job->params->first_own, count = (int)job->params->n_own;
    job->counts = calloc((size_t)n_ranks, sizeof *job->counts);
    job->firsts = calloc((size_t)n_ranks, sizeof *job->firsts);
    const int rc = mim_agree(comm, job->counts && job->firsts
                                       ? MIM_OK
                                       : mim_fail(MIM_ENOMEM, "parts of %d ranks", n_ranks));
    if (rc != MIM_OK)
        return rc;
    MPI_Allgather(&count, 1, MPI_INT, job->counts, 1, MPI_INT, comm);
    MPI_Allgather(&first, 1, MPI_INT, job->firsts, 1, MPI_INT, comm);
    for (int r = 0; r < n_ranks; r++) {
        do_follow = do_follow && (size_t)job->firsts[r] == end;
        end += (size_t)job->counts[r];
    }
    return do_follow && end == job->n
               ? MIM_OK
               : mim_fail(MIM_EINVAL, "the ranks' parts do not make up %zu parameters", job->n);
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
        made->is_alone = n_ranks == 1;
        made->n = mim_trainer_n_values(trainer);
        made->params = mim_trainer_params(trainer);
        mim_share_of(n_shards, rank, n_ranks, &made->first, &made->count);
    }
    rc = mim_agree(comm, made ? take_memory(made, bucket_bytes)
                              : mim_fail(MIM_ENOMEM, "parallel training"));
    if (rc == MIM_OK)
        rc = learn_parts(made, comm, n_ranks);
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
    free(old->counts);
    free(old->firsts);
    free(old);
}

/* ---- parts ---------------------------------------------------------------------------------- */

/* Each rank has its part of `whole` up to date. */
static void share(mim_train_mpi *job, float *whole)
{
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, whole, job->counts, job->firsts, MPI_FLOAT,
                   job->comm);
}

void mim_train_mpi_gather_ema(mim_train_mpi *job)
{
    mim_params_f *p = job->params;
    if (!job->counts || job->has_ema)
        return;
    memmove(p->ema + p->first_own, p->own_ema, p->n_own * sizeof *p->ema);
    share(job, p->ema);
    job->has_ema = true;
}

/* Between steps nobody needs the sums: two floats fit in each. */
void mim_train_mpi_gather(mim_train_mpi *job, const mim_model *model, mim_whole_model *whole)
{
    const mim_params_f *p = job->params;
    void *room = job->sums;
    float *moments = room;
    whole->model = *model;
    if (!job->counts)
        return;
    mim_train_mpi_gather_ema(job);
    MPI_Gatherv(p->moment_1, (int)p->n_own, MPI_FLOAT, moments, job->counts, job->firsts, MPI_FLOAT,
                0, job->comm);
    MPI_Gatherv(p->moment_2, (int)p->n_own, MPI_FLOAT, moments + job->n, job->counts, job->firsts,
                MPI_FLOAT, 0, job->comm);
    whole->params = *p;
    whole->params.first_own = 0;
    whole->params.n_own = job->n;
    whole->params.moment_1 = moments;
    whole->params.moment_2 = moments + job->n;
    whole->params.own_ema = p->ema;
    whole->model.params = &whole->params;
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
        if ((b->n_left -= here) == 0) {
            begin_sum(job, k);
            job->n_early++;
        }
        first += here;
        n -= here;
    }
    MPI_Testall((int)job->n_buckets, job->requests, &is_done, MPI_STATUSES_IGNORE);
}

/* Buckets that this rank has not begun with: complete at the end of backward only, or it has no
 * shards, or an error. */
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
    if (job->has_ema)
        mim_params_zero_grads_f(job->params);
    job->has_ema = false;
    job->n_early = 0;
    if (job->is_alone) {
        *is_wished = wishes_stop;
        return local == MIM_OK ? mim_trainer_step(job->trainer, loss, norm) : local;
    }
    memset(extras, 0, N_EXTRAS * sizeof *extras);
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
    if (job->counts)
        share(job, job->params->values); /* whatever each made of it, none may wait for another */
    if (rc != MIM_OK)
        return rc;
    *loss = extras[AT_LOSS];
    *is_wished = extras[AT_STOP] > 0;
    return MIM_OK;
}

size_t mim_train_mpi_n_early(const mim_train_mpi *job) { return job->n_early; }

double mim_train_mpi_validate(mim_train_mpi *job, const mim_examples *examples, size_t n_draws,
                              bool use_ema)
{
    int rank = 0, n_ranks = 0;
    size_t first = 0, count = 0;
    MPI_Comm_rank(job->comm, &rank);
    MPI_Comm_size(job->comm, &n_ranks);
    if (use_ema)
        mim_train_mpi_gather_ema(job);
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
    if (!job->counts)
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
