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

static bool is_intel(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_is("intel");
#else
    return false;
#endif
}

bool mim_gemm_is_fast_in_bf16(const mim_gemm *gemm)
{
    return mim_gemm_has_bf16(gemm) && (mim_onednn_has_amx() || !is_intel());
}

mim_precision mim_gemm_precision(const mim_gemm *gemm, mim_precision wanted)
{
    return mim_gemm_is_fast_in_bf16(gemm ? gemm : mim_gemm_find(NULL)) ? wanted : MIM_PRECISION_F32;
}

static size_t parts_of(size_t n, size_t part) { return (n + part - 1) / part; }

/* Rows first: pieces of fewer than 64 would spend their time on arranging B (of fewer than 128
 * where A is transposed, and nothing is arranged once for all), of fewer than 256 columns on
 * arranging A (measured). Steps are multiples of what kernels form at once. */
mim_gemm_cut mim_gemm_cut_of(const mim_gemm_shape *g, bool has_whole_rows)
{
    enum { max_pieces = 16, min_columns = 256, row_unit = 8, column_unit = 48 };
    static const double piece_flop = 8e6; /* 0.1 ms: far more than starting it takes */
    const size_t min_rows = g->is_ta ? 128 : 64;
    const double wanted = 2.0 * (double)g->m * (double)g->n * (double)g->k / piece_flop;
    const size_t n = wanted < 1 ? 1 : wanted > max_pieces ? max_pieces : (size_t)wanted;
    const size_t most_down = parts_of(g->m, min_rows), most_across = parts_of(g->n, min_columns);
    const size_t down = most_down < n ? most_down : n;
    size_t across = has_whole_rows || 2 * down > n ? 1 : parts_of(n, down);
    if (across > most_across)
        across = most_across;
    mim_gemm_cut cut = {.row_step = parts_of(parts_of(g->m, down), row_unit) * row_unit,
                        .column_step = parts_of(parts_of(g->n, across), column_unit) * column_unit};
    cut.n_columns = parts_of(g->n, cut.column_step);
    cut.n_pieces = cut.n_columns * parts_of(g->m, cut.row_step);
    return cut;
}

void mim_gemm_describe(const mim_gemm *gemm, size_t size, char *text)
{
    if (gemm == &mim_gemm_onednn)
        mim_gemm_onednn_describe(size, text);
    else
        snprintf(text, size, "%s loops", gemm->name);
}
