/* Parameters as products of bf16 read them: rounded, and weight matrices also rearranged as the
 * library likes them best. Made once when they change, by all threads, for all that compute with
 * them at a time (nn/half_products.h). */
#ifndef MIM_NN_HALF_WEIGHTS_H
#define MIM_NN_HALF_WEIGHTS_H

#include <stddef.h>

#include "core/error.h"
#include "nn/gemm.h"
#include "nn/precision.h"

typedef struct mim_half_weights mim_half_weights;

/* Of n numbers; gemm: NULL = the default one. */
int mim_half_weights_create(const mim_gemm *gemm, size_t n, mim_half_weights **weights);
void mim_half_weights_destroy(mim_half_weights **weights);
size_t mim_half_weights_n_bytes(const mim_half_weights *weights); /* without rearranged ones */

/* values: [n]. Nobody may be computing with them. */
void mim_half_weights_load(mim_half_weights *weights, const float *values);
/* The numbers from `offset` on; they stay where they are. */
const mim_bf16 *mim_half_weights_at(const mim_half_weights *weights, size_t offset);

#endif
