/* Included by diffusion/objective.c once per precision; see there. Not guarded.
 *
 * B examples, n = T S values of each; the gradients are of the batch's mean. */

/* What the network's answers of example i are to be. */
static mim_target_formula MIM_NN(target_of)(const mim_objective *o, const MIM_OBJECTIVE_BATCH *b,
                                            size_t i)
{
    return mim_schedule_target_formula(o->schedule, quantity_of(o), b->t[i]);
}

static double MIM_NN(wanted)(const mim_objective *o, const MIM_OBJECTIVE_BATCH *b, size_t i,
                             size_t j)
{
    const size_t k = i * b->n_threads * b->n_stressors + j;
    const mim_target_formula f = MIM_NN(target_of)(o, b, i);
    return f.from_0 * (double)b->x0[k] + f.from_eps * (double)b->eps[k];
}

/* Sets d_predicted. */
static double MIM_NN(squared_error)(const mim_objective *o, const MIM_OBJECTIVE_BATCH *b,
                                    const MIM_REAL *predicted, MIM_REAL *d_predicted)
{
    const size_t n = b->n_threads * b->n_stressors;
    double all = 0;
    for (size_t i = 0; i < b->n_samples; i++) {
        const mim_target_formula f = MIM_NN(target_of)(o, b, i);
        const MIM_REAL from_0 = (MIM_REAL)f.from_0, from_eps = (MIM_REAL)f.from_eps;
        const double weight = mim_objective_weight(o, b->t[i]) / ((double)b->n_batch * (double)n);
        const MIM_REAL factor = (MIM_REAL)(2 * weight);
        double sum = 0;
        for (size_t k = i * n; k < (i + 1) * n; k++) {
            const MIM_REAL error = predicted[k] - (from_0 * b->x0[k] + from_eps * b->eps[k]);
            sum += (double)error * (double)error;
            d_predicted[k] = factor * error;
        }
        all += weight * sum;
    }
    return all;
}

/* Variances over the examples of a call. */
static double MIM_NN(variance_term)(const mim_objective *o, const MIM_OBJECTIVE_BATCH *b,
                                    const MIM_REAL *predicted, MIM_REAL *d_predicted)
{
    const size_t n = b->n_threads * b->n_stressors, n_samples = b->n_samples;
    const double share = o->weights.variance * (double)n_samples / (double)b->n_batch / (double)n;
    double all = 0;
    if (n_samples < 2)
        return 0;
    for (size_t j = 0; j < n; j++) {
        double sum = 0, squares = 0, wanted_sum = 0, wanted_squares = 0;
        for (size_t i = 0; i < n_samples; i++) {
            sum += (double)predicted[i * n + j];
            wanted_sum += MIM_NN(wanted)(o, b, i, j);
        }
        const double mean = sum / (double)n_samples, wanted_mean = wanted_sum / (double)n_samples;
        for (size_t i = 0; i < n_samples; i++) {
            const double away = (double)predicted[i * n + j] - mean;
            const double wanted_away = MIM_NN(wanted)(o, b, i, j) - wanted_mean;
            squares += away * away;
            wanted_squares += wanted_away * wanted_away;
        }
        const double difference = (squares - wanted_squares) / (double)(n_samples - 1);
        const double factor = share * 4 * difference / (double)(n_samples - 1);
        all += share * difference * difference;
        for (size_t i = 0; i < n_samples; i++)
            d_predicted[i * n + j] += (MIM_REAL)(factor * ((double)predicted[i * n + j] - mean));
    }
    return all;
}

/* One thread's rows: gives the terms' part and adds to the gradient. `row` = i T + thread. */
static double MIM_NN(row_terms)(const mim_objective *o, const MIM_OBJECTIVE_BATCH *b, size_t i,
                                size_t row, mim_x0_formula f, const MIM_REAL *predicted,
                                MIM_REAL *d_predicted)
{
    const size_t from = row * b->n_stressors, to = from + b->n_stressors;
    const double share = 1 / ((double)b->n_batch * (double)b->n_threads);
    const double k = (double)b->is_conditional[i], u = clamp((double)b->cpu[row]);
    double r = 0;
    for (size_t c = from; c < to; c++)
        r += clamp(f.from_x * (double)b->noisy[c] + f.from_y * (double)predicted[c]);
    const double away = k * r - k * u, sign = away > 0 ? 1 : away < 0 ? -1 : 0;
    const double d_r = share * k * (o->weights.row_sum * sign + o->weights.sparsity * (1 - u));
    for (size_t c = from; c < to; c++) {
        const double x0 = f.from_x * (double)b->noisy[c] + f.from_y * (double)predicted[c];
        if (x0 >= -1 && x0 <= 1)
            d_predicted[c] += (MIM_REAL)(0.5 * f.from_y * d_r);
    }
    return share * (o->weights.row_sum * fabs(away) + o->weights.sparsity * k * r * (1 - u));
}

static double MIM_NN(all_row_terms)(const mim_objective *o, const MIM_OBJECTIVE_BATCH *b,
                                    const MIM_REAL *predicted, MIM_REAL *d_predicted)
{
    double all = 0;
    for (size_t i = 0; i < b->n_samples; i++) {
        const mim_x0_formula f = mim_schedule_x0_formula(o->schedule, quantity_of(o), b->t[i]);
        for (size_t t = 0; t < b->n_threads; t++)
            if (b->cpu_mask[i * b->n_threads + t] > 0)
                all += MIM_NN(row_terms)(o, b, i, i * b->n_threads + t, f, predicted, d_predicted);
    }
    return all;
}

double MIM_NN(mim_objective)(const mim_objective *o, const MIM_OBJECTIVE_BATCH *b,
                             MIM_REAL *predicted, MIM_REAL *d_predicted)
{
    const size_t n_rows = b->n_samples * b->n_threads;
    if (o->output == MIM_OUTPUT_SIMPLEX)
        MIM_NN(mim_simplex_forward)(n_rows, b->n_stressors, predicted, predicted, b->idle);
    double all = MIM_NN(squared_error)(o, b, predicted, d_predicted);
    if (o->weights.variance > 0)
        all += MIM_NN(variance_term)(o, b, predicted, d_predicted);
    if (o->weights.row_sum > 0 || o->weights.sparsity > 0)
        all += MIM_NN(all_row_terms)(o, b, predicted, d_predicted);
    if (o->output == MIM_OUTPUT_SIMPLEX)
        MIM_NN(mim_simplex_backward)
    (n_rows, b->n_stressors, predicted, b->idle, d_predicted, d_predicted);
    return all;
}
