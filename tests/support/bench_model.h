/* Models of random numbers in place of measurements, and examples for them, as large as those of a
 * machine, for benchmarks of training. */
#ifndef MIM_TESTS_SUPPORT_BENCH_MODEL_H
#define MIM_TESTS_SUPPORT_BENCH_MODEL_H

#include "diffusion/examples.h"
#include "diffusion/model.h"

enum { BENCH_STRESSORS = 20, BENCH_NODE = 8, BENCH_EXAMPLES = 256 };

typedef struct bench_size {
    const char *name;
    mim_network_name kind;
    size_t n_threads, n_sockets, width, n_blocks, n_heads;
} bench_size;

/* Fresh weights; predicts x0 of a cosine schedule of 250 timesteps. */
int bench_model_create(const bench_size *size, mim_model **model);

/* BENCH_EXAMPLES of them, all metrics known, none with a slot before. */
typedef struct bench_examples {
    mim_examples examples; /* points into what follows */
    float *metric, *action;
    uint8_t *mask, *has_previous;
} bench_examples;
int bench_examples_create(const mim_domain *domain, bench_examples *examples);
void bench_examples_clear(bench_examples *examples);

#endif
