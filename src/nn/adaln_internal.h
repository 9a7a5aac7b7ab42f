/* Bodies of the fused norm; included by nn/adaln.c once per precision. */

#define BRANCH MIM_NN(mim_adaln_branch)

typedef struct MIM_NN(adaln_forward) {
    const mim_adaln *a;
    const MIM_REAL *x, *scale, *shift;
    const BRANCH *branch;
    MIM_REAL *sum, *stats;
    MIM_HALF *n;
} MIM_NN(adaln_forward);

/* y as it joins: with its bias, thinned, before the gate. Columns first .. first + n - 1. */
MIM_INLINE void MIM_NN(adaln_branch)(const mim_adaln *a, const BRANCH *b, size_t sample,
                                     size_t token, size_t first, size_t n, MIM_REAL *out)
{
    const MIM_HALF *y = b->y + (sample * a->n_tokens + token) * a->width + first;
    const MIM_REAL *bias = b->bias + first;
    if (!mim_dropout_is_on(b->dropout)) {
        MIM_ELEMENTWISE
        for (size_t i = 0; i < n; i++)
            out[i] = MIM_NN(mim_of_half)(y[i]) + bias[i];
        return;
    }
    mim_draws room;
    const uint16_t threshold = mim_dropout_threshold(b->dropout);
    const MIM_REAL factor = (MIM_REAL)(1 / (1 - b->dropout->rate));
    const mim_draw *draws =
        mim_dropout_draw(b->dropout, sample, token * a->width + first, n, &room);
    MIM_ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        out[i] = draws[i] >= threshold ? factor * (MIM_NN(mim_of_half)(y[i]) + bias[i]) : 0;
}

/* As adaln_branch, of a gradient with regard to what joins. */
MIM_INLINE void MIM_NN(adaln_thin)(const mim_adaln *a, const BRANCH *b, size_t sample, size_t token,
                                   size_t first, size_t n, MIM_REAL *dy)
{
    if (!mim_dropout_is_on(b->dropout))
        return;
    mim_draws room;
    const uint16_t threshold = mim_dropout_threshold(b->dropout);
    const MIM_REAL factor = (MIM_REAL)(1 / (1 - b->dropout->rate));
    const mim_draw *draws =
        mim_dropout_draw(b->dropout, sample, token * a->width + first, n, &room);
    MIM_ELEMENTWISE
    for (size_t i = 0; i < n; i++)
        dy[i] = draws[i] >= threshold ? factor * dy[i] : 0;
}

/* Sum of x - offset, or of its squares. */
MIM_INLINE MIM_REAL MIM_NN(adaln_moment)(size_t n, const MIM_REAL *x, MIM_REAL offset,
                                         bool is_squared)
{
    MIM_REAL lanes[n_lanes] = {0}, sum = 0;
    size_t i = 0;
    for (; i + n_lanes <= n; i += n_lanes)
        for (size_t l = 0; l < n_lanes; l++) {
            const MIM_REAL d = x[i + l] - offset;
            lanes[l] += is_squared ? d * d : d;
        }
    for (; i < n; i++)
        sum += is_squared ? (x[i] - offset) * (x[i] - offset) : x[i] - offset;
    for (size_t l = 0; l < n_lanes; l++)
        sum += lanes[l];
    return sum;
}

MIM_VECTOR static void MIM_NN(adaln_forward_chunk)(const MIM_NN(adaln_forward) * f, const chunk *c)
{
    const mim_adaln *a = f->a;
    const size_t width = a->width, at = c->condition * a->ld_condition;
    const MIM_REAL *scale = f->scale + at, *shift = f->shift + at;
    for (size_t k = 0; k < c->n_tokens; k++) {
        const size_t token = c->token + k * c->step, row = c->sample * a->n_tokens + token;
        const MIM_REAL *x = f->x + row * width;
        if (f->branch) {
            const MIM_REAL *gate = f->branch->gate + at;
            MIM_REAL *sum = f->sum + row * width, y[MIM_DROPOUT_DRAWS];
            for (size_t i = 0; i < width; i += MIM_DROPOUT_DRAWS) {
                const size_t n = width - i < MIM_DROPOUT_DRAWS ? width - i : MIM_DROPOUT_DRAWS;
                MIM_NN(adaln_branch)(a, f->branch, c->sample, token, i, n, y);
                MIM_ELEMENTWISE
                for (size_t j = 0; j < n; j++)
                    sum[i + j] = x[i + j] + gate[i + j] * y[j];
            }
            x = sum;
        }
        const MIM_REAL n = (MIM_REAL)width;
        const MIM_REAL mean = MIM_NN(adaln_moment)(width, x, 0, false) / n;
        const MIM_REAL variance = MIM_NN(adaln_moment)(width, x, mean, true) / n;
        const MIM_REAL root = (MIM_REAL)(1 / sqrt((double)variance + a->eps));
        MIM_HALF *out = f->n + row * a->ld_half;
        f->stats[2 * row] = mean;
        f->stats[2 * row + 1] = root;
        MIM_ELEMENTWISE
        for (size_t i = 0; i < width; i++)
            out[i] = MIM_NN(mim_to_half)((x[i] - mean) * root * (1 + scale[i]) + shift[i]);
    }
}

void MIM_NN(mim_adaln_forward)(const mim_adaln *a, const MIM_REAL *x, const BRANCH *branch,
                               MIM_REAL *sum, const MIM_REAL *scale, const MIM_REAL *shift,
                               MIM_HALF *n, MIM_REAL *stats)
{
    const MIM_NN(adaln_forward) f = {a, x, scale, shift, branch, sum, stats, n};
    const size_t n_all = n_chunks(a);
    assert(a->width > 0 && a->n_conditions > 0);
    MIM_PARALLEL_FOR(n_all > 1)
    for (size_t i = 0; i < n_all; i++) {
        const chunk c = chunk_at(a, i);
        MIM_NN(adaln_forward_chunk)(&f, &c);
    }
}

/* ---- backward ------------------------------------------------------------------------------- */

typedef struct MIM_NN(adaln_backward) {
    const mim_adaln *a;
    const MIM_REAL *sum, *stats, *scale, *shift;
    const MIM_HALF *dn;
    const BRANCH *branch;
    mim_into into;
    MIM_REAL *dx, *work;
    MIM_HALF *n_again, *dy;
} MIM_NN(adaln_backward);

/* Of one row: dx = r (g - mean(g) - xhat mean(g xhat)), g = dn (1 + scale); its parts of dscale and
 * dshift. */
MIM_INLINE void MIM_NN(adaln_row)(const MIM_NN(adaln_backward) * b, size_t row,
                                  const MIM_REAL *scale, const MIM_REAL *shift, MIM_REAL *dscale,
                                  MIM_REAL *dshift)
{
    const size_t width = b->a->width;
    const MIM_REAL *x = b->sum + row * width;
    const MIM_HALF *dn = b->dn + row * width;
    const MIM_REAL m = b->stats[2 * row], r = b->stats[2 * row + 1];
    MIM_REAL lanes_g[n_lanes] = {0}, lanes_gx[n_lanes] = {0}, g = 0, gx = 0;
    size_t i = 0;
    for (; i + n_lanes <= width; i += n_lanes)
        for (size_t l = 0; l < n_lanes; l++) {
            const MIM_REAL d = MIM_NN(mim_of_half)(dn[i + l]) * (1 + scale[i + l]);
            lanes_g[l] += d;
            lanes_gx[l] += d * ((x[i + l] - m) * r);
        }
    for (; i < width; i++) {
        const MIM_REAL d = MIM_NN(mim_of_half)(dn[i]) * (1 + scale[i]);
        g += d;
        gx += d * ((x[i] - m) * r);
    }
    for (size_t l = 0; l < n_lanes; l++) {
        g += lanes_g[l];
        gx += lanes_gx[l];
    }
    const MIM_REAL mean_g = g / (MIM_REAL)width, mean_gx = gx / (MIM_REAL)width;
    MIM_REAL *dx = b->dx + row * width;
    MIM_ELEMENTWISE
    for (i = 0; i < width; i++) {
        const MIM_REAL xhat = (x[i] - m) * r, own = MIM_NN(mim_of_half)(dn[i]);
        const MIM_REAL d = r * (own * (1 + scale[i]) - mean_g - xhat * mean_gx);
        dscale[i] += own * xhat;
        dshift[i] += own;
        dx[i] = b->into == MIM_ADD ? dx[i] + d : d;
    }
    if (!b->n_again)
        return;
    MIM_HALF *n = b->n_again + row * b->a->ld_half;
    MIM_ELEMENTWISE
    for (i = 0; i < width; i++)
        n[i] = MIM_NN(mim_to_half)((x[i] - m) * r * (1 + scale[i]) + shift[i]);
}

MIM_INLINE void MIM_NN(adaln_row_branch)(const MIM_NN(adaln_backward) * b, size_t sample,
                                         size_t token, const MIM_REAL *gate, MIM_REAL *dgate,
                                         MIM_REAL *dbias)
{
    const size_t width = b->a->width, row = sample * b->a->n_tokens + token;
    const MIM_REAL *dx = b->dx + row * width;
    MIM_HALF *dy = b->dy + row * b->a->ld_half;
    MIM_REAL y[MIM_DROPOUT_DRAWS];
    for (size_t i = 0; i < width; i += MIM_DROPOUT_DRAWS) {
        const size_t n = width - i < MIM_DROPOUT_DRAWS ? width - i : MIM_DROPOUT_DRAWS;
        MIM_NN(adaln_branch)(b->a, b->branch, sample, token, i, n, y);
        MIM_ELEMENTWISE
        for (size_t j = 0; j < n; j++) {
            dgate[i + j] += dx[i + j] * y[j];
            y[j] = gate[i + j] * dx[i + j];
        }
        MIM_NN(adaln_thin)(b->a, b->branch, sample, token, i, n, y);
        MIM_ELEMENTWISE
        for (size_t j = 0; j < n; j++) {
            dbias[i + j] += y[j];
            dy[i + j] = MIM_NN(mim_to_half)(y[j]);
        }
    }
}

MIM_VECTOR static void MIM_NN(adaln_backward_chunk)(const MIM_NN(adaln_backward) * b,
                                                    const chunk *c, MIM_REAL *sums)
{
    const mim_adaln *a = b->a;
    const size_t width = a->width, at = c->condition * a->ld_condition;
    memset(sums, 0, n_sums * width * sizeof *sums);
    for (size_t k = 0; k < c->n_tokens; k++) {
        const size_t token = c->token + k * c->step;
        MIM_NN(adaln_row)
        (b, c->sample * a->n_tokens + token, b->scale + at, b->shift + at, sums, sums + width);
        if (b->branch)
            MIM_NN(adaln_row_branch)
        (b, c->sample, token, b->branch->gate + at, sums + 2 * width, sums + 3 * width);
    }
}

/* Columns first .. first + n - 1 of n_from sums, `step` apart. */
MIM_VECTOR static void MIM_NN(adaln_total)(size_t n_from, size_t step, size_t n,
                                           const MIM_REAL *sums, mim_into into, MIM_REAL *out)
{
    double total[n_columns] = {0};
    for (size_t k = 0; k < n_from; k++)
        for (size_t i = 0; i < n; i++)
            total[i] += (double)sums[k * step + i];
    for (size_t i = 0; i < n; i++)
        out[i] = (into == MIM_ADD ? out[i] : 0) + (MIM_REAL)total[i];
}

/* One row's dscale, dshift or dgate. */
static void MIM_NN(adaln_totals)(const mim_adaln *a, size_t n_from, const MIM_REAL *sums,
                                 mim_into into, MIM_REAL *out)
{
    for (size_t i = 0; i < a->width; i += n_columns)
        MIM_NN(adaln_total)
    (n_from, n_sums * a->width, a->width - i < n_columns ? a->width - i : n_columns, sums + i, into,
     out + i);
}

void MIM_NN(mim_adaln_backward)(const mim_adaln *a, const MIM_REAL *sum, const MIM_REAL *stats,
                                const MIM_REAL *scale, const MIM_REAL *shift, const MIM_HALF *dn,
                                mim_into into, MIM_REAL *dx, MIM_HALF *n_again, MIM_REAL *dscale,
                                MIM_REAL *dshift, const BRANCH *branch,
                                const MIM_NN(mim_adaln_gradient) * gradient, MIM_REAL *work)
{
    const MIM_NN(adaln_backward)
        b = {a,      sum,  stats, scale, shift,   dn,
             branch, into, dx,    work,  n_again, branch ? gradient->dy : NULL};
    const size_t n_all = n_chunks(a), parts = n_parts(a), one = n_sums * a->width;
    const size_t n_rows = a->n_samples * a->n_conditions;
    MIM_PARALLEL_FOR(n_all > 1)
    for (size_t i = 0; i < n_all; i++) {
        const chunk c = chunk_at(a, i);
        MIM_NN(adaln_backward_chunk)(&b, &c, work + i * one);
    }
    MIM_PARALLEL_FOR(n_rows > 1)
    for (size_t r = 0; r < n_rows; r++) {
        const MIM_REAL *own = work + r * parts * one;
        const size_t at = r * a->ld_condition;
        MIM_NN(adaln_totals)(a, parts, own, MIM_SET, dscale + at);
        MIM_NN(adaln_totals)(a, parts, own + a->width, MIM_SET, dshift + at);
        if (branch)
            MIM_NN(adaln_totals)(a, parts, own + 2 * a->width, MIM_SET, gradient->dgate + at);
    }
    if (branch)
        MIM_NN(adaln_totals)(a, n_all, work + 3 * a->width, MIM_ADD, gradient->dbias);
}

#undef BRANCH
