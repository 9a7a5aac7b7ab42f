/* Included by nn/layers.h once per precision; see there. Not guarded. */

/* y [n_rows, n_out] = x [n_rows, n_in] W^T + b; b may be NULL. `into` MIM_ADD: y += ...
 * ld_x, ld_y: row strides. */
void MIM_NN(mim_linear_forward)(const mim_gemm *gemm, size_t n_rows, size_t n_in, size_t n_out,
                                const MIM_REAL *x, size_t ld_x, const MIM_REAL *weight,
                                const MIM_REAL *bias, mim_into into, MIM_REAL *y, size_t ld_y);
/* dx = dy W (set or added), dweight += dy^T x, dbias += sum of dy's rows. x may be NULL where
 * dweight is. */
void MIM_NN(mim_linear_backward)(const mim_gemm *gemm, size_t n_rows, size_t n_in, size_t n_out,
                                 const MIM_REAL *x, size_t ld_x, const MIM_REAL *weight,
                                 const MIM_REAL *dy, size_t ld_y, mim_into into, MIM_REAL *dx,
                                 size_t ld_dx, MIM_REAL *dweight, MIM_REAL *dbias);

/* Layer norm (Ba et al. 2016) over the last axis: xhat = (x - mean) / sqrt(var + eps), biased
 * variance, y = xhat gain + bias; both NULL = no affine map. stats [n_rows, 2] keeps mean and
 * 1 / sqrt(var + eps) for backward. y may be x only if backward is never asked. */
void MIM_NN(mim_layer_norm_forward)(size_t n_rows, size_t width, double eps, const MIM_REAL *x,
                                    const MIM_REAL *gain, const MIM_REAL *bias, MIM_REAL *y,
                                    MIM_REAL *stats);
void MIM_NN(mim_layer_norm_backward)(size_t n_rows, size_t width, const MIM_REAL *x,
                                     const MIM_REAL *stats, const MIM_REAL *gain,
                                     const MIM_REAL *dy, mim_into into, MIM_REAL *dx,
                                     MIM_REAL *dgain, MIM_REAL *dbias);

/* adaLN (Peebles and Xie 2023): y = layer_norm(x) (1 + scale) + shift, x [n_samples, n_tokens,
 * width], scale and shift rows of a sample at ld_cond, so parts of one conditioning row
 * [.., 6 width] are used in place. */
void MIM_NN(mim_modulate_forward)(size_t n_samples, size_t n_tokens, size_t width, double eps,
                                  const MIM_REAL *x, const MIM_REAL *scale, const MIM_REAL *shift,
                                  size_t ld_cond, MIM_REAL *y, MIM_REAL *stats);
/* dscale, dshift: rows at ld_cond, added to. */
void MIM_NN(mim_modulate_backward)(size_t n_samples, size_t n_tokens, size_t width,
                                   const MIM_REAL *x, const MIM_REAL *stats, const MIM_REAL *scale,
                                   size_t ld_cond, const MIM_REAL *dy, mim_into into, MIM_REAL *dx,
                                   MIM_REAL *dscale, MIM_REAL *dshift);

/* x += gate y: x, y [n_samples, n_tokens, width], gate a row of a sample at ld_cond. */
void MIM_NN(mim_gate_forward)(size_t n_samples, size_t n_tokens, size_t width, const MIM_REAL *y,
                              const MIM_REAL *gate, size_t ld_cond, MIM_REAL *x);
/* dx is the gradient of the sum, and of the former x too. dy = gate dx (set), dgate += sum over
 * tokens of dx y. dy may be y. */
void MIM_NN(mim_gate_backward)(size_t n_samples, size_t n_tokens, size_t width, const MIM_REAL *y,
                               const MIM_REAL *gate, size_t ld_cond, const MIM_REAL *dx,
                               MIM_REAL *dy, MIM_REAL *dgate);

/* y = f(x), elementwise; y may be x. The float versions of exp and erf are our own, branch-free
 * for vector units: relative error of the results within 1e-6 (GELU: of max(|x|, 1) Phi). */
void MIM_NN(mim_activation_forward)(mim_activation f, size_t n, const MIM_REAL *x, MIM_REAL *y);
/* dx = f'(x) dy (set); dx may be dy. x is the forward's input. */
void MIM_NN(mim_activation_backward)(mim_activation f, size_t n, const MIM_REAL *x,
                                     const MIM_REAL *dy, MIM_REAL *dx);

/* Rows of y are exp(x) / sum exp(x), shifted by the row's maximum; y may be x. A row of -infinity
 * only becomes zeros. */
void MIM_NN(mim_softmax_forward)(size_t n_rows, size_t width, const MIM_REAL *x, MIM_REAL *y);
/* dx = y (dy - sum y dy) (set); dx may be dy. */
void MIM_NN(mim_softmax_backward)(size_t n_rows, size_t width, const MIM_REAL *y,
                                  const MIM_REAL *dy, MIM_REAL *dx);

/* Per head: P = softmax(Q K^T / sqrt(head_width)) over the seen keys, y = dropout(P) V. A query
 * that sees no key gets zeros. probs [n_samples, n_heads, n_queries, n_keys] keeps P. */
void MIM_NN(mim_attention_forward)(const mim_gemm *gemm, const mim_attention *shape,
                                   const MIM_REAL *q, const MIM_REAL *k, const MIM_REAL *v,
                                   MIM_REAL *probs, MIM_REAL *work, MIM_REAL *y);
/* dq, dk, dv (set, none may be NULL) lie as q, k, v do (ld_q, ld_k, ld_v). */
void MIM_NN(mim_attention_backward)(const mim_gemm *gemm, const mim_attention *shape,
                                    const MIM_REAL *q, const MIM_REAL *k, const MIM_REAL *v,
                                    const MIM_REAL *probs, const MIM_REAL *dy, MIM_REAL *work,
                                    MIM_REAL *dq, MIM_REAL *dk, MIM_REAL *dv);

/* Row r of y [n_rows, width] = row ids[r] of table; every id is below the table's length. */
void MIM_NN(mim_embedding_forward)(size_t n_rows, size_t width, const MIM_REAL *table,
                                   const uint32_t *ids, mim_into into, MIM_REAL *y);
/* Row ids[r] of dtable += row r of dy. */
void MIM_NN(mim_embedding_backward)(size_t n_rows, size_t width, const uint32_t *ids,
                                    const MIM_REAL *dy, MIM_REAL *dtable);

/* Row i of y [n, width], width even and at least 4: sin(t_i f_j), then cos(t_i f_j),
 * f_j = 10000^(-j / (width/2 - 1)), j = 0 .. width/2 - 1. */
void MIM_NN(mim_timestep_embedding)(size_t n, const double *t, size_t width, MIM_REAL *y);

/* y = x where kept, scaled, else 0; y may be x. Its backward is itself on dy (dx may be dy).
 * x, y [n_samples, n_per_sample], n_per_sample below 2^32. NULL dropout or rate 0 copies. */
void MIM_NN(mim_dropout_apply)(const mim_dropout *dropout, size_t n_samples, size_t n_per_sample,
                               const MIM_REAL *x, MIM_REAL *y);
