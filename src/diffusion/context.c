#include "diffusion/context.h"

#include <stdlib.h>

#include "diffusion/context_kind_internal.h"

static const mim_context_kind *const kinds[MIM_N_CONTEXTS] = {
    [MIM_CONTEXT_METRICS_ONLY] = &mim_context_mlp,
    [MIM_CONTEXT_CONCAT] = &mim_context_mlp_previous,
    [MIM_CONTEXT_CONCAT_SYM] = &mim_context_mlp_previous,
    [MIM_CONTEXT_PREV_SUMS] = &mim_context_mlp_previous,
    [MIM_CONTEXT_RESIDUAL_PREV] = &mim_context_mlp_previous,
    [MIM_CONTEXT_ADDITION] = &mim_context_mix,
    [MIM_CONTEXT_GATED] = &mim_context_mix,
    [MIM_CONTEXT_FILM] = &mim_context_mix,
    [MIM_CONTEXT_PER_POSITION] = &mim_context_position,
    [MIM_CONTEXT_TRANSFORMER_METRICS_ONLY] = &mim_context_transformer,
    [MIM_CONTEXT_TRANSFORMER] = &mim_context_transformer_previous,
    [MIM_CONTEXT_TRANSFORMER_FULL] = &mim_context_transformer_previous,
    [MIM_CONTEXT_TRANSFORMER_TOKENS] = &mim_context_transformer_previous,
    [MIM_CONTEXT_CONCAT_TRANSFORMER] = &mim_context_transformer_previous,
};

enum { MAX_ROW = 1 << 20 }; /* numbers of a row that is put together */

static int check_size(const char *what, size_t n, size_t min, size_t max)
{
    return n < min || n > max ? mim_fail(MIM_EINVAL, "network: %s: expected %zu to %zu, found %zu",
                                         what, min, max, n)
                              : MIM_OK;
}

int mim_context_check(const mim_architecture *a)
{
    if ((unsigned)a->encoder >= MIM_N_CONTEXTS)
        return mim_fail(MIM_EINVAL, "network: there is no encoder %d", (int)a->encoder);
    const mim_context_kind *kind = kinds[a->encoder];
    int rc = check_size("encoder_width", a->encoder_width, 1, MIM_NETWORK_MAX_WIDTH);
    if (rc == MIM_OK)
        rc = check_size("context_width", a->context_width, 1, MIM_NETWORK_MAX_WIDTH);
    if (rc == MIM_OK)
        rc = check_size("metrics", mim_context_n_metrics(a), 1, MAX_ROW / 4);
    if (rc == MIM_OK && kind->looks_at_previous)
        rc = check_size("cells of the slot before", mim_context_n_cells(a), 1, MAX_ROW);
    if (rc == MIM_OK && !(a->encoder_dropout >= 0 && a->encoder_dropout < 1))
        rc = mim_fail(MIM_EINVAL, "network: encoder_dropout: expected 0 to less than 1, found %g",
                      a->encoder_dropout);
    if (rc == MIM_OK && mim_context_is_per_thread(a) && a->encoder != MIM_CONTEXT_PER_POSITION)
        rc = mim_fail(MIM_EINVAL,
                      "network: thread_condition = film_enc goes with encoder = per_position");
    return rc == MIM_OK && kind->check ? kind->check(a) : rc;
}

int mim_context_add_tensors(const mim_architecture *a, mim_tensors *layout, size_t *first)
{
    const int rc = mim_context_check(a);
    return rc == MIM_OK ? kinds[a->encoder]->add_tensors(a, layout, first) : rc;
}

double mim_context_flop(const mim_architecture *a, size_t n_samples)
{
    return kinds[a->encoder]->flop(a, n_samples);
}

size_t mim_context_n_known(const mim_architecture *a)
{
    const size_t n = mim_context_n_metrics(a);
    return a->has_masks ? 2 * n + (kinds[a->encoder]->looks_at_previous ? 1 : 0) : n;
}

#include "nn/as_float.h"

#include "diffusion/context_internal.h"

#include "nn/as_double.h"

#include "diffusion/context_internal.h"
