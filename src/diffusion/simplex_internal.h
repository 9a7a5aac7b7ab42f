/* Included by diffusion/simplex.c once per precision; see there. Not guarded. */

/* What is taken from every logit: the shares above it sum to 1. From below, leaving out what falls
 * away, until nothing does (Michelot 1986): equal logits fall together, so ties need no order. NaN
 * when a logit is not finite. */
static double MIM_NN(threshold)(size_t n, const MIM_REAL *logits)
{
    double tau = -INFINITY;
    size_t n_before = 0;
    for (;;) {
        double sum = 0;
        size_t n_above = tau < 0 ? 1 : 0; /* idle */
        for (size_t s = 0; s < n; s++) {
            if (!isfinite(logits[s]))
                return NAN;
            if ((double)logits[s] > tau) {
                sum += (double)logits[s];
                n_above++;
            }
        }
        if (n_above == n_before)
            return tau;
        tau = fmax(tau, (sum - 1) / (double)n_above); /* never less, for all rounding */
        n_before = n_above;
    }
}

void MIM_NN(mim_simplex_forward)(size_t n_rows, size_t n, const MIM_REAL *logits, MIM_REAL *x0,
                                 MIM_REAL *idle)
{
    for (size_t r = 0; r < n_rows; r++) {
        const MIM_REAL *row = logits + r * n;
        const double tau = MIM_NN(threshold)(n, row);
        for (size_t s = 0; s < n; s++)
            x0[r * n + s] = (MIM_REAL)((double)row[s] <= tau ? -1 : 2 * ((double)row[s] - tau) - 1);
        idle[r] = (MIM_REAL)(tau >= 0 ? 0 : -tau);
    }
}

void MIM_NN(mim_simplex_backward)(size_t n_rows, size_t n, const MIM_REAL *x0, const MIM_REAL *idle,
                                  const MIM_REAL *d_x0, MIM_REAL *d_logits)
{
    for (size_t r = 0; r < n_rows; r++) {
        const MIM_REAL *row = x0 + r * n, *d_row = d_x0 + r * n;
        size_t n_above = idle[r] > 0 ? 1 : 0;
        double sum = 0; /* idle is told of nothing */
        for (size_t s = 0; s < n; s++) {
            if (!(row[s] > -1))
                continue;
            sum += (double)d_row[s];
            n_above++;
        }
        const double mean = n_above ? sum / (double)n_above : NAN;
        for (size_t s = 0; s < n; s++)
            d_logits[r * n + s] =
                (MIM_REAL)(row[s] > -1 ? 2 * ((double)d_row[s] - mean) : row[s] * 0);
    }
}
