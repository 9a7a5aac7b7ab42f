/* Included by diffusion/context.c once per precision; see there. Not guarded. */

static int MIM_NN(start)(MIM_CONTEXT *made, const mim_tensors *layout, size_t first)
{
    mim_carver c = {NULL, 0};
    made->methods->carve(made, &c);
    made->n_bytes = c.used;
    const int rc = mim_carver_take(&c, "context encoder");
    if (rc != MIM_OK)
        return rc;
    made->memory = c.base;
    made->methods->carve(made, &c);
    return made->methods->open(made, layout, first);
}

int MIM_NN(mim_context_create)(const mim_architecture *a, const mim_tensors *layout, size_t first,
                               const mim_context_options *options, MIM_CONTEXT **context)
{
    MIM_CONTEXT *made = NULL;
    int rc = mim_context_check(a);
    if (rc != MIM_OK)
        return rc;
    const MIM_NN(mim_context_methods) *methods = MIM_NN(kinds[a->encoder]->methods);
    if (!(made = calloc(1, methods->size)))
        return mim_fail(MIM_ENOMEM, "context encoder");
    made->methods = methods;
    made->a = *a;
    made->o = *options;
    if (!made->o.gemm)
        made->o.gemm = mim_gemm_find(NULL);
    if ((rc = MIM_NN(start)(made, layout, first)) == MIM_OK)
        *context = made;
    else
        MIM_NN(mim_context_destroy)(&made);
    return rc;
}

void MIM_NN(mim_context_destroy)(MIM_CONTEXT **context)
{
    if (!context || !*context)
        return;
    (*context)->methods->close(*context);
    free((*context)->memory);
    free(*context);
    *context = NULL;
}

size_t MIM_NN(mim_context_n_bytes)(const MIM_CONTEXT *context) { return context->n_bytes; }

void MIM_NN(mim_context_forward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *input, MIM_REAL *y)
{
    context->methods->forward(context, values, input, y);
}

void MIM_NN(mim_context_backward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                  const MIM_NETWORK_INPUT *input, const MIM_REAL *dy,
                                  MIM_REAL *grads)
{
    context->methods->backward(context, values, input, dy, grads);
}

/* ---- what kinds share ----------------------------------------------------------------------- */

int MIM_NN(mim_context_open_mlp)(MIM_CONTEXT *context, const mim_mlp_shape *shape,
                                 const mim_tensors *layout, size_t first, size_t n_rows,
                                 MIM_NN(mim_mlp) * *mlp)
{
    const mim_context_options *o = &context->o;
    const mim_mlp_options options = {o->gemm, o->max_samples * n_rows, o->is_training};
    const int rc = MIM_NN(mim_mlp_create)(shape, layout, first, &options, mlp);
    if (rc == MIM_OK)
        context->n_bytes += MIM_NN(mim_mlp_n_bytes)(*mlp);
    return rc;
}

/* ---- inputs --------------------------------------------------------------------------------- */

void MIM_NN(mim_context_put_known)(const mim_architecture *a, const MIM_NETWORK_INPUT *in,
                                   MIM_REAL *rows, size_t ld)
{
    const size_t t = a->n_threads, g = a->n_node_metrics;
    const size_t n_rows = a->has_masks ? 2 : 1;
    for (size_t b = 0; b < in->n_samples; b++) {
        MIM_REAL *row = rows + b * ld;
        for (size_t k = 0; k < n_rows; k++, row += t + g) {
            const MIM_REAL *cpu = k == 0 ? in->cpu : in->cpu_mask;
            const MIM_REAL *node = k == 0 ? in->node : in->node_mask;
            for (size_t i = 0; i < t; i++)
                row[i] = cpu[b * t + i];
            for (size_t i = 0; i < g; i++)
                row[t + i] = node[b * g + i];
        }
        if (a->has_masks && kinds[a->encoder]->looks_at_previous)
            *row = a->is_previous_frozen ? 0 : in->has_previous[b];
    }
}

void MIM_NN(mim_context_put_previous)(const mim_architecture *a, const MIM_NETWORK_INPUT *in,
                                      MIM_REAL *rows, size_t ld)
{
    for (size_t b = 0; b < in->n_samples; b++)
        for (size_t s = 0; s < a->n_stressors; s++)
            for (size_t t = 0; t < a->n_threads; t++)
                rows[b * ld + s * a->n_threads + t] = MIM_NN(mim_context_previous)(a, in, b, t, s);
}

void MIM_NN(mim_context_put_sums)(const mim_architecture *a, const MIM_NETWORK_INPUT *in,
                                  MIM_REAL *rows, size_t ld)
{
    for (size_t b = 0; b < in->n_samples; b++) {
        MIM_REAL *of_threads = rows + b * ld, *of_stressors = of_threads + a->n_threads;
        for (size_t i = 0; i < mim_context_n_sums(a); i++)
            of_threads[i] = 0;
        for (size_t t = 0; t < a->n_threads; t++)
            for (size_t s = 0; s < a->n_stressors; s++) {
                const MIM_REAL p = MIM_NN(mim_context_previous)(a, in, b, t, s);
                of_threads[t] += p;
                of_stressors[s] += p;
            }
    }
}
