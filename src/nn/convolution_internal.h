/* Bodies of convolutions and RMS norm; included by nn/convolution.c once per precision.
 *
 * `long` is the side with more positions: x of a convolution, y of its transpose. A row of
 * `columns` [rows][channels width] holds what one position of the short side sees of it. */

/* columns = what is seen of x, or with is_back x += what columns hold for it. */
static void MIM_NN(unfold)(const mim_convolution *c, size_t n_long, size_t n_short,
                           size_t n_channels, MIM_REAL *x, bool is_back, MIM_REAL *columns)
{
    const size_t k = c->width;
    for (size_t row = 0; row < c->n_samples * n_short; row++) {
        MIM_REAL *to = columns + row * n_channels * k;
        for (size_t tap = 0; tap < k; tap++) {
            const size_t at = seen_at(c, n_long, row % n_short, tap);
            MIM_REAL *from = x + ((row / n_short) * n_long + at) * n_channels;
            for (size_t i = 0; i < n_channels && at == SIZE_MAX && !is_back; i++)
                to[i * k + tap] = 0;
            for (size_t i = 0; i < n_channels && at != SIZE_MAX; i++)
                if (is_back)
                    from[i] += to[i * k + tap];
                else
                    to[i * k + tap] = from[i];
        }
    }
}

/* The rows that are multiplied: x itself, or what is seen of it. */
static const MIM_REAL *MIM_NN(rows_of)(const mim_convolution *c, size_t n_long, size_t n_short,
                                       size_t n_channels, const MIM_REAL *x, MIM_REAL *work)
{
    if (is_pointwise(c))
        return x;
    MIM_NN(unfold)
    (c, n_long, n_short, n_channels, (MIM_REAL *)(uintptr_t)x, false, work); /* only read */
    return work;
}

static void MIM_NN(fill_rows)(size_t n, size_t width, const MIM_REAL *bias, MIM_REAL *y)
{
    for (size_t r = 0; r < n; r++)
        memcpy(y + r * width, bias, width * sizeof *y);
}

/* dbias += sum of dy's rows. */
static void MIM_NN(sum_bias)(size_t n, size_t width, const MIM_REAL *dy, MIM_REAL *dbias)
{
    for (size_t i = 0; i < width; i++) {
        double sum = 0;
        for (size_t r = 0; r < n; r++)
            sum += (double)dy[r * width + i];
        dbias[i] += (MIM_REAL)sum;
    }
}

static void MIM_NN(transposed_forward)(const mim_gemm *gemm, const mim_convolution *c,
                                       const MIM_REAL *x, const MIM_REAL *weight,
                                       const MIM_REAL *bias, MIM_REAL *y, MIM_REAL *work)
{
    const size_t n_long = mim_convolution_n_positions(c), columns = n_columns(c);
    const mim_gemm_shape product = {.m = n_rows(c),
                                    .n = columns,
                                    .k = c->n_in,
                                    .ld_a = c->n_in,
                                    .ld_b = columns,
                                    .ld_c = columns};
    MIM_NN(fill_rows)(c->n_samples * n_long, c->n_out, bias, y);
    if (is_pointwise(c)) {
        MIM_NN(gemm->run)(&product, 1, x, weight, 1, y);
        return;
    }
    MIM_NN(gemm->run)(&product, 1, x, weight, 0, work);
    MIM_NN(unfold)(c, n_long, c->n_positions, c->n_out, y, true, work);
}

void MIM_NN(mim_convolution_forward)(const mim_gemm *gemm, const mim_convolution *c,
                                     const MIM_REAL *x, const MIM_REAL *weight,
                                     const MIM_REAL *bias, MIM_REAL *y, MIM_REAL *work)
{
    const size_t n_out = mim_convolution_n_positions(c);
    assert(n_out > 0 && c->stride > 0);
    if (c->is_transposed) {
        MIM_NN(transposed_forward)(gemm, c, x, weight, bias, y, work);
        return;
    }
    const MIM_REAL *rows = MIM_NN(rows_of)(c, c->n_positions, n_out, c->n_in, x, work);
    MIM_NN(mim_linear_forward)
    (gemm, n_rows(c), n_columns(c), c->n_out, rows, n_columns(c), weight, bias, MIM_SET, y,
     c->n_out);
}

static void MIM_NN(transposed_backward)(const mim_gemm *gemm, const mim_convolution *c,
                                        const MIM_REAL *x, const MIM_REAL *weight,
                                        const MIM_REAL *dy, mim_into into, MIM_REAL *dx,
                                        MIM_REAL *dweight, MIM_REAL *dbias, MIM_REAL *work)
{
    const size_t n_long = mim_convolution_n_positions(c), columns = n_columns(c);
    const MIM_REAL *rows = MIM_NN(rows_of)(c, n_long, c->n_positions, c->n_out, dy, work);
    const mim_gemm_shape to_x = {.is_tb = true,
                                 .m = n_rows(c),
                                 .n = c->n_in,
                                 .k = columns,
                                 .ld_a = columns,
                                 .ld_b = columns,
                                 .ld_c = c->n_in};
    const mim_gemm_shape to_weight = {.is_ta = true,
                                      .m = c->n_in,
                                      .n = columns,
                                      .k = n_rows(c),
                                      .ld_a = c->n_in,
                                      .ld_b = columns,
                                      .ld_c = columns};
    if (dx)
        MIM_NN(gemm->run)(&to_x, 1, rows, weight, into == MIM_ADD ? 1 : 0, dx);
    MIM_NN(gemm->run)(&to_weight, 1, x, rows, 1, dweight);
    MIM_NN(sum_bias)(c->n_samples * n_long, c->n_out, dy, dbias);
}

void MIM_NN(mim_convolution_backward)(const mim_gemm *gemm, const mim_convolution *c,
                                      const MIM_REAL *x, const MIM_REAL *weight, const MIM_REAL *dy,
                                      mim_into into, MIM_REAL *dx, MIM_REAL *dweight,
                                      MIM_REAL *dbias, MIM_REAL *work)
{
    const size_t n_out = mim_convolution_n_positions(c), columns = n_columns(c);
    if (c->is_transposed) {
        MIM_NN(transposed_backward)(gemm, c, x, weight, dy, into, dx, dweight, dbias, work);
        return;
    }
    const MIM_REAL *rows = MIM_NN(rows_of)(c, c->n_positions, n_out, c->n_in, x, work);
    MIM_NN(mim_linear_backward)
    (gemm, n_rows(c), columns, c->n_out, rows, columns, weight, dy, c->n_out, into,
     is_pointwise(c) ? dx : NULL, columns, dweight, dbias);
    if (is_pointwise(c) || !dx)
        return;
    if (into == MIM_SET)
        memset(dx, 0, c->n_samples * c->n_positions * c->n_in * sizeof *dx);
    MIM_NN(mim_linear_backward)
    (gemm, n_rows(c), columns, c->n_out, NULL, columns, weight, dy, c->n_out, MIM_SET, work,
     columns, NULL, NULL);
    MIM_NN(unfold)(c, c->n_positions, n_out, c->n_in, dx, true, work);
}

/* ---- RMS norm ------------------------------------------------------------------------------- */

void MIM_NN(mim_rms_norm_forward)(size_t n_samples, size_t n_tokens, size_t width,
                                  const MIM_REAL *x, const MIM_REAL *gain, const MIM_REAL *scale,
                                  const MIM_REAL *shift, size_t ld_cond, MIM_REAL *y,
                                  MIM_REAL *lengths)
{
    for (size_t r = 0; r < n_samples * n_tokens; r++, x += width, y += width) {
        const size_t at = r / n_tokens * ld_cond;
        double sum = 0;
        for (size_t i = 0; i < width; i++)
            sum += (double)x[i] * (double)x[i];
        const double length = fmax(sqrt(sum), smallest_length);
        const MIM_REAL factor = (MIM_REAL)(sqrt((double)width) / length);
        lengths[r] = (MIM_REAL)length;
        for (size_t i = 0; i < width; i++)
            y[i] = factor * x[i] * gain[i];
        for (size_t i = 0; i < width && scale; i++)
            y[i] = y[i] * (1 + scale[at + i]) + shift[at + i];
    }
}

/* Columns' sums: what rows add to dgain, dscale and dshift. */
static void MIM_NN(rms_norm_columns)(size_t n_tokens, size_t width, const MIM_REAL *x,
                                     const MIM_REAL *lengths, const MIM_REAL *gain,
                                     const MIM_REAL *scale, const MIM_REAL *dy, MIM_REAL *dgain,
                                     MIM_REAL *dscale, MIM_REAL *dshift)
{
    const double root = sqrt((double)width);
    for (size_t i = 0; i < width; i++) {
        double sum_x = 0, sum = 0; /* of dy xhat, of dy */
        for (size_t t = 0; t < n_tokens; t++) {
            const double d = (double)dy[t * width + i];
            sum_x += d * (double)x[t * width + i] * root / (double)lengths[t];
            sum += d;
        }
        dgain[i] += (MIM_REAL)(scale ? sum_x * (1 + (double)scale[i]) : sum_x);
        if (!scale)
            continue;
        dscale[i] += (MIM_REAL)(sum_x * (double)gain[i]);
        dshift[i] += (MIM_REAL)sum;
    }
}

/* dx = root / length (h - e <e, h>), h = gain (1 + scale) dy, e = x / length. Where the length was
 * raised to the smallest there is, it is a constant. */
static void MIM_NN(rms_norm_row)(size_t width, const MIM_REAL *x, MIM_REAL length,
                                 const MIM_REAL *gain, const MIM_REAL *scale, const MIM_REAL *dy,
                                 mim_into into, MIM_REAL *dx)
{
    const MIM_REAL factor = (MIM_REAL)(sqrt((double)width) / (double)length);
    const bool is_free = (double)length > smallest_length;
    double dot = 0;
    for (size_t i = 0; i < width && is_free; i++)
        dot += (double)(x[i] / length) * (double)(gain[i] * (scale ? 1 + scale[i] : 1) * dy[i]);
    for (size_t i = 0; i < width; i++) {
        const MIM_REAL h = gain[i] * (scale ? 1 + scale[i] : 1) * dy[i];
        const MIM_REAL d = factor * (h - x[i] / length * (MIM_REAL)dot);
        dx[i] = into == MIM_ADD ? dx[i] + d : d;
    }
}

void MIM_NN(mim_rms_norm_backward)(size_t n_samples, size_t n_tokens, size_t width,
                                   const MIM_REAL *x, const MIM_REAL *lengths, const MIM_REAL *gain,
                                   const MIM_REAL *scale, size_t ld_cond, const MIM_REAL *dy,
                                   mim_into into, MIM_REAL *dx, MIM_REAL *dgain, MIM_REAL *dscale,
                                   MIM_REAL *dshift)
{
    for (size_t s = 0; s < n_samples; s++) {
        const size_t first = s * n_tokens, at = s * ld_cond;
        MIM_NN(rms_norm_columns)
        (n_tokens, width, x + first * width, lengths + first, gain, scale ? scale + at : NULL,
         dy + first * width, dgain, scale ? dscale + at : NULL, scale ? dshift + at : NULL);
        for (size_t r = first; r < first + n_tokens; r++)
            MIM_NN(rms_norm_row)
        (width, x + r * width, lengths[r], gain, scale ? scale + at : NULL, dy + r * width, into,
         dx + r * width);
    }
}
