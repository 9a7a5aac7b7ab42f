/* Products by plain loops: the reference. */
#include <assert.h>

#include "nn/gemm_internal.h"
#include "nn/vector_internal.h"

void mim_gemm_assert(const mim_gemm_shape *g)
{
    assert(g->m == 0 || g->k == 0 || g->ld_a >= (g->is_ta ? g->m : g->k));
    assert(g->n == 0 || g->k == 0 || g->ld_b >= (g->is_tb ? g->k : g->n));
    assert(g->m == 0 || g->n == 0 || g->ld_c >= g->n);
    (void)g; /* with NDEBUG */
}

#include "nn/as_float.h"
#include "nn/gemm_plain_internal.h"

#include "nn/as_double.h"
#include "nn/gemm_plain_internal.h"

const mim_gemm mim_gemm_plain = {
    .name = "plain",
    .run_f = mim_gemm_plain_run_f,
    .run_d = mim_gemm_plain_run_d,
    .run_batch_f = mim_gemm_plain_run_batch_f,
    .run_batch_d = mim_gemm_plain_run_batch_d,
};
