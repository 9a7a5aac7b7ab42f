/* Which example stands where in the endless sequence that training reads: a function of the seed
 * and the position, whoever asks. */
#ifndef MIM_DIFFUSION_ORDER_H
#define MIM_DIFFUSION_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

typedef struct mim_order mim_order; /* never changes: any number of threads may use it */

/* Of n examples. weights: [n], NULL = all alike. While those above 0 are alike, these examples
 * stand once each in every run over them, in an order of its own; else each position draws one,
 * with replacement, in proportion to the weights (alias method, Walker 1977; Vose 1991). MIM_EDATA:
 * no example, or none with a weight; MIM_EINVAL: a weight that is negative or not finite. */
int mim_order_create(uint64_t seed, size_t n, const double *weights, mim_order **order);
void mim_order_destroy(mim_order **order);

size_t mim_order_at(const mim_order *order, uint64_t position);
/* Examples that can come at all. */
size_t mim_order_n(const mim_order *order);

#endif
