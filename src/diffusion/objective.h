/* What training minimises: the mean over a batch of
 *
 *   w(t) (y - y')^2, mean over the T S values, y' being what shall be predicted (schedule.h);
 *   w = 1, or with min-SNR weights (Hang et al. 2023, section 3.4), snr the signal to noise at t,
 *   min(snr, gamma) for x0, that over snr for eps, over snr + 1 for v;
 *
 * and of three terms that are off by default, each times its weight. With m the normalised CPU
 * metric of a thread, k = 1 for conditional examples and 0 for others, x0' the x_0 that is meant:
 *
 *   variance: over the values j, mean of (Var(y_j) - Var(y'_j))^2, unbiased variances over the
 *     examples of a call (a shard of the batch);
 *   row sum: mean over threads of |k r - k u|, r = the sum over stressors of clamp((x0' + 1) / 2,
 * 0, 1) and u = clamp((m + 1) / 2, 0, 1); sparsity: mean over threads of k r (1 - u).
 *
 * Threads whose CPU is not known have neither of the last two. Gradients pass through the clamp
 * (not outside it) and through the formula of x0', so for eps at the noisiest timestep enlarged by
 * sqrt(1/ah). With the output simplex (diffusion/simplex.h) y is that x_0, and squared errors count
 * by what they make of the predicted quantity: 1 for x0, snr for eps, snr + 1 for v, 1/u^2 for
 * flow.
 *
 * In float (_f) for training and in double (_d) for finite differences; nn/as_float.h says how. */
#ifndef MIM_DIFFUSION_OBJECTIVE_H
#define MIM_DIFFUSION_OBJECTIVE_H

#include <stddef.h>

#include "core/error.h"
#include "diffusion/schedule.h"
#include "diffusion/simplex.h"

/* Weights of what is minimised beside the squared error; all 0: none of it. */
typedef struct mim_objective_weights {
    double snr_gamma; /* 0: w = 1 */
    double variance, row_sum, sparsity;
} mim_objective_weights;

/* MIM_EINVAL: a weight that is negative or not finite, or min-SNR weights of a flow. */
int mim_objective_check(const mim_objective_weights *weights, mim_prediction prediction);

typedef struct mim_objective {
    const mim_schedule *schedule; /* borrowed */
    mim_prediction prediction;
    mim_output output;
    mim_objective_weights weights;
} mim_objective;

/* What the squared error of the network's answer counts at t. */
double mim_objective_weight(const mim_objective *objective, size_t t);

#define MIM_OBJECTIVE_BATCH MIM_NN(mim_objective_batch)

#include "nn/as_float.h"

#include "diffusion/objective_declare.h"

#include "nn/as_double.h"

#include "diffusion/objective_declare.h"

#endif
