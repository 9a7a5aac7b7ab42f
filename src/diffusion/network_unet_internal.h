/* Included by diffusion/network_unet.c once per precision; see there. Not guarded.
 *
 * B samples; planes are [B][positions][channels]; E numbers of a condition. */

#define OWN MIM_NN(own)

/* What a step keeps from forward for backward. */
typedef struct MIM_NN(kept) {
    MIM_REAL *lengths;          /* NORM: [B positions] */
    MIM_REAL *film, *d_film;    /* NORM with a condition: [B][2 channels] scale, shift */
    MIM_REAL *before;           /* NORM with Mish: [B][positions][channels] */
    MIM_REAL *log_sums, *heads; /* ATTEND: [heads][B positions], [B][positions][inner] */
} MIM_NN(kept);

typedef struct OWN {
    MIM_NETWORK base;
    mim_architecture a;
    mim_network_options o; /* with a gemm */
    mim_tensors *layout;
    plan *p;
    MIM_NN(mim_mlp) * time;
    MIM_NN(mim_context) * context;
    char *memory;
    MIM_REAL *planes[MAX_PLANES + 1], *d_planes[MAX_PLANES + 1];
    MIM_NN(kept) kept[MAX_PLANES];
    MIM_REAL *work;               /* of convolutions and attention */
    MIM_REAL *d_step;             /* as long as the largest plane */
    MIM_REAL *wave, *time_out;    /* [B][width] */
    MIM_REAL *context_out;        /* [B][context_width] */
    MIM_REAL *condition, *active; /* [B][E] before and after Mish */
    MIM_REAL *d_active;           /* [B][E] */
} OWN;

static void MIM_NN(own_destroy)(MIM_NETWORK *network)
{
    OWN *own = (OWN *)network;
    mim_tensors_destroy(&own->layout);
    MIM_NN(mim_mlp_destroy)(&own->time);
    MIM_NN(mim_context_destroy)(&own->context);
    free(own->p);
    free(own->memory);
    free(own);
}

/* ---- memory --------------------------------------------------------------------------------- */

static mim_attention MIM_NN(attention_of)(const OWN *own, const step *s, size_t n_samples)
{
    const size_t n = own->p->planes[s->x].n_positions, inner = inner_width(&own->a);
    return (mim_attention){.n_samples = n_samples,
                           .n_heads = 1, /* they lie as q, k, v of a head, then of the next */
                           .head_width = own->a.head_width,
                           .n_queries = n,
                           .n_keys = n,
                           .ld_q = 3 * inner,
                           .ld_k = 3 * inner,
                           .ld_v = 3 * inner,
                           .ld_y = inner};
}

static size_t MIM_NN(plane_size)(const OWN *own, size_t i)
{
    return own->o.max_samples * own->p->planes[i].n_positions * own->p->planes[i].n_channels;
}

static void MIM_NN(carve_step)(OWN *own, size_t i, mim_carver *c)
{
    const step *s = &own->p->steps[i];
    const size_t b = own->o.max_samples, r = sizeof(MIM_REAL), n = MIM_NN(plane_size)(own, s->y);
    const plane *y = &own->p->planes[s->y];
    const bool has_film = s->kind == NORM && s->film != SIZE_MAX;
    MIM_NN(kept) *k = &own->kept[i];
    own->planes[s->y] = mim_carve(c, n, r);
    k->lengths = mim_carve(c, s->kind == NORM ? b * y->n_positions : 0, r);
    k->before = mim_carve(c, s->kind == NORM && s->is_active ? n : 0, r);
    k->film = mim_carve(c, has_film ? b * 2 * y->n_channels : 0, r);
    k->heads = mim_carve(c, s->kind == ATTEND ? n : 0, r);
    k->log_sums = mim_carve(c, s->kind == ATTEND ? own->a.n_heads * b * y->n_positions : 0, r);
    if (!own->o.is_training)
        return;
    own->d_planes[s->y] = mim_carve(c, n, r);
    k->d_film = mim_carve(c, has_film ? b * 2 * y->n_channels : 0, r);
}

static size_t MIM_NN(n_work)(const OWN *own, const step *s)
{
    const mim_convolution convolution = convolution_of(own->p, s, own->o.max_samples);
    const mim_attention attention = MIM_NN(attention_of)(own, s, own->o.max_samples);
    return s->kind == CONVOLVE ? mim_convolution_n_work(&convolution)
           : s->kind == ATTEND ? mim_attend_n_work(&attention)
                               : 0;
}

static void MIM_NN(carve_all)(OWN *own, mim_carver *c)
{
    const size_t b = own->o.max_samples, r = sizeof(MIM_REAL), e = n_condition(&own->a);
    const bool is_training = own->o.is_training;
    size_t work = 0, largest = MIM_NN(plane_size)(own, 0);
    own->planes[0] = mim_carve(c, largest, r);
    own->d_planes[0] = mim_carve(c, is_training ? largest : 0, r);
    for (size_t i = 0; i < own->p->n_steps; i++) {
        const size_t n = MIM_NN(n_work)(own, &own->p->steps[i]);
        const size_t size = MIM_NN(plane_size)(own, own->p->steps[i].y);
        work = n > work ? n : work;
        largest = size > largest ? size : largest;
        MIM_NN(carve_step)(own, i, c);
    }
    own->work = mim_carve(c, work, r);
    own->d_step = mim_carve(c, is_training ? largest : 0, r);
    own->wave = mim_carve(c, b * own->a.width, r);
    own->time_out = mim_carve(c, b * own->a.width, r);
    own->context_out = mim_carve(c, b * own->a.context_width, r);
    own->condition = mim_carve(c, b * e, r);
    own->active = mim_carve(c, b * e, r);
    own->d_active = mim_carve(c, is_training ? b * e : 0, r);
}

/* ---- forward -------------------------------------------------------------------------------- */

static MIM_REAL MIM_NN(share_of)(const MIM_NETWORK_INPUT *in, size_t b)
{
    return in->is_conditional ? in->is_conditional[b] : 1;
}

/* Threads as channels, padded with positions of zeros, and behind them what is told of metrics. */
static void MIM_NN(put_input)(const OWN *own, const MIM_NETWORK_INPUT *in)
{
    const mim_architecture *a = &own->a;
    const plane *p = &own->p->planes[0];
    const size_t t = a->n_threads, g = a->n_node_metrics, s = a->n_stressors;
    MIM_REAL *row = own->planes[0];
    for (size_t i = 0; i < in->n_samples * p->n_positions; i++, row += p->n_channels) {
        const size_t b = i / p->n_positions, at = i % p->n_positions;
        for (size_t j = 0; j < t; j++)
            row[j] = at < s ? in->noisy[(b * t + j) * s + at] : 0;
        for (size_t j = 0; j < n_told(a); j++) {
            const bool is_mask = j >= t + g;
            const MIM_REAL *cpu = is_mask ? in->cpu_mask : in->cpu;
            const MIM_REAL *node = is_mask ? in->node_mask : in->node;
            const size_t m = j % (t + g);
            row[t + j] = MIM_NN(share_of)(in, b) * (m < t ? cpu[b * t + m] : node[b * g + m - t]);
        }
    }
}

static void MIM_NN(put_condition)(const OWN *own, const MIM_REAL *values,
                                  const MIM_NETWORK_INPUT *in)
{
    const size_t w = own->a.width, c = own->a.context_width, n = in->n_samples;
    MIM_NN(mim_timestep_embedding)(n, in->time, w, own->wave);
    MIM_NN(mim_mlp_forward)(own->time, values, n, own->wave, MIM_SET, own->time_out);
    MIM_NN(mim_context_forward)(own->context, values, in, own->context_out);
    for (size_t b = 0; b < n; b++) {
        MIM_REAL *row = own->condition + b * (w + c);
        memcpy(row, own->time_out + b * w, w * sizeof *row);
        for (size_t j = 0; j < c; j++)
            row[w + j] = MIM_NN(share_of)(in, b) * own->context_out[b * c + j];
    }
    MIM_NN(mim_activation_forward)(MIM_MISH, n * (w + c), own->condition, own->active);
}

/* Of step number `i`; NULL: nothing falls. */
static const mim_dropout *MIM_NN(dropout_at)(const OWN *own, const MIM_NETWORK_INPUT *in, size_t i,
                                             mim_dropout *dropout)
{
    if (!in->dropout || !(own->a.dropout > 0))
        return NULL;
    *dropout = (mim_dropout){.rate = own->a.dropout,
                             .seed = in->dropout->seed,
                             .step = in->dropout->step,
                             .site = (uint32_t)i,
                             .samples = in->dropout->samples};
    return dropout;
}

static const MIM_REAL *MIM_NN(at)(const OWN *own, const MIM_REAL *values, size_t index)
{
    return values + own->layout->tensors[index].offset;
}

static void MIM_NN(norm_forward)(OWN *own, const MIM_REAL *values, size_t i, size_t n_samples,
                                 const mim_dropout *dropout)
{
    const step *s = &own->p->steps[i];
    const plane *y = &own->p->planes[s->y];
    const MIM_NN(kept) *k = &own->kept[i];
    const size_t c = y->n_channels, e = n_condition(&own->a), n = y->n_positions * c;
    const bool has_film = s->film != SIZE_MAX;
    MIM_REAL *to = s->is_active ? k->before : own->planes[s->y];
    if (has_film)
        MIM_NN(mim_linear_forward)
    (own->o.gemm, n_samples, e, 2 * c, own->active, e, MIM_NN(at)(own, values, s->film),
     MIM_NN(at)(own, values, s->film + 1), MIM_SET, k->film, 2 * c);
    MIM_NN(mim_rms_norm_forward)
    (n_samples, y->n_positions, c, own->planes[s->x], MIM_NN(at)(own, values, s->tensor),
     has_film ? k->film : NULL, has_film ? k->film + c : NULL, 2 * c, to, k->lengths);
    if (!s->is_active)
        return;
    MIM_NN(mim_activation_forward)(MIM_MISH, n_samples * n, to, own->planes[s->y]);
    MIM_NN(mim_dropout_apply)(dropout, n_samples, n, own->planes[s->y], own->planes[s->y]);
}

/* Of head `head`. */
static MIM_NN(mim_projection) MIM_NN(projection)(const OWN *own, const step *s, size_t head)
{
    const size_t w = own->a.head_width;
    const MIM_REAL *q = own->planes[s->x] + head * 3 * w;
    return (MIM_NN(mim_projection)){q, q + w, q + 2 * w, NULL, NULL, NULL};
}

static void MIM_NN(attend_forward)(OWN *own, size_t i, size_t n_samples, const mim_dropout *dropout)
{
    const step *s = &own->p->steps[i];
    const plane *y = &own->p->planes[s->y];
    const MIM_NN(kept) *k = &own->kept[i];
    const mim_attention attention = MIM_NN(attention_of)(own, s, n_samples);
    for (size_t h = 0; h < own->a.n_heads; h++) {
        const MIM_NN(mim_projection) projection = MIM_NN(projection)(own, s, h);
        MIM_NN(mim_attend_forward)
        (&attention, &projection, k->heads + h * own->a.head_width,
         k->log_sums + h * n_samples * y->n_positions, own->work);
    }
    MIM_NN(mim_dropout_apply)
    (dropout, n_samples, y->n_positions * y->n_channels, k->heads, own->planes[s->y]);
}

/* Rows of two planes side by side, or the other way round, added. */
static void MIM_NN(join)(const plan *p, const step *s, size_t n_samples, MIM_REAL *x, MIM_REAL *z,
                         MIM_REAL *y, bool is_back)
{
    const size_t n_x = p->planes[s->x].n_channels, n_z = p->planes[s->z].n_channels;
    for (size_t r = 0; r < n_samples * p->planes[s->y].n_positions; r++)
        for (size_t j = 0; j < n_x + n_z; j++) {
            MIM_REAL *from = j < n_x ? &x[r * n_x + j] : &z[r * n_z + j - n_x];
            MIM_REAL *to = &y[r * (n_x + n_z) + j];
            if (is_back)
                *from += *to;
            else
                *to = *from;
        }
}

static void MIM_NN(step_forward)(OWN *own, const MIM_REAL *values, const MIM_NETWORK_INPUT *in,
                                 size_t i)
{
    const step *s = &own->p->steps[i];
    const plane *p = &own->p->planes[s->y];
    const mim_convolution convolution = convolution_of(own->p, s, in->n_samples);
    MIM_REAL *x = own->planes[s->x], *z = own->planes[s->z], *y = own->planes[s->y];
    mim_dropout own_dropout;
    const mim_dropout *dropout = MIM_NN(dropout_at)(own, in, i, &own_dropout);
    switch (s->kind) {
    case CONVOLVE:
        MIM_NN(mim_convolution_forward)
        (own->o.gemm, &convolution, x, MIM_NN(at)(own, values, s->tensor),
         MIM_NN(at)(own, values, s->tensor + 1), y, own->work);
        break;
    case NORM:
        MIM_NN(norm_forward)(own, values, i, in->n_samples, dropout);
        break;
    case ATTEND:
        MIM_NN(attend_forward)(own, i, in->n_samples, dropout);
        break;
    case JOIN:
        MIM_NN(join)(own->p, s, in->n_samples, x, z, y, false);
        break;
    case SUM:
        for (size_t j = 0; j < in->n_samples * p->n_positions * p->n_channels; j++)
            y[j] = x[j] + z[j];
        break;
    }
}

static void MIM_NN(own_forward)(MIM_NETWORK *network, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *predicted)
{
    OWN *own = (OWN *)network;
    const size_t s = own->a.n_stressors, t = own->a.n_threads, last = own->p->n_planes - 1;
    const size_t n = own->p->planes[last].n_positions;
    assert(in->n_threads == t && in->n_samples <= own->o.max_samples);
    MIM_NN(put_input)(own, in);
    MIM_NN(put_condition)(own, values, in);
    for (size_t i = 0; i < own->p->n_steps; i++)
        MIM_NN(step_forward)(own, values, in, i);
    for (size_t b = 0; b < in->n_samples; b++)
        for (size_t j = 0; j < t; j++)
            for (size_t i = 0; i < s; i++)
                predicted[(b * t + j) * s + i] = own->planes[last][(b * n + i) * t + j];
}

/* ---- backward ------------------------------------------------------------------------------- */

static void MIM_NN(norm_backward)(OWN *own, const MIM_REAL *values, size_t i, size_t n_samples,
                                  const mim_dropout *dropout, MIM_REAL *grads)
{
    const step *s = &own->p->steps[i];
    const plane *y = &own->p->planes[s->y];
    const MIM_NN(kept) *k = &own->kept[i];
    const size_t c = y->n_channels, e = n_condition(&own->a), n = y->n_positions * c;
    const bool has_film = s->film != SIZE_MAX;
    const mim_tensor *tensors = own->layout->tensors;
    const MIM_REAL *d = own->d_planes[s->y];
    if (s->is_active) {
        MIM_NN(mim_dropout_apply)(dropout, n_samples, n, d, own->d_step);
        MIM_NN(mim_activation_backward)
        (MIM_MISH, n_samples * n, k->before, own->d_step, own->d_step);
        d = own->d_step;
    }
    if (has_film)
        memset(k->d_film, 0, n_samples * 2 * c * sizeof *k->d_film);
    MIM_NN(mim_rms_norm_backward)
    (n_samples, y->n_positions, c, own->planes[s->x], k->lengths,
     MIM_NN(at)(own, values, s->tensor), has_film ? k->film : NULL, 2 * c, d, MIM_ADD,
     own->d_planes[s->x], grads + tensors[s->tensor].offset, has_film ? k->d_film : NULL,
     has_film ? k->d_film + c : NULL);
    if (has_film)
        MIM_NN(mim_linear_backward)
    (own->o.gemm, n_samples, e, 2 * c, own->active, e, MIM_NN(at)(own, values, s->film), k->d_film,
     2 * c, MIM_ADD, own->d_active, e, grads + tensors[s->film].offset,
     grads + tensors[s->film + 1].offset);
}

/* The gradient of queries, keys and values is nobody else's: it is set. */
static void MIM_NN(attend_backward)(OWN *own, size_t i, size_t n_samples,
                                    const mim_dropout *dropout)
{
    const step *s = &own->p->steps[i];
    const plane *y = &own->p->planes[s->y];
    const MIM_NN(kept) *k = &own->kept[i];
    const size_t w = own->a.head_width;
    const mim_attention attention = MIM_NN(attention_of)(own, s, n_samples);
    MIM_NN(mim_dropout_apply)
    (dropout, n_samples, y->n_positions * y->n_channels, own->d_planes[s->y], own->d_step);
    for (size_t h = 0; h < own->a.n_heads; h++) {
        const MIM_NN(mim_projection) projection = MIM_NN(projection)(own, s, h);
        MIM_REAL *dq = own->d_planes[s->x] + h * 3 * w;
        const MIM_NN(mim_projection_gradient) gradient = {dq, dq + w, dq + 2 * w, NULL, NULL, NULL};
        MIM_NN(mim_attend_backward)
        (&attention, &projection, k->heads + h * w, k->log_sums + h * n_samples * y->n_positions,
         own->d_step + h * w, &gradient, own->work);
    }
}

static void MIM_NN(step_backward)(OWN *own, const MIM_REAL *values, const MIM_NETWORK_INPUT *in,
                                  size_t i, MIM_REAL *grads)
{
    const step *s = &own->p->steps[i];
    const plane *p = &own->p->planes[s->y];
    const mim_convolution convolution = convolution_of(own->p, s, in->n_samples);
    const mim_tensor *tensors = own->layout->tensors;
    MIM_REAL *dx = own->d_planes[s->x], *dz = own->d_planes[s->z], *dy = own->d_planes[s->y];
    mim_dropout own_dropout;
    const mim_dropout *dropout = MIM_NN(dropout_at)(own, in, i, &own_dropout);
    switch (s->kind) {
    case CONVOLVE:
        MIM_NN(mim_convolution_backward)
        (own->o.gemm, &convolution, own->planes[s->x], MIM_NN(at)(own, values, s->tensor), dy,
         MIM_ADD, s->x > 0 ? dx : NULL, grads + tensors[s->tensor].offset,
         grads + tensors[s->tensor + 1].offset, own->work);
        break;
    case NORM:
        MIM_NN(norm_backward)(own, values, i, in->n_samples, dropout, grads);
        break;
    case ATTEND:
        MIM_NN(attend_backward)(own, i, in->n_samples, dropout);
        break;
    case JOIN:
        MIM_NN(join)(own->p, s, in->n_samples, dx, dz, dy, true);
        break;
    case SUM:
        for (size_t j = 0; j < in->n_samples * p->n_positions * p->n_channels; j++) {
            dx[j] += dy[j];
            dz[j] += dy[j];
        }
        break;
    }
}

/* Nothing more is added to the gradients of a step's tensors. Of these, those of a later step come
 * later in the layout, and *end is where the last ones told of began. */
static void MIM_NN(tell)(const OWN *own, const MIM_NETWORK_INPUT *in, size_t i, size_t *end)
{
    const step *s = &own->p->steps[i];
    if (s->kind != CONVOLVE && s->kind != NORM)
        return;
    const size_t first = own->layout->tensors[s->tensor].offset;
    if (in->ready)
        in->ready->tell(in->ready->context, first, *end - first);
    *end = first;
}

/* time_out and context_out become their gradients. */
static void MIM_NN(condition_backward)(const OWN *own, const MIM_REAL *values,
                                       const MIM_NETWORK_INPUT *in, MIM_REAL *grads)
{
    const size_t w = own->a.width, c = own->a.context_width, n = in->n_samples;
    MIM_NN(mim_activation_backward)
    (MIM_MISH, n * (w + c), own->condition, own->d_active, own->d_active);
    for (size_t b = 0; b < n; b++) {
        const MIM_REAL *row = own->d_active + b * (w + c);
        memcpy(own->time_out + b * w, row, w * sizeof *row);
        for (size_t j = 0; j < c; j++)
            own->context_out[b * c + j] = MIM_NN(share_of)(in, b) * row[w + j];
    }
    MIM_NN(mim_mlp_backward)(own->time, values, n, own->wave, own->time_out, NULL, grads);
    MIM_NN(mim_context_backward)(own->context, values, in, own->context_out, grads);
}

static void MIM_NN(own_backward)(MIM_NETWORK *network, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *d_predicted,
                                 MIM_REAL *grads)
{
    OWN *own = (OWN *)network;
    const size_t s = own->a.n_stressors, t = own->a.n_threads, last = own->p->n_planes - 1;
    const size_t n = own->p->planes[last].n_positions;
    size_t end = own->layout->n_values;
    for (size_t i = 0; i <= last; i++) {
        const plane *p = &own->p->planes[i];
        memset(own->d_planes[i], 0,
               in->n_samples * p->n_positions * p->n_channels * sizeof *own->d_planes[i]);
    }
    memset(own->d_active, 0, in->n_samples * n_condition(&own->a) * sizeof *own->d_active);
    for (size_t b = 0; b < in->n_samples; b++)
        for (size_t j = 0; j < t; j++)
            for (size_t i = 0; i < s; i++)
                own->d_planes[last][(b * n + i) * t + j] = d_predicted[(b * t + j) * s + i];
    for (size_t i = own->p->n_steps; i-- > 0;) {
        MIM_NN(step_backward)(own, values, in, i, grads);
        MIM_NN(tell)(own, in, i, &end);
    }
    MIM_NN(condition_backward)(own, values, in, grads);
}

/* ---- creation ------------------------------------------------------------------------------- */

static int MIM_NN(start)(OWN *own)
{
    const mim_network_options *o = &own->o;
    const mim_mlp_shape time = time_shape(&own->a);
    const mim_mlp_options of_time = {o->gemm, o->max_samples, o->is_training};
    const mim_context_options of_context = {o->gemm, o->max_samples, o->is_training};
    mim_carver c = {NULL, 0};
    int rc = make_layout(&own->a, &own->layout, &own->p);
    if (rc != MIM_OK)
        return rc;
    MIM_NN(carve_all)(own, &c);
    own->base.n_bytes = c.used;
    if ((rc = mim_carver_take(&c, "U-Net")) != MIM_OK)
        return rc;
    own->memory = c.base;
    MIM_NN(carve_all)(own, &c);
    rc = MIM_NN(mim_mlp_create)(&time, own->layout, own->p->time, &of_time, &own->time);
    if (rc == MIM_OK)
        rc = MIM_NN(mim_context_create)(&own->a, own->layout, own->p->context, &of_context,
                                        &own->context);
    if (rc == MIM_OK)
        own->base.n_bytes +=
            MIM_NN(mim_mlp_n_bytes)(own->time) + MIM_NN(mim_context_n_bytes)(own->context);
    return rc;
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
