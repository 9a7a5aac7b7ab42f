/* Bodies of the parameter arrays; included by nn/params.c once per precision. */

/* n_each numbers for each of n values, all 0; NULL if there is no memory. */
static MIM_REAL *MIM_NN(take)(size_t n, size_t n_each)
{
    return mim_calloc_large(n > 0 ? n : 1, n_each * sizeof(MIM_REAL));
}

/* Memory for what updating n values takes. */
static MIM_REAL *MIM_NN(take_own)(size_t n) { return MIM_NN(take)(n, n_own_arrays); }

static void MIM_NN(place_own)(MIM_PARAMS *p, size_t first, size_t n, MIM_REAL *own)
{
    p->first_own = first;
    p->n_own = n;
    p->moment_1 = own;
    p->moment_2 = own + n;
    p->own_ema = own + 2 * n;
    p->ema = n == p->n_values ? p->own_ema : p->grads;
}

int MIM_NN(mim_params_create)(const mim_tensors *layout, MIM_PARAMS **params)
{
    const size_t n = layout->n_values;
    MIM_PARAMS *p = NULL;
    int rc = MIM_OK;
    if (n == 0) {
        rc = mim_fail(MIM_EINVAL, "a network without parameters");
        goto done;
    }
    if (!(p = calloc(1, sizeof *p)) || !(p->values = MIM_NN(take)(n, n_arrays)) ||
        !(p->moment_1 = MIM_NN(take_own)(n))) {
        rc = mim_fail(MIM_ENOMEM, "%zu parameters, their gradients, moments and average", n);
        goto done;
    }
    if ((rc = copy_layout(layout, &p->layout)) != MIM_OK)
        goto done;
    p->n_values = n;
    p->grads = p->values + n;
    MIM_NN(place_own)(p, 0, n, p->moment_1);
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
    free((*params)->moment_1);
    free(*params);
    *params = NULL;
}

int MIM_NN(mim_params_keep_part)(const mim_part *part, MIM_PARAMS *p)
{
    MIM_REAL *const all = p->moment_1;
    size_t first, n;
    assert(p->n_own == p->n_values);
    mim_part_range(part, p->n_values, &first, &n);
    if (n == p->n_values)
        return MIM_OK;
    MIM_REAL *own = MIM_NN(take_own)(n);
    if (!own)
        return mim_fail(MIM_ENOMEM, "moments and average of %zu parameters", n);
    for (size_t a = 0; a < n_own_arrays; a++)
        memcpy(own + a * n, all + a * p->n_values + first, n * sizeof *own);
    MIM_NN(place_own)(p, first, n, own);
    free(all);
    return MIM_OK;
}

void MIM_NN(mim_params_init)(MIM_PARAMS *params, uint64_t seed)
{
    for (size_t t = 0; t < params->layout->n_tensors; t++) {
        const mim_tensor *tensor = &params->layout->tensors[t];
        MIM_REAL *values = params->values + tensor->offset;
        for (size_t i = 0; i < tensor->n_values; i++)
            values[i] = (MIM_REAL)first_value(tensor, seed, i);
    }
    memcpy(params->own_ema, params->values + params->first_own, params->n_own * sizeof(MIM_REAL));
    memset(params->moment_1, 0, 2 * params->n_own * sizeof(MIM_REAL)); /* both moments */
    memset(params->grads, 0, params->n_values * sizeof(MIM_REAL));
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
