#include "nn/mlp.h"

#include <assert.h>
#include <stdio.h>

#include "nn/carver_internal.h"

int mim_mlp_add_tensors(const mim_mlp_shape *s, const char *name, mim_tensors *layout,
                        size_t *first)
{
    int rc = MIM_OK;
    assert(s->n_layers >= 1 && s->n_layers <= MIM_MLP_MAX_LAYERS);
    for (size_t i = 0; rc == MIM_OK && i < s->n_layers; i++) {
        char numbered[2 * MIM_TENSOR_MAX_NAME];
        snprintf(numbered, sizeof numbered, "%s%zu", name, i + 1);
        rc = mim_tensors_add_linear(layout, numbered, s->widths[i], s->widths[i + 1],
                                    s->is_last_zero && i + 1 == s->n_layers, i == 0 ? first : NULL);
    }
    return rc;
}

double mim_mlp_flop(const mim_mlp_shape *s, size_t n_rows)
{
    double sum = 0;
    for (size_t i = 0; i < s->n_layers; i++)
        sum += 2 * (double)n_rows * (double)s->widths[i] * (double)s->widths[i + 1];
    return sum;
}

#include "nn/as_float.h"

#include "nn/mlp_internal.h"

#include "nn/as_double.h"

#include "nn/mlp_internal.h"
