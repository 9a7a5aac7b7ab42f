/* The kind "cell_token": a diffusion transformer (nn/dit.h) with one token a cell, a thread's
 * weight of a stressor.
 *
 * Tokens stand stressor by stressor, so that token s T + t of a sample is thread t's of stressor s:
 * a linear map of the noisy weight, and a number of the stressor's and of the thread's own. They
 * may be told the slot before (previous = token: an MLP of the cell's weight) and the thread's CPU
 * metric (thread_condition = bias: an MLP of it). The condition is [time, context];
 * thread_condition = film adds an MLP of the thread's CPU metric to the context, film_enc has a
 * context a thread, and a condition row is then one thread's. quiet_rows takes that from the tokens
 * of some stressors.
 *
 * Everything that comes from metrics or from the slot before is multiplied with is_conditional:
 * unconditional samples hear of neither, by no way. (The published bias let metrics through.) */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/context.h"
#include "diffusion/network_kind_internal.h"
#include "nn/carver_internal.h"
#include "nn/dit.h"
#include "nn/mlp.h"
#include "nn/parallel_internal.h"

enum { MAX_TOKENS = 1 << 16, TIME_RATIO = 4 };

/* Indices in the layout. */
typedef struct tensors {
    size_t token, stressor, thread; /* weight and bias; tables */
    size_t time, context, body, last, previous, own;
} tensors;

static size_t n_tokens(const mim_architecture *a) { return a->n_stressors * a->n_threads; }

static bool is_film(const mim_architecture *a)
{
    return a->thread == MIM_THREAD_FILM || a->thread == MIM_THREAD_FILM_ENC;
}

/* Whether an MLP is told each thread's own metric. */
static bool has_own(const mim_architecture *a)
{
    return a->thread == MIM_THREAD_BIAS || a->thread == MIM_THREAD_FILM;
}

/* Condition rows of a sample. */
static size_t n_conditions(const mim_architecture *a)
{
    return !is_film(a) ? 1 : *a->quiet_rows ? n_tokens(a) : a->n_threads;
}

/* Numbers of a cell of the slot before, or of a thread: the value, and whether it is known. */
static size_t n_told(const mim_architecture *a) { return a->has_masks ? 2 : 1; }

/* ---- the parameters ------------------------------------------------------------------------- */

static mim_dit_shape body_shape(const mim_architecture *a)
{
    return (mim_dit_shape){.width = a->width,
                           .n_heads = a->n_heads,
                           .n_blocks = a->n_blocks,
                           .n_hidden = a->mlp_ratio * a->width,
                           .condition_width = a->width + a->context_width,
                           .activation = MIM_SILU,
                           .is_xavier = true};
}

static mim_mlp_shape time_shape(const mim_architecture *a)
{
    return (mim_mlp_shape){2, {a->width, TIME_RATIO * a->width, a->width}, MIM_MISH, false};
}

static mim_mlp_shape previous_shape(const mim_architecture *a)
{
    return (mim_mlp_shape){2, {n_told(a), a->width, a->width}, MIM_MISH, false};
}

static mim_mlp_shape own_shape(const mim_architecture *a)
{
    const size_t out = is_film(a) ? a->context_width : a->width;
    return (mim_mlp_shape){2, {n_told(a), a->width, out}, MIM_MISH, false};
}

static int check(const mim_architecture *a)
{
    const mim_dit_shape body = body_shape(a);
    if (a->n_stressors < 1 || a->n_threads < 1 || n_tokens(a) > MAX_TOKENS)
        return mim_fail(MIM_EINVAL,
                        "network: %zu threads of %zu stressors: expected 1 to %d cells of both",
                        a->n_threads, a->n_stressors, MAX_TOKENS);
    if (a->width < 4 || a->width > MIM_NETWORK_MAX_WIDTH || a->width % 2)
        return mim_fail(MIM_EINVAL, "network: a width of %zu is odd or not 4 to %d", a->width,
                        MIM_NETWORK_MAX_WIDTH);
    if (a->mlp_ratio < 1 || a->mlp_ratio > MIM_NETWORK_MAX_RATIO)
        return mim_fail(MIM_EINVAL, "network: mlp_ratio: expected 1 to %d, found %zu",
                        MIM_NETWORK_MAX_RATIO, a->mlp_ratio);
    if (!(a->dropout >= 0 && a->dropout < 1))
        return mim_fail(MIM_EINVAL, "network: dropout: expected 0 to less than 1, found %g",
                        a->dropout);
    if (*a->quiet_rows && !has_own(a))
        return mim_fail(MIM_EINVAL,
                        "network: quiet_rows goes with thread_condition = bias or film");
    int rc = mim_dit_check(&body);
    if (rc == MIM_OK)
        rc = mim_context_check(a);
    return rc == MIM_OK ? mim_architecture_rows(a->quiet_rows, a->n_stressors, NULL) : rc;
}

static int add_tensors(const mim_architecture *a, mim_tensors *layout, tensors *t)
{
    const size_t d = a->width, stressors[2] = {a->n_stressors, d}, threads[2] = {a->n_threads, d};
    const mim_dit_shape body = body_shape(a);
    const mim_mlp_shape time = time_shape(a), previous = previous_shape(a), own = own_shape(a);
    int rc = mim_tensors_add_linear(layout, "token", 1, d, false, &t->token);
    if (rc == MIM_OK)
        rc = mim_tensors_add(layout, "stressor", 2, stressors, MIM_INIT_NORMAL, 1, false,
                             &t->stressor);
    if (rc == MIM_OK)
        rc = mim_tensors_add(layout, "thread", 2, threads, MIM_INIT_NORMAL, 1, false, &t->thread);
    if (rc == MIM_OK)
        rc = mim_mlp_add_tensors(&time, "time", layout, &t->time);
    if (rc == MIM_OK)
        rc = mim_context_add_tensors(a, layout, &t->context);
    if (rc == MIM_OK)
        rc = mim_dit_add_tensors(&body, "", layout, &t->body);
    if (rc == MIM_OK)
        rc = mim_tensors_add_linear(layout, "last", d, 1, true, &t->last);
    if (rc == MIM_OK && a->previous == MIM_PREVIOUS_TOKEN)
        rc = mim_mlp_add_tensors(&previous, "previous", layout, &t->previous);
    if (rc == MIM_OK && has_own(a))
        rc = mim_mlp_add_tensors(&own, "own", layout, &t->own);
    return rc;
}

static int make_layout(const mim_architecture *a, mim_tensors **layout, tensors *t)
{
    mim_tensors *made = NULL;
    int rc = mim_tensors_create(&made);
    if (rc == MIM_OK)
        rc = add_tensors(a, made, t);
    if (rc == MIM_OK)
        *layout = made;
    else
        mim_tensors_destroy(&made);
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
    const mim_mlp_shape time = time_shape(a), previous = previous_shape(a), own = own_shape(a);
    const size_t tokens = n_samples * n_tokens(a);
    double sum = mim_dit_flop(&body, n_samples, n_tokens(a), n_conditions(a)) +
                 mim_context_flop(a, n_samples) + mim_mlp_flop(&time, n_samples) +
                 4 * (double)tokens * (double)a->width; /* first and last layer */
    if (a->previous == MIM_PREVIOUS_TOKEN)
        sum += mim_mlp_flop(&previous, tokens);
    if (has_own(a))
        sum += mim_mlp_flop(&own, n_samples * n_threads);
    return sum;
}

static size_t n_rows(const mim_architecture *a, size_t n_threads)
{
    (void)n_threads; /* there is only one number of them */
    return n_tokens(a);
}

#include "nn/as_float.h"

#include "diffusion/network_cell_token_internal.h"

#include "nn/as_double.h"

#include "diffusion/network_cell_token_internal.h"

const mim_network_kind mim_network_cell_token = {
    .is_for_its_threads = true,
    .check = check,
    .layout = layout_of,
    .flop = flop,
    .n_rows = n_rows,
    .create_f = create_f,
    .create_d = create_d,
};
