/* How a node answers plans: a linear model of every metric, fitted to the measured samples.
 *
 * CPU of a thread = constant + sum over stressors of a * w + b * u(w) + c * sum over all threads of
 * u(their w), w being the thread's own weight and u(w) = w / (w + 0.05): what little of a stressor
 * costs by being there at all (wakeups, interrupts on any core). A metric of the node = constant +
 * sum over stressors of a * the sum of the weights of all threads. Both are held within the
 * training range. Coefficients are those of the least absolute deviation (what normalised L1
 * measures; outliers do no harm), by iteratively reweighted least squares with a ridge, which is
 * small for a and larger for b and c. Another such model tells the expected size of what is left,
 * so that quiet stressors can be told from noisy ones.
 *
 * A denoiser draws plans that are alike to what was measured; this model, which is coarser but
 * exact in the mean, tells how far such a plan misses the metrics that were asked for, and by which
 * weights of those it uses this is mended. */
#ifndef MIM_DIFFUSION_RESPONSE_H
#define MIM_DIFFUSION_RESPONSE_H

#include <stddef.h>

#include "core/error.h"
#include "diffusion/domain.h"
#include "diffusion/examples.h"

/* Row 0 is the thread's CPU, row 1 + g the g-th metric of the node. A row: a, b, c of the S
 * stressors, and the constant (b and c are 0 for metrics of the node). All in shares of the
 * metric's training range, its minimum being 0. */
typedef struct mim_response {
    size_t n_rows, n_columns, n_stressors; /* 1 + G, 3 S + 1, S */
    double *mean;                          /* [n_rows][n_columns] */
    double *deviation;                     /* [n_rows][n_columns] mean absolute deviation */
} mim_response;

/* Zeros. */
int mim_response_create(const mim_domain *domain, mim_response **response);
void mim_response_destroy(mim_response **response);

/* A function of domain and examples alone. Metrics without a range, or measured in fewer samples
 * than there are coefficients, keep zeros; they are neither predicted nor mended. MIM_ECHECK: the
 * equations cannot be solved. */
int mim_response_fit(const mim_domain *domain, const mim_examples *examples,
                     mim_response **response);

/* metrics: [n_metrics] of the domain, physical units; NaN for what is not known.
 * weights: [T][S]. */
void mim_response_predict(const mim_response *response, const mim_domain *domain,
                          const double *weights, double *metrics);

/* Expected normalised L1 of a plan for the wanted metrics ([n_metrics], NaN = do not care), mean
 * over the threads, then over CPU and the metrics of the node: root of (predicted miss^2 +
 * deviation^2). 0 when nothing is asked for. */
double mim_response_miss(const mim_response *response, const mim_domain *domain,
                         const double *wanted, const double *weights);

/* Changes the weights so that the predicted metrics come to the wanted ones: each metric in turn
 * moves the weights in use of the stressors that serve it (move no other more), in proportion to
 * themselves and to their effect, so that what is 0 stays 0. A metric that these cannot bring up
 * gets the stressor that moves it most, on the row with the most room. What a row then has above 1
 * is taken from the weights that are worth least. Weights that matter less than 1e-5 of
 * every range end as 0. */
void mim_response_mend(const mim_response *response, const mim_domain *domain, const double *wanted,
                       double *weights);

#endif
