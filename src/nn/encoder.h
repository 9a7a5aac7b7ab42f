/* Post-norm transformer layers (Vaswani et al. 2017), as PyTorch's TransformerEncoder has them:
 *
 *     x = layer_norm1(x + dropout(attention(x)))
 *     x = layer_norm2(x + dropout(W2 dropout(gelu(W1 x))))
 *
 * with affine norms (eps 1e-5), exact GELU and dropout on the probabilities of attention, too, all
 * at one rate. Attention is multi-head over the tokens of a sample, never over samples. Embedding
 * and what is made of the answer are the owner's (diffusion/context.h is one).
 *
 * In float (_f) and in double (_d); nn/as_float.h says how. All memory is taken at creation. */
#ifndef MIM_NN_ENCODER_H
#define MIM_NN_ENCODER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "nn/gemm.h"
#include "nn/layers.h"
#include "nn/params.h"

enum { MIM_ENCODER_MAX_BLOCKS = 64, MIM_ENCODER_N_SITES = 4 };

/* Everything that fixes the parameters. */
typedef struct mim_encoder_shape {
    size_t width, n_heads; /* width: a multiple of n_heads */
    size_t n_blocks, n_hidden;
} mim_encoder_shape;

/* MIM_EINVAL names the size that is out of range. */
int mim_encoder_check(const mim_encoder_shape *shape);

/* Adds the tensors, named PREFIX and "block0.qkv.weight", .bias, "block0.mix", "block0.norm1.gain",
 * .bias, "block0.mlp1", "block0.mlp2", "block0.norm2" and so on; they stand together from tensor
 * `first` on. Attention starts as PyTorch's: packed projection uniform within +- sqrt(6 / (n_in +
 * n_out)), its biases 0. */
int mim_encoder_add_tensors(const mim_encoder_shape *shape, const char *prefix, mim_tensors *layout,
                            size_t *first);

/* How many they are. */
size_t mim_encoder_n_tensors(const mim_encoder_shape *shape);

/* Multiply-adds times 2 of a forward call's products. */
double mim_encoder_flop(const mim_encoder_shape *shape, size_t n_samples, size_t n_tokens);

typedef struct mim_encoder_options {
    const mim_gemm *gemm; /* NULL: the default one */
    size_t max_samples, max_tokens;
    bool is_training; /* else backward is never asked: much less memory */
} mim_encoder_options;

/* dropout: of its samples; sites site .. site + MIM_ENCODER_N_SITES n_blocks - 1 are used. NULL:
 * none. */
typedef struct mim_encoder_call {
    size_t n_samples, n_tokens;
    const mim_dropout *dropout;
} mim_encoder_call;

#define MIM_ENCODER MIM_NN(mim_encoder)

#include "nn/as_float.h"

#include "nn/encoder_declare.h"

#include "nn/as_double.h"

#include "nn/encoder_declare.h"

#endif
