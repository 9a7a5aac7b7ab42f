/* Included by nn/encoder.c once per precision; see there. Not guarded.
 *
 * N tokens of width d in all, H heads, w the hidden width. */

/* What a block's forward call leaves for its backward call. */
typedef struct MIM_NN(layer) {
    MIM_REAL *x;                   /* [N][d] what came in */
    MIM_REAL *qkv, *log_sums;      /* [N][3 d], [N][H] */
    MIM_REAL *heads;               /* [N][d] */
    MIM_REAL *sum_1, *stats_1, *y; /* [N][d], [N][2], [N][d] before and after the first norm */
    MIM_REAL *hidden;              /* [N][w] before the activation */
    MIM_REAL *sum_2, *stats_2;     /* [N][d], [N][2] before the second norm */
} MIM_NN(layer);

struct MIM_ENCODER {
    mim_encoder_shape s;
    mim_encoder_options o;
    const mim_gemm *gemm;
    size_t n_bytes;
    size_t weight[MIM_ENCODER_MAX_BLOCKS][N_PARTS], bias[MIM_ENCODER_MAX_BLOCKS][N_PARTS];
    char *memory;
    MIM_NN(layer) blocks[MIM_ENCODER_MAX_BLOCKS];
    MIM_REAL *answer, *active, *work;                 /* [N][d], [N][w] */
    MIM_REAL *d_answer, *d_sum, *d_branch, *d_hidden; /* [N][d] three times, [N][w] */
    MIM_REAL *d_qkv;                                  /* [N][3 d] */
};

/* ---- memory --------------------------------------------------------------------------------- */

static mim_attention MIM_NN(attention)(const MIM_ENCODER *e, size_t n_samples, size_t n_tokens,
                                       const mim_dropout *dropout)
{
    const size_t d = e->s.width;
    return (mim_attention){.n_samples = n_samples,
                           .n_heads = e->s.n_heads,
                           .head_width = d / e->s.n_heads,
                           .n_queries = n_tokens,
                           .n_keys = n_tokens,
                           .ld_q = 3 * d,
                           .ld_k = 3 * d,
                           .ld_v = 3 * d,
                           .ld_y = d,
                           .dropout = dropout};
}

static mim_gelu MIM_NN(gelu_shape)(const MIM_ENCODER *e, size_t n_samples, size_t n_tokens,
                                   const mim_dropout *dropout)
{
    return (mim_gelu){n_samples, n_tokens, e->s.n_hidden, e->s.n_hidden, dropout};
}

static size_t MIM_NN(n_work)(const MIM_ENCODER *e)
{
    const mim_attention attention = MIM_NN(attention)(e, e->o.max_samples, e->o.max_tokens, NULL);
    const mim_gelu gelu = MIM_NN(gelu_shape)(e, e->o.max_samples, e->o.max_tokens, NULL);
    const size_t a = mim_attend_n_work(&attention), g = mim_gelu_n_work(&gelu);
    return a > g ? a : g;
}

static void MIM_NN(carve_layer)(const MIM_ENCODER *e, MIM_NN(layer) * l, mim_carver *c)
{
    const size_t n = e->o.max_samples * e->o.max_tokens, d = e->s.width, r = sizeof(MIM_REAL);
    l->x = mim_carve(c, n * d, r);
    l->qkv = mim_carve(c, n * 3 * d, r);
    l->log_sums = mim_carve(c, n * e->s.n_heads, r);
    l->heads = mim_carve(c, n * d, r);
    l->sum_1 = mim_carve(c, n * d, r);
    l->stats_1 = mim_carve(c, n * 2, r);
    l->y = mim_carve(c, n * d, r);
    l->hidden = mim_carve(c, n * e->s.n_hidden, r);
    l->sum_2 = mim_carve(c, n * d, r);
    l->stats_2 = mim_carve(c, n * 2, r);
}

static void MIM_NN(carve_all)(MIM_ENCODER *e, mim_carver *c)
{
    const size_t n = e->o.max_samples * e->o.max_tokens, d = e->s.width, r = sizeof(MIM_REAL);
    for (size_t i = 0; i < e->s.n_blocks; i++)
        if (i == 0 || e->o.is_training)
            MIM_NN(carve_layer)(e, &e->blocks[i], c);
        else
            e->blocks[i] = e->blocks[0];
    e->answer = mim_carve(c, n * d, r);
    e->active = mim_carve(c, n * e->s.n_hidden, r);
    e->work = mim_carve(c, MIM_NN(n_work)(e), r);
    if (!e->o.is_training)
        return;
    e->d_answer = mim_carve(c, n * d, r);
    e->d_sum = mim_carve(c, n * d, r);
    e->d_branch = mim_carve(c, n * d, r);
    e->d_hidden = mim_carve(c, n * e->s.n_hidden, r);
    e->d_qkv = mim_carve(c, n * 3 * d, r);
}

int MIM_NN(mim_encoder_create)(const mim_encoder_shape *shape, const mim_tensors *layout,
                               size_t first, const mim_encoder_options *options,
                               MIM_ENCODER **encoder)
{
    mim_carver c = {NULL, 0};
    int rc = check_options(shape, options);
    if (rc != MIM_OK)
        return rc;
    MIM_ENCODER *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "encoder");
    made->s = *shape;
    made->o = *options;
    made->gemm = options->gemm ? options->gemm : mim_gemm_find(NULL);
    for (size_t i = 0; i < shape->n_blocks; i++)
        for (size_t p = 0; p < N_PARTS; p++) {
            const mim_tensor *t = &layout->tensors[first + 2 * (i * N_PARTS + p)];
            made->weight[i][p] = t[0].offset;
            made->bias[i][p] = t[1].offset;
        }
    MIM_NN(carve_all)(made, &c);
    made->n_bytes = c.used;
    if ((rc = mim_carver_take(&c, "encoder")) != MIM_OK) {
        free(made);
        return rc;
    }
    made->memory = c.base;
    MIM_NN(carve_all)(made, &c);
    *encoder = made;
    return MIM_OK;
}

void MIM_NN(mim_encoder_destroy)(MIM_ENCODER **encoder)
{
    if (!encoder || !*encoder)
        return;
    free((*encoder)->memory);
    free(*encoder);
    *encoder = NULL;
}

size_t MIM_NN(mim_encoder_n_bytes)(const MIM_ENCODER *encoder) { return encoder->n_bytes; }

MIM_REAL *MIM_NN(mim_encoder_tokens)(MIM_ENCODER *encoder) { return encoder->blocks[0].x; }

MIM_REAL *MIM_NN(mim_encoder_d_answer)(MIM_ENCODER *encoder) { return encoder->d_answer; }

/* ---- forward -------------------------------------------------------------------------------- */

/* Of a block: probabilities (place 0), attention's result (1), the MLP's middle (2), its end (3).
 */
static const mim_dropout *MIM_NN(dropout_at)(const mim_encoder_call *call, size_t block,
                                             uint32_t place, mim_dropout *dropout)
{
    if (!call->dropout)
        return NULL;
    *dropout = *call->dropout;
    dropout->site += MIM_ENCODER_N_SITES * (uint32_t)block + place;
    return dropout;
}

static void MIM_NN(apply)(const MIM_ENCODER *e, const MIM_REAL *values, size_t block, part p,
                          bool has_bias, size_t n_rows, const MIM_REAL *x, MIM_REAL *y)
{
    const size_t in = n_in(&e->s, p), out = n_out(&e->s, p);
    MIM_NN(mim_linear_forward)
    (e->gemm, n_rows, in, out, x, in, values + e->weight[block][p],
     has_bias ? values + e->bias[block][p] : NULL, MIM_SET, y, out);
}

/* grads NULL: nothing is learnt, and x not read. */
static void MIM_NN(unapply)(const MIM_ENCODER *e, const MIM_REAL *values, size_t block, part p,
                            bool has_bias, size_t n_rows, const MIM_REAL *x, const MIM_REAL *dy,
                            mim_into into, MIM_REAL *dx, MIM_REAL *grads)
{
    const size_t in = n_in(&e->s, p), out = n_out(&e->s, p);
    MIM_NN(mim_linear_backward)
    (e->gemm, n_rows, in, out, x, in, values + e->weight[block][p], dy, out, into, dx, in,
     grads ? grads + e->weight[block][p] : NULL,
     grads && has_bias ? grads + e->bias[block][p] : NULL);
}

/* sum = x + dropout(branch); sum may be branch. */
static void MIM_NN(join)(const mim_encoder_call *call, size_t width, const mim_dropout *dropout,
                         MIM_REAL *branch, const MIM_REAL *x, MIM_REAL *sum)
{
    const size_t n = call->n_tokens * width;
    MIM_NN(mim_dropout_apply)(dropout, call->n_samples, n, branch, branch);
    for (size_t i = 0; i < call->n_samples * n; i++)
        sum[i] = x[i] + branch[i];
}

static MIM_NN(mim_projection)
    MIM_NN(projection)(const MIM_ENCODER *e, const MIM_REAL *values, size_t block)
{
    const size_t d = e->s.width;
    const MIM_REAL *qkv = e->blocks[block].qkv, *bias = values + e->bias[block][QKV];
    return (MIM_NN(mim_projection)){qkv, qkv + d, qkv + 2 * d, bias, bias + d, bias + 2 * d};
}

/* Branches are formed where their sums will stand. `out` may be where x is. */
static void MIM_NN(block_forward)(MIM_ENCODER *e, const MIM_REAL *values, size_t i,
                                  const mim_encoder_call *call, MIM_REAL *out)
{
    const MIM_NN(layer) *l = &e->blocks[i];
    const size_t n = call->n_samples * call->n_tokens, d = e->s.width;
    mim_dropout probabilities, mixed, middle, end;
    const mim_attention attention = MIM_NN(attention)(
        e, call->n_samples, call->n_tokens, MIM_NN(dropout_at)(call, i, 0, &probabilities));
    const mim_gelu gelu = MIM_NN(gelu_shape)(e, call->n_samples, call->n_tokens,
                                             MIM_NN(dropout_at)(call, i, 2, &middle));
    const MIM_NN(mim_projection) projection = MIM_NN(projection)(e, values, i);
    MIM_NN(apply)(e, values, i, QKV, false, n, l->x, l->qkv);
    MIM_NN(mim_attend_forward)(&attention, &projection, l->heads, l->log_sums, e->work);
    MIM_NN(apply)(e, values, i, MIX, true, n, l->heads, l->sum_1);
    MIM_NN(join)(call, d, MIM_NN(dropout_at)(call, i, 1, &mixed), l->sum_1, l->x, l->sum_1);
    MIM_NN(mim_layer_norm_forward)
    (n, d, norm_eps, l->sum_1, values + e->weight[i][NORM_1], values + e->bias[i][NORM_1], l->y,
     l->stats_1);
    MIM_NN(apply)(e, values, i, MLP_1, false, n, l->y, l->hidden);
    MIM_NN(mim_gelu_forward)(&gelu, l->hidden, values + e->bias[i][MLP_1], e->active);
    MIM_NN(apply)(e, values, i, MLP_2, true, n, e->active, l->sum_2);
    MIM_NN(join)(call, d, MIM_NN(dropout_at)(call, i, 3, &end), l->sum_2, l->y, l->sum_2);
    MIM_NN(mim_layer_norm_forward)
    (n, d, norm_eps, l->sum_2, values + e->weight[i][NORM_2], values + e->bias[i][NORM_2], out,
     l->stats_2);
}

const MIM_REAL *MIM_NN(mim_encoder_forward)(MIM_ENCODER *e, const MIM_REAL *values,
                                            const mim_encoder_call *call)
{
    assert(call->n_samples <= e->o.max_samples && call->n_tokens <= e->o.max_tokens);
    for (size_t i = 0; i < e->s.n_blocks; i++)
        MIM_NN(block_forward)
    (e, values, i, call, i + 1 < e->s.n_blocks ? e->blocks[i + 1].x : e->answer);
    return e->answer;
}

/* ---- backward ------------------------------------------------------------------------------- */

/* From e->d_answer, the gradient of what the block gave, to e->d_sum, that of what the first norm
 * gave. */
static void MIM_NN(mlp_backward)(MIM_ENCODER *e, const MIM_REAL *values, size_t i,
                                 const mim_encoder_call *call, MIM_REAL *grads)
{
    const MIM_NN(layer) *l = &e->blocks[i];
    const size_t n = call->n_samples * call->n_tokens, d = e->s.width;
    mim_dropout middle, end;
    const mim_gelu gelu = MIM_NN(gelu_shape)(e, call->n_samples, call->n_tokens,
                                             MIM_NN(dropout_at)(call, i, 2, &middle));
    MIM_NN(mim_layer_norm_backward)
    (n, d, l->sum_2, l->stats_2, values + e->weight[i][NORM_2], e->d_answer, MIM_SET, e->d_sum,
     grads + e->weight[i][NORM_2], grads + e->bias[i][NORM_2]);
    MIM_NN(mim_dropout_apply)
    (MIM_NN(dropout_at)(call, i, 3, &end), call->n_samples, call->n_tokens * d, e->d_sum,
     e->d_branch);
    /* the activation is made again on the way: the second layer's weights learn after it */
    MIM_NN(unapply)
    (e, values, i, MLP_2, true, n, NULL, e->d_branch, MIM_SET, e->d_hidden, NULL);
    MIM_NN(mim_gelu_backward)
    (&gelu, l->hidden, values + e->bias[i][MLP_1], e->d_hidden, e->d_hidden, e->active,
     grads + e->bias[i][MLP_1], e->work);
    MIM_NN(unapply)(e, values, i, MLP_2, true, n, e->active, e->d_branch, MIM_SET, NULL, grads);
    MIM_NN(unapply)(e, values, i, MLP_1, false, n, l->y, e->d_hidden, MIM_ADD, e->d_sum, grads);
}

/* From e->d_sum to e->d_answer, the gradient of what came into the block. */
static void MIM_NN(attention_backward)(MIM_ENCODER *e, const MIM_REAL *values, size_t i,
                                       const mim_encoder_call *call, MIM_REAL *grads)
{
    const MIM_NN(layer) *l = &e->blocks[i];
    const size_t n = call->n_samples * call->n_tokens, d = e->s.width;
    mim_dropout probabilities, mixed;
    const mim_attention attention = MIM_NN(attention)(
        e, call->n_samples, call->n_tokens, MIM_NN(dropout_at)(call, i, 0, &probabilities));
    const MIM_NN(mim_projection) projection = MIM_NN(projection)(e, values, i);
    MIM_REAL *bias = grads + e->bias[i][QKV];
    const MIM_NN(mim_projection_gradient)
        d_projection = {e->d_qkv, e->d_qkv + d, e->d_qkv + 2 * d, bias, bias + d, bias + 2 * d};
    MIM_NN(mim_layer_norm_backward)
    (n, d, l->sum_1, l->stats_1, values + e->weight[i][NORM_1], e->d_sum, MIM_SET, e->d_answer,
     grads + e->weight[i][NORM_1], grads + e->bias[i][NORM_1]);
    MIM_NN(mim_dropout_apply)
    (MIM_NN(dropout_at)(call, i, 1, &mixed), call->n_samples, call->n_tokens * d, e->d_answer,
     e->d_branch);
    MIM_NN(unapply)
    (e, values, i, MIX, true, n, l->heads, e->d_branch, MIM_SET, e->d_sum, grads);
    MIM_NN(mim_attend_backward)
    (&attention, &projection, l->heads, l->log_sums, e->d_sum, &d_projection, e->work);
    MIM_NN(unapply)(e, values, i, QKV, false, n, l->x, e->d_qkv, MIM_ADD, e->d_answer, grads);
}

const MIM_REAL *MIM_NN(mim_encoder_backward)(MIM_ENCODER *e, const MIM_REAL *values,
                                             const mim_encoder_call *call, MIM_REAL *grads)
{
    assert(e->o.is_training);
    for (size_t i = e->s.n_blocks; i-- > 0;) {
        MIM_NN(mlp_backward)(e, values, i, call, grads);
        MIM_NN(attention_backward)(e, values, i, call, grads);
    }
    return e->d_answer;
}
