/* Supervised training of a model, serial: what one step does to one share of its batch.
 *
 * A step's batch is cut into a fixed number of shards; the gradient of each is summed in float by
 * itself and added to the others in double, so that who computes which shard (and in how many
 * ranks) changes the sum by some 1e-16 of its terms only. All draws (which example, timestep,
 * noise, what is hidden) are functions of (seed, step, number in the batch).
 *
 * Loss: mean squared error of the predicted quantity over all T S values of an example. */
#ifndef MIM_DIFFUSION_TRAIN_H
#define MIM_DIFFUSION_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "diffusion/examples.h"
#include "diffusion/model.h"
#include "nn/optim.h"

enum { MIM_TRAIN_MAX_BATCH = 1 << 16 };

typedef struct mim_train_options {
    size_t batch, n_shards; /* examples a step; shards of it: batch is a multiple of n_shards */
    mim_adam adam;
    mim_lr_schedule rate;
    mim_ema ema;
    double clip_norm;        /* of the whole gradient, <= 0: none */
    mim_precision precision; /* of the network's products */
    /* Shares of examples, 0 to 1, from which is hidden: all metrics (what guidance needs), each
     * metric by itself (so that absent ones do no harm), the previous slot. */
    double hide_all, hide_metric, hide_previous;
    double jitter; /* deviation of the noise added to normalised metrics */
} mim_train_options;

typedef struct mim_trainer mim_trainer;

/* Keeps `model` and the examples (borrowed). MIM_EINVAL names the option that is out of range;
 * MIM_EDATA: no example, or one with a value that is not finite. */
int mim_trainer_create(const mim_train_options *options, mim_model *model,
                       const mim_examples *examples, mim_trainer **trainer);
void mim_trainer_destroy(mim_trainer **trainer);
size_t mim_trainer_n_values(const mim_trainer *trainer); /* length of a gradient */

size_t mim_trainer_n_bytes(const mim_trainer *trainer); /* memory of a step, parameters apart */

/* Of the model's present step, for shard `shard` < n_shards: adds its part of the gradient and of
 * the loss; over all shards they are those of the mean over the batch. */
void mim_trainer_shard(mim_trainer *trainer, size_t shard, double *gradient, double *loss);
/* Clips, optimiser, moving average; model->step grows by 1. `norm` (may be NULL): of the gradient
 * before clipping. MIM_ECHECK when the gradient is not finite; the model is then as it was. */
int mim_trainer_apply(mim_trainer *trainer, const double *gradient, double *norm);
/* All shards and the update. */
int mim_trainer_step(mim_trainer *trainer, double *loss, double *norm);

/* Sum over examples [first, first + n) of their mean squared error with noise that is always the
 * same, at n_draws timesteps each, spread evenly; nothing is hidden. use_ema: of the moving
 * average. Not more examples at a time than a shard has. */
double mim_trainer_validate(mim_trainer *trainer, const mim_examples *examples, size_t first,
                            size_t n, size_t n_draws, bool use_ema);

/* Which of n examples stands at a position of the endless sequence of shuffles; n >= 1. */
size_t mim_train_example(uint64_t seed, size_t n, uint64_t position);

#endif
