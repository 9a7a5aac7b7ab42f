/* Multi-head scaled dot-product attention that stores no probabilities (online softmax; Milakov and
 * Gimelshein 2018, Dao et al. 2022): for a head y = dropout(P) V, P = softmax(Q K^T /
 * sqrt(head_width)) over the seen keys, a tile of queries and keys at a time. Backward makes a tile
 * of P anew from the logarithm of each row's sum.
 *
 * The shape is that of mim_attention_forward() (nn/layers.h), whose result this is up to rounding;
 * a query that sees no key gets zeros. q, k and v are read in place of a packed projection where
 * ld_q = ld_k = ld_v = 3 width. Their biases (each NULL: none) are added here, so that the product
 * before needs no pass of its own for them. Results are the same to the bit for any number of
 * threads. */
#ifndef MIM_NN_ATTEND_H
#define MIM_NN_ATTEND_H

#include "nn/layers.h"
#include "nn/precision.h"

/* Numbers of the array `log_sums` that forward keeps for backward, [n_samples][n_heads][n_queries],
 * and of `work`, free after the call. */
size_t mim_attend_n_log_sums(const mim_attention *shape);
size_t mim_attend_n_work(const mim_attention *shape);

#include "nn/as_float.h"

#include "nn/attend_declare.h"

#include "nn/as_double.h"

#include "nn/attend_declare.h"

#include "nn/as_bf16.h"

#include "nn/attend_declare.h"

#endif
