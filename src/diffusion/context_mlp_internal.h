/* Included by diffusion/context_mlp.c once per precision; see there. Not guarded. */

#define OWN MIM_NN(own)

typedef struct OWN {
    MIM_CONTEXT base;
    MIM_NN(mim_mlp) * main, *branch; /* branch: NULL where there is none */
    size_t gate;                     /* offset in values */
    MIM_REAL *row;                   /* [B][in] */
    MIM_REAL *branch_row;            /* [B][in of the branch] */
    MIM_REAL *added;                 /* [B][context_width] what the branch gave, or its gradient */
} OWN;

static void MIM_NN(own_close)(MIM_CONTEXT *context)
{
    OWN *own = (OWN *)context;
    MIM_NN(mim_mlp_destroy)(&own->main);
    MIM_NN(mim_mlp_destroy)(&own->branch);
}

static void MIM_NN(own_carve)(MIM_CONTEXT *context, mim_carver *c)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &own->base.a;
    const size_t b = own->base.o.max_samples, r = sizeof(MIM_REAL);
    own->row = mim_carve(c, b * main_shape(a).widths[0], r);
    own->branch_row = mim_carve(c, b * n_branch(a), r);
    own->added = mim_carve(c, n_branch(a) > 0 ? 2 * b * a->context_width : 0, r);
}

/* Shares of the stressors: their weights' mean over the threads. */
static void MIM_NN(put_shares)(const mim_architecture *a, const MIM_NETWORK_INPUT *in,
                               MIM_REAL *rows)
{
    for (size_t b = 0; b < in->n_samples; b++)
        for (size_t s = 0; s < a->n_stressors; s++) {
            MIM_REAL sum = 0;
            for (size_t t = 0; t < a->n_threads; t++)
                sum += (MIM_NN(mim_context_previous)(a, in, b, t, s) + 1) / 2;
            rows[b * a->n_stressors + s] = sum / (MIM_REAL)a->n_threads;
        }
}

static void MIM_NN(own_forward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *y)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t ld = main_shape(a).widths[0], n = in->n_samples * a->context_width;
    MIM_NN(mim_context_put_known)(a, in, own->row + n_before(a), ld);
    if (a->encoder == MIM_CONTEXT_CONCAT)
        MIM_NN(mim_context_put_previous)(a, in, own->row, ld);
    else if (a->encoder == MIM_CONTEXT_CONCAT_SYM)
        MIM_NN(mim_context_put_sums)(a, in, own->row, ld);
    MIM_NN(mim_mlp_forward)(own->main, values, in->n_samples, own->row, MIM_SET, y);
    if (!own->branch)
        return;
    const MIM_REAL gate = is_gated(a) ? values[own->gate] : 1;
    if (a->encoder == MIM_CONTEXT_PREV_SUMS)
        MIM_NN(put_shares)(a, in, own->branch_row);
    else
        MIM_NN(mim_context_put_previous)(a, in, own->branch_row, n_branch(a));
    MIM_NN(mim_mlp_forward)
    (own->branch, values, in->n_samples, own->branch_row, MIM_SET, own->added);
    for (size_t i = 0; i < n; i++)
        y[i] += gate * own->added[i];
}

static void MIM_NN(own_backward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *dy, MIM_REAL *grads)
{
    OWN *own = (OWN *)context;
    const mim_architecture *a = &context->a;
    const size_t n = in->n_samples * a->context_width;
    MIM_NN(mim_mlp_backward)(own->main, values, in->n_samples, own->row, dy, NULL, grads);
    if (!own->branch)
        return;
    MIM_REAL *d_added = own->added + n;
    const MIM_REAL gate = is_gated(a) ? values[own->gate] : 1;
    double d_gate = 0;
    for (size_t i = 0; i < n; i++) {
        d_gate += (double)(dy[i] * own->added[i]);
        d_added[i] = gate * dy[i];
    }
    if (is_gated(a))
        grads[own->gate] += (MIM_REAL)d_gate;
    MIM_NN(mim_mlp_backward)
    (own->branch, values, in->n_samples, own->branch_row, d_added, NULL, grads);
}

static int MIM_NN(own_open)(MIM_CONTEXT *context, const mim_tensors *layout, size_t first)
{
    OWN *own = (OWN *)context;
    const mim_mlp_shape main = main_shape(&context->a), branch = branch_shape(&context->a);
    int rc = MIM_NN(mim_context_open_mlp)(context, &main, layout, first, 1, &own->main);
    if (rc != MIM_OK || n_branch(&context->a) == 0)
        return rc;
    rc = MIM_NN(mim_context_open_mlp)(context, &branch, layout, first + 6, 1, &own->branch);
    if (is_gated(&context->a))
        own->gate = layout->tensors[first + 10].offset;
    return rc;
}

static const MIM_NN(mim_context_methods) MIM_NN(methods) = {.size = sizeof(OWN),
                                                            .carve = MIM_NN(own_carve),
                                                            .open = MIM_NN(own_open),
                                                            .close = MIM_NN(own_close),
                                                            .forward = MIM_NN(own_forward),
                                                            .backward = MIM_NN(own_backward)};

#undef OWN
