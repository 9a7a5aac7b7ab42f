/* Numbers as they come, and what is told of them. */
#ifndef MIM_TESTS_SUPPORT_VALUES_H
#define MIM_TESTS_SUPPORT_VALUES_H

#include <stddef.h>

typedef struct values {
    size_t n, capacity;
    double *of; /* [n] */
} values;

int values_add(values *v, double value); /* MIM_ENOMEM */
void values_clear(values *v);
/* NaN of none. */
double values_mean(const values *v);
double values_median(const values *v);
double values_quantile(const values *v, double q);
double values_max(const values *v);
/* Standard deviation of a sample; NaN of fewer than two. */
double values_deviation(const values *v);
double values_cv_pct(const values *v); /* of the mean */

/* y over x by least squares; NaN of fewer than three or of equal ones. */
double values_r2(size_t n, const double *x, const double *y);

#endif
