#include "nn/half_weights_internal.h"

#include <stdlib.h>

#include "nn/half_products.h"

struct mim_half_weights {
    size_t n;
    mim_bf16 *numbers;
    float *wide;             /* [n]; NULL: the processor is fast in bf16 */
    mim_onednn_packs *packs; /* NULL: nobody would use them */
    bool is_packed;
};

int mim_half_weights_create(const mim_gemm *gemm, size_t n, mim_half_weights **weights)
{
    mim_half_weights *made = calloc(1, sizeof *made);
    int rc = MIM_OK;
    gemm = gemm ? gemm : mim_gemm_find(NULL);
    const bool is_fast = mim_gemm_is_fast_in_bf16(gemm);
    if (!made || !(made->numbers = calloc(n, sizeof *made->numbers)) ||
        (!is_fast && !(made->wide = calloc(n, sizeof *made->wide))))
        rc = mim_fail(MIM_ENOMEM, "%zu parameters in bf16", n);
    if (rc == MIM_OK && mim_gemm_has_bf16(gemm))
        rc = mim_onednn_packs_create(&made->packs);
    if (rc != MIM_OK) {
        mim_half_weights_destroy(&made);
        return rc;
    }
    made->n = n;
    made->is_packed = true;
    *weights = made;
    return MIM_OK;
}

void mim_half_weights_destroy(mim_half_weights **weights)
{
    mim_half_weights *old = *weights;
    if (!old)
        return;
    *weights = NULL;
    mim_onednn_packs_destroy(&old->packs);
    free(old->numbers);
    free(old->wide);
    free(old);
}

size_t mim_half_weights_n_bytes(const mim_half_weights *w)
{
    return w->n * (sizeof *w->numbers + (w->wide ? sizeof *w->wide : 0));
}

void mim_half_weights_load(mim_half_weights *w, const float *values)
{
    mim_half_from_float(w->n, values, w->numbers);
    if (w->wide)
        mim_half_to_float(w->n, w->numbers, w->wide);
    w->is_packed = !w->packs || mim_onednn_packs_renew(w->packs);
}

const mim_bf16 *mim_half_weights_at(const mim_half_weights *w, size_t offset)
{
    return w->numbers + offset;
}

const float *mim_half_weights_wide(const mim_half_weights *w, const mim_bf16 *half)
{
    return w->wide ? w->wide + (half - w->numbers) : NULL;
}

mim_onednn_packs *mim_half_weights_packs(const mim_half_weights *w)
{
    return w->is_packed ? w->packs : NULL;
}
