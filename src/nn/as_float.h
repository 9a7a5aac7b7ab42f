/* From here on MIM_REAL is float and MIM_NN(mim_linear_forward) names mim_linear_forward_f.
 *
 * Everything numerical in nn/ is written once and compiled for float, which trains, and for double,
 * in which every backward pass is checked against finite differences: in float a difference
 * quotient is good to three digits at best, too few to see a missing term. A file is written for
 * both by holding its functions in a *_internal.h without include guard, which the .c includes
 * twice:
 *
 *     #include "nn/as_float.h"
 *     #include "nn/linear_internal.h"
 *     #include "nn/as_double.h"
 *     #include "nn/linear_internal.h"
 *
 * Macros that paste whole functions would do the same without line numbers in debuggers. Networks
 * built on nn/ do as well, so that a whole denoiser can be checked in double.
 *
 * What feeds matrix products, and what they leave for the next pass, has the type MIM_HALF;
 * weights, gradients of weights and the residual stream do not. A file whose products may run in
 * bf16 is compiled a third time, after nn/as_bf16.h: there MIM_HALF is mim_bf16, MIM_REAL is float,
 * and MIM_OF_REAL(name) names what knows nothing of MIM_HALF (its _f or _d). Not guarded. */
#undef MIM_REAL
#undef MIM_HALF
#undef MIM_NN
#undef MIM_OF_REAL
#undef MIM_PARAMS
#undef MIM_IS_DOUBLE
#undef MIM_IS_BF16
#define MIM_REAL float
#define MIM_HALF float
#define MIM_NN(name) name##_f
#define MIM_OF_REAL(name) name##_f
#define MIM_PARAMS MIM_NN(mim_params) /* nn/params.h */
#define MIM_IS_DOUBLE 0
#define MIM_IS_BF16 0
