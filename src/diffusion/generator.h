/* Plans from a learned model: slot after slot, each with the one before it as context. */
#ifndef MIM_DIFFUSION_GENERATOR_H
#define MIM_DIFFUSION_GENERATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "diffusion/model.h"
#include "diffusion/sampler.h"
#include "plan/plan.h"
#include "trace/series.h"

enum {
    MIM_GENERATOR_MAX_CANDIDATES = 1024,
    MIM_GENERATOR_GROUP = 16 /* slots that mim_diffusion_draw draws side by side */
};

typedef struct mim_generation {
    mim_sampling sampling;
    double guidance;     /* w of classifier-free guidance: 1 = the conditional model, 0 = the
                            unconditional one, more than 1 = beyond the condition */
    double smallest;     /* weights below become 0 */
    size_t n_candidates; /* samples drawn for a slot, of which one is taken, as a mean would blend
                            modes: with is_mended the one expected to miss least, else the medoid
                            (least mean absolute difference to the others) */
    bool is_mended;      /* bring candidates to the wanted metrics by the model's response, if it
                            has one (diffusion/response.h) */
} mim_generation;

/* metrics: [n_slots][n_metrics] of the model's domain, NaN = absent. weights: [n_slots][T][S], rows
 * sum to at most 1. Uses the moving average of the parameters. A function of its arguments only:
 * slot k draws its noise by k. MIM_EINVAL: an option out of range. */
int mim_diffusion_generate(const mim_model *model, const mim_generation *how, size_t n_slots,
                           const double *metrics, double *weights);

/* The same for n slots that do not follow each other: the slot before the i-th is previous
 * [n][T][S] where has_previous [n] says so, else none. Draws by ids [n], which must be below 2^54.
 * They are drawn in groups, from the first on; to the bit a slot depends on its group. */
int mim_diffusion_draw(const mim_model *model, const mim_generation *how, size_t n,
                       const uint64_t *ids, const double *metrics, const double *previous,
                       const bool *has_previous, double *weights);

/* The same for an adapted series (trace/adapt.h), whose core i is the plan's row i. MIM_EUNSUP: the
 * model knows another number of threads. notes: what is beyond the training range, and what the
 * model knows but the series has not, a sentence each; the caller frees them with
 * mim_generator_free_notes. */
int mim_diffusion_plan(const mim_model *model, const mim_generation *how, const mim_series *wanted,
                       mim_plan **plan, size_t *n_notes, char ***notes);
void mim_generator_free_notes(size_t n, char ***notes);

#endif
