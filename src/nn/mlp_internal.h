/* Included by nn/mlp.c once per precision; see there. Not guarded. */

struct MIM_MLP {
    mim_mlp_shape s;
    const mim_gemm *gemm;
    size_t weight[MIM_MLP_MAX_LAYERS], bias[MIM_MLP_MAX_LAYERS]; /* offsets in values */
    size_t n_bytes;
    char *memory;
    MIM_REAL *before[MIM_MLP_MAX_LAYERS - 1]; /* [rows][width] what a layer gave */
    MIM_REAL *after[MIM_MLP_MAX_LAYERS - 1];  /* the same after the activation */
    MIM_REAL *d[2];                           /* [rows][largest width between layers] */
};

static void MIM_NN(carve_all)(MIM_MLP *m, const mim_mlp_options *o, mim_carver *c)
{
    size_t widest = 0;
    for (size_t i = 0; i + 1 < m->s.n_layers; i++) {
        const size_t width = m->s.widths[i + 1];
        m->before[i] = mim_carve(c, o->max_rows * width, sizeof(MIM_REAL));
        m->after[i] = mim_carve(c, o->max_rows * width, sizeof(MIM_REAL));
        widest = width > widest ? width : widest;
    }
    for (size_t i = 0; i < 2 && o->is_training; i++)
        m->d[i] = mim_carve(c, o->max_rows * widest, sizeof(MIM_REAL));
}

int MIM_NN(mim_mlp_create)(const mim_mlp_shape *shape, const mim_tensors *layout, size_t first,
                           const mim_mlp_options *options, MIM_MLP **mlp)
{
    mim_carver c = {NULL, 0};
    MIM_MLP *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "linear layers");
    made->s = *shape;
    made->gemm = options->gemm ? options->gemm : mim_gemm_find(NULL);
    for (size_t i = 0; i < shape->n_layers; i++) {
        made->weight[i] = layout->tensors[first + 2 * i].offset;
        made->bias[i] = layout->tensors[first + 2 * i + 1].offset;
    }
    MIM_NN(carve_all)(made, options, &c);
    made->n_bytes = c.used;
    const int rc = mim_carver_take(&c, "linear layers");
    if (rc != MIM_OK) {
        free(made);
        return rc;
    }
    made->memory = c.base;
    MIM_NN(carve_all)(made, options, &c);
    *mlp = made;
    return MIM_OK;
}

void MIM_NN(mim_mlp_destroy)(MIM_MLP **mlp)
{
    if (!mlp || !*mlp)
        return;
    free((*mlp)->memory);
    free(*mlp);
    *mlp = NULL;
}

size_t MIM_NN(mim_mlp_n_bytes)(const MIM_MLP *mlp) { return mlp->n_bytes; }

void MIM_NN(mim_mlp_forward)(MIM_MLP *m, const MIM_REAL *values, size_t n_rows, const MIM_REAL *x,
                             mim_into into, MIM_REAL *y)
{
    for (size_t i = 0; i < m->s.n_layers; i++) {
        const size_t in = m->s.widths[i], out = m->s.widths[i + 1];
        const bool is_last = i + 1 == m->s.n_layers;
        MIM_NN(mim_linear_forward)
        (m->gemm, n_rows, in, out, x, in, values + m->weight[i], values + m->bias[i],
         is_last ? into : MIM_SET, is_last ? y : m->before[i], out);
        if (is_last)
            break;
        MIM_NN(mim_activation_forward)(m->s.activation, n_rows * out, m->before[i], m->after[i]);
        x = m->after[i];
    }
}

void MIM_NN(mim_mlp_backward)(MIM_MLP *m, const MIM_REAL *values, size_t n_rows, const MIM_REAL *x,
                              const MIM_REAL *dy, MIM_REAL *dx, MIM_REAL *grads)
{
    for (size_t i = m->s.n_layers; i-- > 0;) {
        const size_t in = m->s.widths[i], out = m->s.widths[i + 1];
        MIM_REAL *to = i > 0 ? m->d[i % 2] : dx;
        MIM_NN(mim_linear_backward)
        (m->gemm, n_rows, in, out, i > 0 ? m->after[i - 1] : x, in, values + m->weight[i], dy, out,
         MIM_SET, to, in, grads + m->weight[i], grads + m->bias[i]);
        if (i > 0)
            MIM_NN(mim_activation_backward)
        (m->s.activation, n_rows * in, m->before[i - 1], to, to);
        dy = to;
    }
}
