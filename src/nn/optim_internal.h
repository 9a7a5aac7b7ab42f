/* Bodies of the walks over parameters; included by nn/optim.c once per precision. */

MIM_VECTOR static void MIM_NN(adam_tensor)(const mim_adam *adam, double lr, uint64_t n_step,
                                           double decay, size_t n, const MIM_REAL *g,
                                           MIM_REAL *restrict m, MIM_REAL *restrict v,
                                           MIM_REAL *restrict p)
{
    const double left_1 = 1 - pow(adam->beta_1, (double)n_step);
    const double left_2 = 1 - pow(adam->beta_2, (double)n_step);
    const MIM_REAL beta_1 = (MIM_REAL)adam->beta_1, new_1 = (MIM_REAL)(1 - adam->beta_1);
    const MIM_REAL beta_2 = (MIM_REAL)adam->beta_2, new_2 = (MIM_REAL)(1 - adam->beta_2);
    const MIM_REAL rate = (MIM_REAL)(lr / left_1), eps = (MIM_REAL)adam->eps;
    const MIM_REAL inverse_root = (MIM_REAL)(1 / sqrt(left_2));
    const MIM_REAL keep = (MIM_REAL)(adam->is_decoupled ? 1 - lr * decay : 1);
    const MIM_REAL add = (MIM_REAL)(adam->is_decoupled ? 0 : decay);
    for (size_t i = 0; i < n; i++) {
        const MIM_REAL grad = g[i] + add * p[i];
        m[i] = beta_1 * m[i] + new_1 * grad;
        v[i] = beta_2 * v[i] + new_2 * (grad * grad);
        p[i] = keep * p[i] - rate * m[i] / (MIM_NN(root)(v[i]) * inverse_root + eps);
    }
}

void MIM_NN(mim_adam_step)(const mim_adam *adam, double lr, uint64_t n_step, MIM_PARAMS *params)
{
    const mim_tensors *layout = params->layout;
    assert(n_step > 0 && params->n_own == params->n_values);
    for (size_t t = 0; t < layout->n_tensors; t++) {
        const mim_tensor *tensor = &layout->tensors[t];
        const size_t at = tensor->offset;
        MIM_NN(adam_tensor)
        (adam, lr, n_step, tensor->is_decayed ? adam->weight_decay : 0, tensor->n_values,
         params->grads + at, params->moment_1 + at, params->moment_2 + at, params->values + at);
    }
}

/* n: whole groups of square_lanes. */
MIM_VECTOR static void MIM_NN(add_squares)(size_t n, const MIM_REAL *g, double *restrict lanes)
{
    for (size_t i = 0; i < n; i += square_lanes)
        for (size_t l = 0; l < square_lanes; l++)
            lanes[l] += (double)g[i + l] * (double)g[i + l];
}

/* All lanes and the n numbers that are left. */
MIM_VECTOR static double MIM_NN(end_squares)(size_t n, const MIM_REAL *g, const double *lanes)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)g[i] * (double)g[i];
    for (size_t l = 0; l < square_lanes; l++)
        sum += lanes[l];
    return sum;
}

static double MIM_NN(sum_of_squares)(size_t n, const MIM_REAL *g)
{
    const size_t left = n % square_lanes;
    double lanes[square_lanes] = {0};
    MIM_NN(add_squares)(n - left, g, lanes);
    return MIM_NN(end_squares)(left, g + n - left, lanes);
}

double MIM_NN(mim_grad_norm)(const MIM_PARAMS *params)
{
    const size_t n = params->n_values, step = chunk_of(n);
    double sums[max_chunks], sum = 0;
    MIM_PARALLEL_FOR(n > step)
    for (size_t c = 0; c < (n + step - 1) / step; c++)
        sums[c] = MIM_NN(sum_of_squares)(length_of(n, step, c), params->grads + c * step);
    for (size_t c = 0; c < (n + step - 1) / step; c++)
        sum += sums[c];
    return sqrt(sum);
}

MIM_VECTOR static void MIM_NN(scale)(size_t n, MIM_REAL factor, MIM_REAL *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

double MIM_NN(mim_clip_grads)(double max_norm, MIM_PARAMS *params)
{
    const double norm = MIM_NN(mim_grad_norm)(params), factor = max_norm / (norm + 1e-6);
    if (max_norm > 0 && isfinite(norm) && factor < 1)
        MIM_NN(scale)(params->n_values, (MIM_REAL)factor, params->grads);
    return norm;
}

MIM_VECTOR static void MIM_NN(mix)(size_t n, MIM_REAL keep, MIM_REAL take, const MIM_REAL *x,
                                   MIM_REAL *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = keep * y[i] + take * x[i];
}

void MIM_NN(mim_ema_update)(const mim_ema *ema, uint64_t n_updates, MIM_PARAMS *params)
{
    const double beta = mim_ema_beta_at(ema, n_updates);
    assert(params->n_own == params->n_values);
    if (beta == 0) /* a copy, whatever the average held */
        memcpy(params->ema, params->values, params->n_values * sizeof *params->ema);
    else
        MIM_NN(mix)
    (params->n_values, (MIM_REAL)beta, (MIM_REAL)(1 - beta), params->values, params->ema);
}

/* ---- a whole step --------------------------------------------------------------------------- */

MIM_VECTOR static void MIM_NN(put_wide)(size_t n, const MIM_REAL *from, bool is_added,
                                        double *restrict to)
{
    if (is_added)
        for (size_t i = 0; i < n; i++)
            to[i] += (double)from[i];
    else
        for (size_t i = 0; i < n; i++)
            to[i] = (double)from[i];
}

void MIM_NN(mim_grads_move)(size_t first, size_t n, size_t n_from, MIM_REAL *const *grads,
                            bool is_added, double *sums)
{
    const size_t end = first + n;
    MIM_PARALLEL_FOR(n > min_chunk)
    for (size_t at = first; at < end; at += move_block) {
        const size_t own = end - at < move_block ? end - at : move_block;
        for (size_t k = 0; k < n_from; k++) {
            MIM_NN(put_wide)(own, grads[k] + at, k > 0 || is_added, sums + at);
            memset(grads[k] + at, 0, own * sizeof **grads);
        }
    }
}

MIM_VECTOR static void MIM_NN(narrow)(size_t n, const double *restrict from, MIM_REAL *restrict to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (MIM_REAL)from[i];
}

/* The same to the bit as by way of double, which has more than twice the digits of a float
 * (Figueroa 1995: When is double rounding innocuous?). */
MIM_VECTOR static void MIM_NN(add_two)(size_t n, const MIM_REAL *a, const MIM_REAL *b,
                                       MIM_REAL *restrict to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = a[i] + b[i];
}

/* Of the gradient n values from `at` on, n <= update_piece. */
static void MIM_NN(take_piece)(const MIM_NN(mim_gradient) * g, size_t at, size_t n, MIM_REAL *to)
{
    double sums[update_piece];
    if (g->sums) {
        MIM_NN(narrow)(n, g->sums + at, to);
    } else if (g->n_parts == 1) {
        memcpy(to, g->parts[0] + at, n * sizeof *to);
    } else if (g->n_parts == 2) { /* the usual */
        MIM_NN(add_two)(n, g->parts[0] + at, g->parts[1] + at, to);
    } else {
        for (size_t k = 0; k < g->n_parts; k++)
            MIM_NN(put_wide)(n, g->parts[k] + at, k > 0, sums);
        MIM_NN(narrow)(n, sums, to);
    }
}

/* n values from `first` on, in pieces that stay in the first cache between the passes over them. */
static double MIM_NN(sum_of_taken)(const MIM_NN(mim_gradient) * g, size_t first, size_t n)
{
    const size_t left = n % square_lanes;
    MIM_REAL piece[update_piece];
    double lanes[square_lanes] = {0};
    for (size_t at = 0; at < n - left; at += update_piece) {
        const size_t own = n - left - at < update_piece ? n - left - at : update_piece;
        MIM_NN(take_piece)(g, first + at, own, piece);
        MIM_NN(add_squares)(own, piece, lanes);
    }
    MIM_NN(take_piece)(g, first + n - left, left, piece);
    return MIM_NN(end_squares)(left, piece, lanes);
}

double MIM_NN(mim_gradient_norm)(size_t n, const MIM_NN(mim_gradient) * g)
{
    const size_t step = chunk_of(n);
    double squares[max_chunks], sum = 0;
    MIM_PARALLEL_FOR(n > step)
    for (size_t c = 0; c < (n + step - 1) / step; c++)
        squares[c] = MIM_NN(sum_of_taken)(g, c * step, length_of(n, step, c));
    for (size_t c = 0; c < (n + step - 1) / step; c++)
        sum += squares[c];
    return sqrt(sum);
}

void MIM_NN(mim_gradient_clear)(size_t first, size_t n, const MIM_NN(mim_gradient) * g)
{
    for (size_t k = 0; k < g->n_parts; k++)
        memset(g->parts[k] + first, 0, n * sizeof **g->parts);
}

/* Values first .. first + n - 1 of one tensor. */
static void MIM_NN(update_part)(const mim_update *u, const MIM_NN(mim_gradient) * g, double factor,
                                double beta, double decay, size_t first, size_t n, MIM_PARAMS *p)
{
    MIM_REAL grads[update_piece];
    for (size_t at = first; at < first + n; at += update_piece) {
        const size_t left = first + n - at, m = left < update_piece ? left : update_piece;
        const size_t own = at - p->first_own;
        MIM_NN(take_piece)(g, at, m, grads);
        if (factor < 1)
            MIM_NN(scale)(m, (MIM_REAL)factor, grads);
        MIM_NN(adam_tensor)
        (u->adam, u->lr, u->n_step, decay, m, grads, p->moment_1 + own, p->moment_2 + own,
         p->values + at);
        if (beta == 0)
            memcpy(p->own_ema + own, p->values + at, m * sizeof *p->own_ema);
        else
            MIM_NN(mix)(m, (MIM_REAL)beta, (MIM_REAL)(1 - beta), p->values + at, p->own_ema + own);
        MIM_NN(mim_gradient_clear)(at, m, g);
    }
}

void MIM_NN(mim_update_step)(const mim_update *u, const MIM_NN(mim_gradient) * g,
                             MIM_PARAMS *params)
{
    const mim_tensors *layout = params->layout;
    const size_t n = params->n_own, first = params->first_own, step = chunk_of(n);
    const double beta = mim_ema_beta_at(u->ema, u->n_step - 1);
    const double factor = u->max_norm > 0 ? u->max_norm / (u->norm + 1e-6) : 1;
    assert(u->n_step > 0 && isfinite(u->norm) && (g->sums || n == params->n_values));
    MIM_PARALLEL_FOR(n > step)
    for (size_t c = 0; c < (n + step - 1) / step; c++) {
        const size_t begin = first + c * step, end = begin + length_of(n, step, c);
        for (size_t t = 0; t < layout->n_tensors; t++) {
            const mim_tensor *tensor = &layout->tensors[t];
            const size_t from = tensor->offset > begin ? tensor->offset : begin;
            const size_t behind = tensor->offset + tensor->n_values;
            const size_t to = behind < end ? behind : end;
            if (from < to)
                MIM_NN(update_part)
            (u, g, factor, beta, tensor->is_decayed ? u->adam->weight_decay : 0, from, to - from,
             params);
        }
    }
}
