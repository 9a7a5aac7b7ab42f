/* Included by diffusion/denoiser.c once per precision; see there. Not guarded.
 *
 * B samples, T threads, N = B (1 + T) tokens of width d; the global token is a sample's first. */

#define TAPE MIM_NN(block_tape)
#define CARVER MIM_NN(carver)

/* What a block's forward call leaves for its backward call. */
typedef struct TAPE {
    MIM_REAL *condition;       /* [B][6 d] scale, shift, gate of attention, then of the MLP */
    MIM_REAL *x, *stats_1;     /* [N][d] what came in; [N][2] */
    MIM_REAL *normed_1, *qkv;  /* [N][d], [N][3 d] */
    MIM_REAL *probs, *heads;   /* attention; [N][d] */
    MIM_REAL *mixed;           /* [N][d] */
    MIM_REAL *middle;          /* [N][d] x after attention */
    MIM_REAL *stats_2;         /* [N][2] */
    MIM_REAL *normed_2;        /* [N][d] */
    MIM_REAL *hidden, *active; /* [N][ratio d] before and after the activation */
    MIM_REAL *mlp;             /* [N][d] */
} TAPE;

struct MIM_DENOISER {
    mim_architecture a;
    const mim_gemm *gemm;
    tensors t;
    mim_tensors *layout;
    size_t max_samples, max_threads;
    MIM_REAL *memory;
    TAPE blocks[MIM_DENOISER_MAX_BLOCKS];
    MIM_REAL *thread_in, *global_in;            /* [B T][2 S + 2], [B][2 G + 1] */
    MIM_REAL *thread_out, *global_out;          /* [B T][d], [B][d] */
    MIM_REAL *wave, *time_hidden, *time_active; /* [B][d] */
    MIM_REAL *node_hidden, *node_active;        /* [B][d] */
    MIM_REAL *condition, *condition_active;     /* [B][d] */
    MIM_REAL *x, *last_condition, *last_stats;  /* [N][d], [B][2 d], [N][2] */
    MIM_REAL *last_normed, *last_out;           /* [N][d], [N][S] */
    MIM_REAL *work;                             /* of attention */
    MIM_REAL *d_x, *d_y, *d_wide, *d_qkv;       /* [N][d], [N][d], [N][ratio d], [N][3 d] */
    MIM_REAL *d_condition, *d_active;           /* [B][6 d], [B][d] */
};

/* ---- memory -------------------------------------------------------------------------------- */

typedef struct CARVER {
    MIM_REAL *base; /* NULL: only counting */
    size_t used;
} CARVER;

static MIM_REAL *MIM_NN(carve)(CARVER *c, size_t n)
{
    MIM_REAL *place = c->base ? c->base + c->used : NULL;
    c->used += (n + 15) / 16 * 16;
    return place;
}

static mim_attention MIM_NN(attention_shape)(const MIM_DENOISER *net, size_t n_samples,
                                             size_t n_threads)
{
    const size_t d = net->a.width;
    return (mim_attention){.n_samples = n_samples,
                           .n_heads = net->a.n_heads,
                           .head_width = d / net->a.n_heads,
                           .n_queries = n_threads + 1,
                           .n_keys = n_threads + 1,
                           .ld_q = 3 * d,
                           .ld_k = 3 * d,
                           .ld_v = 3 * d,
                           .ld_y = d};
}

static void MIM_NN(carve_block)(const MIM_DENOISER *net, TAPE *block, CARVER *c)
{
    const size_t b = net->max_samples, n = b * (net->max_threads + 1), d = net->a.width;
    const mim_attention shape = MIM_NN(attention_shape)(net, b, net->max_threads);
    block->condition = MIM_NN(carve)(c, b * 6 * d);
    block->x = MIM_NN(carve)(c, n * d);
    block->stats_1 = MIM_NN(carve)(c, n * 2);
    block->normed_1 = MIM_NN(carve)(c, n * d);
    block->qkv = MIM_NN(carve)(c, n * 3 * d);
    block->probs = MIM_NN(carve)(c, mim_attention_n_probs(&shape));
    block->heads = MIM_NN(carve)(c, n * d);
    block->mixed = MIM_NN(carve)(c, n * d);
    block->middle = MIM_NN(carve)(c, n * d);
    block->stats_2 = MIM_NN(carve)(c, n * 2);
    block->normed_2 = MIM_NN(carve)(c, n * d);
    block->hidden = MIM_NN(carve)(c, n * d * net->a.mlp_ratio);
    block->active = MIM_NN(carve)(c, n * d * net->a.mlp_ratio);
    block->mlp = MIM_NN(carve)(c, n * d);
}

static void MIM_NN(carve_all)(MIM_DENOISER *net, CARVER *c)
{
    const size_t b = net->max_samples, threads = b * net->max_threads, n = b + threads;
    const size_t d = net->a.width;
    const mim_attention shape = MIM_NN(attention_shape)(net, b, net->max_threads);
    for (size_t i = 0; i < net->a.n_blocks; i++)
        MIM_NN(carve_block)(net, &net->blocks[i], c);
    net->thread_in = MIM_NN(carve)(c, threads * n_thread_inputs(&net->a));
    net->global_in = MIM_NN(carve)(c, b * n_global_inputs(&net->a));
    net->thread_out = MIM_NN(carve)(c, threads * d);
    net->global_out = MIM_NN(carve)(c, b * d);
    MIM_REAL **const rows[] = {
        &net->wave,        &net->time_hidden, &net->time_active,      &net->node_hidden,
        &net->node_active, &net->condition,   &net->condition_active, &net->d_active};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *rows[i] = MIM_NN(carve)(c, b * d);
    net->x = MIM_NN(carve)(c, n * d);
    net->last_condition = MIM_NN(carve)(c, b * 2 * d);
    net->last_stats = MIM_NN(carve)(c, n * 2);
    net->last_normed = MIM_NN(carve)(c, n * d);
    net->last_out = MIM_NN(carve)(c, n * net->a.n_stressors);
    net->work = MIM_NN(carve)(c, mim_attention_n_work(&shape));
    net->d_x = MIM_NN(carve)(c, n * d);
    net->d_y = MIM_NN(carve)(c, n * d);
    net->d_wide = MIM_NN(carve)(c, n * d * net->a.mlp_ratio);
    net->d_qkv = MIM_NN(carve)(c, n * 3 * d);
    net->d_condition = MIM_NN(carve)(c, b * 6 * d);
}

int MIM_NN(mim_denoiser_create)(const mim_architecture *architecture, const mim_gemm *gemm,
                                size_t max_samples, size_t max_threads, MIM_DENOISER **denoiser)
{
    CARVER c = {NULL, 0};
    MIM_DENOISER *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "denoiser");
    made->a = *architecture;
    made->gemm = gemm ? gemm : mim_gemm_find(NULL);
    made->max_samples = max_samples;
    made->max_threads = max_threads;
    int rc = make_layout(architecture, &made->layout, &made->t);
    if (rc == MIM_OK &&
        (!max_samples || !max_threads || max_samples > 1u << 20 || max_threads > 1u << 16))
        rc = mim_fail(MIM_EINVAL, "denoiser: %zu samples of %zu threads", max_samples, max_threads);
    if (rc != MIM_OK)
        goto done;
    MIM_NN(carve_all)(made, &c);
    if (c.used < SIZE_MAX / 4 / sizeof(MIM_REAL))
        made->memory = c.base = aligned_alloc(64, c.used * sizeof(MIM_REAL));
    if (!c.base) {
        rc = mim_fail(MIM_ENOMEM, "denoiser for %zu samples of %zu threads", max_samples,
                      max_threads);
        goto done;
    }
    c.used = 0;
    MIM_NN(carve_all)(made, &c);
    *denoiser = made;
    made = NULL;
done:
    MIM_NN(mim_denoiser_destroy)(&made);
    return rc;
}

void MIM_NN(mim_denoiser_destroy)(MIM_DENOISER **denoiser)
{
    MIM_DENOISER *old = *denoiser;
    if (!old)
        return;
    *denoiser = NULL;
    mim_tensors_destroy(&old->layout);
    free(old->memory);
    free(old);
}

/* ---- linear layers by their index ----------------------------------------------------------- */

static void MIM_NN(apply)(const MIM_DENOISER *net, const MIM_REAL *values, size_t index,
                          size_t n_rows, const MIM_REAL *x, mim_into into, MIM_REAL *y)
{
    const mim_tensor *w = &net->layout->tensors[index];
    const size_t n_out = w->shape[0], n_in = w->shape[1];
    MIM_NN(mim_linear_forward)
    (net->gemm, n_rows, n_in, n_out, x, n_in, values + w->offset, values + w[1].offset, into, y,
     n_out);
}

static void MIM_NN(unapply)(const MIM_DENOISER *net, const MIM_REAL *values, size_t index,
                            size_t n_rows, const MIM_REAL *x, const MIM_REAL *dy, mim_into into,
                            MIM_REAL *dx, MIM_REAL *grads)
{
    const mim_tensor *w = &net->layout->tensors[index];
    const size_t n_out = w->shape[0], n_in = w->shape[1];
    MIM_NN(mim_linear_backward)
    (net->gemm, n_rows, n_in, n_out, x, n_in, values + w->offset, dy, n_out, into, dx, n_in,
     grads + w->offset, grads + w[1].offset);
}

/* ---- forward -------------------------------------------------------------------------------- */

static void MIM_NN(gather_inputs)(const MIM_DENOISER *net, const MIM_DENOISER_INPUT *in)
{
    const size_t s = net->a.n_stressors, g = net->a.n_node_metrics;
    for (size_t i = 0; i < in->n_samples * in->n_threads; i++) {
        MIM_REAL *row = net->thread_in + i * n_thread_inputs(&net->a);
        memcpy(row, in->noisy + i * s, s * sizeof *row);
        memcpy(row + s, in->previous + i * s, s * sizeof *row);
        row[2 * s] = in->cpu[i];
        row[2 * s + 1] = in->cpu_mask[i];
    }
    for (size_t i = 0; i < in->n_samples; i++) {
        MIM_REAL *row = net->global_in + i * n_global_inputs(&net->a);
        for (size_t j = 0; j < g; j++) {
            row[j] = in->node[i * g + j];
            row[g + j] = in->node_mask[i * g + j];
        }
        row[2 * g] = in->has_previous[i];
    }
}

static void MIM_NN(make_tokens)(const MIM_DENOISER *net, const MIM_REAL *values,
                                const MIM_DENOISER_INPUT *in)
{
    const size_t d = net->a.width, b = in->n_samples, threads = in->n_threads;
    const MIM_REAL *table = values + net->layout->tensors[net->t.socket].offset;
    MIM_NN(gather_inputs)(net, in);
    MIM_NN(apply)
    (net, values, net->t.thread, b * threads, net->thread_in, MIM_SET, net->thread_out);
    MIM_NN(apply)(net, values, net->t.global, b, net->global_in, MIM_SET, net->global_out);
    for (size_t i = 0; i < b; i++) {
        MIM_REAL *x = net->x + i * (threads + 1) * d;
        memcpy(x, net->global_out + i * d, d * sizeof *x);
        memcpy(x + d, net->thread_out + i * threads * d, threads * d * sizeof *x);
        MIM_NN(mim_embedding_forward)(threads, d, table, in->socket, MIM_ADD, x + d);
    }
}

static void MIM_NN(make_condition)(const MIM_DENOISER *net, const MIM_REAL *values,
                                   const MIM_DENOISER_INPUT *in)
{
    const size_t d = net->a.width, b = in->n_samples;
    MIM_NN(mim_timestep_embedding)(b, in->time, d, net->wave);
    MIM_NN(apply)(net, values, net->t.time_1, b, net->wave, MIM_SET, net->time_hidden);
    MIM_NN(mim_activation_forward)(MIM_SILU, b * d, net->time_hidden, net->time_active);
    MIM_NN(apply)(net, values, net->t.time_2, b, net->time_active, MIM_SET, net->condition);
    MIM_NN(apply)(net, values, net->t.node_1, b, net->global_in, MIM_SET, net->node_hidden);
    MIM_NN(mim_activation_forward)(MIM_SILU, b * d, net->node_hidden, net->node_active);
    MIM_NN(apply)(net, values, net->t.node_2, b, net->node_active, MIM_ADD, net->condition);
    MIM_NN(mim_activation_forward)(MIM_SILU, b * d, net->condition, net->condition_active);
}

static void MIM_NN(block_forward)(const MIM_DENOISER *net, const MIM_REAL *values, size_t number,
                                  const MIM_DENOISER_INPUT *in)
{
    const TAPE *k = &net->blocks[number];
    const block_tensors *t = &net->t.blocks[number];
    const size_t d = net->a.width, b = in->n_samples, tokens = in->n_threads + 1, n = b * tokens;
    const size_t wide = net->a.mlp_ratio * d;
    const MIM_REAL *c = k->condition;
    const mim_attention shape = MIM_NN(attention_shape)(net, b, in->n_threads);
    MIM_NN(apply)(net, values, t->condition, b, net->condition_active, MIM_SET, k->condition);
    memcpy(k->x, net->x, n * d * sizeof *k->x);
    MIM_NN(mim_modulate_forward)
    (b, tokens, d, norm_eps, k->x, c, c + d, 6 * d, k->normed_1, k->stats_1);
    MIM_NN(apply)(net, values, t->qkv, n, k->normed_1, MIM_SET, k->qkv);
    MIM_NN(mim_attention_forward)
    (net->gemm, &shape, k->qkv, k->qkv + d, k->qkv + 2 * d, k->probs, net->work, k->heads);
    MIM_NN(apply)(net, values, t->mix, n, k->heads, MIM_SET, k->mixed);
    MIM_NN(mim_gate_forward)(b, tokens, d, k->mixed, c + 2 * d, 6 * d, net->x);
    memcpy(k->middle, net->x, n * d * sizeof *k->middle);
    MIM_NN(mim_modulate_forward)
    (b, tokens, d, norm_eps, k->middle, c + 3 * d, c + 4 * d, 6 * d, k->normed_2, k->stats_2);
    MIM_NN(apply)(net, values, t->mlp_1, n, k->normed_2, MIM_SET, k->hidden);
    MIM_NN(mim_activation_forward)(MIM_GELU, n * wide, k->hidden, k->active);
    MIM_NN(apply)(net, values, t->mlp_2, n, k->active, MIM_SET, k->mlp);
    MIM_NN(mim_gate_forward)(b, tokens, d, k->mlp, c + 5 * d, 6 * d, net->x);
}

void MIM_NN(mim_denoiser_forward)(MIM_DENOISER *net, const MIM_REAL *values,
                                  const MIM_DENOISER_INPUT *in, MIM_REAL *predicted)
{
    const size_t d = net->a.width, s = net->a.n_stressors, b = in->n_samples;
    const size_t threads = in->n_threads, tokens = threads + 1;
    const MIM_REAL *c = net->last_condition;
    MIM_NN(make_tokens)(net, values, in);
    MIM_NN(make_condition)(net, values, in);
    for (size_t i = 0; i < net->a.n_blocks; i++)
        MIM_NN(block_forward)(net, values, i, in);
    MIM_NN(apply)
    (net, values, net->t.last_condition, b, net->condition_active, MIM_SET, net->last_condition);
    MIM_NN(mim_modulate_forward)
    (b, tokens, d, norm_eps, net->x, c, c + d, 2 * d, net->last_normed, net->last_stats);
    MIM_NN(apply)(net, values, net->t.last, b * tokens, net->last_normed, MIM_SET, net->last_out);
    for (size_t i = 0; i < b; i++)
        memcpy(predicted + i * threads * s, net->last_out + (i * tokens + 1) * s,
               threads * s * sizeof *predicted);
}

/* ---- backward ------------------------------------------------------------------------------- */

/* net->d_x: of what the block gave, becomes of what it got. net->d_active is added to. */
static void MIM_NN(block_backward)(const MIM_DENOISER *net, const MIM_REAL *values, size_t number,
                                   const MIM_DENOISER_INPUT *in, MIM_REAL *grads)
{
    const TAPE *k = &net->blocks[number];
    const block_tensors *t = &net->t.blocks[number];
    const size_t d = net->a.width, b = in->n_samples, tokens = in->n_threads + 1, n = b * tokens;
    const size_t wide = net->a.mlp_ratio * d;
    const MIM_REAL *c = k->condition;
    MIM_REAL *dc = net->d_condition, *dx = net->d_x, *dy = net->d_y, *dq = net->d_qkv;
    const mim_attention shape = MIM_NN(attention_shape)(net, b, in->n_threads);
    memset(dc, 0, b * 6 * d * sizeof *dc);
    MIM_NN(mim_gate_backward)(b, tokens, d, k->mlp, c + 5 * d, 6 * d, dx, dy, dc + 5 * d);
    MIM_NN(unapply)(net, values, t->mlp_2, n, k->active, dy, MIM_SET, net->d_wide, grads);
    MIM_NN(mim_activation_backward)(MIM_GELU, n * wide, k->hidden, net->d_wide, net->d_wide);
    MIM_NN(unapply)(net, values, t->mlp_1, n, k->normed_2, net->d_wide, MIM_SET, dy, grads);
    MIM_NN(mim_modulate_backward)
    (b, tokens, d, k->middle, k->stats_2, c + 3 * d, 6 * d, dy, MIM_ADD, dx, dc + 3 * d,
     dc + 4 * d);
    MIM_NN(mim_gate_backward)(b, tokens, d, k->mixed, c + 2 * d, 6 * d, dx, dy, dc + 2 * d);
    MIM_NN(unapply)(net, values, t->mix, n, k->heads, dy, MIM_SET, net->d_wide, grads);
    MIM_NN(mim_attention_backward)
    (net->gemm, &shape, k->qkv, k->qkv + d, k->qkv + 2 * d, k->probs, net->d_wide, net->work, dq,
     dq + d, dq + 2 * d);
    MIM_NN(unapply)(net, values, t->qkv, n, k->normed_1, dq, MIM_SET, dy, grads);
    MIM_NN(mim_modulate_backward)
    (b, tokens, d, k->x, k->stats_1, c, 6 * d, dy, MIM_ADD, dx, dc, dc + d);
    MIM_NN(unapply)
    (net, values, t->condition, b, net->condition_active, dc, MIM_ADD, net->d_active, grads);
}

/* net->d_active: of the condition after its activation. */
static void MIM_NN(condition_backward)(const MIM_DENOISER *net, const MIM_REAL *values,
                                       const MIM_DENOISER_INPUT *in, MIM_REAL *grads)
{
    const size_t d = net->a.width, b = in->n_samples;
    MIM_REAL *dc = net->d_active, *dh = net->d_condition;
    MIM_NN(mim_activation_backward)(MIM_SILU, b * d, net->condition, dc, dc);
    MIM_NN(unapply)(net, values, net->t.time_2, b, net->time_active, dc, MIM_SET, dh, grads);
    MIM_NN(mim_activation_backward)(MIM_SILU, b * d, net->time_hidden, dh, dh);
    MIM_NN(unapply)(net, values, net->t.time_1, b, net->wave, dh, MIM_SET, NULL, grads);
    MIM_NN(unapply)(net, values, net->t.node_2, b, net->node_active, dc, MIM_SET, dh, grads);
    MIM_NN(mim_activation_backward)(MIM_SILU, b * d, net->node_hidden, dh, dh);
    MIM_NN(unapply)(net, values, net->t.node_1, b, net->global_in, dh, MIM_SET, NULL, grads);
}

/* net->d_x: of the tokens. */
static void MIM_NN(tokens_backward)(const MIM_DENOISER *net, const MIM_REAL *values,
                                    const MIM_DENOISER_INPUT *in, MIM_REAL *grads)
{
    const size_t d = net->a.width, b = in->n_samples, threads = in->n_threads;
    MIM_REAL *table = grads + net->layout->tensors[net->t.socket].offset;
    for (size_t i = 0; i < b; i++) {
        const MIM_REAL *dx = net->d_x + i * (threads + 1) * d;
        memcpy(net->global_out + i * d, dx, d * sizeof *dx);
        memcpy(net->thread_out + i * threads * d, dx + d, threads * d * sizeof *dx);
        MIM_NN(mim_embedding_backward)(threads, d, in->socket, dx + d, table);
    }
    MIM_NN(unapply)
    (net, values, net->t.thread, b * threads, net->thread_in, net->thread_out, MIM_SET, NULL,
     grads);
    MIM_NN(unapply)
    (net, values, net->t.global, b, net->global_in, net->global_out, MIM_SET, NULL, grads);
}

void MIM_NN(mim_denoiser_backward)(MIM_DENOISER *net, const MIM_REAL *values,
                                   const MIM_DENOISER_INPUT *in, const MIM_REAL *d_predicted,
                                   MIM_REAL *grads)
{
    const size_t d = net->a.width, s = net->a.n_stressors, b = in->n_samples;
    const size_t threads = in->n_threads, tokens = threads + 1;
    MIM_REAL *dc = net->d_condition;
    memset(net->last_out, 0, b * tokens * s * sizeof *net->last_out);
    for (size_t i = 0; i < b; i++)
        memcpy(net->last_out + (i * tokens + 1) * s, d_predicted + i * threads * s,
               threads * s * sizeof *d_predicted);
    MIM_NN(unapply)
    (net, values, net->t.last, b * tokens, net->last_normed, net->last_out, MIM_SET, net->d_y,
     grads);
    memset(dc, 0, b * 2 * d * sizeof *dc);
    MIM_NN(mim_modulate_backward)
    (b, tokens, d, net->x, net->last_stats, net->last_condition, 2 * d, net->d_y, MIM_SET, net->d_x,
     dc, dc + d);
    MIM_NN(unapply)
    (net, values, net->t.last_condition, b, net->condition_active, dc, MIM_SET, net->d_active,
     grads);
    for (size_t i = net->a.n_blocks; i-- > 0;)
        MIM_NN(block_backward)(net, values, i, in, grads);
    MIM_NN(condition_backward)(net, values, in, grads);
    MIM_NN(tokens_backward)(net, values, in, grads);
}

#undef TAPE
#undef CARVER
