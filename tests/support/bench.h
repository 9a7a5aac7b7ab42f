/* What benchmarks share: medians, their line of JSON, and the rate of products in the same run. */
#ifndef MIM_TESTS_SUPPORT_BENCH_H
#define MIM_TESTS_SUPPORT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/precision.h"

/* Sorts; *spread is the distance of the quartiles. n >= 1. */
double bench_median(size_t n, double *values, double *spread);

/* {"bench": NAME, "value", "unit", "peer", "ratio", "n", "spread"}; peer <= 0: null. `more`:
 * further keys, "" if none, e.g. ", \"threads\": 1". */
void bench_line(const char *name, double value, const char *unit, double peer, double ratio,
                size_t n, double spread, const char *more);
/* The same with nulls and why. */
void bench_null(const char *name, const char *unit, const char *reason);

/* OpenMP threads from here on; false: we are built without. */
bool bench_set_threads(int n);

/* How long something took: by the process's CPU time with one thread, so that others on the machine
 * do not matter; with more by the clock, and then `is_alone` says that others used no more than 2 %
 * of the processors meanwhile. */
typedef struct bench_timer {
    int n_threads;
    int64_t wall_ns, cpu_ns, busy_ns; /* at the start */
} bench_timer;
bench_timer bench_start(int n_threads);
double bench_stop_ns(const bench_timer *timer, bool *is_alone);

/* All processors' time that was not idle, in ns; 0 where it cannot be known. */
int64_t bench_busy_ns(void);

/* FLOP/ns of the fastest of n = 512 and the products of a transformer's block over n_rows tokens of
 * width `width` and `hidden` numbers, each with its two gradients; best of n_runs. */
typedef struct bench_products bench_products;
int bench_products_create(mim_precision precision, size_t n_rows, size_t width, size_t hidden,
                          bench_products **products);
void bench_products_destroy(bench_products **products);
double bench_products_best(bench_products *products, int n_threads, size_t n_runs);

#endif
