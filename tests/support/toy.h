/* A small invented machine whose plans follow from its metrics in closed form, for tests of
 * learning: nothing here was measured. */
#ifndef MIM_TESTS_SUPPORT_TOY_H
#define MIM_TESTS_SUPPORT_TOY_H

#include "diffusion/examples.h"
#include "diffusion/model.h"
#include "diffusion/train.h"

enum { TOY_T = 2, TOY_S = 3, TOY_D = 4, TOY_MAX = 512 };

/* Metrics: CPU of cores 0 and 1 (%), io_read (KB/s), and one that is never measured. Of thread t:
 * stressor 0 gets 0.6 CPU, stressor 1 0.3 of the share of io_read of 1000 KB/s, stressor 2 none. */
typedef struct toy {
    float metric[TOY_MAX * TOY_D];
    uint8_t mask[TOY_MAX * TOY_D], has_previous[TOY_MAX];
    float action[TOY_MAX * TOY_T * TOY_S], previous[TOY_MAX * TOY_T * TOY_S];
    mim_examples examples; /* points into the above */
} toy;

void toy_fill(toy *t, size_t n);
void toy_action(const double metrics[TOY_D], double weights[TOY_T * TOY_S]);
/* A fresh model of it; NULL when it cannot be made. */
mim_model *toy_model(uint64_t seed, mim_prediction prediction);
/* The same with a network of another kind or size. */
mim_model *toy_model_of(const mim_architecture *size, uint64_t seed, mim_prediction prediction);
mim_model *toy_model_with(const mim_architecture *size, uint64_t seed, mim_prediction prediction,
                          mim_output output);
/* A small network of each kind; the transformers have three blocks. */
extern const mim_architecture toy_networks[MIM_N_NETWORKS];
mim_train_options toy_options(void);

#endif
