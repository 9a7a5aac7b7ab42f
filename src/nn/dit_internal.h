/* Included by nn/dit.c once per precision; see there. Not guarded.
 *
 * N tokens of width d in all, R condition rows, L blocks, H heads, w the hidden width, M =
 * (6 L + 2) d. Kept from forward is only what cannot be made anew cheaply: norms,
 * the MLP's activation and the probabilities are made again in backward. */

#define DIT MIM_OF_REAL(mim_dit)
#define TRUNK MIM_NN(trunk)
#define TAPE MIM_NN(tape)
#define BRANCH MIM_NN(mim_adaln_branch)
#define GRADIENT MIM_NN(mim_adaln_gradient)

/* What a block's forward call leaves for its backward call. */
typedef struct TAPE {
    MIM_REAL *x, *stats_1;      /* [N][d] what came in; [N][2] */
    MIM_HALF *qkv;              /* [N][ld(3 d)] */
    MIM_REAL *log_sums;         /* [N][H] */
    MIM_HALF *heads;            /* [N][ld(d)] */
    MIM_HALF *mixed;            /* [N][d] */
    MIM_REAL *middle, *stats_2; /* [N][d] x after attention; [N][2] */
    MIM_HALF *hidden;           /* [N][ld(w)] before the activation */
    MIM_HALF *mlp;              /* [N][d] */
} TAPE;

typedef struct TRUNK {
    DIT base;
    mim_dit_shape s;
    mim_dit_options o;
    const mim_gemm *gemm;
    size_t condition_weight, condition_bias; /* offsets in values */
    size_t weight[MIM_DIT_MAX_BLOCKS][N_LAYERS], bias[MIM_DIT_MAX_BLOCKS][N_LAYERS];
    void *memory;
    TAPE blocks[MIM_DIT_MAX_BLOCKS];
    MIM_REAL *condition_active;            /* [R][condition_width] */
    MIM_HALF *condition_half;              /* the same, for products */
    MIM_REAL *modulation, *d_modulation;   /* [R][M] */
    MIM_HALF *d_modulation_half;           /* [R][M] */
    MIM_REAL *last, *last_stats;           /* [N][d], [N][2] */
    MIM_HALF *normed, *active;             /* [N][ld(d)], [N][ld(w)]: what a product reads now */
    MIM_REAL *work;                        /* of passes */
    MIM_REAL *d_x;                         /* [N][d] */
    MIM_HALF *d_normed, *d_heads;          /* [N][d], [N][ld(d)] */
    MIM_HALF *d_branch, *d_hidden, *d_qkv; /* [N][ld(d)], [N][ld(w)], [N][ld(3 d)] */
#if !MIM_IS_DOUBLE
    const mim_layer_weights *weights; /* NULL: f32 that reads the parameters themselves */
#endif
#if MIM_IS_BF16
    mim_layer_weights *own_weights; /* NULL: they are another's */
    mim_half_products *products;
#endif
} TRUNK;

/* ---- memory --------------------------------------------------------------------------------- */

/* Distance of the rows of a product's operand. */
static size_t MIM_NN(ld)(size_t width) { return MIM_IS_BF16 ? width : padded(width); }

/* Of what a layer's product gives: forward, and backward to its input. */
static size_t MIM_NN(ld_result)(const mim_dit_shape *s, layer l)
{
    return l == QKV || l == MLP_1 ? MIM_NN(ld)(n_out(s, l)) : n_out(s, l);
}

static size_t MIM_NN(ld_d_input)(const mim_dit_shape *s, layer l)
{
    return l == MIX || l == MLP_2 ? MIM_NN(ld)(n_in(s, l)) : n_in(s, l);
}

static mim_attention MIM_NN(attention)(const TRUNK *t, size_t n_samples, size_t n_tokens,
                                       const mim_dropout *dropout)
{
    const size_t d = t->s.width;
    return (mim_attention){.n_samples = n_samples,
                           .n_heads = t->s.n_heads,
                           .head_width = d / t->s.n_heads,
                           .n_queries = n_tokens,
                           .n_keys = n_tokens,
                           .ld_q = MIM_NN(ld)(3 * d),
                           .ld_k = MIM_NN(ld)(3 * d),
                           .ld_v = MIM_NN(ld)(3 * d),
                           .ld_y = MIM_NN(ld)(d),
                           .dropout = dropout};
}

static mim_adaln MIM_NN(norm)(const TRUNK *t, const mim_dit_call *call)
{
    return (mim_adaln){.n_samples = call->n_samples,
                       .n_tokens = call->n_tokens,
                       .n_conditions = call->n_conditions,
                       .width = t->s.width,
                       .ld_condition = n_modulation(&t->s),
                       .ld_half = MIM_NN(ld)(t->s.width),
                       .eps = norm_eps};
}

static mim_gelu MIM_NN(gelu_shape)(const TRUNK *t, const mim_dit_call *call,
                                   const mim_dropout *dropout)
{
    return (mim_gelu){call->n_samples, call->n_tokens, t->s.n_hidden, MIM_NN(ld)(t->s.n_hidden),
                      dropout};
}

static size_t MIM_NN(most)(size_t a, size_t b) { return a > b ? a : b; }

/* Of the passes, for any group. The norm's grows with condition rows and with every 32 tokens. */
static size_t MIM_NN(n_work)(const TRUNK *t)
{
    const size_t rows = max_rows(&t->o), samples = max_group(&t->o);
    const mim_dit_call tokens = {rows, 1, 1, NULL, NULL};
    const mim_dit_call rows_of_conditions = {rows / 32 + 2 * samples, 1, t->o.max_conditions, NULL,
                                             NULL};
    const mim_adaln norm = MIM_NN(norm)(t, &rows_of_conditions);
    const mim_gelu gelu = MIM_NN(gelu_shape)(t, &tokens, NULL);
    const mim_attention attention = MIM_NN(attention)(t, samples, t->o.max_tokens, NULL);
    size_t n = mim_attend_n_work(&attention);
    if (t->o.is_training) {
        n = MIM_NN(most)(n, mim_gelu_n_work(&gelu));
        n = MIM_NN(most)(n, mim_adaln_n_work(&norm));
    }
    return n;
}

static void MIM_NN(carve_block)(const TRUNK *t, TAPE *k, mim_carver *c)
{
    const size_t n = t->o.max_samples * t->o.max_tokens, d = t->s.width;
    const size_t r = sizeof(MIM_REAL), h = sizeof(MIM_HALF);
    k->x = mim_carve(c, n * d, r);
    k->stats_1 = mim_carve(c, n * 2, r);
    k->qkv = mim_carve(c, n * MIM_NN(ld)(3 * d), h);
    k->log_sums = mim_carve(c, n * t->s.n_heads, r);
    k->heads = mim_carve(c, n * MIM_NN(ld)(d), h);
    k->mixed = mim_carve(c, n * d, h);
    k->middle = mim_carve(c, n * d, r);
    k->stats_2 = mim_carve(c, n * 2, r);
    k->hidden = mim_carve(c, n * MIM_NN(ld)(t->s.n_hidden), h);
    k->mlp = mim_carve(c, n * d, h);
}

static void MIM_NN(carve_gradients)(TRUNK *t, mim_carver *c)
{
    const size_t n = max_rows(&t->o), d = t->s.width, r = sizeof(MIM_REAL);
    const size_t rows = t->o.max_samples * t->o.max_conditions, h = sizeof(MIM_HALF);
    const size_t all = t->o.max_samples * t->o.max_tokens;
    t->base.d_answer = mim_carve(c, all * d, r);
    t->d_x = mim_carve(c, all * d, r);
    t->d_normed = mim_carve(c, n * d, h);
    t->d_heads = mim_carve(c, n * MIM_NN(ld)(d), h);
    t->d_hidden = mim_carve(c, n * MIM_NN(ld)(t->s.n_hidden), h);
    t->d_modulation = mim_carve(c, rows * n_modulation(&t->s), r);
    t->d_branch = mim_carve(c, n * MIM_NN(ld)(d), h);
    t->d_qkv = mim_carve(c, n * MIM_NN(ld)(3 * d), h);
    t->d_modulation_half = (void *)t->d_modulation; /* in place where the types are the same */
    if (h != r)
        t->d_modulation_half = mim_carve(c, rows * n_modulation(&t->s), h);
}

static void MIM_NN(carve_all)(TRUNK *t, mim_carver *c)
{
    const size_t n = t->o.max_samples * t->o.max_tokens, d = t->s.width, r = sizeof(MIM_REAL);
    const size_t rows = t->o.max_samples * t->o.max_conditions, h = sizeof(MIM_HALF);
    for (size_t i = 0; i < t->s.n_blocks; i++)
        if (i == 0 || t->o.is_training)
            MIM_NN(carve_block)(t, &t->blocks[i], c);
        else
            t->blocks[i] = t->blocks[0];
    t->base.tokens = t->blocks[0].x;
    t->last = t->blocks[0].x;
    if (t->o.is_training)
        t->last = mim_carve(c, n * d, r);
    t->last_stats = mim_carve(c, n * 2, r);
    t->base.answer = mim_carve(c, n * d, r);
    t->condition_active = mim_carve(c, rows * t->s.condition_width, r);
    t->condition_half = (void *)t->condition_active;
    if (h != r)
        t->condition_half = mim_carve(c, rows * t->s.condition_width, h);
    t->modulation = mim_carve(c, rows * n_modulation(&t->s), r);
    t->normed = mim_carve(c, max_rows(&t->o) * MIM_NN(ld)(d), h);
    t->active = mim_carve(c, max_rows(&t->o) * MIM_NN(ld)(t->s.n_hidden), h);
    t->work = mim_carve(c, MIM_NN(n_work)(t), r);
    if (t->o.is_training)
        MIM_NN(carve_gradients)(t, c);
}

static void MIM_NN(trunk_destroy)(DIT *dit)
{
    TRUNK *t = (TRUNK *)dit;
#if MIM_IS_BF16
    mim_half_products_destroy(&t->products);
    mim_layer_weights_destroy(&t->own_weights);
#endif
    free(t->memory);
    free(t);
}

/* ---- products ------------------------------------------------------------------------------- */

/* As products read them: the copy in bf16 where there is one. */
static const MIM_HALF *MIM_NN(weights)(const TRUNK *t, const MIM_REAL *values, size_t offset)
{
#if MIM_IS_BF16
    (void)values;
    return mim_layer_weights_half(t->weights, offset);
#else
    (void)t;
    return values + offset;
#endif
}

static void MIM_NN(load_weights)(const TRUNK *t, const MIM_REAL *values)
{
#if MIM_IS_BF16
    if (t->own_weights)
        mim_layer_weights_load(t->own_weights, values);
#else
    (void)t;
    (void)values;
#endif
}

/* shape: of a product by the transpose of the matrix at `offset`, stored as it is. Where there is a
 * copy stored the other way, that is taken. */
static const MIM_HALF *MIM_NN(weights_transposed)(const TRUNK *t, const MIM_REAL *values,
                                                  size_t offset, mim_gemm_shape *shape)
{
#if !MIM_IS_DOUBLE && !MIM_IS_BF16
    const float *turned = t->weights ? mim_layer_weights_transposed(t->weights, offset) : NULL;
    if (turned) {
        shape->is_tb = false;
        shape->ld_b = shape->n;
        return turned;
    }
#endif
    (void)shape;
    return MIM_NN(weights)(t, values, offset);
}

/* What passes read next is rounded as the operands are. */
static void MIM_NN(multiply)(const TRUNK *t, const mim_gemm_shape *shape, const MIM_HALF *a,
                             const MIM_HALF *b, MIM_HALF *c)
{
#if MIM_IS_BF16
    mim_half_products_run_rounded(t->products, shape, a, b, true, c);
#else
    MIM_NN(t->gemm->run)(shape, 1, a, b, 0, c);
#endif
}

static void MIM_NN(multiply_exactly)(const TRUNK *t, const mim_gemm_shape *shape, const MIM_HALF *a,
                                     const MIM_HALF *b, bool is_weights, bool is_added, MIM_REAL *c)
{
#if MIM_IS_BF16
    mim_half_products_run(t->products, shape, a, b, is_weights, is_added, c);
#else
    (void)is_weights;
    MIM_NN(t->gemm->run)(shape, 1, a, b, is_added ? 1 : 0, c);
#endif
}

/* For a pass that knows floats only: x itself where the types are the same, else `room` holds it.
 */
static const MIM_REAL *MIM_NN(widened)(size_t n, const MIM_HALF *x, MIM_REAL *room)
{
    if (!MIM_IS_BF16)
        return (const void *)x;
    mim_half_to_float(n, (const void *)x, (void *)room);
    return room;
}

/* The other way: for a product, or a pass that reads what one left. */
static const MIM_HALF *MIM_NN(rounded)(size_t n, const MIM_REAL *x, MIM_HALF *room)
{
    if (!MIM_IS_BF16)
        return (const void *)x;
    mim_half_from_float(n, (const void *)x, (void *)room);
    return room;
}

/* y [n_rows][ld_result] = x W^T, x [n_rows][ld(n_in)]. */
static void MIM_NN(apply)(const TRUNK *t, const MIM_REAL *values, size_t block, layer l,
                          size_t n_rows, const MIM_HALF *x, MIM_HALF *y)
{
    const size_t in = n_in(&t->s, l), out = n_out(&t->s, l);
    mim_gemm_shape shape = {.is_tb = true,
                            .m = n_rows,
                            .n = out,
                            .k = in,
                            .ld_a = MIM_NN(ld)(in),
                            .ld_b = in,
                            .ld_c = MIM_NN(ld_result)(&t->s, l)};
    const MIM_HALF *weights = MIM_NN(weights_transposed)(t, values, t->weight[block][l], &shape);
    MIM_NN(multiply)(t, &shape, x, weights, y);
}

/* dx [n_rows][ld_d_input] = dy W, dy [n_rows][ld(n_out)]. */
static void MIM_NN(unapply)(const TRUNK *t, const MIM_REAL *values, size_t block, layer l,
                            size_t n_rows, const MIM_HALF *dy, MIM_HALF *dx)
{
    const size_t in = n_in(&t->s, l), out = n_out(&t->s, l);
    const mim_gemm_shape shape = {.m = n_rows,
                                  .n = in,
                                  .k = out,
                                  .ld_a = MIM_NN(ld)(out),
                                  .ld_b = in,
                                  .ld_c = MIM_NN(ld_d_input)(&t->s, l)};
    MIM_NN(multiply)
    (t, &shape, dy, MIM_NN(weights)(t, values, t->weight[block][l]), dx);
}

/* dW += dy^T x. */
static void MIM_NN(learn)(const TRUNK *t, MIM_REAL *grads, size_t block, layer l, size_t n_rows,
                          const MIM_HALF *dy, const MIM_HALF *x)
{
    const size_t in = n_in(&t->s, l), out = n_out(&t->s, l);
    const mim_gemm_shape shape = {.is_ta = true,
                                  .m = out,
                                  .n = in,
                                  .k = n_rows,
                                  .ld_a = MIM_NN(ld)(out),
                                  .ld_b = MIM_NN(ld)(in),
                                  .ld_c = in};
    MIM_NN(multiply_exactly)(t, &shape, dy, x, false, true, grads + t->weight[block][l]);
}

/* ---- forward -------------------------------------------------------------------------------- */

/* Of the block's attention (place 0), its MLP's middle (1) and end (2). */
static const mim_dropout *MIM_NN(dropout_at)(const mim_dit_call *call, size_t block, uint32_t place,
                                             mim_dropout *dropout)
{
    const mim_dit_dropout *d = call->dropout;
    if (!d)
        return NULL;
    *dropout = (mim_dropout){.rate = place == 0 ? d->attention : d->mlp,
                             .seed = d->seed,
                             .step = d->step,
                             .site = d->first_site + 3 * (uint32_t)block + place,
                             .samples = d->samples};
    return dropout;
}

/* Of a block: scale, shift and gate of attention (0, 1, 2) and of the MLP (3, 4, 5). */
static MIM_REAL *MIM_NN(part)(const TRUNK *t, MIM_REAL *modulation, size_t block, size_t number)
{
    return modulation + (6 * block + number) * t->s.width;
}

static BRANCH MIM_NN(attention_branch)(const TRUNK *t, const MIM_REAL *values, size_t block)
{
    return (BRANCH){t->blocks[block].mixed, values + t->bias[block][MIX],
                    MIM_NN(part)(t, t->modulation, block, 2), NULL};
}

static BRANCH MIM_NN(mlp_branch)(const TRUNK *t, const MIM_REAL *values, size_t block,
                                 const mim_dropout *dropout)
{
    return (BRANCH){t->blocks[block].mlp, values + t->bias[block][MLP_2],
                    MIM_NN(part)(t, t->modulation, block, 5), dropout};
}

static MIM_NN(mim_projection)
    MIM_NN(projection)(const TRUNK *t, const MIM_REAL *values, size_t block)
{
    const size_t d = t->s.width;
    const MIM_HALF *qkv = t->blocks[block].qkv;
    const MIM_REAL *bias = values + t->bias[block][QKV];
    return (MIM_NN(mim_projection)){qkv, qkv + d, qkv + 2 * d, bias, bias + d, bias + 2 * d};
}

/* All blocks' modulations from one product. */
static void MIM_NN(modulate)(const TRUNK *t, const MIM_REAL *values, const mim_dit_call *call,
                             const MIM_REAL *condition)
{
    const size_t rows = call->n_samples * call->n_conditions, in = t->s.condition_width;
    const size_t out = n_modulation(&t->s);
    const mim_gemm_shape shape = {
        .is_tb = true, .m = rows, .n = out, .k = in, .ld_a = in, .ld_b = in, .ld_c = out};
    MIM_OF_REAL(mim_activation_forward)(t->s.activation, rows * in, condition, t->condition_active);
    MIM_NN(rounded)(rows * in, t->condition_active, t->condition_half);
    MIM_PARALLEL_FOR(rows > 1)
    for (size_t r = 0; r < rows; r++)
        memcpy(t->modulation + r * out, values + t->condition_bias, out * sizeof(MIM_REAL));
    MIM_NN(multiply_exactly)
    (t, &shape, t->condition_half, MIM_NN(weights)(t, values, t->condition_weight), true, true,
     t->modulation);
}

static void MIM_NN(block_forward)(const TRUNK *t, const MIM_REAL *values, size_t i,
                                  const mim_dit_call *call)
{
    const TAPE *k = &t->blocks[i];
    const size_t n = call->n_samples * call->n_tokens;
    const mim_adaln norm = MIM_NN(norm)(t, call);
    mim_dropout attention_dropout, hidden_dropout, before_dropout;
    const mim_attention attention = MIM_NN(attention)(
        t, call->n_samples, call->n_tokens, MIM_NN(dropout_at)(call, i, 0, &attention_dropout));
    const mim_gelu gelu =
        MIM_NN(gelu_shape)(t, call, MIM_NN(dropout_at)(call, i, 1, &hidden_dropout));
    const MIM_NN(mim_projection) projection = MIM_NN(projection)(t, values, i);
    const BRANCH mixed = MIM_NN(attention_branch)(t, values, i);
    BRANCH mlp = {NULL, NULL, NULL, NULL};
    if (i > 0)
        mlp = MIM_NN(mlp_branch)(t, values, i - 1,
                                 MIM_NN(dropout_at)(call, i - 1, 2, &before_dropout));
    MIM_NN(mim_adaln_forward)
    (&norm, i > 0 ? t->blocks[i - 1].middle : k->x, i > 0 ? &mlp : NULL, k->x,
     MIM_NN(part)(t, t->modulation, i, 0), MIM_NN(part)(t, t->modulation, i, 1), t->normed,
     k->stats_1);
    MIM_NN(apply)(t, values, i, QKV, n, t->normed, k->qkv);
    MIM_NN(mim_attend_forward)(&attention, &projection, k->heads, k->log_sums, t->work);
    MIM_NN(apply)(t, values, i, MIX, n, k->heads, k->mixed);
    MIM_NN(mim_adaln_forward)
    (&norm, k->x, &mixed, k->middle, MIM_NN(part)(t, t->modulation, i, 3),
     MIM_NN(part)(t, t->modulation, i, 4), t->normed, k->stats_2);
    MIM_NN(apply)(t, values, i, MLP_1, n, t->normed, k->hidden);
    MIM_NN(mim_gelu_forward)(&gelu, k->hidden, values + t->bias[i][MLP_1], t->active);
    MIM_NN(apply)(t, values, i, MLP_2, n, t->active, k->mlp);
}

/* Samples first .. first + n - 1 of a call as a call of their own. */
static TRUNK MIM_NN(group)(const TRUNK *t, const mim_dit_call *call, size_t first, size_t n,
                           mim_dit_call *own, mim_dit_dropout *dropout)
{
    TRUNK g = *t;
    const size_t row = first * call->n_tokens, d = t->s.width;
    const size_t condition = first * call->n_conditions * n_modulation(&t->s);
    *own = *call;
    own->n_samples = n;
    if (call->dropout) {
        *dropout = *call->dropout;
        dropout->samples += first;
        own->dropout = dropout;
    }
    for (size_t i = 0; i < t->s.n_blocks; i++) {
        TAPE *k = &g.blocks[i];
        k->x += row * d;
        k->stats_1 += row * 2;
        k->qkv += row * MIM_NN(ld)(3 * d);
        k->log_sums += row * t->s.n_heads;
        k->heads += row * MIM_NN(ld)(d);
        k->mixed += row * d;
        k->middle += row * d;
        k->stats_2 += row * 2;
        k->hidden += row * MIM_NN(ld)(t->s.n_hidden);
        k->mlp += row * d;
    }
    g.last += row * d;
    g.last_stats += row * 2;
    g.base.answer += row * d;
    g.modulation += condition;
    if (t->o.is_training) {
        g.base.d_answer += row * d;
        g.d_x += row * d;
        g.d_modulation += condition;
    }
    return g;
}

static void MIM_NN(group_forward)(const TRUNK *t, const MIM_REAL *values, const mim_dit_call *call)
{
    const size_t end = t->s.n_blocks;
    mim_adaln norm = MIM_NN(norm)(t, call);
    mim_dropout dropout;
    norm.ld_half = t->s.width; /* for the owner's product */
    for (size_t i = 0; i < end; i++)
        MIM_NN(block_forward)(t, values, i, call);
    const BRANCH half =
        MIM_NN(mlp_branch)(t, values, end - 1, MIM_NN(dropout_at)(call, end - 1, 2, &dropout));
    const MIM_OF_REAL(mim_adaln_branch) mlp = {
        MIM_NN(widened)(call->n_samples * call->n_tokens * t->s.width, half.y, t->base.answer),
        half.bias, half.gate, half.dropout};
    MIM_OF_REAL(mim_adaln_forward)
    (&norm, t->blocks[end - 1].middle, &mlp, t->last, MIM_NN(part)(t, t->modulation, end, 0),
     MIM_NN(part)(t, t->modulation, end, 1), t->base.answer, t->last_stats);
}

static const MIM_REAL *MIM_NN(trunk_forward)(DIT *dit, const MIM_REAL *values,
                                             const mim_dit_call *call, const MIM_REAL *condition)
{
    TRUNK *t = (TRUNK *)dit;
    const size_t n = group_of(call->n_samples, call->n_tokens);
    assert(call->n_samples > 0 && call->n_samples <= t->o.max_samples && call->n_tokens > 0 &&
           call->n_tokens <= t->o.max_tokens && call->n_conditions > 0 &&
           call->n_conditions <= t->o.max_conditions);
    MIM_NN(load_weights)(t, values);
    MIM_NN(modulate)(t, values, call, condition);
    for (size_t i = 0; i < call->n_samples; i += n) {
        mim_dit_call own;
        mim_dit_dropout dropout;
        const size_t left = call->n_samples - i;
        const TRUNK g = MIM_NN(group)(t, call, i, left < n ? left : n, &own, &dropout);
        MIM_NN(group_forward)(&g, values, &own);
    }
    return t->base.answer;
}

#include "nn/dit_backward_internal.h"

/* ---- creation ------------------------------------------------------------------------------- */

static void MIM_NN(find_tensors)(TRUNK *t, const mim_tensors *layout, size_t first)
{
    const size_t n = t->s.n_blocks;
    const mim_tensor *tensors = layout->tensors + first;
    t->condition_weight = tensors[0].offset;
    t->condition_bias = tensors[n + 1].offset;
    tensors += 2 * (n + 1);
    for (size_t i = 0; i < n; i++)
        for (int l = 0; l < N_LAYERS; l++, tensors += 2) {
            t->weight[i][l] = tensors[0].offset;
            t->bias[i][l] = tensors[1].offset;
        }
}

static int MIM_NN(prepare_products)(TRUNK *t, size_t n_values)
{
#if MIM_IS_DOUBLE
    (void)t;
    (void)n_values;
    return MIM_OK;
#elif MIM_IS_BF16
    int rc = MIM_OK;
    t->weights = t->o.weights;
    if (!t->weights) {
        rc = mim_layer_weights_create(t->gemm, MIM_PRECISION_BF16, n_values, &t->own_weights);
        t->weights = t->own_weights;
    }
    if (t->own_weights)
        t->base.n_bytes = mim_layer_weights_n_bytes(t->own_weights);
    return rc == MIM_OK ? mim_half_products_create(t->gemm, t->weights, &t->products) : rc;
#else
    mim_layer_weights *w = t->o.weights;
    (void)n_values;
    t->weights = w;
    if (!w)
        return MIM_OK;
    int rc = MIM_OK; /* not the conditions': theirs are large, and their rows few */
    for (size_t i = 0; i < t->s.n_blocks; i++)
        for (int l = 0; rc == MIM_OK && l < N_LAYERS; l++)
            rc = mim_layer_weights_add(w, t->weight[i][l], n_out(&t->s, (layer)l),
                                       n_in(&t->s, (layer)l));
    return rc;
#endif
}

static int MIM_NN(trunk_create)(const mim_dit_shape *shape, const mim_tensors *layout, size_t first,
                                const mim_dit_options *options, DIT **dit)
{
    static const MIM_OF_REAL(dit_kind)
        kind = {MIM_NN(trunk_forward), MIM_NN(trunk_backward), MIM_NN(trunk_destroy)};
    mim_carver c = {NULL, 0};
    TRUNK *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "transformer");
    made->base.kind = &kind;
    made->s = *shape;
    made->o = *options;
    made->gemm = options->gemm ? options->gemm : mim_gemm_find(NULL);
    MIM_NN(find_tensors)(made, layout, first);
    int rc = MIM_NN(prepare_products)(made, layout->n_values);
    MIM_NN(carve_all)(made, &c);
    made->base.n_bytes += c.used;
    if (rc == MIM_OK)
        rc = mim_carver_take(&c, "transformer");
    if (rc != MIM_OK) {
        MIM_NN(trunk_destroy)(&made->base);
        return rc;
    }
    made->memory = c.base;
    MIM_NN(carve_all)(made, &c);
    *dit = &made->base;
    return MIM_OK;
}

#undef DIT
#undef TRUNK
#undef TAPE
#undef BRANCH
#undef GRADIENT
