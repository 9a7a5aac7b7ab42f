/* Bodies of the norms; included by nn/norm.c once per precision.
 *
 * Both norms are y = xhat (base + scale) + shift: the affine layer norm with base 0 and one sample
 * of all rows, the modulated one with base 1 and a scale per sample. A NULL scale is a factor 1. */

/* Sum of x - offset, or of its squares, in n_lanes partial sums that vector units can hold. */
MIM_INLINE double MIM_NN(moment)(size_t width, const MIM_REAL *x, double offset, bool is_squared)
{
    double lanes[n_lanes] = {0}, sum = 0;
    size_t i = 0;
    for (; i + n_lanes <= width; i += n_lanes)
        for (size_t l = 0; l < n_lanes; l++) {
            const double d = (double)x[i + l] - offset;
            lanes[l] += is_squared ? d * d : d;
        }
    for (; i < width; i++) {
        const double d = (double)x[i] - offset;
        sum += is_squared ? d * d : d;
    }
    for (size_t l = 0; l < n_lanes; l++)
        sum += lanes[l];
    return sum;
}

MIM_INLINE void MIM_NN(norm_row)(size_t width, double eps, const MIM_REAL *x, MIM_REAL base,
                                 const MIM_REAL *scale, const MIM_REAL *shift, MIM_REAL *y,
                                 MIM_REAL *stats)
{
    const double mean = MIM_NN(moment)(width, x, 0, false) / (double)width;
    const double variance = MIM_NN(moment)(width, x, mean, true) / (double)width;
    const MIM_REAL m = (MIM_REAL)mean, r = (MIM_REAL)(1 / sqrt(variance + eps));
    stats[0] = m;
    stats[1] = r;
    MIM_ELEMENTWISE
    for (size_t i = 0; i < width; i++) {
        const MIM_REAL factor = scale ? base + scale[i] : 1, offset = shift ? shift[i] : 0;
        y[i] = (x[i] - m) * r * factor + offset;
    }
}

MIM_VECTOR static void MIM_NN(norm_forward)(size_t n_samples, size_t n_tokens, size_t width,
                                            double eps, const MIM_REAL *x, MIM_REAL base,
                                            const MIM_REAL *scale, const MIM_REAL *shift,
                                            size_t ld_cond, MIM_REAL *y, MIM_REAL *stats)
{
    assert(width > 0);
    for (size_t s = 0; s < n_samples; s++)
        for (size_t t = 0; t < n_tokens; t++) {
            const size_t row = s * n_tokens + t;
            MIM_NN(norm_row)
            (width, eps, x + row * width, base, scale ? scale + s * ld_cond : NULL,
             shift ? shift + s * ld_cond : NULL, y + row * width, stats + 2 * row);
        }
}

/* dx = r (g - mean(g) - xhat mean(g xhat)), g = dy (base + scale). */
MIM_INLINE void MIM_NN(norm_row_backward)(size_t width, const MIM_REAL *x, const MIM_REAL *stats,
                                          MIM_REAL base, const MIM_REAL *scale, const MIM_REAL *dy,
                                          mim_into into, MIM_REAL *dx)
{
    const MIM_REAL m = stats[0], r = stats[1];
    double sum_g = 0, sum_gx = 0, lanes_g[n_lanes] = {0}, lanes_gx[n_lanes] = {0};
    size_t i = 0;
    for (; i + n_lanes <= width; i += n_lanes)
        for (size_t l = 0; l < n_lanes; l++) {
            const MIM_REAL g = scale ? dy[i + l] * (base + scale[i + l]) : dy[i + l];
            lanes_g[l] += (double)g;
            lanes_gx[l] += (double)(g * ((x[i + l] - m) * r));
        }
    for (; i < width; i++) {
        const MIM_REAL g = scale ? dy[i] * (base + scale[i]) : dy[i];
        sum_g += (double)g;
        sum_gx += (double)(g * ((x[i] - m) * r));
    }
    for (size_t l = 0; l < n_lanes; l++) {
        sum_g += lanes_g[l];
        sum_gx += lanes_gx[l];
    }
    const MIM_REAL mean_g = (MIM_REAL)(sum_g / (double)width);
    const MIM_REAL mean_gx = (MIM_REAL)(sum_gx / (double)width);
    MIM_ELEMENTWISE
    for (i = 0; i < width; i++) {
        const MIM_REAL g = scale ? dy[i] * (base + scale[i]) : dy[i];
        const MIM_REAL d = r * (g - mean_g - (x[i] - m) * r * mean_gx);
        dx[i] = into == MIM_ADD ? dx[i] + d : d;
    }
}

/* Columns i .. i + n - 1 of dscale += sum of dy xhat and dshift += sum of dy over a sample's rows.
 */
MIM_INLINE void MIM_NN(norm_columns)(size_t n_tokens, size_t width, size_t n, const MIM_REAL *x,
                                     const MIM_REAL *stats, const MIM_REAL *dy, MIM_REAL *dscale,
                                     MIM_REAL *dshift)
{
    double scale[n_columns] = {0}, shift[n_columns] = {0};
    for (size_t t = 0; t < n_tokens; t++) {
        const MIM_REAL *row = x + t * width, *drow = dy + t * width;
        const MIM_REAL m = stats[2 * t], r = stats[2 * t + 1];
        for (size_t i = 0; i < n; i++) {
            scale[i] += (double)(drow[i] * ((row[i] - m) * r));
            shift[i] += (double)drow[i];
        }
    }
    for (size_t i = 0; i < n && dscale; i++)
        dscale[i] += (MIM_REAL)scale[i];
    for (size_t i = 0; i < n && dshift; i++)
        dshift[i] += (MIM_REAL)shift[i];
}

MIM_VECTOR static void MIM_NN(norm_backward)(size_t n_samples, size_t n_tokens, size_t width,
                                             const MIM_REAL *x, const MIM_REAL *stats,
                                             MIM_REAL base, const MIM_REAL *scale, size_t ld_cond,
                                             const MIM_REAL *dy, mim_into into, MIM_REAL *dx,
                                             MIM_REAL *dscale, MIM_REAL *dshift)
{
    for (size_t s = 0; s < n_samples; s++) {
        const size_t first = s * n_tokens;
        for (size_t i = 0; i < width && (dscale || dshift); i += n_columns)
            MIM_NN(norm_columns)
        (n_tokens, width, width - i < n_columns ? width - i : n_columns, x + first * width + i,
         stats + 2 * first, dy + first * width + i, dscale ? dscale + s * ld_cond + i : NULL,
         dshift ? dshift + s * ld_cond + i : NULL);
        for (size_t row = first; row < first + n_tokens && dx; row++)
            MIM_NN(norm_row_backward)
        (width, x + row * width, stats + 2 * row, base, scale ? scale + s * ld_cond : NULL,
         dy + row * width, into, dx + row * width);
    }
}

void MIM_NN(mim_layer_norm_forward)(size_t n_rows, size_t width, double eps, const MIM_REAL *x,
                                    const MIM_REAL *gain, const MIM_REAL *bias, MIM_REAL *y,
                                    MIM_REAL *stats)
{
    MIM_NN(norm_forward)(1, n_rows, width, eps, x, 0, gain, bias, 0, y, stats);
}

void MIM_NN(mim_layer_norm_backward)(size_t n_rows, size_t width, const MIM_REAL *x,
                                     const MIM_REAL *stats, const MIM_REAL *gain,
                                     const MIM_REAL *dy, mim_into into, MIM_REAL *dx,
                                     MIM_REAL *dgain, MIM_REAL *dbias)
{
    MIM_NN(norm_backward)(1, n_rows, width, x, stats, 0, gain, 0, dy, into, dx, dgain, dbias);
}

void MIM_NN(mim_modulate_forward)(size_t n_samples, size_t n_tokens, size_t width, double eps,
                                  const MIM_REAL *x, const MIM_REAL *scale, const MIM_REAL *shift,
                                  size_t ld_cond, MIM_REAL *y, MIM_REAL *stats)
{
    MIM_NN(norm_forward)
    (n_samples, n_tokens, width, eps, x, 1, scale, shift, ld_cond, y, stats);
}

void MIM_NN(mim_modulate_backward)(size_t n_samples, size_t n_tokens, size_t width,
                                   const MIM_REAL *x, const MIM_REAL *stats, const MIM_REAL *scale,
                                   size_t ld_cond, const MIM_REAL *dy, mim_into into, MIM_REAL *dx,
                                   MIM_REAL *dscale, MIM_REAL *dshift)
{
    MIM_NN(norm_backward)
    (n_samples, n_tokens, width, x, stats, 1, scale, ld_cond, dy, into, dx, dscale, dshift);
}

MIM_VECTOR void MIM_NN(mim_gate_forward)(size_t n_samples, size_t n_tokens, size_t width,
                                         const MIM_REAL *y, const MIM_REAL *gate, size_t ld_cond,
                                         MIM_REAL *x)
{
    for (size_t s = 0; s < n_samples; s++)
        for (size_t t = 0; t < n_tokens; t++) {
            const MIM_REAL *g = gate + s * ld_cond, *from = y + (s * n_tokens + t) * width;
            MIM_REAL *to = x + (s * n_tokens + t) * width;
            MIM_ELEMENTWISE
            for (size_t i = 0; i < width; i++)
                to[i] += g[i] * from[i];
        }
}

MIM_INLINE void MIM_NN(gate_columns)(size_t n_tokens, size_t width, size_t n, const MIM_REAL *y,
                                     const MIM_REAL *dx, MIM_REAL *dgate)
{
    double sum[n_columns] = {0};
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < n; i++)
            sum[i] += (double)(dx[t * width + i] * y[t * width + i]);
    for (size_t i = 0; i < n; i++)
        dgate[i] += (MIM_REAL)sum[i];
}

MIM_VECTOR void MIM_NN(mim_gate_backward)(size_t n_samples, size_t n_tokens, size_t width,
                                          const MIM_REAL *y, const MIM_REAL *gate, size_t ld_cond,
                                          const MIM_REAL *dx, MIM_REAL *dy, MIM_REAL *dgate)
{
    for (size_t s = 0; s < n_samples; s++) {
        const size_t first = s * n_tokens * width;
        const MIM_REAL *g = gate + s * ld_cond;
        for (size_t i = 0; i < width && dgate; i += n_columns)
            MIM_NN(gate_columns)
        (n_tokens, width, width - i < n_columns ? width - i : n_columns, y + first + i,
         dx + first + i, dgate + s * ld_cond + i);
        for (size_t t = 0; t < n_tokens && dy; t++) {
            const MIM_REAL *from = dx + first + t * width;
            MIM_REAL *to = dy + first + t * width;
            MIM_ELEMENTWISE
            for (size_t i = 0; i < width; i++)
                to[i] = g[i] * from[i];
        }
    }
}
