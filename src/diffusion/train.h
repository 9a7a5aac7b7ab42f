/* Supervised training of a model, serial: what one step does to one share of its batch.
 *
 * A step's batch is cut into a fixed number of shards, the units of parallel work. The gradient of
 * each is summed in float by itself and added to the others in double, so that who computes which
 * shard (and in how many ranks) changes the sum by some 1e-16 of its terms only. A shard goes
 * through its network in micro-batches, one after the other, so that memory does not grow with it.
 * All draws (which example, timestep, noise, what is hidden, where
 * threads go) are functions of (seed, step, number in the batch).
 *
 * What is minimised: diffusion/objective.h. */
#ifndef MIM_DIFFUSION_TRAIN_H
#define MIM_DIFFUSION_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "diffusion/examples.h"
#include "diffusion/feed.h"
#include "diffusion/model.h"
#include "diffusion/objective.h"
#include "diffusion/weighting.h"
#include "nn/optim.h"

enum { MIM_TRAIN_MAX_BATCH = 1 << 16 };

typedef struct mim_train_options {
    size_t batch, n_shards; /* examples a step; shards of it: batch is a multiple of n_shards */
    size_t micro_batch; /* most examples in a call of a network; 0: as many as give it 1024 rows */
    /* Most shards computed at a time, each in an OpenMP thread of its own: faster than threads that
     * share each layer, and takes a network's memory each; results are the same to the bit. 0:
     * mim_train_n_lanes(n_shards). */
    size_t n_lanes;
    mim_adam adam;
    mim_lr_schedule rate;
    mim_ema ema;
    double clip_norm;        /* of the whole gradient, <= 0: none */
    mim_precision precision; /* of the network's products; mim_gemm_precision() of it is computed */
    /* Shares of examples, 0 to 1, from which is hidden: all metrics (what guidance needs), each
     * metric by itself (so that absent ones do no harm), the previous slot. */
    double hide_all, hide_metric, hide_previous;
    double jitter; /* deviation of the noise added to normalised metrics */
    /* Changed about in each example, together with their metrics and plans: the threads within each
     * socket; in this share of examples, the sockets. For networks to which threads are not alike.
     */
    bool permutes_threads;
    double swap_sockets;
    mim_objective_weights objective;
    const mim_weighting *weighting; /* of mim_trainer_create(), NULL: all examples alike; a feed has
                                       its own order */
    uint64_t max_skipped;           /* steps in a row whose gradient may be not finite */
} mim_train_options;

typedef struct mim_trainer mim_trainer;

/* Keeps `model` and the examples (borrowed). MIM_EINVAL names the option that is out of range;
 * MIM_EDATA: no example, or one with a value that is not finite. */
int mim_trainer_create(const mim_train_options *options, mim_model *model,
                       const mim_examples *examples, mim_trainer **trainer);
/* The same with examples of a feed (borrowed), whose batches and shards are those of the options.
 */
int mim_trainer_create_fed(const mim_train_options *options, mim_model *model, mim_feed *feed,
                           mim_trainer **trainer);
void mim_trainer_destroy(mim_trainer **trainer);
size_t mim_trainer_n_values(const mim_trainer *trainer); /* length of a gradient */
mim_params_f *mim_trainer_params(mim_trainer *trainer);  /* its model's */

size_t mim_trainer_n_bytes(const mim_trainer *trainer); /* memory of a step, parameters apart */

/* For this many shards: as many lanes as OpenMP has threads, 1 where there are not so many shards.
 */
size_t mim_train_n_lanes(size_t n_shards);

/* Of the model's present step, for shards first to first + count - 1 of n_shards (count 0: none):
 * sets their part of the gradient and of the loss, summed shard after shard; over all shards they
 * are those of the mean over the batch. Fails when the feed has not the examples; what was set then
 * is of no use. `ready` (may be NULL) is told of values that are complete while others are still
 * computed (nn/params.h); this call does not look at those again. */
int mim_trainer_shards(mim_trainer *trainer, size_t first, size_t count, double *gradient,
                       double *loss, const mim_grads_ready *ready);
/* Clips, optimiser, moving average, of the values that are the parameters' own (nn/params.h);
 * model->step grows by 1. `norm` (may be NULL): of the whole gradient before clipping. When that is
 * not finite the step is left out: only model->step and course.n_skipped grow. MIM_ECHECK when more
 * than max_skipped steps in a row were left out. */
int mim_trainer_apply(mim_trainer *trainer, const double *sums, double *norm);
/* All shards and the update; the same to the bit. */
int mim_trainer_step(mim_trainer *trainer, double *loss, double *norm);

/* Sum over examples [first, first + n) of their squared error, without what options.objective adds
 * to it, with noise that is always the same, at n_draws timesteps each, spread evenly; nothing is
 * hidden. use_ema: of the moving average, which is whole in the parameters' ema. */
double mim_trainer_validate(mim_trainer *trainer, const mim_examples *examples, size_t first,
                            size_t n, size_t n_draws, bool use_ema);

#endif
