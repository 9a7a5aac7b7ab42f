/* Parameters as products of layers read them best: in bf16 rounded, and weight matrices also
 * rearranged as the library likes them; in f32 weight matrices also transposed, since a product
 * that has to turn its second operand spends a fifth of its time on that. Made once when they
 * change, by all threads, for all that compute with them at a time. */
#ifndef MIM_NN_LAYER_WEIGHTS_H
#define MIM_NN_LAYER_WEIGHTS_H

#include <stddef.h>

#include "core/error.h"
#include "nn/gemm.h"
#include "nn/precision.h"

typedef struct mim_layer_weights mim_layer_weights;

/* Of n parameters; gemm: NULL = the default one. */
int mim_layer_weights_create(const mim_gemm *gemm, mim_precision precision, size_t n,
                             mim_layer_weights **weights);
void mim_layer_weights_destroy(mim_layer_weights **weights);
/* Without what the library rearranged. */
size_t mim_layer_weights_n_bytes(const mim_layer_weights *weights);

/* A matrix [n_rows][n_columns] from `offset` on, by whose transpose layers multiply in f32. Asked
 * again by others that share the weights it does nothing, nor in bf16, where the library sees to
 * it. Before the next load. */
int mim_layer_weights_add(mim_layer_weights *weights, size_t offset, size_t n_rows,
                          size_t n_columns);

/* values: [n]. Nobody may be computing with them. */
void mim_layer_weights_load(mim_layer_weights *weights, const float *values);

/* In bf16: the numbers from `offset` on; they stay where they are. */
const mim_bf16 *mim_layer_weights_half(const mim_layer_weights *weights, size_t offset);
/* In f32: the transpose [n_columns][n_rows] of the matrix at `offset`, NULL where none was added.
 */
const float *mim_layer_weights_transposed(const mim_layer_weights *weights, size_t offset);

#endif
