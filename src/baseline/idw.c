#include "baseline/idw.h"

#include <math.h>

static const double least_distance = 1e-8;

static void blend(size_t n_found, const mim_neighbour *found, size_t n_weights, double *action)
{
    double sum = 0;
    for (size_t i = 0; i < n_found; i++)
        sum += 1 / fmax(found[i].distance, least_distance);
    for (size_t i = 0; i < n_found; i++) {
        const double share = 1 / fmax(found[i].distance, least_distance) / sum;
        for (size_t w = 0; w < n_weights; w++)
            action[w] += share * (double)found[i].action[w];
    }
}

int mim_idw_plan(const mim_nearest *nearest, const mim_series *wanted, size_t k, mim_plan **plan)
{
    return mim_nearest_plan_with(nearest, wanted, k, blend, plan);
}
