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
    assert(n_step > 0);
    for (size_t t = 0; t < layout->n_tensors; t++) {
        const mim_tensor *tensor = &layout->tensors[t];
        const size_t at = tensor->offset;
        MIM_NN(adam_tensor)
        (adam, lr, n_step, tensor->is_decayed ? adam->weight_decay : 0, tensor->n_values,
         params->grads + at, params->moment_1 + at, params->moment_2 + at, params->values + at);
    }
}

MIM_VECTOR double MIM_NN(mim_grad_norm)(const MIM_PARAMS *params)
{
    enum { n_lanes = 16 };
    const MIM_REAL *g = params->grads;
    double lanes[n_lanes] = {0}, sum = 0;
    size_t i = 0;
    for (; i + n_lanes <= params->n_values; i += n_lanes)
        for (size_t l = 0; l < n_lanes; l++)
            lanes[l] += (double)g[i + l] * (double)g[i + l];
    for (; i < params->n_values; i++)
        sum += (double)g[i] * (double)g[i];
    for (size_t l = 0; l < n_lanes; l++)
        sum += lanes[l];
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
    if (beta == 0) /* a copy, whatever the average held */
        memcpy(params->ema, params->values, params->n_values * sizeof *params->ema);
    else
        MIM_NN(mix)
    (params->n_values, (MIM_REAL)beta, (MIM_REAL)(1 - beta), params->values, params->ema);
}
