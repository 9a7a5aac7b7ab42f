/* Included by nn/attend.h once per precision; see there. Not guarded. */

/* Queries, keys and values as the products left them, and the biases that belong to them. */
typedef struct MIM_NN(mim_projection) {
    const MIM_HALF *q, *k, *v;
    const MIM_REAL *bias_q, *bias_k, *bias_v; /* [n_heads head_width] */
} MIM_NN(mim_projection);

void MIM_NN(mim_attend_forward)(const mim_attention *shape,
                                const MIM_NN(mim_projection) * projection, MIM_HALF *y,
                                MIM_REAL *log_sums, MIM_REAL *work);

/* dq, dk, dv lie as q, k, v do and are set; the biases' gradients (NULL: not wanted) are added
 * to. */
typedef struct MIM_NN(mim_projection_gradient) {
    MIM_HALF *dq, *dk, *dv;
    MIM_REAL *dbias_q, *dbias_k, *dbias_v;
} MIM_NN(mim_projection_gradient);

/* y, log_sums: of forward. dy: [n_samples n_queries][ld_y] as y. */
void MIM_NN(mim_attend_backward)(const mim_attention *shape,
                                 const MIM_NN(mim_projection) * projection, const MIM_HALF *y,
                                 const MIM_REAL *log_sums, const MIM_HALF *dy,
                                 const MIM_NN(mim_projection_gradient) * gradient, MIM_REAL *work);
