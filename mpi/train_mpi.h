/* Training shared out to ranks: the shards of a batch to compute, their gradients summed. Every
 * rank holds the same values and takes the same steps.
 *
 * Where ranks keep parts of the parameters' moments and moving average (mim_params_keep_part, part
 * = rank of as many as there are ranks), each updates its part and the values are gathered after
 * every step: to the bit what ranks with whole parameters come to. The moving average is gathered
 * where it is asked for.
 *
 * The gradient is cut into buckets. The ranks begin to sum one up, without waiting for it, as soon
 * as their last shard adds nothing more to it, while that shard goes on with the layers before.
 *
 * Gradients are summed in double over all shards and ranks and rounded to float once: results at
 * different rank counts differ only where the sum of doubles lies within some 1e-16 of its largest
 * term of a float's rounding boundary, in the last bit of that gradient. */
#ifndef MIM_MPI_TRAIN_MPI_H
#define MIM_MPI_TRAIN_MPI_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

#include "diffusion/train.h"

typedef struct mim_train_mpi mim_train_mpi;

enum { MIM_TRAIN_MPI_MAX_BUCKETS = 64 };

/* Values of a bucket of the gradient's n_values, the last may have fewer. Not collective. */
size_t mim_train_mpi_n_bucket(size_t n_values, size_t bucket_bytes);

/* Collective. Keeps `trainer` (borrowed), which has the same model on all ranks, and duplicates of
 * comm. n_shards: as the trainer's; a rank beyond them computes nothing. bucket_bytes: of a bucket,
 * more where there would be too many; 0: one bucket. MIM_EINVAL: parts that the ranks keep and that
 * do not make up the whole. */
int mim_train_mpi_create(MPI_Comm comm, mim_trainer *trainer, size_t n_shards, size_t bucket_bytes,
                         mim_train_mpi **job);
void mim_train_mpi_destroy(mim_train_mpi **job);

/* Collective: one step. loss, norm and *is_wished (whether any rank wished to stop) are the same on
 * all ranks; a norm that is not finite means that the step was left out (diffusion/train.h).
 * `local`: an error of this rank alone, which becomes everyone's, without a step. */
int mim_train_mpi_step(mim_train_mpi *job, int local, bool wishes_stop, double *loss, double *norm,
                       bool *is_wished);

/* Buckets that this rank began to sum up in the last step while its backward pass went on. Not
 * collective. */
size_t mim_train_mpi_n_early(const mim_train_mpi *job);

/* Collective. Mean loss over the examples, which all ranks have; NaN when there are none. use_ema:
 * of the moving average, which is gathered. */
double mim_train_mpi_validate(mim_train_mpi *job, const mim_examples *examples, size_t n_draws,
                              bool use_ema);

/* Collective. Makes the moving average whole, in the parameters' ema, until the next step. */
void mim_train_mpi_gather_ema(mim_train_mpi *job);

/* The model with all that a checkpoint holds; what it points to belongs to the job and its model.
 */
typedef struct mim_whole_model {
    mim_model model;
    mim_params_f params;
} mim_whole_model;

/* Collective. `model`, which is the trainer's, made whole on rank 0 until the next step; the other
 * ranks' `whole` is of no use. */
void mim_train_mpi_gather(mim_train_mpi *job, const mim_model *model, mim_whole_model *whole);

/* Collective. MIM_ECHECK when the ranks' models are not equal to the bit: values, and the moving
 * averages where each rank keeps all of it. */
int mim_train_mpi_check_same(mim_train_mpi *job, const mim_model *model);

#endif
