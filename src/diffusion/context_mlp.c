/* Encoders made of linear layers on a row of known numbers: metrics_only, concat, concat_sym,
 * prev_sums, residual_prev. */
#include "diffusion/context_kind_internal.h"

/* Numbers that stand before the known ones. */
static size_t n_before(const mim_architecture *a)
{
    return a->encoder == MIM_CONTEXT_CONCAT       ? mim_context_n_cells(a)
           : a->encoder == MIM_CONTEXT_CONCAT_SYM ? mim_context_n_sums(a)
                                                  : 0;
}

/* Numbers from which a branch of its own adds to the answer; 0: there is no branch. */
static size_t n_branch(const mim_architecture *a)
{
    return a->encoder == MIM_CONTEXT_PREV_SUMS       ? a->n_stressors
           : a->encoder == MIM_CONTEXT_RESIDUAL_PREV ? mim_context_n_cells(a)
                                                     : 0;
}

static bool is_gated(const mim_architecture *a) { return a->encoder == MIM_CONTEXT_RESIDUAL_PREV; }

static mim_mlp_shape main_shape(const mim_architecture *a)
{
    const size_t h = a->encoder_width, in = n_before(a) + mim_context_n_known(a);
    return (mim_mlp_shape){3, {in, h, h, a->context_width}, MIM_MISH, false};
}

static mim_mlp_shape branch_shape(const mim_architecture *a)
{
    return (mim_mlp_shape){2, {n_branch(a), a->encoder_width, a->context_width}, MIM_MISH, true};
}

static int add_tensors(const mim_architecture *a, mim_tensors *layout, size_t *first)
{
    const mim_mlp_shape main = main_shape(a), branch = branch_shape(a);
    const size_t one = 1;
    int rc = mim_mlp_add_tensors(&main, "context", layout, first);
    if (rc == MIM_OK && n_branch(a) > 0)
        rc = mim_mlp_add_tensors(&branch, "context_previous", layout, NULL);
    if (rc == MIM_OK && is_gated(a))
        rc = mim_tensors_add(layout, "context_gate", 1, &one, MIM_INIT_ONE, 0, false, NULL);
    return rc;
}

static double flop(const mim_architecture *a, size_t n_samples)
{
    const mim_mlp_shape main = main_shape(a), branch = branch_shape(a);
    return mim_mlp_flop(&main, n_samples) +
           (n_branch(a) > 0 ? mim_mlp_flop(&branch, n_samples) : 0);
}

#include "nn/as_float.h"

#include "diffusion/context_mlp_internal.h"

#include "nn/as_double.h"

#include "diffusion/context_mlp_internal.h"

const mim_context_kind mim_context_mlp = {
    .add_tensors = add_tensors, .flop = flop, .methods_f = &methods_f, .methods_d = &methods_d};

const mim_context_kind mim_context_mlp_previous = {.looks_at_previous = true,
                                                   .add_tensors = add_tensors,
                                                   .flop = flop,
                                                   .methods_f = &methods_f,
                                                   .methods_d = &methods_d};
