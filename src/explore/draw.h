/* Draws of one window of one plan, in a fixed order: a sequence over core/rng's pure numbers. */
#ifndef MIM_EXPLORE_DRAW_H
#define MIM_EXPLORE_DRAW_H

#include <stddef.h>
#include <stdint.h>

typedef struct mim_draw {
    uint64_t seed, id; /* of the campaign, of the plan */
    uint32_t window;
    uint32_t n; /* numbers drawn so far */
} mim_draw;

double mim_draw_u01(mim_draw *draw);             /* [0, 1) */
size_t mim_draw_below(mim_draw *draw, size_t n); /* 0 .. n - 1, n >= 1 */
double mim_draw_exponential(mim_draw *draw);     /* mean 1, > 0 */
/* The first k of items become a random sample of the n, each order alike (Fisher-Yates). */
void mim_draw_sample(mim_draw *draw, size_t *items, size_t n, size_t k);

#endif
