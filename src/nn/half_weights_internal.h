/* What products take of them. */
#ifndef MIM_NN_HALF_WEIGHTS_INTERNAL_H
#define MIM_NN_HALF_WEIGHTS_INTERNAL_H

#include "nn/gemm_internal.h"
#include "nn/half_weights.h"

/* Rearranged matrices; NULL where there are none: the processor has no bf16, or the library refused
 * at the last load. */
mim_onednn_packs *mim_half_weights_packs(const mim_half_weights *weights);
/* The numbers at `half` as floats, kept where those are multiplied instead; NULL elsewhere. */
const float *mim_half_weights_wide(const mim_half_weights *weights, const mim_bf16 *half);

#endif
