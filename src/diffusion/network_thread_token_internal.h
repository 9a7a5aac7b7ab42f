/* Included by diffusion/network_thread_token.c once per precision; see there. Not guarded. */

#define OWN MIM_NN(own)

/* M = T + G metrics a sample. */
typedef struct OWN {
    MIM_NETWORK base;
    MIM_NN(mim_denoiser) * denoiser;
    size_t n_node_metrics;
    MIM_REAL *told; /* [B][2 M] metrics and masks of conditional samples, else 0 */
} OWN;

static void MIM_NN(own_destroy)(MIM_NETWORK *network)
{
    OWN *own = (OWN *)network;
    MIM_NN(mim_denoiser_destroy)(&own->denoiser);
    free(own->told);
    free(own);
}

/* n numbers a sample. */
static const MIM_REAL *MIM_NN(tell)(size_t n_samples, size_t n, const MIM_REAL *is_conditional,
                                    const MIM_REAL *from, MIM_REAL **to)
{
    MIM_REAL *const told = *to;
    for (size_t b = 0; b < n_samples; b++)
        for (size_t i = 0; i < n; i++)
            told[b * n + i] = is_conditional[b] > 0 ? from[b * n + i] : 0;
    *to += n_samples * n;
    return told;
}

static MIM_NN(mim_denoiser_input) MIM_NN(input_of)(const OWN *own, const MIM_NETWORK_INPUT *in)
{
    MIM_NN(mim_denoiser_input)
    out = {.n_samples = in->n_samples,
           .n_threads = in->n_threads,
           .noisy = in->noisy,
           .previous = in->previous,
           .cpu = in->cpu,
           .cpu_mask = in->cpu_mask,
           .node = in->node,
           .node_mask = in->node_mask,
           .has_previous = in->has_previous,
           .time = in->time,
           .socket = in->socket,
           .has_same_values = in->has_same_values,
           .ready = in->ready};
    if (!in->is_conditional)
        return out;
    const size_t b = in->n_samples, t = in->n_threads, g = own->n_node_metrics;
    MIM_REAL *place = own->told;
    out.cpu = MIM_NN(tell)(b, t, in->is_conditional, in->cpu, &place);
    out.cpu_mask = MIM_NN(tell)(b, t, in->is_conditional, in->cpu_mask, &place);
    out.node = MIM_NN(tell)(b, g, in->is_conditional, in->node, &place);
    out.node_mask = MIM_NN(tell)(b, g, in->is_conditional, in->node_mask, &place);
    return out;
}

static void MIM_NN(own_forward)(MIM_NETWORK *network, const MIM_REAL *values,
                                const MIM_NETWORK_INPUT *in, MIM_REAL *predicted)
{
    OWN *own = (OWN *)network;
    const MIM_NN(mim_denoiser_input) input = MIM_NN(input_of)(own, in);
    MIM_NN(mim_denoiser_forward)(own->denoiser, values, &input, predicted);
}

static void MIM_NN(own_backward)(MIM_NETWORK *network, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *in, const MIM_REAL *d_predicted,
                                 MIM_REAL *grads)
{
    OWN *own = (OWN *)network;
    const MIM_NN(mim_denoiser_input) input = MIM_NN(input_of)(own, in);
    MIM_NN(mim_denoiser_backward)(own->denoiser, values, &input, d_predicted, grads);
}

static int MIM_NN(create)(const mim_architecture *a, const mim_network_options *o,
                          MIM_NETWORK **network)
{
    static const MIM_NN(mim_network_methods)
        methods = {MIM_NN(own_destroy), MIM_NN(own_forward), MIM_NN(own_backward)};
    const mim_denoiser_shape shape = shape_of(a);
    const mim_denoiser_options options = {.gemm = o->gemm,
                                          .precision = o->precision,
                                          .max_samples = o->max_samples,
                                          .max_threads = o->max_threads,
                                          .is_training = o->is_training};
    const size_t n = 2 * o->max_samples * (o->max_threads + a->n_node_metrics);
    OWN *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "network");
    made->base.methods = &methods;
    made->n_node_metrics = a->n_node_metrics;
    int rc = (made->told = calloc(n, sizeof *made->told))
                 ? MIM_OK
                 : mim_fail(MIM_ENOMEM, "metrics of %zu samples", o->max_samples);
    if (rc == MIM_OK)
        rc = MIM_NN(mim_denoiser_create)(&shape, &options, &made->denoiser);
    if (rc != MIM_OK) {
        MIM_NN(own_destroy)(&made->base);
        return rc;
    }
    made->base.n_bytes = MIM_NN(mim_denoiser_n_bytes)(made->denoiser) + n * sizeof *made->told;
    *network = &made->base;
    return MIM_OK;
}

#undef OWN
