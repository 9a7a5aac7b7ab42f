/* From here on MIM_REAL is double and MIM_NN(mim_linear_forward) names mim_linear_forward_d; see
 * nn/as_float.h. Not guarded. */
#undef MIM_REAL
#undef MIM_HALF
#undef MIM_NN
#undef MIM_OF_REAL
#undef MIM_PARAMS
#undef MIM_IS_DOUBLE
#undef MIM_IS_BF16
#define MIM_REAL double
#define MIM_HALF double
#define MIM_NN(name) name##_d
#define MIM_OF_REAL(name) name##_d
#define MIM_PARAMS MIM_NN(mim_params) /* nn/params.h */
#define MIM_IS_DOUBLE 1
#define MIM_IS_BF16 0
