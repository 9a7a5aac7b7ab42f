/* What stands between the products of a transformer's block, in one pass over memory: gated
 * residual, layer norm, modulation (adaLN-zero, Peebles and Xie 2023):
 *
 *     sum = x + gate dropout(y + bias),    n = layer_norm(sum) (1 + scale) + shift
 *
 * Token t of sample s takes scale, shift and gate from condition row s n_conditions +
 * t % n_conditions: one row a sample with n_conditions = 1. Row r of each lies at r ld_condition,
 * so they may be parts of one long row. Arrays of tokens are [n_samples n_tokens][width], dense,
 * but for what products read (n, dy), whose rows lie ld_half apart.
 *
 * Conventions as in nn/layers.h, but gradients that belong to condition rows are set, not added to.
 * Results are the same to the bit for any number of threads. */
#ifndef MIM_NN_ADALN_H
#define MIM_NN_ADALN_H

#include "nn/layers.h"
#include "nn/precision.h"

typedef struct mim_adaln {
    size_t n_samples, n_tokens, n_conditions, width;
    size_t ld_condition, ld_half;
    double eps; /* of the norm */
} mim_adaln;

/* Numbers of the array `work` of backward. */
size_t mim_adaln_n_work(const mim_adaln *shape);

#include "nn/as_float.h"

#include "nn/adaln_declare.h"

#include "nn/as_double.h"

#include "nn/adaln_declare.h"

#include "nn/as_bf16.h"

#include "nn/adaln_declare.h"

#endif
