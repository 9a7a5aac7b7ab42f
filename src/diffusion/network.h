/* A denoising network behind one interface, whatever its kind (diffusion/architecture.h): from
 * noised plans, what is known of metrics and of the slot before, and a timestep, it predicts noise,
 * plans or what lies between (diffusion/schedule.h).
 *
 * Whether a sample is conditional belongs to the interface, as kinds differ in what they leave out:
 * the unconditional answer of classifier-free guidance depends on noise, timestep and, where a kind
 * says so, on the slot before, and on no metric. Samples of a call never see each other.
 *
 * In float (_f) for training and in double (_d) for finite differences; nn/as_float.h says how. */
#ifndef MIM_DIFFUSION_NETWORK_H
#define MIM_DIFFUSION_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "diffusion/architecture.h"
#include "nn/gemm.h"
#include "nn/layer_weights.h"
#include "nn/params.h"
#include "nn/precision.h"

/* MIM_EINVAL names what is out of range or does not go with the kind. */
int mim_network_check(const mim_architecture *architecture);
/* MIM_EUNSUP where the kind's products do not run in it. */
int mim_network_check_precision(const mim_architecture *architecture, mim_precision precision);
/* The tensors. */
int mim_network_layout(const mim_architecture *architecture, mim_tensors **layout);
/* Multiply-adds times 2 of a forward call; forward and backward take three times as much. */
double mim_network_flop(const mim_architecture *architecture, size_t n_samples, size_t n_threads);
/* Rows of a sample in the products of the first blocks: tokens, positions. */
size_t mim_network_n_rows(const mim_architecture *architecture, size_t n_threads);

typedef struct mim_network_options {
    const mim_gemm *gemm;            /* NULL: the default one */
    mim_precision precision;         /* of _f's products */
    mim_layer_weights *weights;      /* of _f, in the same precision: loaded by whoever changes the
                                        values; NULL: the network sees to itself, more slowly */
    size_t max_samples, max_threads; /* of a call */
    bool is_training;                /* else backward is never asked: much less memory */
} mim_network_options;

/* Whom dropout hits, at the rates of the architecture: a function of these numbers and of the place
 * in the network (mim_dropout of nn/layers.h). */
typedef struct mim_network_dropout {
    uint64_t seed;
    uint32_t step;
    const uint32_t *samples; /* [B] numbers in the global batch */
} mim_network_dropout;

#define MIM_NETWORK MIM_NN(mim_network)
#define MIM_NETWORK_INPUT MIM_NN(mim_network_input)

#include "nn/as_float.h"

#include "diffusion/network_declare.h"

#include "nn/as_double.h"

#include "diffusion/network_declare.h"

#endif
