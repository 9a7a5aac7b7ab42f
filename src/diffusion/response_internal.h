/* Shared by the files of the linear response. */
#ifndef MIM_DIFFUSION_RESPONSE_INTERNAL_H
#define MIM_DIFFUSION_RESPONSE_INTERNAL_H

#include <math.h>
#include <stdbool.h>

#include "diffusion/response.h"

/* Whether the row has a model: coefficients that are not all 0. */
bool mim_response_knows(const mim_response *response, size_t row);

/* What a row of coefficients says of thread `thread` (row 0) or of the node, in shares of the
 * range, not held within it; weights: [T][S]. */
double mim_response_of(const double *coefficients, bool is_node, const mim_domain *domain,
                       size_t thread, const double *weights);

/* A value as a share of its metric's range, held within 0 to 1; NaN when it is absent or the metric
 * has no range. */
static inline double mim_response_share(const mim_domain *d, size_t metric, double value)
{
    const double width = metric == SIZE_MAX ? 0 : d->maximum[metric] - d->minimum[metric];
    if (!(width > 0) || !isfinite(value))
        return NAN;
    return fmin(1, fmax(0, (value - d->minimum[metric]) / width));
}

#endif
