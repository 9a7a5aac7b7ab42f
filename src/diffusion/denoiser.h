/* The default denoiser: a transformer with one token per thread and a global one.
 *
 * A thread's token is a linear map of its S noisy weights, S previous weights, own CPU metric and
 * its mask, plus its socket's embedding; the global token one of the node metrics, their masks and
 * whether there is a previous slot. Blocks are pre-norm with adaLN-zero (Peebles and Xie 2023) from
 * a condition made of the timestep's sinusoid and the node metrics (nn/dit.h); attention runs over
 * the 1 + T tokens of a sample and never over samples. Tokens carry no position but the socket, so
 * permuting threads within a socket together with their metrics permutes the answer. The number of
 * threads is free per call. An unknown metric has mask 0 and value 0; all masks 0 is the
 * unconditional model of guidance.
 *
 * In float (_f) for training and in double (_d) for finite differences; nn/as_float.h says how. */
#ifndef MIM_DIFFUSION_DENOISER_H
#define MIM_DIFFUSION_DENOISER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "nn/dit.h"
#include "nn/gemm.h"
#include "nn/params.h"

enum {
    MIM_DENOISER_MAX_WIDTH = 4096,
    MIM_DENOISER_MAX_BLOCKS = MIM_DIT_MAX_BLOCKS,
    MIM_DENOISER_MAX_RATIO = 16,
    MIM_DENOISER_MAX_INPUTS = 16384, /* of stressors, node metrics or sockets */
};

/* Everything that fixes the parameters. */
typedef struct mim_denoiser_shape {
    size_t n_stressors, n_node_metrics, n_sockets;
    size_t width, n_blocks, n_heads; /* width: a multiple of n_heads, even, at least 4 */
    size_t mlp_ratio;                /* hidden width of a block's MLP over width */
} mim_denoiser_shape;

/* MIM_EINVAL names the size that is out of range. */
int mim_denoiser_check(const mim_denoiser_shape *architecture);
/* The tensors. Fresh parameters (mim_params_init) answer 0 to everything. */
int mim_denoiser_layout(const mim_denoiser_shape *architecture, mim_tensors **layout);
/* Multiply-adds times 2 of a forward call; forward and backward take three times as much. */
double mim_denoiser_flop(const mim_denoiser_shape *architecture, size_t n_samples,
                         size_t n_threads);

typedef struct mim_denoiser_options {
    const mim_gemm *gemm;            /* NULL: the default one */
    mim_precision precision;         /* of the blocks' products; of _d always its own */
    size_t max_samples, max_threads; /* of a call */
    bool is_training;                /* else backward is never asked: much less memory */
} mim_denoiser_options;

#define MIM_DENOISER MIM_NN(mim_denoiser)
#define MIM_DENOISER_INPUT MIM_NN(mim_denoiser_input)

#include "nn/as_float.h"

#include "diffusion/denoiser_declare.h"

#include "nn/as_double.h"

#include "diffusion/denoiser_declare.h"

#endif
