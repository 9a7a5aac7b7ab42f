/* Training examples in memory, in physical units; borrowed arrays. */
#ifndef MIM_DIFFUSION_EXAMPLES_H
#define MIM_DIFFUSION_EXAMPLES_H

#include <stddef.h>

typedef struct mim_examples {
    size_t n;
    const double *metrics;             /* [n][domain's n_metrics], NaN = absent */
    const double *action;              /* [n][n_threads][n_stressors], shares of a slot, 0 to 1 */
    const double *previous;            /* the same of the slot before; all zeros = there was none */
    const unsigned char *has_previous; /* [n] */
} mim_examples;

#endif
