/* Products of bf16 matrices, summed in float: C [m, n] = op(A) op(B), or += with is_added, or
 * rounded to bf16 (mim_half_products_run_rounded), of one owner that asks for the same shapes again
 * and again. Where the processor is faster in bf16 (mim_gemm_is_fast_in_bf16) oneDNN multiplies
 * them, by plans that are made when a shape is first met and kept; elsewhere operands are widened
 * and multiplied as floats, which gives the same up to the order of sums. Memory is taken when a
 * shape is first met, too.
 *
 * Results do not depend on the number of threads. Not for two threads at once. */
#ifndef MIM_NN_HALF_PRODUCTS_H
#define MIM_NN_HALF_PRODUCTS_H

#include <stdbool.h>

#include "nn/gemm.h"
#include "nn/layer_weights.h"
#include "nn/precision.h"

typedef struct mim_half_products mim_half_products;

/* weights: borrowed, may be those of others, too; NULL: no product is with weights. */
int mim_half_products_create(const mim_gemm *gemm, const mim_layer_weights *weights,
                             mim_half_products **products);
void mim_half_products_destroy(mim_half_products **products);
/* For tests and benchmarks: the processor's instructions for bf16, where it has them, or floats. */
void mim_half_products_set_native(mim_half_products *products, bool is_native);

/* Numbers to bf16, to the nearest, ties to even. */
void mim_half_from_float(size_t n, const float *x, mim_bf16 *y);
void mim_half_to_float(size_t n, const mim_bf16 *x, float *y);

/* is_weights: b is a matrix of the weights. Cannot fail: what the library refuses, and what there
 * is no memory for, plain loops compute. */
void mim_half_products_run(mim_half_products *products, const mim_gemm_shape *shape,
                           const mim_bf16 *a, const mim_bf16 *b, bool is_weights, bool is_added,
                           float *c);
void mim_half_products_run_rounded(mim_half_products *products, const mim_gemm_shape *shape,
                                   const mim_bf16 *a, const mim_bf16 *b, bool is_weights,
                                   mim_bf16 *c);

/* The same by plain loops: the reference. */
void mim_half_product_plain(const mim_gemm_shape *shape, const mim_bf16 *a, const mim_bf16 *b,
                            bool is_added, float *c);
void mim_half_product_plain_rounded(const mim_gemm_shape *shape, const mim_bf16 *a,
                                    const mim_bf16 *b, mim_bf16 *c);

#endif
