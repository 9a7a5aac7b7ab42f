/* Included by nn/attend.h once per type of number; see there. Not guarded. */

/* Queries, keys and values as the products left them, and the biases that belong to them. */
typedef struct MIM_NN(mim_projection) {
    const MIM_REAL *q, *k, *v;
    const MIM_REAL *bias_q, *bias_k, *bias_v; /* [n_heads head_width] */
} MIM_NN(mim_projection);
