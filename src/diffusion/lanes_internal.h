/* Several shards of a batch at a time, each in an OpenMP thread of its own, with a network,
 * examples and gradients of its own. Threads that share a shard's products instead wait for each
 * other at every layer. Gradients of shards are added up in the order of the shards, so the sum is
 * the same to the bit for any number of lanes. For diffusion/train.c. */
#ifndef MIM_DIFFUSION_LANES_INTERNAL_H
#define MIM_DIFFUSION_LANES_INTERNAL_H

#include <stdatomic.h>

#include "diffusion/batch_internal.h"
#include "diffusion/network.h"
#include "nn/params.h"

enum { MIM_LANES_MAX_RANGES = 512 }; /* of a gradient that are handed over early */

typedef struct mim_lane {
    mim_network_f *network;
    mim_batch *batch;
    float *grads;         /* [n_values] between shards all 0; of the first the parameters' own */
    double loss;          /* of its shard */
    atomic_size_t n_told; /* ranges of its gradients */
} mim_lane;

typedef struct mim_lanes {
    size_t n, n_values;
    mim_layer_weights *weights; /* of all networks */
    mim_lane *all;              /* [n] */
    float **grads;              /* [n] theirs */
} mim_lanes;

/* n_shard: examples of a shard. `model`: borrowed; the first lane adds to its gradients.
 * MIM_EINVAL, MIM_EUNSUP, MIM_ENOMEM. */
int mim_lanes_create(size_t n, size_t n_shard, const mim_model *model,
                     const mim_network_options *options, mim_lanes **lanes);
void mim_lanes_destroy(mim_lanes **lanes);
size_t mim_lanes_n_bytes(const mim_lanes *lanes); /* without the parameters' own gradients */

/* What networks compute with from here on, [n_values]; before any work with changed values. */
void mim_lanes_load(mim_lanes *lanes, const float *values);

/* Computes the gradient of the lane's shard and lane->loss; backward is to be given `ready`. */
typedef void (*mim_lane_work)(void *context, mim_lane *lane, const mim_grads_ready *ready);

/* The first n_used lanes work, as many at a time as there are threads; their gradients stay. */
void mim_lanes_work(mim_lanes *lanes, size_t n_used, mim_lane_work work, void *context);

/* The first n_used lanes work, all at a time, then `gradient` [n_values] becomes, or grows by,
 * their gradients, lane after lane. A single one has all threads for its products. `ready` (may be
 * NULL) as in mim_trainer_shards(); it is told by the calling thread. */
void mim_lanes_run(mim_lanes *lanes, size_t n_used, mim_lane_work work, void *context,
                   bool is_added, double *gradient, const mim_grads_ready *ready);

#endif
