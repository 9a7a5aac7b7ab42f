/* Bodies of the plain products; included by nn/gemm_plain.c once per precision. */

/* A row of C at a time: as sums of rows of B where they lie along it, else as dot products. */
MIM_VECTOR static void MIM_NN(plain)(const mim_gemm_shape *g, MIM_REAL alpha, const MIM_REAL *a,
                                     const MIM_REAL *b, MIM_REAL beta, MIM_REAL *c)
{
    const size_t a_row = g->is_ta ? 1 : g->ld_a, a_column = g->is_ta ? g->ld_a : 1;
    for (size_t i = 0; i < g->m; i++) {
        MIM_REAL *out = c + i * g->ld_c;
        for (size_t j = 0; j < g->n; j++)
            out[j] = beta == 0 ? 0 : beta * out[j];
        for (size_t p = 0; p < g->k && !g->is_tb; p++) {
            const MIM_REAL factor = alpha * a[i * a_row + p * a_column];
            for (size_t j = 0; j < g->n; j++)
                out[j] += factor * b[p * g->ld_b + j];
        }
        for (size_t j = 0; j < g->n && g->is_tb; j++) {
            MIM_REAL sum = 0;
            for (size_t p = 0; p < g->k; p++)
                sum += a[i * a_row + p * a_column] * b[j * g->ld_b + p];
            out[j] += alpha * sum;
        }
    }
}

void MIM_NN(mim_gemm_plain_run)(const mim_gemm_shape *g, MIM_REAL alpha, const MIM_REAL *a,
                                const MIM_REAL *b, MIM_REAL beta, MIM_REAL *c)
{
    mim_gemm_assert(g);
    MIM_NN(plain)(g, alpha, a, b, beta, c);
}

void MIM_NN(mim_gemm_plain_run_batch)(const mim_gemm_shape *g, const mim_gemm_batch *batch,
                                      MIM_REAL alpha, const MIM_REAL *a, const MIM_REAL *b,
                                      MIM_REAL beta, MIM_REAL *c)
{
    mim_gemm_assert(g);
    for (size_t o = 0; o < batch->n_outer; o++)
        for (size_t i = 0; i < batch->n_inner; i++)
            MIM_NN(plain)
    (g, alpha, a + o * batch->step_a[0] + i * batch->step_a[1],
     b + o * batch->step_b[0] + i * batch->step_b[1], beta,
     c + o * batch->step_c[0] + i * batch->step_c[1]);
}
