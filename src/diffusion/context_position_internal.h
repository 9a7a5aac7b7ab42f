/* Included by diffusion/context_position.c once per precision; see there. Not guarded. */

#define OWN MIM_NN(own)

typedef struct OWN {
    MIM_CONTEXT base;
    MIM_NN(mim_mlp) * mlp;
    size_t table;            /* offset in values */
    MIM_REAL *known;         /* [B][K] */
    MIM_REAL *rows, *d_rows; /* [B T][n_row] */
    MIM_REAL *each;          /* [B T][context_width] what each thread gets, or its gradient */
} OWN;

static void MIM_NN(own_close)(MIM_CONTEXT *context)
{
    OWN *own = (OWN *)context;
    MIM_NN(mim_mlp_destroy)(&own->mlp);
}

static void MIM_NN(own_carve)(MIM_CONTEXT *context, mim_carver *c)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &own->base.a;
    const size_t b = own->base.o.max_samples, n = b * a->n_threads, r = sizeof(MIM_REAL);
    own->known = mim_carve(c, b * mim_context_n_known(a), r);
    own->rows = mim_carve(c, n * n_row(a), r);
    own->d_rows = mim_carve(c, own->base.o.is_training ? n * n_row(a) : 0, r);
    own->each = mim_carve(c, n * a->context_width, r);
}

static void MIM_NN(put_rows)(OWN *own, const MIM_REAL *values, const MIM_NETWORK_INPUT *in)
{
    const mim_architecture *a = &own->base.a;
    const size_t t = a->n_threads, k = mim_context_n_known(a), h = a->encoder_width;
    MIM_NN(mim_context_put_known)(a, in, own->known, k);
    for (size_t i = 0; i < in->n_samples * t; i++) {
        MIM_REAL *row = own->rows + i * n_row(a);
        *row++ = in->cpu[i];
        if (a->has_masks)
            *row++ = in->cpu_mask[i];
        memcpy(row, own->known + i / t * k, k * sizeof *row);
        memcpy(row + k, values + own->table + i % t * h, h * sizeof *row);
    }
}

static void MIM_NN(own_forward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *y)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t t = a->n_threads, n = in->n_samples * t, c = a->context_width;
    MIM_NN(put_rows)(own, values, in);
    if (mim_context_is_per_thread(a)) {
        MIM_NN(mim_mlp_forward)(own->mlp, values, n, own->rows, MIM_SET, y);
        return;
    }
    MIM_NN(mim_mlp_forward)(own->mlp, values, n, own->rows, MIM_SET, own->each);
    memset(y, 0, in->n_samples * c * sizeof *y);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j++)
            y[i / t * c + j] += own->each[i * c + j] / (MIM_REAL)t;
}

static void MIM_NN(own_backward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *dy, MIM_REAL *grads)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t t = a->n_threads, n = in->n_samples * t, c = a->context_width;
    const size_t h = a->encoder_width, before = n_row(a) - h;
    const bool is_mean = !mim_context_is_per_thread(a);
    for (size_t i = 0; i < n * c && is_mean; i++)
        own->each[i] = dy[i / c / t * c + i % c] / (MIM_REAL)t;
    MIM_NN(mim_mlp_backward)
    (own->mlp, values, n, own->rows, is_mean ? own->each : dy, own->d_rows, grads);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < h; j++)
            grads[own->table + i % t * h + j] += own->d_rows[i * n_row(a) + before + j];
}

static int MIM_NN(own_open)(MIM_CONTEXT *context, const mim_tensors *layout, size_t first)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const mim_mlp_shape shape = shape_of(a);
    own->table = layout->tensors[first].offset;
    return MIM_NN(mim_context_open_mlp)(context, &shape, layout, first + 1, a->n_threads,
                                        &own->mlp);
}

static const MIM_NN(mim_context_methods) MIM_NN(methods) = {.size = sizeof(OWN),
                                                            .carve = MIM_NN(own_carve),
                                                            .open = MIM_NN(own_open),
                                                            .close = MIM_NN(own_close),
                                                            .forward = MIM_NN(own_forward),
                                                            .backward = MIM_NN(own_backward)};

#undef OWN
