#include "gradient.h"

#include <float.h>
#include <math.h>

#include "core/rng.h"

double mim_test_gradient(size_t n, double *x, const double *grad, mim_test_loss loss, void *context)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double saved = x[i], h = cbrt(DBL_EPSILON) * fmax(1.0, fabs(saved));
        x[i] = saved + h;
        const double above = loss(context);
        x[i] = saved - h;
        const double below = loss(context);
        x[i] = saved;
        const double fd = (above - below) / (2 * h);
        const double error = fabs(grad[i] - fd) / fmax(1.0, fabs(fd));
        worst = error > worst || isnan(error) ? error : worst;
        if (isnan(worst))
            break;
    }
    return worst;
}

void mim_test_fill(size_t n, unsigned salt, double *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 2 * mim_rng_u01(12, MIM_STREAM_TEST, salt, 0, (uint32_t)i) - 1;
}

double mim_test_dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}
