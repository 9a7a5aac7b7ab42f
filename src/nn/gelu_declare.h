/* Included by nn/gelu.h once per precision; see there. Not guarded. */

void MIM_NN(mim_gelu_forward)(const mim_gelu *shape, const MIM_HALF *x, const MIM_REAL *bias,
                              MIM_HALF *y);
/* dx (which may be dy) and y are set, dbias [width] is added to. */
void MIM_NN(mim_gelu_backward)(const mim_gelu *shape, const MIM_HALF *x, const MIM_REAL *bias,
                               const MIM_HALF *dy, MIM_HALF *dx, MIM_HALF *y, MIM_REAL *dbias,
                               MIM_REAL *work);
