/* Bodies of the linear layer; included by nn/linear.c once per precision. */

MIM_VECTOR static void MIM_NN(add_bias)(size_t n_rows, size_t width, const MIM_REAL *bias,
                                        MIM_REAL *y, size_t ld_y)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < width; i++)
            y[r * ld_y + i] += bias[i];
}

/* Rows start as the bias, to which the product adds: one pass less than adding afterwards. */
static void MIM_NN(copy_bias)(size_t n_rows, size_t width, const MIM_REAL *bias, MIM_REAL *y,
                              size_t ld_y)
{
    for (size_t r = 0; r < n_rows; r++)
        memcpy(y + r * ld_y, bias, width * sizeof *bias);
}

void MIM_NN(mim_linear_forward)(const mim_gemm *gemm, size_t n_rows, size_t n_in, size_t n_out,
                                const MIM_REAL *x, size_t ld_x, const MIM_REAL *weight,
                                const MIM_REAL *bias, mim_into into, MIM_REAL *y, size_t ld_y)
{
    const mim_gemm_shape shape = {.is_tb = true,
                                  .m = n_rows,
                                  .n = n_out,
                                  .k = n_in,
                                  .ld_a = ld_x,
                                  .ld_b = n_in,
                                  .ld_c = ld_y};
    if (bias && into == MIM_ADD)
        MIM_NN(add_bias)(n_rows, n_out, bias, y, ld_y);
    else if (bias)
        MIM_NN(copy_bias)(n_rows, n_out, bias, y, ld_y);
    MIM_NN(gemm->run)(&shape, 1, x, weight, bias || into == MIM_ADD ? 1 : 0, y);
}

/* Sums over rows, some columns at a time in double. */
MIM_VECTOR static void MIM_NN(sum_rows)(size_t n_rows, size_t width, const MIM_REAL *dy,
                                        size_t ld_y, MIM_REAL *dbias)
{
    enum { n_columns = 64 };
    for (size_t i = 0; i < width; i += n_columns) {
        const size_t n = width - i < n_columns ? width - i : n_columns;
        double sum[n_columns] = {0};
        for (size_t r = 0; r < n_rows; r++)
            for (size_t j = 0; j < n; j++)
                sum[j] += (double)dy[r * ld_y + i + j];
        for (size_t j = 0; j < n; j++)
            dbias[i + j] += (MIM_REAL)sum[j];
    }
}

void MIM_NN(mim_linear_backward)(const mim_gemm *gemm, size_t n_rows, size_t n_in, size_t n_out,
                                 const MIM_REAL *x, size_t ld_x, const MIM_REAL *weight,
                                 const MIM_REAL *dy, size_t ld_y, mim_into into, MIM_REAL *dx,
                                 size_t ld_dx, MIM_REAL *dweight, MIM_REAL *dbias)
{
    const mim_gemm_shape to_x = {
        .m = n_rows, .n = n_in, .k = n_out, .ld_a = ld_y, .ld_b = n_in, .ld_c = ld_dx};
    const mim_gemm_shape to_weight = {.is_ta = true,
                                      .m = n_out,
                                      .n = n_in,
                                      .k = n_rows,
                                      .ld_a = ld_y,
                                      .ld_b = ld_x,
                                      .ld_c = n_in};
    if (dx)
        MIM_NN(gemm->run)(&to_x, 1, dy, weight, into == MIM_ADD ? 1 : 0, dx);
    if (dweight)
        MIM_NN(gemm->run)(&to_weight, 1, dy, x, 1, dweight);
    if (dbias)
        MIM_NN(sum_rows)(n_rows, n_out, dy, ld_y, dbias);
}
