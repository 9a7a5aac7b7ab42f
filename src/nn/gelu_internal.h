/* Bodies of the fused GELU; included by nn/gelu.c once per precision. */

/* What element i of a row is multiplied with after the function. */
MIM_INLINE void MIM_NN(gelu_factors)(const mim_gelu *g, size_t row, size_t first, size_t n,
                                     MIM_REAL *factors)
{
    const uint16_t threshold = mim_dropout_threshold(g->dropout);
    const MIM_REAL kept = (MIM_REAL)(1 / (1 - g->dropout->rate));
    mim_draws room;
    const mim_draw *draws = mim_dropout_draw(g->dropout, row / g->n_tokens,
                                             row % g->n_tokens * g->width + first, n, &room);
    MIM_ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        factors[i] = draws[i] >= threshold ? kept : 0;
}

MIM_INLINE MIM_REAL MIM_NN(gelu)(MIM_REAL x)
{
    MIM_REAL density, below;
    MIM_OF_REAL(mim_normal)(x, &density, &below);
    return x * below;
}

MIM_VECTOR static void MIM_NN(gelu_forward_row)(const mim_gelu *g, size_t row, const MIM_HALF *x,
                                                const MIM_REAL *bias, MIM_HALF *y)
{
    if (!mim_dropout_is_on(g->dropout)) {
        MIM_ELEMENTWISE
        for (size_t i = 0; i < g->width; i++)
            y[i] = MIM_NN(mim_to_half)(MIM_NN(gelu)(MIM_NN(mim_of_half)(x[i]) + bias[i]));
        return;
    }
    MIM_REAL factors[MIM_DROPOUT_DRAWS];
    for (size_t i = 0; i < g->width; i += MIM_DROPOUT_DRAWS) {
        const size_t left = g->width - i, n = left < MIM_DROPOUT_DRAWS ? left : MIM_DROPOUT_DRAWS;
        MIM_NN(gelu_factors)(g, row, i, n, factors);
        MIM_ELEMENTWISE
        for (size_t j = 0; j < n; j++)
            y[i + j] = MIM_NN(mim_to_half)(
                factors[j] * MIM_NN(gelu)(MIM_NN(mim_of_half)(x[i + j]) + bias[i + j]));
    }
}

void MIM_NN(mim_gelu_forward)(const mim_gelu *g, const MIM_HALF *x, const MIM_REAL *bias,
                              MIM_HALF *y)
{
    const size_t n_rows = g->n_samples * g->n_tokens;
    MIM_PARALLEL_FOR(n_rows > 1)
    for (size_t r = 0; r < n_rows; r++)
        MIM_NN(gelu_forward_row)(g, r, x + r * g->ld, bias, y + r * g->ld);
}

/* n elements, from `i` on: dx, y and their part of the bias's gradient. */
MIM_INLINE void MIM_NN(gelu_slopes)(size_t n, const MIM_HALF *x, const MIM_REAL *bias,
                                    const MIM_HALF *dy, const MIM_REAL *factors, MIM_HALF *dx,
                                    MIM_HALF *y, MIM_REAL *sums)
{
    MIM_ELEMENTWISE
    for (size_t i = 0; i < n; i++) {
        const MIM_REAL v = MIM_NN(mim_of_half)(x[i]) + bias[i], factor = factors ? factors[i] : 1;
        const MIM_REAL slope = MIM_NN(mim_of_half)(dy[i]);
        MIM_REAL density, below;
        MIM_OF_REAL(mim_normal)(v, &density, &below);
        const MIM_REAL d = (below + v * density) * (factors ? factor * slope : slope);
        y[i] = MIM_NN(mim_to_half)(factors ? factor * (v * below) : v * below);
        dx[i] = MIM_NN(mim_to_half)(d);
        sums[i] += d;
    }
}

MIM_VECTOR static void MIM_NN(gelu_backward_rows)(const mim_gelu *g, size_t first, size_t n_rows,
                                                  const MIM_HALF *x, const MIM_REAL *bias,
                                                  const MIM_HALF *dy, MIM_HALF *dx, MIM_HALF *y,
                                                  MIM_REAL *sums)
{
    MIM_REAL factors[MIM_DROPOUT_DRAWS];
    memset(sums, 0, g->width * sizeof *sums);
    for (size_t r = first; r < first + n_rows; r++) {
        const size_t at = r * g->ld;
        if (!mim_dropout_is_on(g->dropout)) {
            MIM_NN(gelu_slopes)(g->width, x + at, bias, dy + at, NULL, dx + at, y + at, sums);
            continue;
        }
        for (size_t i = 0; i < g->width; i += MIM_DROPOUT_DRAWS) {
            const size_t left = g->width - i;
            const size_t n = left < MIM_DROPOUT_DRAWS ? left : MIM_DROPOUT_DRAWS;
            MIM_NN(gelu_factors)(g, r, i, n, factors);
            MIM_NN(gelu_slopes)
            (n, x + at + i, bias + i, dy + at + i, factors, dx + at + i, y + at + i, sums + i);
        }
    }
}

MIM_VECTOR static void MIM_NN(gelu_total)(size_t n_from, size_t width, size_t n,
                                          const MIM_REAL *sums, MIM_REAL *dbias)
{
    double total[n_columns] = {0};
    for (size_t k = 0; k < n_from; k++)
        for (size_t i = 0; i < n; i++)
            total[i] += (double)sums[k * width + i];
    for (size_t i = 0; i < n; i++)
        dbias[i] += (MIM_REAL)total[i];
}

void MIM_NN(mim_gelu_backward)(const mim_gelu *g, const MIM_HALF *x, const MIM_REAL *bias,
                               const MIM_HALF *dy, MIM_HALF *dx, MIM_HALF *y, MIM_REAL *dbias,
                               MIM_REAL *work)
{
    const size_t n_all = n_chunks(g), n_rows = g->n_samples * g->n_tokens;
    MIM_PARALLEL_FOR(n_all > 1)
    for (size_t c = 0; c < n_all; c++) {
        const size_t first = c * chunk_rows, left = n_rows - first;
        MIM_NN(gelu_backward_rows)
        (g, first, left < chunk_rows ? left : chunk_rows, x, bias, dy, dx, y, work + c * g->width);
    }
    MIM_PARALLEL_FOR(g->width > n_columns)
    for (size_t i = 0; i < g->width; i += n_columns)
        MIM_NN(gelu_total)
    (n_all, g->width, g->width - i < n_columns ? g->width - i : n_columns, work + i, dbias + i);
}
