/* Included by diffusion/network_cell_token.c once per precision; see there. Not guarded.
 *
 * B samples, N = S T tokens each of width d, R condition rows each of width d + c. */

#define OWN MIM_NN(own)

typedef struct OWN {
    MIM_NETWORK base;
    mim_architecture a;
    mim_network_options o; /* with a gemm */
    tensors t;
    mim_tensors *layout;
    MIM_NN(mim_dit) * body;
    MIM_NN(mim_mlp) * time, *previous, *own; /* the last two: NULL where there are none */
    MIM_NN(mim_context) * context;
    char *memory;
    unsigned char *is_quiet;           /* [S] */
    MIM_REAL *cells;                   /* [B N] noisy weights, then the answer or its gradient */
    MIM_REAL *place;                   /* [N][d] what tokens are without their weight */
    MIM_REAL *wave, *time_out;         /* [B][d] */
    MIM_REAL *context_out;             /* [B][c] or [B T][c] */
    MIM_REAL *own_in, *own_out;        /* [B T][n_told], [B T][d or c] */
    MIM_REAL *previous_in;             /* [B N][n_told] */
    MIM_REAL *condition, *d_condition; /* [B R][d + c] */
    MIM_REAL *d_previous;              /* [B N][d] */
} OWN;

static void MIM_NN(own_destroy)(MIM_NETWORK *network)
{
    OWN *own = (OWN *)network;
    mim_tensors_destroy(&own->layout);
    MIM_NN(mim_dit_destroy)(&own->body);
    MIM_NN(mim_mlp_destroy)(&own->time);
    MIM_NN(mim_mlp_destroy)(&own->previous);
    MIM_NN(mim_mlp_destroy)(&own->own);
    MIM_NN(mim_context_destroy)(&own->context);
    free(own->memory);
    free(own);
}

static void MIM_NN(carve_all)(OWN *own, mim_carver *c)
{
    const mim_architecture *a = &own->a;
    const size_t b = own->o.max_samples, n = b * n_tokens(a), d = a->width, r = sizeof(MIM_REAL);
    const size_t threads = b * a->n_threads, rows = b * n_conditions(a);
    const bool has_previous = a->previous == MIM_PREVIOUS_TOKEN, is_training = own->o.is_training;
    own->is_quiet = mim_carve(c, a->n_stressors, 1);
    own->cells = mim_carve(c, n, r);
    own->place = mim_carve(c, n_tokens(a) * d, r);
    own->wave = mim_carve(c, b * d, r);
    own->time_out = mim_carve(c, b * d, r);
    own->context_out =
        mim_carve(c, (mim_context_is_per_thread(a) ? threads : b) * a->context_width, r);
    own->own_in = mim_carve(c, has_own(a) ? threads * n_told(a) : 0, r);
    own->own_out = mim_carve(c, has_own(a) ? threads * own_shape(a).widths[2] : 0, r);
    own->previous_in = mim_carve(c, has_previous ? n * n_told(a) : 0, r);
    own->condition = mim_carve(c, rows * (d + a->context_width), r);
    own->d_condition = mim_carve(c, is_training ? rows * (d + a->context_width) : 0, r);
    own->d_previous = mim_carve(c, is_training && has_previous ? n * d : 0, r);
}

/* ---- tokens --------------------------------------------------------------------------------- */

static MIM_REAL MIM_NN(share_of)(const MIM_NETWORK_INPUT *in, size_t b)
{
    return in->is_conditional ? in->is_conditional[b] : 1;
}

static const MIM_REAL *MIM_NN(at)(const OWN *own, const MIM_REAL *values, size_t index)
{
    return values + own->layout->tensors[index].offset;
}

static void MIM_NN(put_cells)(const OWN *own, size_t n_samples, const MIM_REAL *from)
{
    const size_t s = own->a.n_stressors, t = own->a.n_threads;
    for (size_t b = 0; b < n_samples; b++)
        for (size_t i = 0; i < s; i++)
            for (size_t j = 0; j < t; j++)
                own->cells[(b * s + i) * t + j] = from[(b * t + j) * s + i];
}

static void MIM_NN(put_place)(const OWN *own, const MIM_REAL *values)
{
    const size_t d = own->a.width, t = own->a.n_threads;
    const MIM_REAL *bias = MIM_NN(at)(own, values, own->t.token + 1);
    const MIM_REAL *stressor = MIM_NN(at)(own, values, own->t.stressor);
    const MIM_REAL *thread = MIM_NN(at)(own, values, own->t.thread);
    for (size_t i = 0; i < n_tokens(&own->a); i++)
        for (size_t j = 0; j < d; j++)
            own->place[i * d + j] = bias[j] + stressor[i / t * d + j] + thread[i % t * d + j];
}

static void MIM_NN(put_previous)(const OWN *own, const MIM_NETWORK_INPUT *in)
{
    const mim_architecture *a = &own->a;
    const size_t s = a->n_stressors, t = a->n_threads, n = n_tokens(a);
    MIM_REAL *to = own->previous_in;
    for (size_t i = 0; i < in->n_samples * n; i++) {
        const size_t b = i / n, stressor = i % n / t, thread = i % t;
        *to++ = a->is_previous_frozen ? -1 : in->previous[(b * t + thread) * s + stressor];
        if (a->has_masks)
            *to++ = a->is_previous_frozen ? 0 : in->has_previous[b];
    }
}

static void MIM_NN(put_own)(const OWN *own, const MIM_REAL *values, const MIM_NETWORK_INPUT *in)
{
    const size_t n = in->n_samples * own->a.n_threads, k = n_told(&own->a);
    for (size_t i = 0; i < n; i++) {
        own->own_in[i * k] = in->cpu[i];
        if (k > 1)
            own->own_in[i * k + 1] = in->cpu_mask[i];
    }
    MIM_NN(mim_mlp_forward)(own->own, values, n, own->own_in, MIM_SET, own->own_out);
}

/* The tokens of a sample's stressor, one a thread; those of the slot before are there already. */
static void MIM_NN(put_row)(const OWN *own, const MIM_REAL *weight, const MIM_NETWORK_INPUT *in,
                            size_t b, size_t s, MIM_REAL *x)
{
    const mim_architecture *a = &own->a;
    const size_t d = a->width, t = a->n_threads, first = s * t;
    const MIM_REAL share = MIM_NN(share_of)(in, b);
    for (size_t j = 0; j < t; j++, x += d) {
        const MIM_REAL noisy = own->cells[b * n_tokens(a) + first + j];
        const MIM_REAL *place = own->place + (first + j) * d;
        const MIM_REAL *told = own->own_out + (b * t + j) * d;
        if (own->previous)
            for (size_t i = 0; i < d; i++)
                x[i] = share * x[i] + noisy * weight[i] + place[i];
        else
            for (size_t i = 0; i < d; i++)
                x[i] = noisy * weight[i] + place[i];
        for (size_t i = 0; i < d && a->thread == MIM_THREAD_BIAS && !own->is_quiet[s]; i++)
            x[i] += share * told[i];
    }
}

static void MIM_NN(put_tokens)(const OWN *own, const MIM_REAL *values, const MIM_NETWORK_INPUT *in)
{
    const mim_architecture *a = &own->a;
    const size_t rows = in->n_samples * a->n_stressors, step = a->n_threads * a->width;
    const MIM_REAL *weight = MIM_NN(at)(own, values, own->t.token);
    MIM_REAL *x = MIM_NN(mim_dit_tokens)(own->body);
    MIM_NN(put_cells)(own, in->n_samples, in->noisy);
    MIM_NN(put_place)(own, values);
    if (own->previous) {
        MIM_NN(put_previous)(own, in);
        MIM_NN(mim_mlp_forward)
        (own->previous, values, in->n_samples * n_tokens(a), own->previous_in, MIM_SET, x);
    }
    MIM_PARALLEL_FOR(rows > 1)
    for (size_t i = 0; i < rows; i++)
        MIM_NN(put_row)(own, weight, in, i / a->n_stressors, i % a->n_stressors, x + i * step);
}

/* ---- condition ------------------------------------------------------------------------------ */

/* Whether row `row` of a sample is told what is its thread's own, with thread_condition = film. */
static bool MIM_NN(hears)(const OWN *own, size_t row)
{
    return own->a.thread == MIM_THREAD_FILM &&
           (n_conditions(&own->a) == own->a.n_threads || !own->is_quiet[row / own->a.n_threads]);
}

static void MIM_NN(put_condition)(const OWN *own, const MIM_REAL *values,
                                  const MIM_NETWORK_INPUT *in)
{
    const mim_architecture *a = &own->a;
    const size_t d = a->width, c = a->context_width, t = a->n_threads, n = n_conditions(a);
    MIM_NN(mim_timestep_embedding)(in->n_samples, in->time, d, own->wave);
    MIM_NN(mim_mlp_forward)
    (own->time, values, in->n_samples, own->wave, MIM_SET, own->time_out);
    MIM_NN(mim_context_forward)(own->context, values, in, own->context_out);
    for (size_t i = 0; i < in->n_samples * n; i++) {
        const size_t b = i / n, thread = b * t + i % n % t;
        const MIM_REAL share = MIM_NN(share_of)(in, b), *told = own->own_out + thread * c;
        const MIM_REAL *from = own->context_out + (mim_context_is_per_thread(a) ? thread : b) * c;
        MIM_REAL *row = own->condition + i * (d + c);
        const bool hears = MIM_NN(hears)(own, i % n);
        memcpy(row, own->time_out + b * d, d * sizeof *row);
        for (size_t j = 0; j < c; j++)
            row[d + j] = share * (hears ? from[j] + told[j] : from[j]);
    }
}

static mim_dit_call MIM_NN(call_of)(const OWN *own, const MIM_NETWORK_INPUT *in,
                                    mim_dit_dropout *dropout)
{
    mim_dit_call call = {.n_samples = in->n_samples,
                         .n_tokens = n_tokens(&own->a),
                         .n_conditions = n_conditions(&own->a),
                         .ready = in->ready};
    if (!in->dropout || !(own->a.dropout > 0))
        return call;
    *dropout = (mim_dit_dropout){.attention = own->a.dropout,
                                 .mlp = own->a.dropout,
                                 .seed = in->dropout->seed,
                                 .step = in->dropout->step,
                                 .samples = in->dropout->samples};
    call.dropout = dropout;
    return call;
}

static void MIM_NN(own_forward)(MIM_NETWORK *network, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *predicted)
{
    OWN *own = (OWN *)network;
    const mim_architecture *a = &own->a;
    const size_t d = a->width, s = a->n_stressors, t = a->n_threads;
    mim_dit_dropout dropout;
    const mim_dit_call call = MIM_NN(call_of)(own, in, &dropout);
    assert(in->n_threads == t && in->n_samples <= own->o.max_samples);
    if (own->own)
        MIM_NN(put_own)(own, values, in);
    MIM_NN(put_tokens)(own, values, in);
    MIM_NN(put_condition)(own, values, in);
    const MIM_REAL *y = MIM_NN(mim_dit_forward)(own->body, values, &call, own->condition);
    MIM_NN(mim_linear_forward)
    (own->o.gemm, in->n_samples * s * t, d, 1, y, d, MIM_NN(at)(own, values, own->t.last),
     MIM_NN(at)(own, values, own->t.last + 1), MIM_SET, own->cells, 1);
    for (size_t b = 0; b < in->n_samples; b++)
        for (size_t i = 0; i < s; i++)
            for (size_t j = 0; j < t; j++)
                predicted[(b * t + j) * s + i] = own->cells[(b * s + i) * t + j];
}

/* ---- backward ------------------------------------------------------------------------------- */

/* Of the tables: sums over the samples first, into own->place. */
static void MIM_NN(place_backward)(const OWN *own, size_t n_samples, const MIM_REAL *d_tokens,
                                   MIM_REAL *grads)
{
    const size_t d = own->a.width, s = own->a.n_stressors, t = own->a.n_threads, n = s * t;
    MIM_REAL *stressor = grads + own->layout->tensors[own->t.stressor].offset;
    MIM_REAL *thread = grads + own->layout->tensors[own->t.thread].offset;
    for (size_t cell = 0; cell < n; cell++) {
        MIM_REAL *of_stressor = stressor + cell / t * d, *of_thread = thread + cell % t * d;
        for (size_t i = 0; i < d; i++) {
            double sum = 0;
            for (size_t b = 0; b < n_samples; b++)
                sum += (double)d_tokens[(b * n + cell) * d + i];
            of_stressor[i] += (MIM_REAL)sum;
            of_thread[i] += (MIM_REAL)sum;
        }
    }
}

static void MIM_NN(previous_backward)(const OWN *own, const MIM_REAL *values,
                                      const MIM_NETWORK_INPUT *in, const MIM_REAL *d_tokens,
                                      MIM_REAL *grads)
{
    const size_t n = n_tokens(&own->a) * own->a.width;
    for (size_t i = 0; i < in->n_samples * n; i++)
        own->d_previous[i] = MIM_NN(share_of)(in, i / n) * d_tokens[i];
    MIM_NN(mim_mlp_backward)
    (own->previous, values, in->n_samples * n_tokens(&own->a), own->previous_in, own->d_previous,
     NULL, grads);
}

/* own_out becomes its gradient; from: what `width` numbers of n rows a sample add up to, the rows
 * of a thread being n_threads apart. */
static void MIM_NN(sum_own)(const OWN *own, const MIM_NETWORK_INPUT *in, size_t n, size_t width,
                            const MIM_REAL *from, size_t ld)
{
    const size_t t = own->a.n_threads;
    memset(own->own_out, 0, in->n_samples * t * width * sizeof *own->own_out);
    for (size_t i = 0; i < in->n_samples * n; i++) {
        const size_t b = i / n, row = i % n;
        const MIM_REAL share = MIM_NN(share_of)(in, b);
        MIM_REAL *to = own->own_out + (b * t + row % t) * width;
        if (n > t && own->is_quiet[row / t])
            continue;
        for (size_t j = 0; j < width; j++)
            to[j] += share * from[i * ld + j];
    }
}

/* time_out and context_out become their gradients. */
static void MIM_NN(condition_backward)(const OWN *own, const MIM_REAL *values,
                                       const MIM_NETWORK_INPUT *in, MIM_REAL *grads)
{
    const mim_architecture *a = &own->a;
    const size_t d = a->width, c = a->context_width, t = a->n_threads, n = n_conditions(a);
    const bool is_per_thread = mim_context_is_per_thread(a);
    memset(own->time_out, 0, in->n_samples * d * sizeof *own->time_out);
    memset(own->context_out, 0,
           in->n_samples * (is_per_thread ? t : 1) * c * sizeof *own->context_out);
    for (size_t i = 0; i < in->n_samples * n; i++) {
        const size_t b = i / n, thread = b * t + i % n % t;
        const MIM_REAL share = MIM_NN(share_of)(in, b), *row = own->d_condition + i * (d + c);
        MIM_REAL *to = own->context_out + (is_per_thread ? thread : b) * c;
        for (size_t j = 0; j < d; j++)
            own->time_out[b * d + j] += row[j];
        for (size_t j = 0; j < c; j++)
            to[j] += share * row[d + j];
    }
    MIM_NN(mim_mlp_backward)
    (own->time, values, in->n_samples, own->wave, own->time_out, NULL, grads);
    MIM_NN(mim_context_backward)(own->context, values, in, own->context_out, grads);
    if (a->thread == MIM_THREAD_FILM)
        MIM_NN(sum_own)(own, in, n, c, own->d_condition + d, d + c);
}

static void MIM_NN(own_backward)(MIM_NETWORK *network, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *d_predicted,
                                 MIM_REAL *grads)
{
    OWN *own = (OWN *)network;
    const mim_architecture *a = &own->a;
    const size_t d = a->width, n = in->n_samples * n_tokens(a);
    const mim_tensor *last = &own->layout->tensors[own->t.last];
    const mim_tensor *token = &own->layout->tensors[own->t.token];
    mim_dit_dropout dropout;
    const mim_dit_call call = MIM_NN(call_of)(own, in, &dropout);
    MIM_NN(put_cells)(own, in->n_samples, d_predicted);
    MIM_NN(mim_linear_backward)
    (own->o.gemm, n, d, 1, MIM_NN(mim_dit_answer)(own->body), d, values + last->offset, own->cells,
     1, MIM_SET, MIM_NN(mim_dit_d_answer)(own->body), d, grads + last[0].offset,
     grads + last[1].offset);
    const MIM_REAL *d_tokens =
        MIM_NN(mim_dit_backward)(own->body, values, &call, own->condition, grads, own->d_condition);
    MIM_NN(put_cells)(own, in->n_samples, in->noisy);
    MIM_NN(mim_linear_backward)
    (own->o.gemm, n, 1, d, own->cells, 1, NULL, d_tokens, d, MIM_SET, NULL, 1,
     grads + token[0].offset, grads + token[1].offset);
    MIM_NN(place_backward)(own, in->n_samples, d_tokens, grads);
    if (own->previous)
        MIM_NN(previous_backward)(own, values, in, d_tokens, grads);
    MIM_NN(condition_backward)(own, values, in, grads);
    if (a->thread == MIM_THREAD_BIAS)
        MIM_NN(sum_own)(own, in, n_tokens(a), d, d_tokens, d);
    if (own->own)
        MIM_NN(mim_mlp_backward)
    (own->own, values, in->n_samples * a->n_threads, own->own_in, own->own_out, NULL, grads);
}

/* ---- creation ------------------------------------------------------------------------------- */

static int MIM_NN(open_mlp)(OWN *own, const mim_mlp_shape *shape, size_t first, size_t max_rows,
                            MIM_NN(mim_mlp) * *mlp)
{
    const mim_mlp_options options = {own->o.gemm, max_rows, own->o.is_training};
    const int rc = MIM_NN(mim_mlp_create)(shape, own->layout, first, &options, mlp);
    if (rc == MIM_OK)
        own->base.n_bytes += MIM_NN(mim_mlp_n_bytes)(*mlp);
    return rc;
}

static int MIM_NN(open_parts)(OWN *own)
{
    const mim_architecture *a = &own->a;
    const mim_network_options *o = &own->o;
    const mim_dit_shape body = body_shape(a);
    const mim_mlp_shape time = time_shape(a), previous = previous_shape(a), told = own_shape(a);
    const mim_dit_options of_body = {.gemm = o->gemm,
                                     .precision = o->precision,
                                     .weights = o->weights,
                                     .max_samples = o->max_samples,
                                     .max_tokens = n_tokens(a),
                                     .max_conditions = n_conditions(a),
                                     .is_training = o->is_training};
    const mim_context_options of_context = {o->gemm, o->max_samples, o->is_training};
    int rc = MIM_NN(mim_dit_create)(&body, own->layout, own->t.body, &of_body, &own->body);
    if (rc == MIM_OK)
        rc = MIM_NN(mim_context_create)(a, own->layout, own->t.context, &of_context, &own->context);
    if (rc == MIM_OK)
        own->base.n_bytes +=
            MIM_NN(mim_dit_n_bytes)(own->body) + MIM_NN(mim_context_n_bytes)(own->context);
    if (rc == MIM_OK)
        rc = MIM_NN(open_mlp)(own, &time, own->t.time, o->max_samples, &own->time);
    if (rc == MIM_OK && a->previous == MIM_PREVIOUS_TOKEN)
        rc = MIM_NN(open_mlp)(own, &previous, own->t.previous, o->max_samples * n_tokens(a),
                              &own->previous);
    if (rc == MIM_OK && has_own(a))
        rc = MIM_NN(open_mlp)(own, &told, own->t.own, o->max_samples * a->n_threads, &own->own);
    return rc;
}

static int MIM_NN(start)(OWN *own)
{
    mim_carver c = {NULL, 0};
    int rc = make_layout(&own->a, &own->layout, &own->t);
    if (rc != MIM_OK)
        return rc;
    MIM_NN(carve_all)(own, &c);
    own->base.n_bytes = c.used;
    if ((rc = mim_carver_take(&c, "network of cells")) != MIM_OK)
        return rc;
    own->memory = c.base;
    MIM_NN(carve_all)(own, &c);
    rc = mim_architecture_rows(own->a.quiet_rows, own->a.n_stressors, own->is_quiet);
    return rc == MIM_OK ? MIM_NN(open_parts)(own) : rc;
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
