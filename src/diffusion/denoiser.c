#include "diffusion/denoiser.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers.h"

static const double norm_eps = 1e-6;

/* Indices in the layout; of linear layers that of the weight, the bias follows. */
typedef struct block_tensors {
    size_t condition, qkv, mix, mlp_1, mlp_2;
} block_tensors;

typedef struct tensors {
    size_t thread, socket, global, time_1, time_2, node_1, node_2, last_condition, last;
    block_tensors blocks[MIM_DENOISER_MAX_BLOCKS];
} tensors;

/* What a thread's and the global token are made of. */
static size_t n_thread_inputs(const mim_architecture *a) { return 2 * a->n_stressors + 2; }

static size_t n_global_inputs(const mim_architecture *a) { return 2 * a->n_node_metrics + 1; }

int mim_architecture_check(const mim_architecture *a)
{
    const struct {
        const char *what;
        size_t n, min, max;
    } sizes[] = {{"stressors", a->n_stressors, 1, MIM_DENOISER_MAX_INPUTS},
                 {"node metrics", a->n_node_metrics, 0, MIM_DENOISER_MAX_INPUTS},
                 {"sockets", a->n_sockets, 1, MIM_DENOISER_MAX_INPUTS},
                 {"width", a->width, 4, MIM_DENOISER_MAX_WIDTH},
                 {"blocks", a->n_blocks, 1, MIM_DENOISER_MAX_BLOCKS},
                 {"heads", a->n_heads, 1, a->width},
                 {"MLP ratio", a->mlp_ratio, 1, MIM_DENOISER_MAX_RATIO}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].n < sizes[i].min || sizes[i].n > sizes[i].max)
            return mim_fail(MIM_EINVAL, "denoiser: %s: expected %zu to %zu, found %zu",
                            sizes[i].what, sizes[i].min, sizes[i].max, sizes[i].n);
    if (a->width % 2 || a->width % a->n_heads)
        return mim_fail(MIM_EINVAL, "denoiser: a width of %zu is odd or no multiple of %zu heads",
                        a->width, a->n_heads);
    return MIM_OK;
}

/* ---- the parameters ---------------------------------------------------------------------------
 */

static int add_block(const mim_architecture *a, size_t number, mim_tensors *layout,
                     block_tensors *block)
{
    const size_t d = a->width;
    const struct {
        const char *name;
        size_t n_in, n_out;
        bool is_zero;
        size_t *index;
    } parts[] = {{"condition", d, 6 * d, true, &block->condition},
                 {"qkv", d, 3 * d, false, &block->qkv},
                 {"mix", d, d, false, &block->mix},
                 {"mlp1", d, a->mlp_ratio * d, false, &block->mlp_1},
                 {"mlp2", a->mlp_ratio * d, d, false, &block->mlp_2}};
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < sizeof parts / sizeof *parts; i++) {
        char name[MIM_TENSOR_MAX_NAME];
        snprintf(name, sizeof name, "block%zu.%s", number, parts[i].name);
        rc = mim_tensors_add_linear(layout, name, parts[i].n_in, parts[i].n_out, parts[i].is_zero,
                                    parts[i].index);
    }
    return rc;
}

static int add_tensors(const mim_architecture *a, mim_tensors *layout, tensors *t)
{
    const size_t d = a->width, n_global = n_global_inputs(a);
    const size_t socket_shape[2] = {a->n_sockets, d};
    int rc = mim_tensors_add_linear(layout, "thread", n_thread_inputs(a), d, false, &t->thread);
    if (rc == MIM_OK)
        rc = mim_tensors_add(layout, "socket", 2, socket_shape, MIM_INIT_NORMAL, 0.02, false,
                             &t->socket);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "global", n_global, d, false, &t->global);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "time1", d, d, false, &t->time_1);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "time2", d, d, false, &t->time_2);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "node1", n_global, d, false, &t->node_1);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "node2", d, d, false, &t->node_2);
    for (size_t i = 0; rc == MIM_OK && i < a->n_blocks; i++)
        rc = add_block(a, i, layout, &t->blocks[i]);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "last.condition", d, 2 * d, true, &t->last_condition);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "last", d, a->n_stressors, true, &t->last);
    return rc;
}

static int make_layout(const mim_architecture *a, mim_tensors **layout, tensors *t)
{
    mim_tensors *made = NULL;
    int rc = mim_architecture_check(a);
    if (rc == MIM_OK)
        rc = mim_tensors_create(&made);
    if (rc == MIM_OK)
        rc = add_tensors(a, made, t);
    if (rc != MIM_OK)
        mim_tensors_destroy(&made);
    else
        *layout = made;
    return rc;
}

int mim_denoiser_layout(const mim_architecture *architecture, mim_tensors **layout)
{
    tensors t;
    return make_layout(architecture, layout, &t);
}

double mim_denoiser_flop(const mim_architecture *a, size_t n_samples, size_t n_threads)
{
    const double b = (double)n_samples, threads = (double)n_threads, tokens = b * (threads + 1);
    const double d = (double)a->width, r = (double)a->mlp_ratio, s = (double)a->n_stressors;
    const double global = (double)n_global_inputs(a);
    const double block =
        tokens * (3 * d * d + d * d + 2 * r * d * d + 2 * (threads + 1) * d) + b * 6 * d * d;
    const double ends = b * threads * (double)n_thread_inputs(a) * d + 2 * b * global * d +
                        b * 3 * d * d + b * 2 * d * d + tokens * d * s;
    return 2 * ((double)a->n_blocks * block + ends);
}

/* ---- both precisions --------------------------------------------------------------------------
 */

#include "nn/as_float.h"

#include "diffusion/denoiser_internal.h"

#include "nn/as_double.h"

#include "diffusion/denoiser_internal.h"
