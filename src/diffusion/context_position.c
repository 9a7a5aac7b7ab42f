/* The encoder per_position: a row a thread, from its own metric, all metrics and a number of its
 * own. */
#include <string.h>

#include "diffusion/context_kind_internal.h"

/* [own metric and mask, known numbers, embedding of the thread] */
static size_t n_row(const mim_architecture *a)
{
    return mim_context_n_own(a) + mim_context_n_known(a) + a->encoder_width;
}

static mim_mlp_shape shape_of(const mim_architecture *a)
{
    const size_t h = a->encoder_width;
    return (mim_mlp_shape){3, {n_row(a), h, h, a->context_width}, MIM_MISH, false};
}

static int add_tensors(const mim_architecture *a, mim_tensors *layout, size_t *first)
{
    const mim_mlp_shape shape = shape_of(a);
    const size_t table[2] = {a->n_threads, a->encoder_width};
    const int rc =
        mim_tensors_add(layout, "context_position", 2, table, MIM_INIT_NORMAL, 1, false, first);
    return rc == MIM_OK ? mim_mlp_add_tensors(&shape, "context", layout, NULL) : rc;
}

static double flop(const mim_architecture *a, size_t n_samples)
{
    const mim_mlp_shape shape = shape_of(a);
    return mim_mlp_flop(&shape, n_samples * a->n_threads);
}

#include "nn/as_float.h"

#include "diffusion/context_position_internal.h"

#include "nn/as_double.h"

#include "diffusion/context_position_internal.h"

const mim_context_kind mim_context_position = {
    .add_tensors = add_tensors, .flop = flop, .methods_f = &methods_f, .methods_d = &methods_d};
