/* Examples of a simulated node of 1 socket and 2 cores, without noise, and a fresh model of them:
 * for tests of what is tried on such a node. Nothing was measured. No cmocka in it. */
#ifndef TESTS_SUPPORT_SIMULATED_LESSONS_H
#define TESTS_SUPPORT_SIMULATED_LESSONS_H

#include "diffusion/examples.h"
#include "diffusion/model.h"
#include "node/simulated.h"

enum { SIMULATED_T = 2, SIMULATED_S = 20, SIMULATED_MAX_D = 16 };

typedef struct simulated_lessons {
    mim_simulated *node;
    mim_actions *actions; /* the default list */
    size_t n, n_metrics;
    float *metric, *action, *previous;
    uint8_t *mask, *has_previous;
    mim_examples examples; /* points into the above */
    mim_model *model;      /* untrained, but not all 0 */
} simulated_lessons;

/* Every second example has a slot before; every fifth does not know its reads. MIM_OK, or what
 * failed; to be cleared either way. */
int simulated_lessons_make(size_t n, simulated_lessons *lessons);
void simulated_lessons_clear(simulated_lessons *lessons);
/* What the node measures of the last window of one or two [T][S]: metrics [n_metrics]. */
int simulated_lessons_measure(const simulated_lessons *lessons, const double *previous,
                              const double *weights, double *metrics);

#endif
