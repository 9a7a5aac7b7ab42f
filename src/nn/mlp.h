/* Some linear layers with an activation between two of them: W3 f(W2 f(W1 x + b1) + b2) + b3.
 *
 * In float (_f) and in double (_d); nn/as_float.h says how. All memory is taken at creation. */
#ifndef MIM_NN_MLP_H
#define MIM_NN_MLP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "nn/layers.h"
#include "nn/params.h"

enum { MIM_MLP_MAX_LAYERS = 4 };

typedef struct mim_mlp_shape {
    size_t n_layers;                       /* 1 to MIM_MLP_MAX_LAYERS */
    size_t widths[MIM_MLP_MAX_LAYERS + 1]; /* in, between the layers, out */
    mim_activation activation;
    bool is_last_zero; /* the last layer starts at zero: the answer is 0 then */
} mim_mlp_shape;

/* Adds "NAME1.weight", "NAME1.bias", "NAME2.weight" and so on; they stand together from tensor
 * `first` on. */
int mim_mlp_add_tensors(const mim_mlp_shape *shape, const char *name, mim_tensors *layout,
                        size_t *first);

/* Multiply-adds times 2 of a forward call. */
double mim_mlp_flop(const mim_mlp_shape *shape, size_t n_rows);

typedef struct mim_mlp_options {
    const mim_gemm *gemm; /* NULL: the default one */
    size_t max_rows;
    bool is_training; /* else backward is never asked */
} mim_mlp_options;

#define MIM_MLP MIM_NN(mim_mlp)

#include "nn/as_float.h"

#include "nn/mlp_declare.h"

#include "nn/as_double.h"

#include "nn/mlp_declare.h"

#endif
