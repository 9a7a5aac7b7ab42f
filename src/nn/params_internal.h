/* Bodies of the parameter arrays; included by nn/params.c once per precision. */

int MIM_NN(mim_params_create)(const mim_tensors *layout, MIM_PARAMS **params)
{
    const size_t n = layout->n_values;
    MIM_PARAMS *p = NULL;
    int rc = MIM_OK;
    if (n == 0) {
        rc = mim_fail(MIM_EINVAL, "a network without parameters");
        goto done;
    }
    if (!(p = calloc(1, sizeof *p)) || n > SIZE_MAX / n_arrays / sizeof(MIM_REAL) ||
        !(p->values = calloc(n * n_arrays, sizeof(MIM_REAL)))) {
        rc = mim_fail(MIM_ENOMEM, "%zu parameters, their gradients, moments and average", n);
        goto done;
    }
    if ((rc = copy_layout(layout, &p->layout)) != MIM_OK)
        goto done;
    p->n_values = n;
    p->grads = p->values + n;
    p->moment_1 = p->values + 2 * n;
    p->moment_2 = p->values + 3 * n;
    p->ema = p->values + 4 * n;
    *params = p;
    p = NULL;
done:
    MIM_NN(mim_params_destroy)(&p);
    return rc;
}

void MIM_NN(mim_params_destroy)(MIM_PARAMS **params)
{
    if (!params || !*params)
        return;
    mim_tensors_destroy(&(*params)->layout);
    free((*params)->values);
    free(*params);
    *params = NULL;
}

void MIM_NN(mim_params_init)(MIM_PARAMS *params, uint64_t seed)
{
    for (size_t t = 0; t < params->layout->n_tensors; t++) {
        const mim_tensor *tensor = &params->layout->tensors[t];
        MIM_REAL *values = params->values + tensor->offset;
        for (size_t i = 0; i < tensor->n_values; i++)
            values[i] = (MIM_REAL)first_value(tensor, seed, i);
    }
    memcpy(params->ema, params->values, params->n_values * sizeof(MIM_REAL));
    memset(params->grads, 0, 3 * params->n_values * sizeof(MIM_REAL)); /* and both moments */
}

const MIM_REAL *MIM_NN(mim_params_value)(const MIM_PARAMS *params, size_t index)
{
    assert(index < params->layout->n_tensors);
    return params->values + params->layout->tensors[index].offset;
}

const MIM_REAL *MIM_NN(mim_params_ema)(const MIM_PARAMS *params, size_t index)
{
    assert(index < params->layout->n_tensors);
    return params->ema + params->layout->tensors[index].offset;
}

MIM_REAL *MIM_NN(mim_params_grad)(const MIM_PARAMS *params, size_t index)
{
    assert(index < params->layout->n_tensors);
    return params->grads + params->layout->tensors[index].offset;
}

void MIM_NN(mim_params_zero_grads)(MIM_PARAMS *params)
{
    memset(params->grads, 0, params->n_values * sizeof(MIM_REAL));
}
