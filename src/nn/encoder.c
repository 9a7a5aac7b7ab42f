/* Post-norm transformer layers. */
#include "nn/encoder.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/attend.h"
#include "nn/carver_internal.h"
#include "nn/gelu.h"

static const double norm_eps = 1e-5;

/* The tensors of a block, in this order; of each a matrix (of norms the gain) and a bias. */
typedef enum { QKV, MIX, NORM_1, MLP_1, MLP_2, NORM_2, N_PARTS } part;

static const char *const names[N_PARTS] = {"qkv", "mix", "norm1", "mlp1", "mlp2", "norm2"};

static bool is_norm(part p) { return p == NORM_1 || p == NORM_2; }

static size_t n_in(const mim_encoder_shape *s, part p)
{
    return p == MLP_2 ? s->n_hidden : s->width;
}

static size_t n_out(const mim_encoder_shape *s, part p)
{
    return p == QKV ? 3 * s->width : p == MLP_1 ? s->n_hidden : s->width;
}

int mim_encoder_check(const mim_encoder_shape *s)
{
    const struct {
        const char *what;
        size_t n, min, max;
    } sizes[] = {{"width", s->width, 1, 1 << 14},
                 {"heads", s->n_heads, 1, s->width},
                 {"blocks", s->n_blocks, 1, MIM_ENCODER_MAX_BLOCKS},
                 {"hidden width", s->n_hidden, 1, 1 << 18}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].n < sizes[i].min || sizes[i].n > sizes[i].max)
            return mim_fail(MIM_EINVAL, "encoder: %s: expected %zu to %zu, found %zu",
                            sizes[i].what, sizes[i].min, sizes[i].max, sizes[i].n);
    if (s->width % s->n_heads)
        return mim_fail(MIM_EINVAL, "encoder: a width of %zu is no multiple of %zu heads", s->width,
                        s->n_heads);
    return MIM_OK;
}

static int add_part(const mim_encoder_shape *s, const char *prefix, size_t block, part p,
                    mim_tensors *layout, size_t *first)
{
    const size_t shape[2] = {n_out(s, p), n_in(s, p)};
    const bool is_attention = p == QKV || p == MIX;
    const double usual = 1 / sqrt((double)shape[1]);
    const double scale = p == QKV ? sqrt(6 / (double)(shape[0] + shape[1])) : usual;
    char weight[2 * MIM_TENSOR_MAX_NAME], bias[2 * MIM_TENSOR_MAX_NAME];
    snprintf(weight, sizeof weight, "%sblock%zu.%s.%s", prefix, block, names[p],
             is_norm(p) ? "gain" : "weight");
    snprintf(bias, sizeof bias, "%sblock%zu.%s.bias", prefix, block, names[p]);
    int rc =
        mim_tensors_add(layout, weight, is_norm(p) ? 1 : 2, shape,
                        is_norm(p) ? MIM_INIT_ONE : MIM_INIT_UNIFORM, scale, !is_norm(p), first);
    if (rc == MIM_OK)
        rc = mim_tensors_add(layout, bias, 1, shape,
                             is_norm(p) || is_attention ? MIM_INIT_ZERO : MIM_INIT_UNIFORM, usual,
                             false, NULL);
    return rc;
}

int mim_encoder_add_tensors(const mim_encoder_shape *s, const char *prefix, mim_tensors *layout,
                            size_t *first)
{
    int rc = mim_encoder_check(s);
    for (size_t block = 0; rc == MIM_OK && block < s->n_blocks; block++)
        for (int p = 0; rc == MIM_OK && p < N_PARTS; p++)
            rc = add_part(s, prefix, block, (part)p, layout, block + (size_t)p == 0 ? first : NULL);
    return rc;
}

size_t mim_encoder_n_tensors(const mim_encoder_shape *s) { return s->n_blocks * 2 * N_PARTS; }

double mim_encoder_flop(const mim_encoder_shape *s, size_t n_samples, size_t n_tokens)
{
    const double tokens = (double)n_samples * (double)n_tokens, d = (double)s->width;
    double layers = 0;
    for (int p = 0; p < N_PARTS; p++)
        if (!is_norm((part)p))
            layers += (double)n_in(s, (part)p) * (double)n_out(s, (part)p);
    return 2 * (double)s->n_blocks * tokens * (layers + 2 * (double)n_tokens * d);
}

static int check_options(const mim_encoder_shape *shape, const mim_encoder_options *o)
{
    if (!o->max_samples || !o->max_tokens || o->max_samples > 1u << 20 || o->max_tokens > 1u << 16)
        return mim_fail(MIM_EINVAL, "encoder: %zu samples of %zu tokens", o->max_samples,
                        o->max_tokens);
    return mim_encoder_check(shape);
}

#include "nn/as_float.h"

#include "nn/encoder_internal.h"

#include "nn/as_double.h"

#include "nn/encoder_internal.h"
