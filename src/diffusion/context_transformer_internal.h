/* Included by diffusion/context_transformer.c once per precision; see there. Not guarded.
 *
 * N tokens a sample of width h. */

#define OWN MIM_NN(own)

typedef struct OWN {
    MIM_CONTEXT base;
    MIM_NN(mim_encoder) * layers;
    MIM_NN(mim_mlp) * end;
    size_t weight[N_MAPS], bias[N_MAPS], table; /* offsets in values */
    MIM_REAL *rows[N_MAPS];                     /* [B n_rows][n_in] */
    MIM_REAL *maps[N_MAPS];  /* [B n_rows][h] what the maps gave, or its gradient */
    MIM_REAL *mixed;         /* [B][h] before the activation, of a single token */
    MIM_REAL *last, *d_last; /* [B][in of the end] */
} OWN;

static void MIM_NN(own_close)(MIM_CONTEXT *context)
{
    OWN *own = (OWN *)context;
    MIM_NN(mim_encoder_destroy)(&own->layers);
    MIM_NN(mim_mlp_destroy)(&own->end);
}

static void MIM_NN(own_carve)(MIM_CONTEXT *context, mim_carver *c)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &own->base.a;
    const size_t b = own->base.o.max_samples, r = sizeof(MIM_REAL), h = a->encoder_width;
    const size_t in = end_shape(a).widths[0];
    for (size_t m = 0; m < n_maps(a); m++) {
        own->rows[m] = mim_carve(c, b * n_rows(a, (map)m) * n_in(a, (map)m), r);
        own->maps[m] = mim_carve(c, b * n_rows(a, (map)m) * h, r);
    }
    own->mixed = mim_carve(c, b * h, r);
    own->last = mim_carve(c, b * in, r);
    own->d_last = mim_carve(c, own->base.o.is_training ? b * in : 0, r);
}

/* ---- forward -------------------------------------------------------------------------------- */

/* Known numbers of all metrics as rows of one metric each. */
static void MIM_NN(put_metrics)(const mim_architecture *a, const MIM_NETWORK_INPUT *in,
                                MIM_REAL *rows)
{
    const size_t t = a->n_threads, g = a->n_node_metrics;
    for (size_t b = 0; b < in->n_samples; b++)
        for (size_t m = 0; m < t + g; m++) {
            *rows++ = m < t ? in->cpu[b * t + m] : in->node[b * g + m - t];
            if (a->has_masks)
                *rows++ = m < t ? in->cpu_mask[b * t + m] : in->node_mask[b * g + m - t];
        }
}

static void MIM_NN(put_rows)(const OWN *own, const MIM_NETWORK_INPUT *in)
{
    const mim_architecture *a = &own->base.a;
    if (sequence_of(a) == METRIC_TOKENS)
        MIM_NN(put_metrics)(a, in, own->rows[METRICS]);
    else
        MIM_NN(mim_context_put_known)(a, in, own->rows[METRICS], n_in(a, METRICS));
    if (a->encoder == MIM_CONTEXT_TRANSFORMER)
        MIM_NN(mim_context_put_sums)(a, in, own->rows[ACTION], n_in(a, ACTION));
    else if (a->encoder == MIM_CONTEXT_TRANSFORMER_FULL)
        MIM_NN(mim_context_put_previous)(a, in, own->rows[ACTION], n_in(a, ACTION));
    else if (sequence_of(a) == THREAD_TOKENS)
        for (size_t b = 0; b < in->n_samples; b++)
            for (size_t i = 0; i < mim_context_n_cells(a); i++)
                own->rows[ACTION][b * mim_context_n_cells(a) + i] =
                    MIM_NN(mim_context_previous)(a, in, b, i / a->n_stressors, i % a->n_stressors);
}

/* Where token `token` of sample b comes from: a row of one of the maps. */
static MIM_REAL *MIM_NN(source)(const OWN *own, size_t b, size_t token)
{
    const mim_architecture *a = &own->base.a;
    const size_t h = a->encoder_width;
    return sequence_of(a) == METRIC_TOKENS ? own->maps[METRICS] + (b * n_tokens(a) + token) * h
           : token == 0                    ? own->maps[METRICS] + b * h
                                           : own->maps[ACTION] + (b * a->n_threads + token - 1) * h;
}

static void MIM_NN(put_tokens)(const OWN *own, const MIM_REAL *values, size_t n_samples)
{
    const mim_architecture *a = &own->base.a;
    const size_t h = a->encoder_width, n = n_tokens(a);
    MIM_REAL *x = MIM_NN(mim_encoder_tokens)(own->layers);
    if (sequence_of(a) == ONE_TOKEN) {
        for (size_t i = 0; i < n_samples * h; i++)
            own->mixed[i] = (MIM_REAL)share_of_metrics * own->maps[METRICS][i] +
                            (MIM_REAL)share_of_action * own->maps[ACTION][i];
        MIM_NN(mim_activation_forward)(MIM_MISH, n_samples * h, own->mixed, x);
        return;
    }
    for (size_t i = 0; i < n_samples * n; i++) {
        const MIM_REAL *from = MIM_NN(source)(own, i / n, i % n);
        const MIM_REAL *place = values + own->table + i % n * h;
        for (size_t j = 0; j < h; j++)
            x[i * h + j] = from[j] + place[j];
    }
}

static mim_encoder_call MIM_NN(call_of)(const OWN *own, const MIM_NETWORK_INPUT *in,
                                        mim_dropout *dropout)
{
    const mim_architecture *a = &own->base.a;
    mim_encoder_call call = {in->n_samples, n_tokens(a), NULL};
    if (!in->dropout || !(a->encoder_dropout > 0))
        return call;
    *dropout = (mim_dropout){.rate = a->encoder_dropout,
                             .seed = in->dropout->seed,
                             .step = in->dropout->step,
                             .site = FIRST_SITE,
                             .samples = in->dropout->samples};
    call.dropout = dropout;
    return call;
}

/* What is left of the tokens: the mean of those of metrics, else the first. */
static void MIM_NN(pool)(const OWN *own, size_t n_samples, const MIM_REAL *tokens, size_t ld,
                         MIM_REAL *rows)
{
    const size_t h = own->base.a.encoder_width, n = n_tokens(&own->base.a);
    const size_t n_used = sequence_of(&own->base.a) == METRIC_TOKENS ? n : 1;
    for (size_t b = 0; b < n_samples; b++)
        for (size_t j = 0; j < h; j++) {
            MIM_REAL sum = 0;
            for (size_t i = 0; i < n_used; i++)
                sum += tokens[(b * n + i) * h + j];
            rows[b * ld + j] = sum / (MIM_REAL)n_used;
        }
}

static void MIM_NN(own_forward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *y)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t h = a->encoder_width, ld = end_shape(a).widths[0], cells = mim_context_n_cells(a);
    mim_dropout dropout;
    const mim_encoder_call call = MIM_NN(call_of)(own, in, &dropout);
    MIM_NN(put_rows)(own, in);
    for (size_t m = 0; m < n_maps(a); m++)
        MIM_NN(mim_linear_forward)
    (context->o.gemm, in->n_samples * n_rows(a, (map)m), n_in(a, (map)m), h, own->rows[m],
     n_in(a, (map)m), values + own->weight[m], values + own->bias[m], MIM_SET, own->maps[m], h);
    MIM_NN(put_tokens)(own, values, in->n_samples);
    const MIM_REAL *tokens = MIM_NN(mim_encoder_forward)(own->layers, values, &call);
    MIM_NN(pool)(own, in->n_samples, tokens, ld, own->last);
    if (has_skip(a)) {
        MIM_NN(mim_context_put_previous)(a, in, own->last + h, ld);
        MIM_NN(mim_context_put_known)(a, in, own->last + h + cells, ld);
    }
    MIM_NN(mim_mlp_forward)(own->end, values, in->n_samples, own->last, MIM_SET, y);
}

/* ---- backward ------------------------------------------------------------------------------- */

static void MIM_NN(pool_backward)(const OWN *own, size_t n_samples, const MIM_REAL *d_rows,
                                  size_t ld, MIM_REAL *d_tokens)
{
    const size_t h = own->base.a.encoder_width, n = n_tokens(&own->base.a);
    const size_t n_used = sequence_of(&own->base.a) == METRIC_TOKENS ? n : 1;
    for (size_t i = 0; i < n_samples * n; i++)
        for (size_t j = 0; j < h; j++)
            d_tokens[i * h + j] = i % n < n_used ? d_rows[i / n * ld + j] / (MIM_REAL)n_used : 0;
}

static void MIM_NN(tokens_backward)(const OWN *own, size_t n_samples, const MIM_REAL *d_tokens,
                                    MIM_REAL *grads)
{
    const mim_architecture *a = &own->base.a;
    const size_t h = a->encoder_width, n = n_tokens(a);
    if (sequence_of(a) == ONE_TOKEN) {
        MIM_REAL *d = own->maps[METRICS];
        MIM_NN(mim_activation_backward)(MIM_MISH, n_samples * h, own->mixed, d_tokens, d);
        for (size_t i = 0; i < n_samples * h; i++) {
            own->maps[ACTION][i] = (MIM_REAL)share_of_action * d[i];
            d[i] *= (MIM_REAL)share_of_metrics;
        }
        return;
    }
    for (size_t i = 0; i < n_samples * n; i++) {
        MIM_REAL *to = MIM_NN(source)(own, i / n, i % n);
        MIM_REAL *place = grads + own->table + i % n * h;
        for (size_t j = 0; j < h; j++) {
            to[j] = d_tokens[i * h + j];
            place[j] += to[j];
        }
    }
}

static void MIM_NN(own_backward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *dy, MIM_REAL *grads)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t h = a->encoder_width, ld = end_shape(a).widths[0];
    mim_dropout dropout;
    const mim_encoder_call call = MIM_NN(call_of)(own, in, &dropout);
    MIM_NN(mim_mlp_backward)
    (own->end, values, in->n_samples, own->last, dy, own->d_last, grads);
    MIM_NN(pool_backward)
    (own, in->n_samples, own->d_last, ld, MIM_NN(mim_encoder_d_answer)(own->layers));
    const MIM_REAL *d_tokens = MIM_NN(mim_encoder_backward)(own->layers, values, &call, grads);
    MIM_NN(tokens_backward)(own, in->n_samples, d_tokens, grads);
    for (size_t m = 0; m < n_maps(a); m++)
        MIM_NN(mim_linear_backward)
    (context->o.gemm, in->n_samples * n_rows(a, (map)m), n_in(a, (map)m), h, own->rows[m],
     n_in(a, (map)m), values + own->weight[m], own->maps[m], h, MIM_SET, NULL, 0,
     grads + own->weight[m], grads + own->bias[m]);
}

/* ---- creation ------------------------------------------------------------------------------- */

static int MIM_NN(own_open)(MIM_CONTEXT *context, const mim_tensors *layout, size_t first)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &own->base.a;
    const mim_context_options *o = &own->base.o;
    const mim_encoder_shape layers = layers_of(a);
    const mim_mlp_shape end = end_shape(a);
    const mim_encoder_options of_layers = {o->gemm, o->max_samples, n_tokens(a), o->is_training};
    size_t at = first;
    for (size_t m = 0; m < n_maps(a); m++, at += 2) {
        own->weight[m] = layout->tensors[at].offset;
        own->bias[m] = layout->tensors[at + 1].offset;
    }
    if (sequence_of(a) != ONE_TOKEN)
        own->table = layout->tensors[at++].offset;
    int rc = MIM_NN(mim_encoder_create)(&layers, layout, at, &of_layers, &own->layers);
    if (rc != MIM_OK)
        return rc;
    context->n_bytes += MIM_NN(mim_encoder_n_bytes)(own->layers);
    return MIM_NN(mim_context_open_mlp)(context, &end, layout, at + mim_encoder_n_tensors(&layers),
                                        1, &own->end);
}

static const MIM_NN(mim_context_methods) MIM_NN(methods) = {.size = sizeof(OWN),
                                                            .carve = MIM_NN(own_carve),
                                                            .open = MIM_NN(own_open),
                                                            .close = MIM_NN(own_close),
                                                            .forward = MIM_NN(own_forward),
                                                            .backward = MIM_NN(own_backward)};

#undef OWN
