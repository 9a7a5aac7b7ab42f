/* How close a model's plans come: of examples kept aside it is asked for plans of their metrics,
 * which run on the simulated node that the corpus is of (node/simulated.h). Nothing runs elsewhere,
 * and no time passes.
 *
 * A plan is one slot, after the example's own slot before where it has one. No candidates are
 * compared and nothing is mended, so what is seen is the network. The node's noise is off: the
 * examples have theirs. A function of model, examples and options alone. */
#ifndef MIM_DIFFUSION_TRIAL_H
#define MIM_DIFFUSION_TRIAL_H

#include <stddef.h>

#include "core/error.h"
#include "diffusion/examples.h"
#include "diffusion/generator.h"
#include "diffusion/model.h"
#include "trace/series.h"

typedef struct mim_trial mim_trial;

/* Of n of the examples, evenly chosen (at most all). Keeps `model` and the examples (borrowed).
 * *trial is NULL when the model's host class is not that of a simulated node, or n is 0. slot_s: of
 * the corpus. MIM_EUNSUP: a stressor that the node does not know. */
int mim_trial_create(const mim_model *model, const mim_examples *examples, size_t n,
                     const mim_generation *how, double slot_s, mim_trial **trial);
void mim_trial_destroy(mim_trial **trial);

const char *mim_trial_node(const mim_trial *trial); /* "simulated-2x10" */
size_t mim_trial_n(const mim_trial *trial);         /* plans */
/* Plans are made in groups of this many, which ranks share out: then results are the same to the
 * bit at any number of them. */
size_t mim_trial_n_groups(const mim_trial *trial);

/* Groups [first, first + n_groups): what the node measures of their plans, by the moving average of
 * the parameters. measured: [mim_trial_n()][n_metrics] of the domain, physical units; rows of other
 * groups are left alone; NaN for metrics that the node has not. MIM_ESTOPPED: a stop was asked for.
 */
int mim_trial_run(mim_trial *trial, size_t first, size_t n_groups, double *measured);

/* The same of the examples' own plans: what is left is the noise that they were measured with. */
int mim_trial_run_own(mim_trial *trial, size_t first, size_t n_groups, double *measured);

/* Values like `measured` as a series, one slot a plan; NULL: those that are wanted. */
int mim_trial_series(const mim_trial *trial, const double *values, mim_series **series);

#endif
