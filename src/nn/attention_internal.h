/* Bodies of softmax and attention; included by nn/attention.c once per precision. */

MIM_INLINE MIM_REAL MIM_NN(largest)(size_t n, const MIM_REAL *x)
{
    MIM_REAL lanes[n_lanes], max;
    size_t i = 0;
    for (size_t l = 0; l < n_lanes; l++)
        lanes[l] = -(MIM_REAL)INFINITY;
    for (; i + n_lanes <= n; i += n_lanes)
        for (size_t l = 0; l < n_lanes; l++)
            lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (max = lanes[0]; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t l = 1; l < n_lanes; l++)
        max = lanes[l] > max ? lanes[l] : max;
    return max;
}

/* Of x y; NULL y: of x. */
MIM_INLINE double MIM_NN(total)(size_t n, const MIM_REAL *x, const MIM_REAL *y)
{
    double lanes[n_lanes] = {0}, sum = 0;
    size_t i = 0;
    for (; i + n_lanes <= n; i += n_lanes)
        for (size_t l = 0; l < n_lanes; l++)
            lanes[l] += (double)(y ? x[i + l] * y[i + l] : x[i + l]);
    for (; i < n; i++)
        sum += (double)(y ? x[i] * y[i] : x[i]);
    for (size_t l = 0; l < n_lanes; l++)
        sum += lanes[l];
    return sum;
}

/* A row's softmax; where `is_key` is given, over its 1s only. */
MIM_INLINE void MIM_NN(softmax_row)(size_t width, const unsigned char *is_key, const MIM_REAL *x,
                                    MIM_REAL *y)
{
    if (is_key)
        for (size_t i = 0; i < width; i++)
            y[i] = is_key[i] ? x[i] : -(MIM_REAL)INFINITY;
    const MIM_REAL *from = is_key ? y : x, max = MIM_NN(largest)(width, from);
    const MIM_REAL origin = max == -(MIM_REAL)INFINITY ? 0 : max;
    MIM_ELEMENTWISE
    for (size_t i = 0; i < width; i++)
        y[i] = MIM_NN(mim_exp)(from[i] - origin);
    const double sum = MIM_NN(total)(width, y, NULL);
    const MIM_REAL factor = sum == 0 ? 0 : (MIM_REAL)(1 / sum);
    for (size_t i = 0; i < width; i++)
        y[i] *= factor;
}

MIM_INLINE void MIM_NN(softmax_row_backward)(size_t width, const MIM_REAL *y, const MIM_REAL *dy,
                                             MIM_REAL *dx)
{
    const MIM_REAL dot = (MIM_REAL)MIM_NN(total)(width, y, dy);
    MIM_ELEMENTWISE
    for (size_t i = 0; i < width; i++)
        dx[i] = y[i] * (dy[i] - dot);
}

MIM_VECTOR void MIM_NN(mim_softmax_forward)(size_t n_rows, size_t width, const MIM_REAL *x,
                                            MIM_REAL *y)
{
    for (size_t r = 0; r < n_rows; r++)
        MIM_NN(softmax_row)(width, NULL, x + r * width, y + r * width);
}

MIM_VECTOR void MIM_NN(mim_softmax_backward)(size_t n_rows, size_t width, const MIM_REAL *y,
                                             const MIM_REAL *dy, MIM_REAL *dx)
{
    for (size_t r = 0; r < n_rows; r++)
        MIM_NN(softmax_row_backward)(width, y + r * width, dy + r * width, dx + r * width);
}

/* Scores become probabilities in place; keys after the query get none where causal. */
MIM_VECTOR static void MIM_NN(weigh_keys)(const mim_attention *s, MIM_REAL *probs)
{
    const size_t n_rows = s->n_heads * s->n_queries;
    for (size_t sample = 0; sample < s->n_samples; sample++)
        for (size_t r = 0; r < n_rows; r++) {
            const size_t query = r % s->n_queries;
            const size_t n_seen = s->is_causal && query < s->n_keys ? query + 1 : s->n_keys;
            MIM_REAL *row = probs + (sample * n_rows + r) * s->n_keys;
            MIM_NN(softmax_row)
            (n_seen, s->is_key ? s->is_key + sample * s->n_keys : NULL, row, row);
            for (size_t i = n_seen; i < s->n_keys; i++)
                row[i] = 0;
        }
}

/* The products of all samples and heads at once. Operands lie as rows of heads (is_rows: sample,
 * token, head) or as a matrix of keys per head ([n_samples, n_heads, n_queries, n_keys]). */
static void MIM_NN(place)(const mim_attention *s, bool is_rows, size_t n_tokens, size_t ld,
                          size_t step[2])
{
    step[0] = is_rows ? n_tokens * ld : s->n_heads * s->n_queries * s->n_keys;
    step[1] = is_rows ? s->head_width : s->n_queries * s->n_keys;
}

/* c [n_queries, n_keys] = alpha rows_a rows_b^T. */
static void MIM_NN(compare)(const mim_gemm *gemm, const mim_attention *s, MIM_REAL alpha,
                            const MIM_REAL *a, size_t ld_a, const MIM_REAL *b, size_t ld_b,
                            MIM_REAL *c)
{
    const mim_gemm_shape shape = {.is_tb = true,
                                  .m = s->n_queries,
                                  .n = s->n_keys,
                                  .k = s->head_width,
                                  .ld_a = ld_a,
                                  .ld_b = ld_b,
                                  .ld_c = s->n_keys};
    mim_gemm_batch batch = {.n_outer = s->n_samples, .n_inner = s->n_heads};
    MIM_NN(place)(s, true, s->n_queries, ld_a, batch.step_a);
    MIM_NN(place)(s, true, s->n_keys, ld_b, batch.step_b);
    MIM_NN(place)(s, false, 0, 0, batch.step_c);
    MIM_NN(gemm->run_batch)(&shape, &batch, alpha, a, b, 0, c);
}

/* c [n_queries, head_width] = alpha matrix rows (rows of keys), or with is_t
 * c [n_keys, head_width] = alpha matrix^T rows (rows of queries). */
static void MIM_NN(gather)(const mim_gemm *gemm, const mim_attention *s, bool is_t, MIM_REAL alpha,
                           const MIM_REAL *matrix, const MIM_REAL *rows, size_t ld_rows,
                           MIM_REAL *c, size_t ld_c)
{
    const size_t n_from = is_t ? s->n_queries : s->n_keys;
    const size_t n_to = is_t ? s->n_keys : s->n_queries;
    const mim_gemm_shape shape = {.is_ta = is_t,
                                  .m = n_to,
                                  .n = s->head_width,
                                  .k = n_from,
                                  .ld_a = s->n_keys,
                                  .ld_b = ld_rows,
                                  .ld_c = ld_c};
    mim_gemm_batch batch = {.n_outer = s->n_samples, .n_inner = s->n_heads};
    MIM_NN(place)(s, false, 0, 0, batch.step_a);
    MIM_NN(place)(s, true, n_from, ld_rows, batch.step_b);
    MIM_NN(place)(s, true, n_to, ld_c, batch.step_c);
    MIM_NN(gemm->run_batch)(&shape, &batch, alpha, matrix, rows, 0, c);
}

/* What multiplies V: P, or P thinned into `work`. */
static const MIM_REAL *MIM_NN(thin)(const mim_attention *s, const MIM_REAL *probs, MIM_REAL *work)
{
    if (!is_dropping(s))
        return probs;
    MIM_NN(mim_dropout_apply)
    (s->dropout, s->n_samples, s->n_heads * s->n_queries * s->n_keys, probs, work);
    return work;
}

void MIM_NN(mim_attention_forward)(const mim_gemm *gemm, const mim_attention *s, const MIM_REAL *q,
                                   const MIM_REAL *k, const MIM_REAL *v, MIM_REAL *probs,
                                   MIM_REAL *work, MIM_REAL *y)
{
    const MIM_REAL scale = (MIM_REAL)(1 / sqrt((double)s->head_width));
    MIM_NN(compare)(gemm, s, scale, q, s->ld_q, k, s->ld_k, probs);
    MIM_NN(weigh_keys)(s, probs);
    MIM_NN(gather)
    (gemm, s, false, 1, MIM_NN(thin)(s, probs, work), v, s->ld_v, y, s->ld_y);
}

/* dV = P'^T dY; dP = dropout(dY V^T); dS = P (dP - rowsum(dP P)); dQ = dS K / sqrt(width) and
 * dK = dS^T Q / sqrt(width), with P' the thinned P. */
void MIM_NN(mim_attention_backward)(const mim_gemm *gemm, const mim_attention *s, const MIM_REAL *q,
                                    const MIM_REAL *k, const MIM_REAL *v, const MIM_REAL *probs,
                                    const MIM_REAL *dy, MIM_REAL *work, MIM_REAL *dq, MIM_REAL *dk,
                                    MIM_REAL *dv)
{
    const MIM_REAL scale = (MIM_REAL)(1 / sqrt((double)s->head_width));
    const size_t n_rows = s->n_heads * s->n_queries;
    MIM_NN(gather)(gemm, s, true, 1, MIM_NN(thin)(s, probs, work), dy, s->ld_y, dv, s->ld_v);
    MIM_NN(compare)(gemm, s, 1, dy, s->ld_y, v, s->ld_v, work);
    MIM_NN(mim_dropout_apply)(s->dropout, s->n_samples, n_rows * s->n_keys, work, work);
    MIM_NN(mim_softmax_backward)(s->n_samples * n_rows, s->n_keys, probs, work, work);
    MIM_NN(gather)(gemm, s, false, scale, work, k, s->ld_k, dq, s->ld_q);
    MIM_NN(gather)(gemm, s, true, scale, work, q, s->ld_q, dk, s->ld_k);
}
