/* What a kind of context encoder is: one const descriptor, a family of them to a file, and the
 * inputs they share. */
#ifndef MIM_DIFFUSION_CONTEXT_KIND_INTERNAL_H
#define MIM_DIFFUSION_CONTEXT_KIND_INTERNAL_H

#include "diffusion/context.h"
#include "nn/carver_internal.h"
#include "nn/mlp.h"

/* Numbers of metrics, of the row k, of p and of its sums. */
static inline size_t mim_context_n_metrics(const mim_architecture *a)
{
    return a->n_threads + a->n_node_metrics;
}
size_t mim_context_n_known(const mim_architecture *architecture);
static inline size_t mim_context_n_cells(const mim_architecture *a)
{
    return a->n_threads * a->n_stressors;
}
static inline size_t mim_context_n_sums(const mim_architecture *a)
{
    return a->n_threads + a->n_stressors;
}
/* Numbers of one metric: itself, and its mask. */
static inline size_t mim_context_n_own(const mim_architecture *a) { return a->has_masks ? 2 : 1; }

#include "nn/as_float.h"

#include "diffusion/context_methods_internal.h"

#include "nn/as_double.h"

#include "diffusion/context_methods_internal.h"

/* Functions as in diffusion/context.h; they are called with an architecture that
 * mim_context_check() passed. */
typedef struct mim_context_kind {
    bool looks_at_previous;
    int (*check)(const mim_architecture *architecture); /* NULL: nothing of its own */
    int (*add_tensors)(const mim_architecture *architecture, mim_tensors *layout, size_t *first);
    double (*flop)(const mim_architecture *architecture, size_t n_samples);
    const mim_context_methods_f *methods_f;
    const mim_context_methods_d *methods_d;
} mim_context_kind;

extern const mim_context_kind mim_context_mlp, mim_context_mlp_previous; /* context_mlp.c */
extern const mim_context_kind mim_context_mix;                           /* context_mix.c */
extern const mim_context_kind mim_context_position;                      /* context_position.c */
/* context_transformer.c */
extern const mim_context_kind mim_context_transformer, mim_context_transformer_previous;

#endif
