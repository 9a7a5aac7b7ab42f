/* Choosing who computes products. */
#include "nn/gemm_internal.h"

#include <stdio.h>
#include <string.h>

const mim_gemm *mim_gemm_find(const char *name)
{
    static const mim_gemm *const all[] = {&mim_gemm_onednn, &mim_gemm_plain};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!name || strcmp(name, all[i]->name) == 0)
            return all[i];
    return NULL;
}

bool mim_gemm_has_bf16(const mim_gemm *gemm)
{
    return gemm == &mim_gemm_onednn && mim_onednn_has_bf16();
}

mim_gemm_cut mim_gemm_cut_of(const mim_gemm_shape *g, bool has_whole_rows)
{
    enum { max_pieces = 16, row_unit = 8, column_unit = 48 }; /* units: what kernels form at once */
    static const double piece_flop = 8e6; /* 0.1 ms: far more than starting it takes */
    const bool is_columns = !has_whole_rows && g->n > 4 * g->m;
    const size_t n = is_columns ? g->n : g->m, unit = is_columns ? column_unit : row_unit;
    const double wanted = 2.0 * (double)g->m * (double)g->n * (double)g->k / piece_flop;
    const size_t n_wanted = wanted < 1 ? 1 : wanted > max_pieces ? max_pieces : (size_t)wanted;
    const size_t step = ((n + n_wanted - 1) / n_wanted + unit - 1) / unit * unit;
    return (mim_gemm_cut){is_columns, (n + step - 1) / step, step};
}

void mim_gemm_describe(const mim_gemm *gemm, size_t size, char *text)
{
    if (gemm == &mim_gemm_onednn)
        mim_gemm_onednn_describe(size, text);
    else
        snprintf(text, size, "%s loops", gemm->name);
}
