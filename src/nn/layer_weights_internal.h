/* What products take of them. */
#ifndef MIM_NN_LAYER_WEIGHTS_INTERNAL_H
#define MIM_NN_LAYER_WEIGHTS_INTERNAL_H

#include "nn/gemm_internal.h"
#include "nn/layer_weights.h"

/* Rearranged matrices; NULL where there are none: the processor has no bf16, or the library refused
 * at the last load. */
mim_onednn_packs *mim_layer_weights_packs(const mim_layer_weights *weights);

#endif
