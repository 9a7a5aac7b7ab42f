/* Included by diffusion/denoiser.c once per precision; see there. Not guarded.
 *
 * B samples, T threads, N = B (1 + T) tokens of width d; the global token is a sample's first. */

#define DIT MIM_NN(mim_dit)

struct MIM_DENOISER {
    mim_denoiser_shape a;
    mim_denoiser_options o;
    const mim_gemm *gemm;
    tensors t;
    mim_tensors *layout;
    DIT *body;
    size_t n_bytes;
    void *memory;
    MIM_REAL *thread_in, *global_in;            /* [B T][2 S + 2], [B][2 G + 1] */
    MIM_REAL *thread_out, *global_out;          /* [B T][d], [B][d] */
    MIM_REAL *wave, *time_hidden, *time_active; /* [B][d] */
    MIM_REAL *node_hidden, *node_active;        /* [B][d] */
    MIM_REAL *condition, *d_condition;          /* [B][d] */
    MIM_REAL *d_hidden;                         /* [B][d] */
    MIM_REAL *last_out;                         /* [N][S] */
};

/* ---- memory -------------------------------------------------------------------------------- */

static void MIM_NN(carve_all)(MIM_DENOISER *net, mim_carver *c)
{
    const size_t b = net->o.max_samples, threads = b * net->o.max_threads, n = b + threads;
    const size_t d = net->a.width;
    net->thread_in = mim_carve(c, threads * n_thread_inputs(&net->a), sizeof(MIM_REAL));
    net->global_in = mim_carve(c, b * n_global_inputs(&net->a), sizeof(MIM_REAL));
    net->thread_out = mim_carve(c, threads * d, sizeof(MIM_REAL));
    net->global_out = mim_carve(c, b * d, sizeof(MIM_REAL));
    MIM_REAL **const rows[] = {&net->wave,        &net->time_hidden, &net->time_active,
                               &net->node_hidden, &net->node_active, &net->condition,
                               &net->d_condition, &net->d_hidden};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *rows[i] = mim_carve(c, b * d, sizeof(MIM_REAL));
    net->last_out = mim_carve(c, n * net->a.n_stressors, sizeof(MIM_REAL));
}

static int MIM_NN(take_memory)(MIM_DENOISER *net)
{
    mim_carver c = {NULL, 0};
    MIM_NN(carve_all)(net, &c);
    net->n_bytes = c.used + MIM_NN(mim_dit_n_bytes)(net->body);
    const int rc = mim_carver_take(&c, "denoiser");
    if (rc != MIM_OK)
        return rc;
    net->memory = c.base;
    MIM_NN(carve_all)(net, &c);
    return MIM_OK;
}

int MIM_NN(mim_denoiser_create)(const mim_denoiser_shape *architecture,
                                const mim_denoiser_options *o, MIM_DENOISER **denoiser)
{
    MIM_DENOISER *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "denoiser");
    made->a = *architecture;
    made->o = *o;
    made->gemm = o->gemm ? o->gemm : mim_gemm_find(NULL);
    int rc = make_layout(architecture, &made->layout, &made->t);
    if (rc == MIM_OK && (!o->max_samples || !o->max_threads || o->max_samples > 1u << 20 ||
                         o->max_threads > 1u << 15))
        rc = mim_fail(MIM_EINVAL, "denoiser: %zu samples of %zu threads", o->max_samples,
                      o->max_threads);
    if (rc == MIM_OK) {
        const mim_dit_shape shape = body_shape(architecture);
        const mim_dit_options options = {.gemm = made->gemm,
                                         .precision = o->precision,
                                         .max_samples = o->max_samples,
                                         .max_tokens = o->max_threads + 1,
                                         .max_conditions = 1,
                                         .is_training = o->is_training};
        rc = MIM_NN(mim_dit_create)(&shape, made->layout, made->t.body, &options, &made->body);
    }
    if (rc == MIM_OK)
        rc = MIM_NN(take_memory)(made);
    if (rc == MIM_OK)
        *denoiser = made;
    else
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
    MIM_NN(mim_dit_destroy)(&old->body);
    free(old->memory);
    free(old);
}

size_t MIM_NN(mim_denoiser_n_bytes)(const MIM_DENOISER *denoiser) { return denoiser->n_bytes; }

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
    MIM_REAL *tokens = MIM_NN(mim_dit_tokens)(net->body);
    MIM_NN(gather_inputs)(net, in);
    MIM_NN(apply)
    (net, values, net->t.thread, b * threads, net->thread_in, MIM_SET, net->thread_out);
    MIM_NN(apply)(net, values, net->t.global, b, net->global_in, MIM_SET, net->global_out);
    for (size_t i = 0; i < b; i++) {
        MIM_REAL *x = tokens + i * (threads + 1) * d;
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
}

static mim_dit_call MIM_NN(call_of)(const MIM_DENOISER_INPUT *in)
{
    return (mim_dit_call){.n_samples = in->n_samples,
                          .n_tokens = in->n_threads + 1,
                          .n_conditions = 1,
                          .has_same_values = in->has_same_values,
                          .ready = in->ready};
}

void MIM_NN(mim_denoiser_forward)(MIM_DENOISER *net, const MIM_REAL *values,
                                  const MIM_DENOISER_INPUT *in, MIM_REAL *predicted)
{
    const size_t s = net->a.n_stressors, b = in->n_samples;
    const size_t threads = in->n_threads, tokens = threads + 1;
    const mim_dit_call call = MIM_NN(call_of)(in);
    MIM_NN(make_tokens)(net, values, in);
    MIM_NN(make_condition)(net, values, in);
    const MIM_REAL *y = MIM_NN(mim_dit_forward)(net->body, values, &call, net->condition);
    MIM_NN(apply)(net, values, net->t.last, b * tokens, y, MIM_SET, net->last_out);
    for (size_t i = 0; i < b; i++)
        memcpy(predicted + i * threads * s, net->last_out + (i * tokens + 1) * s,
               threads * s * sizeof *predicted);
}

/* ---- backward ------------------------------------------------------------------------------- */

static void MIM_NN(condition_backward)(const MIM_DENOISER *net, const MIM_REAL *values,
                                       const MIM_DENOISER_INPUT *in, MIM_REAL *grads)
{
    const size_t d = net->a.width, b = in->n_samples;
    MIM_REAL *dc = net->d_condition, *dh = net->d_hidden;
    MIM_NN(unapply)(net, values, net->t.time_2, b, net->time_active, dc, MIM_SET, dh, grads);
    MIM_NN(mim_activation_backward)(MIM_SILU, b * d, net->time_hidden, dh, dh);
    MIM_NN(unapply)(net, values, net->t.time_1, b, net->wave, dh, MIM_SET, NULL, grads);
    MIM_NN(unapply)(net, values, net->t.node_2, b, net->node_active, dc, MIM_SET, dh, grads);
    MIM_NN(mim_activation_backward)(MIM_SILU, b * d, net->node_hidden, dh, dh);
    MIM_NN(unapply)(net, values, net->t.node_1, b, net->global_in, dh, MIM_SET, NULL, grads);
}

static void MIM_NN(tokens_backward)(const MIM_DENOISER *net, const MIM_REAL *values,
                                    const MIM_DENOISER_INPUT *in, const MIM_REAL *d_tokens,
                                    MIM_REAL *grads)
{
    const size_t d = net->a.width, b = in->n_samples, threads = in->n_threads;
    MIM_REAL *table = grads + net->layout->tensors[net->t.socket].offset;
    for (size_t i = 0; i < b; i++) {
        const MIM_REAL *dx = d_tokens + i * (threads + 1) * d;
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
    const size_t s = net->a.n_stressors, b = in->n_samples;
    const size_t threads = in->n_threads, tokens = threads + 1;
    const mim_dit_call call = MIM_NN(call_of)(in);
    memset(net->last_out, 0, b * tokens * s * sizeof *net->last_out);
    for (size_t i = 0; i < b; i++)
        memcpy(net->last_out + (i * tokens + 1) * s, d_predicted + i * threads * s,
               threads * s * sizeof *d_predicted);
    MIM_NN(unapply)
    (net, values, net->t.last, b * tokens, MIM_NN(mim_dit_answer)(net->body), net->last_out,
     MIM_SET, MIM_NN(mim_dit_d_answer)(net->body), grads);
    const MIM_REAL *d_tokens =
        MIM_NN(mim_dit_backward)(net->body, values, &call, net->condition, grads, net->d_condition);
    MIM_NN(condition_backward)(net, values, in, grads);
    MIM_NN(tokens_backward)(net, values, in, d_tokens, grads);
}

#undef DIT
