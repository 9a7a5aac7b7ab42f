/* The kind "thread_token", the default: a transformer with one token per thread and a global one.
 *
 * A thread's token is a linear map of its S noisy weights, S previous weights, own CPU metric and
 * its mask, plus its socket's embedding; the global token one of the node metrics, their masks and
 * whether there is a previous slot. Blocks are pre-norm with adaLN-zero (Peebles and Xie 2023) from
 * a condition made of the timestep's sinusoid and the node metrics (nn/dit.h); attention runs over
 * the 1 + T tokens of a sample and never over samples. Tokens carry no position but the socket, so
 * permuting threads within a socket together with their metrics permutes the answer. The number of
 * threads is free per call. An unconditional sample is one without a known metric: its values and
 * masks are all 0. */
#include <stdlib.h>
#include <string.h>

#include "diffusion/network_kind_internal.h"
#include "nn/carver_internal.h"
#include "nn/dit.h"
#include "nn/layers.h"

enum { MAX_INPUTS = 16384 }; /* stressors, node metrics or sockets */

/* Indices in the layout; of linear layers that of the weight, the bias follows. body: the blocks',
 * as nn/dit.h adds them. */
typedef struct tensors {
    size_t thread, socket, global, time_1, time_2, node_1, node_2, body, last;
} tensors;

/* What a thread's and the global token are made of. */
static size_t n_thread_inputs(const mim_architecture *a) { return 2 * a->n_stressors + 2; }

static size_t n_global_inputs(const mim_architecture *a) { return 2 * a->n_node_metrics + 1; }

static int check(const mim_architecture *a)
{
    const struct {
        const char *what;
        size_t n, min, max;
    } sizes[] = {{"stressors", a->n_stressors, 1, MAX_INPUTS},
                 {"node metrics", a->n_node_metrics, 0, MAX_INPUTS},
                 {"sockets", a->n_sockets, 1, MAX_INPUTS},
                 {"width", a->width, 4, MIM_NETWORK_MAX_WIDTH},
                 {"blocks", a->n_blocks, 1, MIM_DIT_MAX_BLOCKS},
                 {"heads", a->n_heads, 1, a->width},
                 {"MLP ratio", a->mlp_ratio, 1, MIM_NETWORK_MAX_RATIO}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].n < sizes[i].min || sizes[i].n > sizes[i].max)
            return mim_fail(MIM_EINVAL, "network: %s: expected %zu to %zu, found %zu",
                            sizes[i].what, sizes[i].min, sizes[i].max, sizes[i].n);
    if (a->width % 2 || a->width % a->n_heads)
        return mim_fail(MIM_EINVAL, "network: a width of %zu is odd or no multiple of %zu heads",
                        a->width, a->n_heads);
    return MIM_OK;
}

/* ---- the parameters ---------------------------------------------------------------------------
 */

static mim_dit_shape body_shape(const mim_architecture *a)
{
    return (mim_dit_shape){.width = a->width,
                           .n_heads = a->n_heads,
                           .n_blocks = a->n_blocks,
                           .n_hidden = a->mlp_ratio * a->width,
                           .condition_width = a->width,
                           .activation = MIM_SILU};
}

static int add_tensors(const mim_architecture *a, mim_tensors *layout, tensors *t)
{
    const size_t d = a->width, n_global = n_global_inputs(a);
    const size_t socket_shape[2] = {a->n_sockets, d};
    const mim_dit_shape body = body_shape(a);
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
    if (rc == MIM_OK)
        rc = mim_dit_add_tensors(&body, "", layout, &t->body);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "last", d, a->n_stressors, true, &t->last);
    return rc;
}

static int make_layout(const mim_architecture *a, mim_tensors **layout, tensors *t)
{
    mim_tensors *made = NULL;
    int rc = mim_tensors_create(&made);
    if (rc == MIM_OK)
        rc = add_tensors(a, made, t);
    if (rc != MIM_OK)
        mim_tensors_destroy(&made);
    else
        *layout = made;
    return rc;
}

static int layout_of(const mim_architecture *a, mim_tensors **layout)
{
    tensors t;
    return make_layout(a, layout, &t);
}

static double flop(const mim_architecture *a, size_t n_samples, size_t n_threads)
{
    const mim_dit_shape body = body_shape(a);
    const double b = (double)n_samples, threads = (double)n_threads, tokens = b * (threads + 1);
    const double d = (double)a->width, s = (double)a->n_stressors;
    const double global = (double)n_global_inputs(a);
    const double ends = b * threads * (double)n_thread_inputs(a) * d + 2 * b * global * d +
                        b * 3 * d * d + tokens * d * s;
    return mim_dit_flop(&body, n_samples, n_threads + 1, 1) + 2 * ends;
}

static size_t n_rows(const mim_architecture *a, size_t n_threads)
{
    (void)a;
    return n_threads + 1;
}

/* ---- both precisions --------------------------------------------------------------------------
 */

#include "nn/as_float.h"

#include "diffusion/network_thread_token_internal.h"

#include "nn/as_double.h"

#include "diffusion/network_thread_token_internal.h"

const mim_network_kind mim_network_thread_token = {
    .check = check,
    .layout = layout_of,
    .flop = flop,
    .n_rows = n_rows,
    .create_f = create_f,
    .create_d = create_d,
};
