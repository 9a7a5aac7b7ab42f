/* Finite differences for tests of backward passes: a loss is the sum of outputs times fixed
 * weights, so a forward pass and its backward with dy = weights can be compared. */
#ifndef MIM_TESTS_GRADIENT_H
#define MIM_TESTS_GRADIENT_H

#include <stddef.h>

/* Loss as a function of whatever the array given to mim_test_gradient holds. */
typedef double (*mim_test_loss)(void *context);

/* Largest |grad - fd| / max(1, |fd|) over x [n], fd = (loss(x + h) - loss(x - h)) / 2h with
 * h = cbrt(eps) max(1, |x|). x is as before afterwards. */
double mim_test_gradient(size_t n, double *x, const double *grad, mim_test_loss loss,
                         void *context);

/* Numbers in [-1, 1], different for every n and `salt`. */
void mim_test_fill(size_t n, unsigned salt, double *x);

double mim_test_dot(size_t n, const double *x, const double *y);

#endif
