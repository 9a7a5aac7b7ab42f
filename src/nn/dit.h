/* The body of a diffusion transformer (DiT; Peebles and Xie 2023): blocks with adaLN-zero, and the
 * modulated norm before the last layer. Embedding, condition and last layer are the owner's
 * (diffusion/network_thread_token.c is one).
 *
 * A block, with scale, shift and gate of the token's condition row:
 *
 *     y = layer_norm(x) (1 + scale1) + shift1,   x += gate1 attention(y)
 *     y = layer_norm(x) (1 + scale2) + shift2,   x += gate2 mlp(y)
 *
 * attention: multi-head over the tokens of a sample, never over samples, with dropout on the
 * probabilities; mlp: Linear, GELU (exact), dropout, Linear, dropout. The answer is
 * layer_norm(x) (1 + scale) + shift. All these vectors come from one product of the rows
 * activation(condition) with all blocks' condition weights, which therefore follow each other in
 * the table of parameters.
 *
 * Token t of sample s belongs to condition row s n_conditions + t % n_conditions: n_conditions = 1
 * is one row a sample; with tokens that stand cell after cell, a row of T threads per stressor,
 * n_conditions = T is one row a thread.
 *
 * In float (_f), whose products may run in bf16, and in double (_d) for finite differences;
 * nn/as_float.h says how. All memory is taken at creation. Results are the same to the bit for any
 * number of OpenMP threads. */
#ifndef MIM_NN_DIT_H
#define MIM_NN_DIT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "nn/gemm.h"
#include "nn/layer_weights.h"
#include "nn/layers.h"
#include "nn/params.h"
#include "nn/precision.h"

enum { MIM_DIT_MAX_BLOCKS = 64 };

/* Everything that fixes the parameters. */
typedef struct mim_dit_shape {
    size_t width, n_heads;     /* of a token; width: a multiple of n_heads */
    size_t n_blocks, n_hidden; /* hidden: between the two layers of an MLP */
    size_t condition_width;    /* of a condition row */
    mim_activation activation; /* of the condition, before the projection: MIM_SILU, _IDENTITY */
    bool is_xavier;            /* attention starts as PyTorch's: packed projection uniform within +-
                                * sqrt(6 / (n_in + n_out)), its biases 0; else as all linear layers */
} mim_dit_shape;

/* MIM_EINVAL names the size that is out of range. */
int mim_dit_check(const mim_dit_shape *shape);

/* Adds the tensors, named PREFIX and "block0.condition.weight" [6 width, condition_width] (rows of
 * scale1, shift1, gate1, scale2, shift2, gate2), "block0.qkv", "block0.mix", "block0.mlp1",
 * "block0.mlp2" (.weight, .bias) and so on, "last.condition" [2 width, ..] (scale, shift). They
 * stand together from tensor `first` on. The condition's start at zero. */
int mim_dit_add_tensors(const mim_dit_shape *shape, const char *prefix, mim_tensors *layout,
                        size_t *first);

/* Multiply-adds times 2 of a forward call's products; forward and backward take three times as
 * much. */
double mim_dit_flop(const mim_dit_shape *shape, size_t n_samples, size_t n_tokens,
                    size_t n_conditions);

typedef struct mim_dit_options {
    const mim_gemm *gemm;    /* NULL: the default one */
    mim_precision precision; /* of products, of _f only; where the processor has no bf16, products
                                in bf16 are right but slow */
    /* Of _f, in the same precision: those of the whole layout, borrowed, and loaded by whoever
     * changes the parameters. NULL: in bf16 of its own, loaded by each forward call. */
    mim_layer_weights *weights;
    size_t max_samples, max_tokens, max_conditions;
    bool is_training; /* else backward is never asked: much less memory */
} mim_dit_options;

/* Whom dropout hits; see mim_dropout. Sites first_site .. first_site + 3 n_blocks - 1 are used. */
typedef struct mim_dit_dropout {
    double attention, mlp; /* rates, 0: none */
    uint64_t seed;
    uint32_t step, first_site;
    const uint32_t *samples; /* [n_samples] numbers in the global batch */
} mim_dit_dropout;

/* What one forward call and its backward call share. */
typedef struct mim_dit_call {
    size_t n_samples, n_tokens, n_conditions;
    const mim_dit_dropout *dropout; /* NULL: none */
    const mim_grads_ready *ready;   /* told block after block by backward; NULL: nobody */
} mim_dit_call;

#define MIM_DIT MIM_NN(mim_dit)

#include "nn/as_float.h"
#include "nn/dit_declare.h"

#include "nn/as_double.h"
#include "nn/dit_declare.h"

#endif
