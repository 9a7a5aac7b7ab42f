/* From here on what products read and leave for passes (MIM_HALF) is bf16, all else float, and
 * MIM_NN(mim_gelu_forward) names mim_gelu_forward_h; see nn/as_float.h. Not guarded. */
#undef MIM_REAL
#undef MIM_HALF
#undef MIM_NN
#undef MIM_OF_REAL
#undef MIM_PARAMS
#undef MIM_IS_DOUBLE
#undef MIM_IS_BF16
#define MIM_REAL float
#define MIM_HALF mim_bf16 /* nn/precision.h */
#define MIM_NN(name) name##_h
#define MIM_OF_REAL(name) name##_f
#define MIM_PARAMS MIM_OF_REAL(mim_params)
#define MIM_IS_DOUBLE 0
#define MIM_IS_BF16 1
