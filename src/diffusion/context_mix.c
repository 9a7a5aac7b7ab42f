/* Encoders that mix the slot before with the metrics at once: addition, gated, film. */
#include "diffusion/context_kind_internal.h"

/* u = offset + factor action, of linear maps: ACTION of p, OFFSET and FACTOR of k. */
typedef enum { ACTION, OFFSET, FACTOR, N_MAPS } map;

static size_t n_maps(const mim_architecture *a)
{
    return a->encoder == MIM_CONTEXT_ADDITION ? 2 : N_MAPS;
}

static const char *name_of(const mim_architecture *a, map m)
{
    const bool is_film = a->encoder == MIM_CONTEXT_FILM;
    switch (m) {
    case OFFSET:
        return is_film ? "context_beta" : "context_metrics";
    case FACTOR:
        return is_film ? "context_gamma" : "context_gate";
    case ACTION:
    case N_MAPS:
        break;
    }
    return "context_action";
}

static size_t n_in(const mim_architecture *a, map m)
{
    return m == ACTION ? mim_context_n_cells(a) : mim_context_n_known(a);
}

static mim_mlp_shape end_shape(const mim_architecture *a)
{
    return (mim_mlp_shape){
        2, {a->encoder_width, a->encoder_width, a->context_width}, MIM_MISH, false};
}

static int add_tensors(const mim_architecture *a, mim_tensors *layout, size_t *first)
{
    const mim_mlp_shape end = end_shape(a);
    int rc = MIM_OK;
    for (size_t m = 0; rc == MIM_OK && m < n_maps(a); m++)
        rc = mim_tensors_add_linear(layout, name_of(a, (map)m), n_in(a, (map)m), a->encoder_width,
                                    false, m == 0 ? first : NULL);
    return rc == MIM_OK ? mim_mlp_add_tensors(&end, "context", layout, NULL) : rc;
}

static double flop(const mim_architecture *a, size_t n_samples)
{
    const mim_mlp_shape end = end_shape(a);
    double sum = mim_mlp_flop(&end, n_samples);
    for (size_t m = 0; m < n_maps(a); m++)
        sum += 2 * (double)n_samples * (double)n_in(a, (map)m) * (double)a->encoder_width;
    return sum;
}

#include "nn/as_float.h"

#include "diffusion/context_mix_internal.h"

#include "nn/as_double.h"

#include "diffusion/context_mix_internal.h"

const mim_context_kind mim_context_mix = {.looks_at_previous = true,
                                          .add_tensors = add_tensors,
                                          .flop = flop,
                                          .methods_f = &methods_f,
                                          .methods_d = &methods_d};
