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

void mim_gemm_describe(const mim_gemm *gemm, size_t size, char *text)
{
    if (gemm == &mim_gemm_onednn)
        mim_gemm_onednn_describe(size, text);
    else
        snprintf(text, size, "%s loops", gemm->name);
}
