/* Encoders with transformer layers: transformer and transformer_full on one token a sample,
 * transformer_metrics_only on one a metric, transformer_tokens and concat_transformer on one of the
 * metrics and one a thread.
 *
 * The first two do what the published ones do with a batch of one sample; those take a batch for a
 * sequence, so that samples see each other. */
#include <string.h>

#include "diffusion/context_kind_internal.h"
#include "nn/encoder.h"

enum { FIRST_SITE = 1 << 16 }; /* of dropout; a network's own are below */

static const double share_of_metrics = 0.9, share_of_action = 0.1;

/* What tokens are made of: linear maps of rows. */
typedef enum {
    METRICS, /* of known numbers, or of one metric and its mask */
    ACTION,  /* of the slot before, as far as it is looked at */
    N_MAPS
} map;

typedef enum { ONE_TOKEN, METRIC_TOKENS, THREAD_TOKENS } sequence;

static sequence sequence_of(const mim_architecture *a)
{
    return a->encoder == MIM_CONTEXT_TRANSFORMER_METRICS_ONLY ? METRIC_TOKENS
           : a->encoder == MIM_CONTEXT_TRANSFORMER || a->encoder == MIM_CONTEXT_TRANSFORMER_FULL
               ? ONE_TOKEN
               : THREAD_TOKENS;
}

static bool has_skip(const mim_architecture *a)
{
    return a->encoder == MIM_CONTEXT_CONCAT_TRANSFORMER;
}

static size_t n_maps(const mim_architecture *a)
{
    return sequence_of(a) == METRIC_TOKENS ? 1 : N_MAPS;
}

static size_t n_in(const mim_architecture *a, map m)
{
    const sequence s = sequence_of(a);
    if (m == METRICS)
        return s == METRIC_TOKENS ? mim_context_n_own(a) : mim_context_n_known(a);
    return s == THREAD_TOKENS                           ? a->n_stressors
           : a->encoder == MIM_CONTEXT_TRANSFORMER_FULL ? mim_context_n_cells(a)
                                                        : mim_context_n_sums(a);
}

/* Rows of a map in a sample. */
static size_t n_rows(const mim_architecture *a, map m)
{
    const sequence s = sequence_of(a);
    return m == METRICS && s == METRIC_TOKENS  ? mim_context_n_metrics(a)
           : m == ACTION && s == THREAD_TOKENS ? a->n_threads
                                               : 1;
}

static size_t n_tokens(const mim_architecture *a)
{
    const sequence s = sequence_of(a);
    return s == ONE_TOKEN ? 1 : s == METRIC_TOKENS ? mim_context_n_metrics(a) : a->n_threads + 1;
}

static mim_encoder_shape layers_of(const mim_architecture *a)
{
    return (mim_encoder_shape){.width = a->encoder_width,
                               .n_heads = a->encoder_heads,
                               .n_blocks = a->encoder_blocks,
                               .n_hidden = a->encoder_ratio * a->encoder_width};
}

static mim_mlp_shape end_shape(const mim_architecture *a)
{
    const size_t h = a->encoder_width;
    if (!has_skip(a))
        return (mim_mlp_shape){1, {h, a->context_width}, MIM_MISH, false};
    const size_t in = h + mim_context_n_cells(a) + mim_context_n_known(a);
    return (mim_mlp_shape){3, {in, h, h, a->context_width}, MIM_MISH, false};
}

static int check(const mim_architecture *a)
{
    const mim_encoder_shape layers = layers_of(a);
    return mim_encoder_check(&layers);
}

/* The maps, the table of the tokens' own numbers (not of a single one), the layers, the end. */
static int add_tensors(const mim_architecture *a, mim_tensors *layout, size_t *first)
{
    static const char *const names[N_MAPS] = {"context_metrics", "context_action"};
    const mim_encoder_shape layers = layers_of(a);
    const mim_mlp_shape end = end_shape(a);
    const size_t table[2] = {n_tokens(a), a->encoder_width};
    int rc = MIM_OK;
    for (size_t m = 0; rc == MIM_OK && m < n_maps(a); m++)
        rc = mim_tensors_add_linear(layout, names[m], n_in(a, (map)m), a->encoder_width, false,
                                    m == 0 ? first : NULL);
    if (rc == MIM_OK && sequence_of(a) != ONE_TOKEN)
        rc = mim_tensors_add(layout, "context_position", 2, table, MIM_INIT_NORMAL,
                             sequence_of(a) == METRIC_TOKENS ? 1 : 0.02, false, NULL);
    if (rc == MIM_OK)
        rc = mim_encoder_add_tensors(&layers, "context.", layout, NULL);
    return rc == MIM_OK ? mim_mlp_add_tensors(&end, "context", layout, NULL) : rc;
}

static double flop(const mim_architecture *a, size_t n_samples)
{
    const mim_encoder_shape layers = layers_of(a);
    const mim_mlp_shape end = end_shape(a);
    double sum = mim_encoder_flop(&layers, n_samples, n_tokens(a)) + mim_mlp_flop(&end, n_samples);
    for (size_t m = 0; m < n_maps(a); m++)
        sum += 2 * (double)(n_samples * n_rows(a, (map)m)) * (double)n_in(a, (map)m) *
               (double)a->encoder_width;
    return sum;
}

#include "nn/as_float.h"

#include "diffusion/context_transformer_internal.h"

#include "nn/as_double.h"

#include "diffusion/context_transformer_internal.h"

const mim_context_kind mim_context_transformer = {.check = check,
                                                  .add_tensors = add_tensors,
                                                  .flop = flop,
                                                  .methods_f = &methods_f,
                                                  .methods_d = &methods_d};

const mim_context_kind mim_context_transformer_previous = {.looks_at_previous = true,
                                                           .check = check,
                                                           .add_tensors = add_tensors,
                                                           .flop = flop,
                                                           .methods_f = &methods_f,
                                                           .methods_d = &methods_d};
