/* Included by nn/convolution.h once per precision; see there. Not guarded. */

/* y is set. */
void MIM_NN(mim_convolution_forward)(const mim_gemm *gemm, const mim_convolution *shape,
                                     const MIM_REAL *x, const MIM_REAL *weight,
                                     const MIM_REAL *bias, MIM_REAL *y, MIM_REAL *work);
/* dx (NULL: not wanted) set or added to; dweight, dbias added to. */
void MIM_NN(mim_convolution_backward)(const mim_gemm *gemm, const mim_convolution *shape,
                                      const MIM_REAL *x, const MIM_REAL *weight, const MIM_REAL *dy,
                                      mim_into into, MIM_REAL *dx, MIM_REAL *dweight,
                                      MIM_REAL *dbias, MIM_REAL *work);

/* Of each row x [width]: u = gain sqrt(width) x / max(|x|, 1e-12) (Zhang and Sennrich 2019, without
 * eps in the root), y = u (1 + scale) + shift, with a scale and a shift row a sample at ld_cond
 * (both NULL: y = u). lengths [rows] keeps |x|. y is not x. */
void MIM_NN(mim_rms_norm_forward)(size_t n_samples, size_t n_tokens, size_t width,
                                  const MIM_REAL *x, const MIM_REAL *gain, const MIM_REAL *scale,
                                  const MIM_REAL *shift, size_t ld_cond, MIM_REAL *y,
                                  MIM_REAL *lengths);
/* dgain, dscale, dshift: added to. dx may be dy where it is set. */
void MIM_NN(mim_rms_norm_backward)(size_t n_samples, size_t n_tokens, size_t width,
                                   const MIM_REAL *x, const MIM_REAL *lengths, const MIM_REAL *gain,
                                   const MIM_REAL *scale, size_t ld_cond, const MIM_REAL *dy,
                                   mim_into into, MIM_REAL *dx, MIM_REAL *dgain, MIM_REAL *dscale,
                                   MIM_REAL *dshift);
