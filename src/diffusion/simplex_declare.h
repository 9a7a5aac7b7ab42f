/* Included by diffusion/simplex.h once per precision; see there. Not guarded. */

/* Rows of S logits to rows of x_0 = 2 share - 1, and each row's share of idle; x0 may alias logits.
 * x0: [n_rows][S], idle: [n_rows]. A logit that is not finite makes its whole row NaN. */
void MIM_NN(mim_simplex_forward)(size_t n_rows, size_t n_stressors, const MIM_REAL *logits,
                                 MIM_REAL *x0, MIM_REAL *idle);
/* With what forward gave: the gradient of the logits; may alias d_x0. Where a share has just become
 * 0 the derivative is that of 0. */
void MIM_NN(mim_simplex_backward)(size_t n_rows, size_t n_stressors, const MIM_REAL *x0,
                                  const MIM_REAL *idle, const MIM_REAL *d_x0, MIM_REAL *d_logits);
