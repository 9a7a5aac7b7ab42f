/* Included by diffusion/network_thread_token.c once per precision; see there. Not guarded.
 *
 * B samples, T threads, N = B (1 + T) tokens of width d; the global token is a sample's first. */

#define DIT MIM_NN(mim_dit)

#define OWN MIM_NN(own)

typedef struct OWN {
    MIM_NETWORK base;
    mim_architecture a;
    mim_network_options o; /* with a gemm */
    tensors t;
    mim_tensors *layout;
    DIT *body;
    void *memory;
    MIM_REAL *thread_in, *global_in;            /* [B T][2 S + 2], [B][2 G + 1] */
    MIM_REAL *thread_out, *global_out;          /* [B T][d], [B][d] */
    MIM_REAL *wave, *time_hidden, *time_active; /* [B][d] */
    MIM_REAL *node_hidden, *node_active;        /* [B][d] */
    MIM_REAL *condition, *d_condition;          /* [B][d] */
    MIM_REAL *d_hidden;                         /* [B][d] */
    MIM_REAL *last_out;                         /* [N][S] */
} OWN;

/* ---- memory -------------------------------------------------------------------------------- */

static void MIM_NN(carve_all)(OWN *own, mim_carver *c)
{
    const size_t b = own->o.max_samples, threads = b * own->o.max_threads, n = b + threads;
    const size_t d = own->a.width;
    own->thread_in = mim_carve(c, threads * n_thread_inputs(&own->a), sizeof(MIM_REAL));
    own->global_in = mim_carve(c, b * n_global_inputs(&own->a), sizeof(MIM_REAL));
    own->thread_out = mim_carve(c, threads * d, sizeof(MIM_REAL));
    own->global_out = mim_carve(c, b * d, sizeof(MIM_REAL));
    MIM_REAL **const rows[] = {&own->wave,        &own->time_hidden, &own->time_active,
                               &own->node_hidden, &own->node_active, &own->condition,
                               &own->d_condition, &own->d_hidden};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *rows[i] = mim_carve(c, b * d, sizeof(MIM_REAL));
    own->last_out = mim_carve(c, n * own->a.n_stressors, sizeof(MIM_REAL));
}

static void MIM_NN(own_destroy)(MIM_NETWORK *network)
{
    OWN *own = (OWN *)network;
    mim_tensors_destroy(&own->layout);
    MIM_NN(mim_dit_destroy)(&own->body);
    free(own->memory);
    free(own);
}

/* ---- linear layers by their index ----------------------------------------------------------- */

static void MIM_NN(apply)(const OWN *own, const MIM_REAL *values, size_t index, size_t n_rows,
                          const MIM_REAL *x, mim_into into, MIM_REAL *y)
{
    const mim_tensor *w = &own->layout->tensors[index];
    const size_t n_out = w->shape[0], n_in = w->shape[1];
    MIM_NN(mim_linear_forward)
    (own->o.gemm, n_rows, n_in, n_out, x, n_in, values + w->offset, values + w[1].offset, into, y,
     n_out);
}

static void MIM_NN(unapply)(const OWN *own, const MIM_REAL *values, size_t index, size_t n_rows,
                            const MIM_REAL *x, const MIM_REAL *dy, mim_into into, MIM_REAL *dx,
                            MIM_REAL *grads)
{
    const mim_tensor *w = &own->layout->tensors[index];
    const size_t n_out = w->shape[0], n_in = w->shape[1];
    MIM_NN(mim_linear_backward)
    (own->o.gemm, n_rows, n_in, n_out, x, n_in, values + w->offset, dy, n_out, into, dx, n_in,
     grads + w->offset, grads + w[1].offset);
}

/* ---- forward -------------------------------------------------------------------------------- */

static void MIM_NN(gather_inputs)(const OWN *own, const MIM_NETWORK_INPUT *in)
{
    const size_t s = own->a.n_stressors, g = own->a.n_node_metrics;
    const size_t n_own = n_thread_inputs(&own->a), n_global = n_global_inputs(&own->a);
    for (size_t b = 0; b < in->n_samples; b++) {
        const bool is_told = !in->is_conditional || in->is_conditional[b] > 0;
        for (size_t i = b * in->n_threads; i < (b + 1) * in->n_threads; i++) {
            MIM_REAL *row = own->thread_in + i * n_own;
            memcpy(row, in->noisy + i * s, s * sizeof *row);
            memcpy(row + s, in->previous + i * s, s * sizeof *row);
            row[2 * s] = is_told ? in->cpu[i] : 0;
            row[2 * s + 1] = is_told ? in->cpu_mask[i] : 0;
        }
        MIM_REAL *row = own->global_in + b * n_global;
        for (size_t j = 0; j < g; j++) {
            row[j] = is_told ? in->node[b * g + j] : 0;
            row[g + j] = is_told ? in->node_mask[b * g + j] : 0;
        }
        row[2 * g] = in->has_previous[b];
    }
}

static void MIM_NN(make_tokens)(const OWN *own, const MIM_REAL *values, const MIM_NETWORK_INPUT *in)
{
    const size_t d = own->a.width, b = in->n_samples, threads = in->n_threads;
    const MIM_REAL *table = values + own->layout->tensors[own->t.socket].offset;
    MIM_REAL *tokens = MIM_NN(mim_dit_tokens)(own->body);
    MIM_NN(gather_inputs)(own, in);
    MIM_NN(apply)
    (own, values, own->t.thread, b * threads, own->thread_in, MIM_SET, own->thread_out);
    MIM_NN(apply)(own, values, own->t.global, b, own->global_in, MIM_SET, own->global_out);
    for (size_t i = 0; i < b; i++) {
        MIM_REAL *x = tokens + i * (threads + 1) * d;
        memcpy(x, own->global_out + i * d, d * sizeof *x);
        memcpy(x + d, own->thread_out + i * threads * d, threads * d * sizeof *x);
        MIM_NN(mim_embedding_forward)(threads, d, table, in->socket, MIM_ADD, x + d);
    }
}

static void MIM_NN(make_condition)(const OWN *own, const MIM_REAL *values,
                                   const MIM_NETWORK_INPUT *in)
{
    const size_t d = own->a.width, b = in->n_samples;
    MIM_NN(mim_timestep_embedding)(b, in->time, d, own->wave);
    MIM_NN(apply)(own, values, own->t.time_1, b, own->wave, MIM_SET, own->time_hidden);
    MIM_NN(mim_activation_forward)(MIM_SILU, b * d, own->time_hidden, own->time_active);
    MIM_NN(apply)(own, values, own->t.time_2, b, own->time_active, MIM_SET, own->condition);
    MIM_NN(apply)(own, values, own->t.node_1, b, own->global_in, MIM_SET, own->node_hidden);
    MIM_NN(mim_activation_forward)(MIM_SILU, b * d, own->node_hidden, own->node_active);
    MIM_NN(apply)(own, values, own->t.node_2, b, own->node_active, MIM_ADD, own->condition);
}

static mim_dit_call MIM_NN(call_of)(const MIM_NETWORK_INPUT *in)
{
    return (mim_dit_call){.n_samples = in->n_samples,
                          .n_tokens = in->n_threads + 1,
                          .n_conditions = 1,
                          .ready = in->ready};
}

static void MIM_NN(own_forward)(MIM_NETWORK *network, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *predicted)
{
    OWN *own = (OWN *)network;
    const size_t s = own->a.n_stressors, b = in->n_samples;
    const size_t threads = in->n_threads, tokens = threads + 1;
    const mim_dit_call call = MIM_NN(call_of)(in);
    MIM_NN(make_tokens)(own, values, in);
    MIM_NN(make_condition)(own, values, in);
    const MIM_REAL *y = MIM_NN(mim_dit_forward)(own->body, values, &call, own->condition);
    MIM_NN(apply)(own, values, own->t.last, b * tokens, y, MIM_SET, own->last_out);
    for (size_t i = 0; i < b; i++)
        memcpy(predicted + i * threads * s, own->last_out + (i * tokens + 1) * s,
               threads * s * sizeof *predicted);
}

/* ---- backward ------------------------------------------------------------------------------- */

static void MIM_NN(condition_backward)(const OWN *own, const MIM_REAL *values,
                                       const MIM_NETWORK_INPUT *in, MIM_REAL *grads)
{
    const size_t d = own->a.width, b = in->n_samples;
    MIM_REAL *dc = own->d_condition, *dh = own->d_hidden;
    MIM_NN(unapply)(own, values, own->t.time_2, b, own->time_active, dc, MIM_SET, dh, grads);
    MIM_NN(mim_activation_backward)(MIM_SILU, b * d, own->time_hidden, dh, dh);
    MIM_NN(unapply)(own, values, own->t.time_1, b, own->wave, dh, MIM_SET, NULL, grads);
    MIM_NN(unapply)(own, values, own->t.node_2, b, own->node_active, dc, MIM_SET, dh, grads);
    MIM_NN(mim_activation_backward)(MIM_SILU, b * d, own->node_hidden, dh, dh);
    MIM_NN(unapply)(own, values, own->t.node_1, b, own->global_in, dh, MIM_SET, NULL, grads);
}

static void MIM_NN(tokens_backward)(const OWN *own, const MIM_REAL *values,
                                    const MIM_NETWORK_INPUT *in, const MIM_REAL *d_tokens,
                                    MIM_REAL *grads)
{
    const size_t d = own->a.width, b = in->n_samples, threads = in->n_threads;
    MIM_REAL *table = grads + own->layout->tensors[own->t.socket].offset;
    for (size_t i = 0; i < b; i++) {
        const MIM_REAL *dx = d_tokens + i * (threads + 1) * d;
        memcpy(own->global_out + i * d, dx, d * sizeof *dx);
        memcpy(own->thread_out + i * threads * d, dx + d, threads * d * sizeof *dx);
        MIM_NN(mim_embedding_backward)(threads, d, in->socket, dx + d, table);
    }
    MIM_NN(unapply)
    (own, values, own->t.thread, b * threads, own->thread_in, own->thread_out, MIM_SET, NULL,
     grads);
    MIM_NN(unapply)
    (own, values, own->t.global, b, own->global_in, own->global_out, MIM_SET, NULL, grads);
}

static void MIM_NN(own_backward)(MIM_NETWORK *network, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *d_predicted,
                                 MIM_REAL *grads)
{
    OWN *own = (OWN *)network;
    const size_t s = own->a.n_stressors, b = in->n_samples;
    const size_t threads = in->n_threads, tokens = threads + 1;
    const mim_dit_call call = MIM_NN(call_of)(in);
    memset(own->last_out, 0, b * tokens * s * sizeof *own->last_out);
    for (size_t i = 0; i < b; i++)
        memcpy(own->last_out + (i * tokens + 1) * s, d_predicted + i * threads * s,
               threads * s * sizeof *d_predicted);
    MIM_NN(unapply)
    (own, values, own->t.last, b * tokens, MIM_NN(mim_dit_answer)(own->body), own->last_out,
     MIM_SET, MIM_NN(mim_dit_d_answer)(own->body), grads);
    const MIM_REAL *d_tokens =
        MIM_NN(mim_dit_backward)(own->body, values, &call, own->condition, grads, own->d_condition);
    MIM_NN(condition_backward)(own, values, in, grads);
    MIM_NN(tokens_backward)(own, values, in, d_tokens, grads);
}

/* ---- creation ------------------------------------------------------------------------------- */

static int MIM_NN(start)(OWN *own)
{
    const mim_dit_shape body = body_shape(&own->a);
    const mim_dit_options options = {.gemm = own->o.gemm,
                                     .precision = own->o.precision,
                                     .weights = own->o.weights,
                                     .max_samples = own->o.max_samples,
                                     .max_tokens = own->o.max_threads + 1,
                                     .max_conditions = 1,
                                     .is_training = own->o.is_training};
    mim_carver c = {NULL, 0};
    int rc = make_layout(&own->a, &own->layout, &own->t);
    if (rc == MIM_OK)
        rc = MIM_NN(mim_dit_create)(&body, own->layout, own->t.body, &options, &own->body);
    if (rc != MIM_OK)
        return rc;
    MIM_NN(carve_all)(own, &c);
    own->base.n_bytes = c.used + MIM_NN(mim_dit_n_bytes)(own->body);
    if ((rc = mim_carver_take(&c, "network of threads")) != MIM_OK)
        return rc;
    own->memory = c.base;
    MIM_NN(carve_all)(own, &c);
    return MIM_OK;
}

static int MIM_NN(create)(const mim_architecture *a, const mim_network_options *o,
                          MIM_NETWORK **network)
{
    static const MIM_NN(mim_network_methods)
        methods = {MIM_NN(own_destroy), MIM_NN(own_forward), MIM_NN(own_backward)};
    OWN *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "network");
    made->base.methods = &methods;
    made->a = *a;
    made->o = *o;
    const int rc = MIM_NN(start)(made);
    if (rc == MIM_OK)
        *network = &made->base;
    else
        MIM_NN(own_destroy)(&made->base);
    return rc;
}

#undef OWN
#undef DIT
