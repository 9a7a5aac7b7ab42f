/* The body of a diffusion transformer. */
#include "nn/dit.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/adaln.h"
#include "nn/attend.h"
#include "nn/carver_internal.h"
#include "nn/gelu.h"
#include "nn/half_products.h"
#include "nn/parallel_internal.h"

static const double norm_eps = 1e-6;

/* The tensors of a block after the conditions', in this order; the bias follows each weight. */
typedef enum { QKV, MIX, MLP_1, MLP_2, N_LAYERS } layer;

static const struct {
    const char *name;
} layers[N_LAYERS] = {{"qkv"}, {"mix"}, {"mlp1"}, {"mlp2"}};

static size_t n_in(const mim_dit_shape *s, layer l) { return l == MLP_2 ? s->n_hidden : s->width; }

static size_t n_out(const mim_dit_shape *s, layer l)
{
    return l == QKV ? 3 * s->width : l == MLP_1 ? s->n_hidden : s->width;
}

/* Numbers that a condition row becomes: six vectors a block, two for the last norm. */
static size_t n_modulation(const mim_dit_shape *s) { return (6 * s->n_blocks + 2) * s->width; }

int mim_dit_check(const mim_dit_shape *s)
{
    const struct {
        const char *what;
        size_t n, min, max;
    } sizes[] = {{"width", s->width, 1, 1 << 14},
                 {"heads", s->n_heads, 1, s->width},
                 {"blocks", s->n_blocks, 1, MIM_DIT_MAX_BLOCKS},
                 {"hidden width", s->n_hidden, 1, 1 << 18},
                 {"condition width", s->condition_width, 1, 1 << 16}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].n < sizes[i].min || sizes[i].n > sizes[i].max)
            return mim_fail(MIM_EINVAL, "transformer: %s: expected %zu to %zu, found %zu",
                            sizes[i].what, sizes[i].min, sizes[i].max, sizes[i].n);
    if (s->width % s->n_heads)
        return mim_fail(MIM_EINVAL, "transformer: a width of %zu is no multiple of %zu heads",
                        s->width, s->n_heads);
    return MIM_OK;
}

/* ---- the parameters ------------------------------------------------------------------------- */

/* Weights of all conditions, then their biases: a matrix and a vector for one product. */
static int add_conditions(const mim_dit_shape *s, const char *prefix, mim_tensors *layout,
                          size_t *first)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < 2 * (s->n_blocks + 1); i++) {
        const bool is_bias = i > s->n_blocks;
        const size_t block = i % (s->n_blocks + 1), is_last = block == s->n_blocks;
        const size_t shape[2] = {(is_last ? 2 : 6) * s->width, s->condition_width};
        char name[2 * MIM_TENSOR_MAX_NAME], number[32];
        snprintf(number, sizeof number, is_last ? "last" : "block%zu", block);
        snprintf(name, sizeof name, "%s%s.condition.%s", prefix, number,
                 is_bias ? "bias" : "weight");
        rc = mim_tensors_add(layout, name, is_bias ? 1 : 2, shape, MIM_INIT_ZERO, 0, !is_bias,
                             i == 0 ? first : NULL);
    }
    return rc;
}

static int add_layer(const mim_dit_shape *s, const char *prefix, size_t block, layer l,
                     mim_tensors *layout)
{
    const bool is_attention = l == QKV || l == MIX, has_bias = !(s->is_xavier && is_attention);
    const size_t shape[2] = {n_out(s, l), n_in(s, l)};
    const double usual = 1 / sqrt((double)shape[1]);
    const double scale = s->is_xavier && l == QKV ? sqrt(6 / (double)(shape[0] + shape[1])) : usual;
    char name[2 * MIM_TENSOR_MAX_NAME];
    snprintf(name, sizeof name, "%sblock%zu.%s.weight", prefix, block, layers[l].name);
    int rc = mim_tensors_add(layout, name, 2, shape, MIM_INIT_UNIFORM, scale, true, NULL);
    snprintf(name, sizeof name, "%sblock%zu.%s.bias", prefix, block, layers[l].name);
    return rc == MIM_OK ? mim_tensors_add(layout, name, 1, shape,
                                          has_bias ? MIM_INIT_UNIFORM : MIM_INIT_ZERO,
                                          has_bias ? usual : 0, false, NULL)
                        : rc;
}

int mim_dit_add_tensors(const mim_dit_shape *s, const char *prefix, mim_tensors *layout,
                        size_t *first)
{
    int rc = mim_dit_check(s);
    if (rc == MIM_OK)
        rc = add_conditions(s, prefix, layout, first);
    for (size_t block = 0; block < s->n_blocks; block++)
        for (int l = 0; rc == MIM_OK && l < N_LAYERS; l++)
            rc = add_layer(s, prefix, block, (layer)l, layout);
    return rc;
}

double mim_dit_flop(const mim_dit_shape *s, size_t n_samples, size_t n_tokens, size_t n_conditions)
{
    const double tokens = (double)n_samples * (double)n_tokens, d = (double)s->width;
    const double rows = (double)n_samples * (double)n_conditions;
    double layer_flop = 0;
    for (int l = 0; l < N_LAYERS; l++)
        layer_flop += (double)n_in(s, (layer)l) * (double)n_out(s, (layer)l);
    const double block = tokens * (layer_flop + 2 * (double)n_tokens * d);
    return 2 * ((double)s->n_blocks * block +
                rows * (double)s->condition_width * (double)n_modulation(s));
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Distance of the rows that products read down their columns, too: a large power of two would put a
 * column into few sets of the first cache (measured: down to half the rate of the product). Arrays
 * between two passes of our own have it where they share a shape with such, the others are dense.
 * Products of bf16 are fastest with dense rows: what reads down columns copies them first. */
static size_t padded(size_t width) { return width % 256 ? width : width + 16; }

/* Samples go through the blocks some at a time, so that what a layer makes is still in the cache
 * when the next reads it (400 tokens, batch 8: 59 GFLOP/s at once, 68 by two). How many follows
 * from the number of tokens alone. */
enum { group_rows = 1024 };

static size_t group_of(size_t n_samples, size_t n_tokens)
{
    const size_t most = n_tokens < group_rows ? group_rows / n_tokens : 1;
    const size_t n_groups = (n_samples + most - 1) / most;
    return (n_samples + n_groups - 1) / n_groups;
}

/* Rows of a group, and its samples, at most. */
static size_t max_rows(const mim_dit_options *o)
{
    const size_t all = o->max_samples * o->max_tokens;
    const size_t most = o->max_tokens > group_rows ? o->max_tokens : group_rows;
    return all < most ? all : most;
}

static size_t max_group(const mim_dit_options *o)
{
    return o->max_samples < group_rows ? o->max_samples : group_rows;
}

/* ---- all precisions ------------------------------------------------------------------------- */

#include "nn/as_float.h"

#include "nn/dit_kind_internal.h"

#include "nn/as_double.h"

#include "nn/dit_kind_internal.h"

#include "nn/as_float.h"

#include "nn/dit_internal.h"

#include "nn/as_double.h"

#include "nn/dit_internal.h"

#include "nn/as_bf16.h"

#include "nn/dit_internal.h"

/* ---- creation ------------------------------------------------------------------------------- */

static int check_options(const mim_dit_shape *shape, const mim_dit_options *o)
{
    if (!o->max_samples || !o->max_tokens || !o->max_conditions || o->max_samples > 1u << 20 ||
        o->max_tokens > 1u << 16 || o->max_conditions > 1u << 16)
        return mim_fail(MIM_EINVAL, "transformer: %zu samples of %zu tokens, %zu conditions each",
                        o->max_samples, o->max_tokens, o->max_conditions);
    return mim_dit_check(shape);
}

int mim_dit_create_f(const mim_dit_shape *shape, const mim_tensors *layout, size_t first,
                     const mim_dit_options *options, mim_dit_f **dit)
{
    const int rc = check_options(shape, options);
    if (rc != MIM_OK)
        return rc;
    return options->precision == MIM_PRECISION_BF16
               ? trunk_create_h(shape, layout, first, options, dit)
               : trunk_create_f(shape, layout, first, options, dit);
}

int mim_dit_create_d(const mim_dit_shape *shape, const mim_tensors *layout, size_t first,
                     const mim_dit_options *options, mim_dit_d **dit)
{
    int rc = check_options(shape, options);
    if (rc == MIM_OK && options->precision != MIM_PRECISION_F32)
        rc = mim_fail(MIM_EINVAL, "transformer: products of doubles are not rounded to %s",
                      mim_precision_name(options->precision));
    return rc == MIM_OK ? trunk_create_d(shape, layout, first, options, dit) : rc;
}
