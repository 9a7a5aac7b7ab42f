/* How often an example of a corpus is met in training: the product of factors, each 1 by default.
 * What a factor asks for and an example does not know (an absent metric) leaves it at 1, but for
 * the active cores and the mean, which a thread without a figure takes no part in. */
#ifndef MIM_DIFFUSION_WEIGHTING_H
#define MIM_DIFFUSION_WEIGHTING_H

#include <stdbool.h>
#include <stdint.h>

#include "diffusion/domain.h"

typedef struct mim_weighting {
    double high_io; /* where io_read + io_write are at least io_threshold_kbs */
    double io_threshold_kbs;
    double tail;      /* where a metric of memory or cache is in the uppermost part of its range */
    double tail_from; /* which begins at this share of it, 0 to 1 */
    double previous;  /* where there is a slot before */
    /* Examples with fewer threads of a CPU use of at least this are not met at all. */
    size_t min_active_cores;
    double active_percent;
    /* exp(-(mean CPU use of threads - target)^2 / (2 sigma^2)), at least 1e-6; target 0: 1. */
    double target_percent, target_sigma;
} mim_weighting;

extern const mim_weighting mim_weighting_none; /* all examples alike */

/* MIM_EINVAL names what is out of range. */
int mim_weighting_check(const mim_weighting *weighting);
bool mim_weighting_is_uniform(const mim_weighting *weighting);

/* metric, mask: [n_metrics] of the domain, as in diffusion/examples.h. */
double mim_weighting_of(const mim_weighting *weighting, const mim_domain *domain,
                        const float *metric, const uint8_t *mask, bool has_previous);

#endif
