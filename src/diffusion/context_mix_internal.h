/* Included by diffusion/context_mix.c once per precision; see there. Not guarded. */

#define OWN MIM_NN(own)

typedef struct OWN {
    MIM_CONTEXT base;
    MIM_NN(mim_mlp) * end;
    size_t weight[N_MAPS], bias[N_MAPS]; /* offsets in values */
    MIM_REAL *known, *previous;          /* [B][K], [B][S T] */
    MIM_REAL *maps[N_MAPS];              /* [B][h] what the linear maps gave */
    MIM_REAL *d_maps[N_MAPS];            /* [B][h] */
    MIM_REAL *factor;                    /* [B][h] of the action */
    MIM_REAL *mixed, *active;            /* [B][h] u, f(u) */
} OWN;

static void MIM_NN(own_close)(MIM_CONTEXT *context)
{
    OWN *own = (OWN *)context;
    MIM_NN(mim_mlp_destroy)(&own->end);
}

static void MIM_NN(own_carve)(MIM_CONTEXT *context, mim_carver *c)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &own->base.a;
    const size_t b = own->base.o.max_samples, r = sizeof(MIM_REAL), n = b * a->encoder_width;
    own->known = mim_carve(c, b * mim_context_n_known(a), r);
    own->previous = mim_carve(c, b * mim_context_n_cells(a), r);
    for (size_t m = 0; m < N_MAPS; m++) {
        own->maps[m] = mim_carve(c, n, r);
        own->d_maps[m] = mim_carve(c, own->base.o.is_training ? n : 0, r);
    }
    own->factor = mim_carve(c, n, r);
    own->mixed = mim_carve(c, n, r);
    own->active = mim_carve(c, n, r);
}

/* u from what the maps gave; of film, the action's becomes its positive part. */
static void MIM_NN(mix)(const OWN *own, size_t n)
{
    MIM_REAL *action = own->maps[ACTION], *factor = own->factor;
    const MIM_REAL *offset = own->maps[OFFSET];
    if (own->base.a.encoder == MIM_CONTEXT_GATED)
        MIM_NN(mim_activation_forward)(MIM_SIGMOID, n, own->maps[FACTOR], factor);
    if (own->base.a.encoder == MIM_CONTEXT_FILM) {
        MIM_NN(mim_activation_forward)(MIM_RELU, n, action, action);
        for (size_t i = 0; i < n; i++)
            factor[i] = 1 + own->maps[FACTOR][i];
    }
    for (size_t i = 0; i < n; i++)
        own->mixed[i] = offset[i] + (n_maps(&own->base.a) > FACTOR ? factor[i] : 1) * action[i];
}

/* From du, which is the offset's gradient, too. */
static void MIM_NN(mix_backward)(const OWN *own, size_t n)
{
    const MIM_REAL *action = own->maps[ACTION], *factor = own->factor, *du = own->d_maps[OFFSET];
    const mim_context_name encoder = own->base.a.encoder;
    for (size_t i = 0; i < n; i++) {
        MIM_REAL to_action = 1, to_factor = action[i];
        if (encoder == MIM_CONTEXT_GATED) {
            to_action = factor[i];
            to_factor *= factor[i] * (1 - factor[i]);
        } else if (encoder == MIM_CONTEXT_FILM) {
            to_action = action[i] > 0 ? factor[i] : 0;
        }
        own->d_maps[ACTION][i] = to_action * du[i];
        own->d_maps[FACTOR][i] = to_factor * du[i];
    }
}

static void MIM_NN(own_forward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *y)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t h = a->encoder_width, n = in->n_samples * h;
    MIM_NN(mim_context_put_known)(a, in, own->known, mim_context_n_known(a));
    MIM_NN(mim_context_put_previous)(a, in, own->previous, mim_context_n_cells(a));
    for (size_t m = 0; m < n_maps(a); m++)
        MIM_NN(mim_linear_forward)
    (context->o.gemm, in->n_samples, n_in(a, (map)m), h, m == ACTION ? own->previous : own->known,
     n_in(a, (map)m), values + own->weight[m], values + own->bias[m], MIM_SET, own->maps[m], h);
    MIM_NN(mix)(own, n);
    MIM_NN(mim_activation_forward)(MIM_MISH, n, own->mixed, own->active);
    MIM_NN(mim_mlp_forward)(own->end, values, in->n_samples, own->active, MIM_SET, y);
}

static void MIM_NN(own_backward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *dy, MIM_REAL *grads)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t h = a->encoder_width, n = in->n_samples * h;
    MIM_REAL *du = own->d_maps[OFFSET];
    MIM_NN(mim_mlp_backward)(own->end, values, in->n_samples, own->active, dy, du, grads);
    MIM_NN(mim_activation_backward)(MIM_MISH, n, own->mixed, du, du);
    MIM_NN(mix_backward)(own, n);
    for (size_t m = 0; m < n_maps(a); m++)
        MIM_NN(mim_linear_backward)
    (context->o.gemm, in->n_samples, n_in(a, (map)m), h, m == ACTION ? own->previous : own->known,
     n_in(a, (map)m), values + own->weight[m], own->d_maps[m], h, MIM_SET, NULL, 0,
     grads + own->weight[m], grads + own->bias[m]);
}

static int MIM_NN(own_open)(MIM_CONTEXT *context, const mim_tensors *layout, size_t first)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const mim_mlp_shape end = end_shape(a);
    for (size_t m = 0; m < n_maps(a); m++) {
        own->weight[m] = layout->tensors[first + 2 * m].offset;
        own->bias[m] = layout->tensors[first + 2 * m + 1].offset;
    }
    return MIM_NN(mim_context_open_mlp)(context, &end, layout, first + 2 * n_maps(a), 1, &own->end);
}

static const MIM_NN(mim_context_methods) MIM_NN(methods) = {.size = sizeof(OWN),
                                                            .carve = MIM_NN(own_carve),
                                                            .open = MIM_NN(own_open),
                                                            .close = MIM_NN(own_close),
                                                            .forward = MIM_NN(own_forward),
                                                            .backward = MIM_NN(own_backward)};

#undef OWN
