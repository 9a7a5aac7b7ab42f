/* Bias, GELU (exact: x Phi(x)) and dropout between the two products of an MLP, in one pass:
 *
 *     y = dropout(gelu(x + bias))
 *
 * x is what the first product left, y what the second reads; backward makes y anew instead of
 * reading it, from the x it needs anyway. Rows are the tokens of all samples; token t of a sample
 * has elements t width .. of its dropout. Results are the same to the bit for any number of
 * threads. */
#ifndef MIM_NN_GELU_H
#define MIM_NN_GELU_H

#include "nn/layers.h"
#include "nn/precision.h"

typedef struct mim_gelu {
    size_t n_samples, n_tokens, width;
    size_t ld;                  /* elements from row to row, in all arrays */
    const mim_dropout *dropout; /* NULL or rate 0: none */
} mim_gelu;

/* Numbers of the array `work` of backward. */
size_t mim_gelu_n_work(const mim_gelu *shape);

#include "nn/as_float.h"

#include "nn/gelu_declare.h"

#include "nn/as_double.h"

#include "nn/gelu_declare.h"

#include "nn/as_bf16.h"

#include "nn/gelu_declare.h"

#endif
