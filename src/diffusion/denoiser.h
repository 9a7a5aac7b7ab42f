/* The default denoiser: a transformer with one token per thread and a global one.
 *
 * A thread's token is a linear map of its S noisy weights, S previous weights, own CPU metric and
 * its mask, plus its socket's embedding; the global token one of the node metrics, their masks and
 * whether there is a previous slot. Blocks are pre-norm with adaLN-zero (Peebles and Xie 2023) from
 * a condition made of the timestep's sinusoid and the node metrics; attention runs over the 1 + T
 * tokens of a sample and never over samples. Tokens carry no position but the socket, so permuting
 * threads within a socket together with their metrics permutes the answer. The number of threads is
 * free per call. An unknown metric has mask 0 and value 0; all masks 0 is the unconditional model
 * of guidance. */
#ifndef MIM_DIFFUSION_DENOISER_H
#define MIM_DIFFUSION_DENOISER_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Everything that fixes the parameters. */
typedef struct mim_architecture {
    size_t n_stressors, n_node_metrics, n_sockets;
    size_t width, n_blocks, n_heads; /* width: a multiple of 2 n_heads */
    size_t mlp_ratio;                /* hidden width of a block's MLP over width */
} mim_architecture;

/* B samples of T threads; all values in [-1, 1], masks 0 or 1. Borrowed. */
typedef struct mim_denoiser_input {
    size_t n_samples, n_threads;
    const float *noisy;        /* [B][T][S] */
    const float *previous;     /* [B][T][S], -1 everywhere without a previous slot */
    const float *cpu;          /* [B][T] */
    const float *cpu_mask;     /* [B][T] */
    const float *node;         /* [B][G] */
    const float *node_mask;    /* [B][G] */
    const float *has_previous; /* [B] */
    const float *time;         /* [B] timestep */
    const size_t *socket;      /* [T] */
} mim_denoiser_input;

typedef struct mim_denoiser mim_denoiser;

/* MIM_EINVAL names the size that is out of range. */
int mim_denoiser_create(const mim_architecture *architecture, mim_denoiser **denoiser);
void mim_denoiser_destroy(mim_denoiser **denoiser);
const mim_architecture *mim_denoiser_architecture(const mim_denoiser *denoiser);
size_t mim_denoiser_n_params(const mim_denoiser *denoiser);
/* Initial values as a function of the seed alone. The answer of fresh parameters is 0. */
void mim_denoiser_init(const mim_denoiser *denoiser, uint64_t seed, float *params);
/* Multiply-adds times 2 of a forward call. */
double mim_denoiser_flop(const mim_denoiser *denoiser, size_t n_samples, size_t n_threads);

/* predicted: [B][T][S]. Keeps what the backward call needs inside the handle. */
int mim_denoiser_forward(mim_denoiser *denoiser, const float *params,
                         const mim_denoiser_input *input, float *predicted);
/* After the forward call with the same parameters and input: ADDS to gradient [n_params]. */
int mim_denoiser_backward(mim_denoiser *denoiser, const float *params,
                          const mim_denoiser_input *input, const float *d_predicted,
                          float *gradient);

#endif
