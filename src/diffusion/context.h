/* Context encoders: from the metrics of a slot, and for some from the slot before, one row of
 * numbers a sample that conditions a denoising network. K known numbers: the CPU metrics of the
 * threads, then the node's metrics (a domain that names cores first has them in this order); with
 * masks also the masks and, for encoders that look at it, whether there is a slot before. p: the
 * slot before, -1 to 1, flattened stressor by stressor. h: encoder_width, f: Mish.
 *
 *     metrics_only    W3 f(W2 f(W1 k))
 *     concat          the same of [p, k]
 *     concat_sym      the same of [sums of p over stressors, sums over threads, k]
 *     prev_sums       metrics_only + W f(W (shares of stressors)); starts as metrics_only
 *     residual_prev   metrics_only + gate W f(W p); starts as metrics_only
 *     addition        W f(W f(W k + A p))
 *     gated           the same with sigmoid(G k) on A p
 *     film            the same of relu(A p) (1 + C k) + B k
 *     per_position    a row a thread: W f(W f(W [its own metric, k, e_t])); their mean, but for
 *                     thread_condition = film_enc
 *     transformer_metrics_only   a token a metric: w m + e_m; layers; mean; W
 *     transformer     one token f(0.9 W k + 0.1 A [sums over stressors, over threads]); layers; W
 *     transformer_full           the same with A p
 *     transformer_tokens         a token W k, then one a thread, W p_t, all + e; layers; W token 0
 *     concat_transformer         W3 f(W2 f(W1 [token 0, p, k]))
 *
 * layers: nn/encoder.h. A sample is a sequence of its own always; where it has one token only,
 * attention has nothing to choose from, and the layers are what is left of them.
 *
 * In float (_f) and in double (_d); nn/as_float.h says how. All memory is taken at creation. */
#ifndef MIM_DIFFUSION_CONTEXT_H
#define MIM_DIFFUSION_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "diffusion/architecture.h"
#include "diffusion/network.h"

/* MIM_EINVAL names the field that is out of range. */
int mim_context_check(const mim_architecture *architecture);
/* Adds the tensors, all named "context..."; they stand together from tensor `first` on. */
int mim_context_add_tensors(const mim_architecture *architecture, mim_tensors *layout,
                            size_t *first);
/* Multiply-adds times 2 of a forward call. */
double mim_context_flop(const mim_architecture *architecture, size_t n_samples);

/* Whether there is a row a thread instead of a row a sample. */
static inline bool mim_context_is_per_thread(const mim_architecture *a)
{
    return a->thread == MIM_THREAD_FILM_ENC;
}

typedef struct mim_context_options {
    const mim_gemm *gemm; /* NULL: the default one */
    size_t max_samples;
    bool is_training; /* else backward is never asked */
} mim_context_options;

#define MIM_CONTEXT MIM_NN(mim_context)

#include "nn/as_float.h"

#include "diffusion/context_declare.h"

#include "nn/as_double.h"

#include "diffusion/context_declare.h"

#endif
