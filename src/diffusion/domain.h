/* What a model speaks of: the metrics it is asked for, with their ranges, and the stressors and
 * threads it answers in. A checkpoint carries it, so that no corpus is needed to use a model.
 *
 * Metrics are normalised from the training range to [-1, 1], linearly or by their logarithm (of 1 +
 * the distance from the minimum, in the metric's unit), and clipped there. A metric
 * that is absent (NaN), or constant in training, is 0 with mask 0: absent is not zero. The CPU
 * metrics of threads share the widest range of any of them, as threads are alike to a model. */
#ifndef MIM_DIFFUSION_DOMAIN_H
#define MIM_DIFFUSION_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

enum {
    MIM_DOMAIN_MAX_THREADS = 4096,
    MIM_DOMAIN_MAX_METRICS = 8192,
    MIM_DOMAIN_MAX_STRESSORS = 1024,
    MIM_DOMAIN_MAX_SOCKETS = 64,
};

typedef enum { MIM_NORMALISE_LINEAR, MIM_NORMALISE_LOG, MIM_N_NORMALISATIONS } mim_normalisation;

typedef struct mim_domain {
    size_t n_metrics, n_threads, n_stressors, n_sockets;
    char **metrics;            /* [n_metrics] names; per-core ones are CPU metrics of threads */
    char **actions;            /* [n_stressors] names */
    double *minimum, *maximum; /* [n_metrics] training range, physical units */
    size_t *thread_metric;     /* [n_threads] index of a thread's own CPU metric, SIZE_MAX = none */
    size_t *socket;            /* [n_threads] 0 .. n_sockets - 1 */
    size_t n_node_metrics;     /* metrics that belong to no thread */
    size_t *node_metric;       /* [n_node_metrics] their indices */
    char *host_class;          /* what was measured, "" if unknown */
    char *sizes; /* of the stressors' working sets: "original" or "node" (plan/actions.h) */
    mim_normalisation normalisation;
} mim_domain;

typedef struct mim_domain_parts {
    size_t n_metrics, n_threads, n_stressors, n_sockets;
    const char *const *metrics;      /* [n_metrics] */
    const char *const *actions;      /* [n_stressors] */
    const double *minimum, *maximum; /* [n_metrics]; both NaN for what was never measured */
    const size_t *thread_metric;     /* [n_threads], SIZE_MAX = none; NULL: thread t owns the metric
                                        avg_cpu_utilizations_core_<t> */
    const size_t *socket;            /* [n_threads]; NULL: equal blocks of neighbours */
    const char *host_class;          /* NULL: not known */
    const char *sizes;               /* NULL: "original" */
    mim_normalisation normalisation;
} mim_domain_parts;

/* Copies everything. MIM_EDATA: a size beyond the limits, a name empty or twice, a range not finite
 * or upside down, a metric of two threads, a socket that is not there, sizes of neither kind. */
int mim_domain_create(const mim_domain_parts *parts, mim_domain **domain);
void mim_domain_destroy(mim_domain **domain);

/* Normalised: a value in [-1, 1] and whether it is known. */
typedef struct mim_normalised {
    float *cpu, *cpu_mask;   /* [n_threads] */
    float *node, *node_mask; /* [n_node_metrics] */
} mim_normalised;

/* values: [n_metrics] physical units, NaN = absent. out's arrays belong to the caller. */
void mim_domain_normalise(const mim_domain *domain, const double *values, mim_normalised out);
/* Whether a value lies outside the training range by more than a thousandth of it. */
bool mim_domain_is_outside(const mim_domain *domain, size_t metric, double value);
const char *mim_normalisation_name(mim_normalisation normalisation); /* "linear", "log" */
/* MIM_EDATA for another word. */
int mim_normalisation_find(const char *name, mim_normalisation *normalisation);

#endif
