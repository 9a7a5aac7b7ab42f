/* Training examples in memory, laid out like the samples of a corpus; borrowed arrays. */
#ifndef MIM_DIFFUSION_EXAMPLES_H
#define MIM_DIFFUSION_EXAMPLES_H

#include <stddef.h>
#include <stdint.h>

/* D metrics, T threads, S stressors of a domain. */
typedef struct mim_examples {
    size_t n;
    const size_t *rows;          /* [n] which rows of the arrays below; NULL = the first n */
    const float *metric;         /* [rows][D] physical units */
    const uint8_t *mask;         /* [rows][D] 1 = present, 0 = absent */
    const float *action;         /* [rows][T][S] shares of a slot, 0 to 1 */
    const float *previous;       /* [rows][T][S] of the slot before */
    const uint8_t *has_previous; /* [rows] */
} mim_examples;

#endif
