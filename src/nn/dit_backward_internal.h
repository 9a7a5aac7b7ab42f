/* Backward pass of the transformer body; included by nn/dit_internal.h, whose types it uses. */

/* From the norm before the MLP, and from d_branch, the gradient of its result; t->d_x: of what the
 * block gave, becomes of x after attention, t->d_branch of attention's result. */
static void MIM_NN(mlp_backward)(const TRUNK *t, const MIM_REAL *values, size_t i,
                                 const mim_dit_call *call, MIM_REAL *grads)
{
    const TAPE *k = &t->blocks[i];
    const size_t n = call->n_samples * call->n_tokens;
    const mim_adaln norm = MIM_NN(norm)(t, call);
    mim_dropout dropout;
    const mim_gelu gelu = MIM_NN(gelu_shape)(t, call, MIM_NN(dropout_at)(call, i, 1, &dropout));
    const BRANCH mixed = MIM_NN(attention_branch)(t, values, i);
    const GRADIENT gradient = {t->d_branch, MIM_NN(part)(t, t->d_modulation, i, 2),
                               grads + t->bias[i][MIX]};
    MIM_NN(unapply)(t, values, i, MLP_2, n, t->d_branch, t->d_hidden);
    MIM_NN(mim_gelu_backward)
    (&gelu, k->hidden, values + t->bias[i][MLP_1], t->d_hidden, t->d_hidden, t->active,
     grads + t->bias[i][MLP_1], t->work);
    MIM_NN(learn)(t, grads, i, MLP_2, n, t->d_branch, t->active);
    MIM_NN(unapply)(t, values, i, MLP_1, n, t->d_hidden, t->d_normed);
    MIM_NN(mim_adaln_backward)
    (&norm, k->middle, k->stats_2, MIM_NN(part)(t, t->modulation, i, 3),
     MIM_NN(part)(t, t->modulation, i, 4), t->d_normed, MIM_ADD, t->d_x, t->normed,
     MIM_NN(part)(t, t->d_modulation, i, 3), MIM_NN(part)(t, t->d_modulation, i, 4), &mixed,
     &gradient, t->work);
    MIM_NN(learn)(t, grads, i, MLP_1, n, t->d_hidden, t->normed);
}

/* From d_branch, the gradient of attention's result; t->d_x becomes of what the block got,
 * t->d_branch of the result of the MLP before. */
static void MIM_NN(attention_backward)(const TRUNK *t, const MIM_REAL *values, size_t i,
                                       const mim_dit_call *call, MIM_REAL *grads)
{
    const TAPE *k = &t->blocks[i];
    const size_t n = call->n_samples * call->n_tokens, d = t->s.width;
    const mim_adaln norm = MIM_NN(norm)(t, call);
    mim_dropout own, before;
    const mim_attention attention =
        MIM_NN(attention)(t, call->n_samples, call->n_tokens, MIM_NN(dropout_at)(call, i, 0, &own));
    const MIM_NN(mim_projection) projection = MIM_NN(projection)(t, values, i);
    MIM_REAL *d_bias = grads + t->bias[i][QKV];
    const MIM_NN(mim_projection_gradient) d_projection = {t->d_qkv, t->d_qkv + d, t->d_qkv + 2 * d,
                                                          d_bias,   d_bias + d,   d_bias + 2 * d};
    BRANCH mlp = {NULL, NULL, NULL, NULL};
    GRADIENT gradient = {NULL, NULL, NULL};
    if (i > 0) {
        mlp = MIM_NN(mlp_branch)(t, values, i - 1, MIM_NN(dropout_at)(call, i - 1, 2, &before));
        gradient = (GRADIENT){t->d_branch, MIM_NN(part)(t, t->d_modulation, i - 1, 5),
                              grads + t->bias[i - 1][MLP_2]};
    }
    MIM_NN(unapply)(t, values, i, MIX, n, t->d_branch, t->d_heads);
    MIM_NN(learn)(t, grads, i, MIX, n, t->d_branch, k->heads);
    MIM_NN(mim_attend_backward)
    (&attention, &projection, k->heads, k->log_sums, t->d_heads, &d_projection, t->work);
    MIM_NN(unapply)(t, values, i, QKV, n, t->d_qkv, t->d_normed);
    MIM_NN(mim_adaln_backward)
    (&norm, k->x, k->stats_1, MIM_NN(part)(t, t->modulation, i, 0),
     MIM_NN(part)(t, t->modulation, i, 1), t->d_normed, MIM_ADD, t->d_x, t->normed,
     MIM_NN(part)(t, t->d_modulation, i, 0), MIM_NN(part)(t, t->d_modulation, i, 1),
     i > 0 ? &mlp : NULL, &gradient, t->work);
    MIM_NN(learn)(t, grads, i, QKV, n, t->d_qkv, t->normed);
}

static void MIM_NN(tell)(const mim_dit_call *call, size_t first, size_t n)
{
    if (call->ready)
        call->ready->tell(call->ready->context, first, n);
}

/* Of the conditions' weights and biases that make columns first to first + n - 1 of a modulation,
 * whose gradients are complete for all samples. */
static void MIM_NN(learn_condition)(const TRUNK *t, const mim_dit_call *call, size_t first,
                                    size_t n, MIM_REAL *grads)
{
    enum { columns = 256 };
    const size_t rows = call->n_samples * call->n_conditions, in = t->s.condition_width;
    const size_t out = n_modulation(&t->s), weight = t->condition_weight + first * in;
    const mim_gemm_shape shape = {
        .is_ta = true, .m = n, .n = in, .k = rows, .ld_a = out, .ld_b = in, .ld_c = in};
    MIM_PARALLEL_FOR(n > columns)
    for (size_t i = first; i < first + n; i += columns)
        MIM_OF_REAL(mim_linear_backward)
    (t->gemm, rows, in, first + n - i < columns ? first + n - i : columns, NULL, in, NULL,
     t->d_modulation + i, out, MIM_SET, NULL, in, NULL, grads + t->condition_bias + i);
    for (size_t r = 0; r < rows; r++)
        MIM_NN(rounded)
    (n, t->d_modulation + r * out + first, t->d_modulation_half + r * out + first);
    MIM_NN(multiply_exactly)
    (t, &shape, t->d_modulation_half + first, t->condition_half, false, true, grads + weight);
    MIM_NN(tell)(call, weight, n * in);
    MIM_NN(tell)(call, t->condition_bias + first, n);
}

static void MIM_NN(modulate_backward)(const TRUNK *t, const MIM_REAL *values,
                                      const mim_dit_call *call, const MIM_REAL *condition,
                                      MIM_REAL *d_condition)
{
    const size_t rows = call->n_samples * call->n_conditions, in = t->s.condition_width;
    const size_t out = n_modulation(&t->s);
    const mim_gemm_shape shape = {
        .m = rows, .n = in, .k = out, .ld_a = out, .ld_b = in, .ld_c = in};
    MIM_NN(multiply_exactly)
    (t, &shape, t->d_modulation_half, MIM_NN(weights)(t, values, t->condition_weight), true, false,
     d_condition);
    MIM_OF_REAL(mim_activation_backward)
    (t->s.activation, rows * in, condition, d_condition, d_condition);
}

/* `all`: in the last group, the call of all samples, and t of them all; else NULL, as others will
 * add to the gradients. */
static void MIM_NN(group_backward)(const TRUNK *g, const MIM_REAL *values, const mim_dit_call *call,
                                   const TRUNK *t, const mim_dit_call *all, MIM_REAL *grads)
{
    const size_t end = g->s.n_blocks, d = g->s.width;
    const mim_adaln norm = MIM_NN(norm)(g, call);
    mim_dropout dropout;
    const BRANCH mlp =
        MIM_NN(mlp_branch)(g, values, end - 1, MIM_NN(dropout_at)(call, end - 1, 2, &dropout));
    const GRADIENT gradient = {g->d_branch, MIM_NN(part)(g, g->d_modulation, end - 1, 5),
                               grads + g->bias[end - 1][MLP_2]};
    MIM_NN(mim_adaln_backward)
    (&norm, g->last, g->last_stats, MIM_NN(part)(g, g->modulation, end, 0),
     MIM_NN(part)(g, g->modulation, end, 1),
     MIM_NN(rounded)(call->n_samples * call->n_tokens * d, g->base.d_answer, g->d_normed), MIM_SET,
     g->d_x, NULL, MIM_NN(part)(g, g->d_modulation, end, 0),
     MIM_NN(part)(g, g->d_modulation, end, 1), &mlp, &gradient, g->work);
    if (all)
        MIM_NN(learn_condition)(t, all, 6 * end * d, 2 * d, grads);
    for (size_t i = end; i-- > 0;) {
        const size_t first = g->weight[i][0], behind = g->bias[i][N_LAYERS - 1] + d;
        MIM_NN(mlp_backward)(g, values, i, call, grads);
        MIM_NN(attention_backward)(g, values, i, call, grads);
        if (!all)
            continue;
        MIM_NN(tell)(all, first, behind - first);
        MIM_NN(learn_condition)(t, all, 6 * i * d, 6 * d, grads);
    }
}

static const MIM_REAL *MIM_NN(trunk_backward)(DIT *dit, const MIM_REAL *values,
                                              const mim_dit_call *call, const MIM_REAL *condition,
                                              MIM_REAL *grads, MIM_REAL *d_condition)
{
    TRUNK *t = (TRUNK *)dit;
    const size_t n = group_of(call->n_samples, call->n_tokens);
    assert(t->o.is_training);
    for (size_t i = 0; i < call->n_samples; i += n) {
        mim_dit_call own;
        mim_dit_dropout dropout;
        const size_t left = call->n_samples - i;
        const TRUNK g = MIM_NN(group)(t, call, i, left < n ? left : n, &own, &dropout);
        MIM_NN(group_backward)(&g, values, &own, t, left > n ? NULL : call, grads);
    }
    MIM_NN(modulate_backward)(t, values, call, condition, d_condition);
    return t->d_x;
}
