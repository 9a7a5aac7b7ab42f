#include "tests/support/values.h"

#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/quantile.h"

int values_add(values *v, double value)
{
    if (v->n == v->capacity) {
        size_t capacity = v->capacity ? 2 * v->capacity : 64;
        double *grown = realloc(v->of, capacity * sizeof *grown);
        if (!grown)
            return mim_fail(MIM_ENOMEM, "%zu measured values", capacity);
        v->of = grown;
        v->capacity = capacity;
    }
    v->of[v->n++] = value;
    return MIM_OK;
}

void values_clear(values *v)
{
    free(v->of);
    *v = (values){0};
}

double values_mean(const values *v)
{
    double sum = 0.0;
    for (size_t i = 0; i < v->n; i++)
        sum += v->of[i];
    return v->n ? sum / (double)v->n : NAN;
}

double values_quantile(const values *v, double q)
{
    double value = NAN;
    return mim_quantile(v->of, v->n, q, &value) == MIM_OK ? value : NAN;
}

double values_median(const values *v) { return values_quantile(v, 0.5); }
double values_max(const values *v) { return values_quantile(v, 1.0); }

double values_deviation(const values *v)
{
    const double mean = values_mean(v);
    double sum = 0.0;
    for (size_t i = 0; i < v->n; i++)
        sum += (v->of[i] - mean) * (v->of[i] - mean);
    return v->n > 1 ? sqrt(sum / (double)(v->n - 1)) : NAN;
}

double values_cv_pct(const values *v) { return 100.0 * values_deviation(v) / values_mean(v); }

double values_r2(size_t n, const double *x, const double *y)
{
    double mean_x = 0.0, mean_y = 0.0, xx = 0.0, xy = 0.0, yy = 0.0;
    for (size_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    return n > 2 && xx > 0.0 && yy > 0.0 ? xy * xy / (xx * yy) : NAN;
}
