#include "nn/precision.h"

#include <string.h>

static const char *const names[] = {"f32", "bf16"};

int mim_precision_find(const char *word, mim_precision *precision)
{
    for (int i = 0; i < 2; i++)
        if (strcmp(word, names[i]) == 0) {
            *precision = (mim_precision)i;
            return MIM_OK;
        }
    return mim_fail(MIM_EUSAGE, "precision \"%.40s\": expected f32 or bf16", word);
}

const char *mim_precision_name(mim_precision precision) { return names[precision]; }
