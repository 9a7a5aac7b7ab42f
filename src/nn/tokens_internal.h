/* Bodies of embeddings and dropout; included by nn/tokens.c once per precision. */

void MIM_NN(mim_embedding_forward)(size_t n_rows, size_t width, const MIM_REAL *table,
                                   const uint32_t *ids, mim_into into, MIM_REAL *y)
{
    for (size_t r = 0; r < n_rows; r++) {
        const MIM_REAL *from = table + ids[r] * width;
        for (size_t i = 0; i < width; i++)
            y[r * width + i] = into == MIM_ADD ? y[r * width + i] + from[i] : from[i];
    }
}

void MIM_NN(mim_embedding_backward)(size_t n_rows, size_t width, const uint32_t *ids,
                                    const MIM_REAL *dy, MIM_REAL *dtable)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < width; i++)
            dtable[ids[r] * width + i] += dy[r * width + i];
}

void MIM_NN(mim_timestep_embedding)(size_t n, const double *t, size_t width, MIM_REAL *y)
{
    const size_t half = width / 2;
    assert(width >= 4 && width % 2 == 0);
    for (size_t j = 0; j < half; j++) {
        const double frequency = exp(-(double)j * log(10000.0) / (double)(half - 1));
        for (size_t i = 0; i < n; i++) {
            y[i * width + j] = (MIM_REAL)sin(t[i] * frequency);
            y[i * width + half + j] = (MIM_REAL)cos(t[i] * frequency);
        }
    }
}

void MIM_NN(mim_dropout_apply)(const mim_dropout *dropout, size_t n_samples, size_t n_per_sample,
                               const MIM_REAL *x, MIM_REAL *y)
{
    if (!dropout || dropout->rate == 0) {
        if (x != y)
            memcpy(y, x, n_samples * n_per_sample * sizeof *x);
        return;
    }
    const uint16_t threshold = mim_dropout_threshold(dropout);
    const MIM_REAL factor = (MIM_REAL)(1 / (1 - dropout->rate));
    mim_draws room;
    for (size_t s = 0; s < n_samples; s++)
        for (size_t first = 0; first < n_per_sample; first += MIM_DROPOUT_DRAWS) {
            const size_t left = n_per_sample - first;
            const size_t n = left < MIM_DROPOUT_DRAWS ? left : MIM_DROPOUT_DRAWS;
            const size_t at = s * n_per_sample + first;
            const mim_draw *draws = mim_dropout_draw(dropout, s, first, n, &room);
            MIM_ELEMENTWISE
            for (size_t i = 0; i < n; i++)
                y[at + i] = draws[i] >= threshold ? factor * x[at + i] : 0;
        }
}
