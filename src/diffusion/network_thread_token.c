/* The kind "thread_token": the denoiser with one token a thread (diffusion/denoiser.h), which knows
 * of unconditional samples as such without a known metric. */
#include <stdlib.h>
#include <string.h>

#include "diffusion/denoiser.h"
#include "diffusion/network_kind_internal.h"

static mim_denoiser_shape shape_of(const mim_architecture *a)
{
    return (mim_denoiser_shape){.n_stressors = a->n_stressors,
                                .n_node_metrics = a->n_node_metrics,
                                .n_sockets = a->n_sockets,
                                .width = a->width,
                                .n_blocks = a->n_blocks,
                                .n_heads = a->n_heads,
                                .mlp_ratio = a->mlp_ratio};
}

static int check(const mim_architecture *a)
{
    const mim_denoiser_shape shape = shape_of(a);
    return mim_denoiser_check(&shape);
}

static int layout_of(const mim_architecture *a, mim_tensors **layout)
{
    const mim_denoiser_shape shape = shape_of(a);
    return mim_denoiser_layout(&shape, layout);
}

static double flop(const mim_architecture *a, size_t n_samples, size_t n_threads)
{
    const mim_denoiser_shape shape = shape_of(a);
    return mim_denoiser_flop(&shape, n_samples, n_threads);
}

#include "nn/as_float.h"

#include "diffusion/network_thread_token_internal.h"

#include "nn/as_double.h"

#include "diffusion/network_thread_token_internal.h"

const mim_network_kind mim_network_thread_token = {
    .check = check,
    .layout = layout_of,
    .flop = flop,
    .create_f = create_f,
    .create_d = create_d,
};
