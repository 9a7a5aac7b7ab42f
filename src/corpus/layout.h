/* What the columns of a campaign store and of a training corpus mean: which stressors and threads
 * an action has, which metrics were measured, on what kind of host. */
#ifndef MIM_CORPUS_LAYOUT_H
#define MIM_CORPUS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "plan/actions.h"
#include "trace/series.h"

enum {
    MIM_LAYOUT_MAX_THREADS = 4096,
    MIM_LAYOUT_MAX_STRESSORS = 4096,
    MIM_LAYOUT_MAX_METRICS = 16384,
    MIM_HOST_NAME_BYTES = 64,
};

typedef struct mim_layout {
    size_t n_threads, n_stressors, n_metrics;
    char **action_names;      /* [n_stressors] */
    char **metric_names;      /* [n_metrics] as in trace/metric.h, sorted, each once */
    char **metric_units;      /* [n_metrics] */
    uint64_t *thread_cpus;    /* [n_threads] CPU number that each plan row runs on */
    uint64_t *thread_sockets; /* [n_threads] its socket, 0.. */
    double slot_s;            /* length of a slot, 0: not known */
    char *host_class;         /* the kind of machine (CPU, cores, caches, disk), "" unknown */
    char *sizes; /* of the stressors' working sets: "original" or "node" (plan/actions.h) */
} mim_layout;

/* thread_cpus is 0, 1, 2 ..., thread_sockets all 0; change them in place. Copies everything; sizes
 * are what the actions were fitted to. metrics: [n_metrics], sorted by name. MIM_EINVAL: nothing of
 * a kind, or more than the limits. */
int mim_layout_create(size_t n_threads, const mim_actions *actions, size_t n_metrics,
                      const mim_metric *metrics, double slot_s, const char *host_class,
                      mim_layout **layout);
int mim_layout_copy(const mim_layout *layout, mim_layout **copy);
/* For actions that are only names. MIM_EDATA for another word than mim_layout.sizes may be. */
int mim_layout_set_sizes(mim_layout *layout, const char *sizes);
void mim_layout_destroy(mim_layout **layout);

/* MIM_EDATA, the sentence telling what differs: "NAME: ... , expected ...". `what` names `found`
 * in it. Host classes are compared only when `with_host`. */
int mim_layout_compare(const mim_layout *expected, const mim_layout *found, const char *what,
                       bool with_host);
/* The same but for the length of a slot. */
int mim_layout_compare_columns(const mim_layout *expected, const mim_layout *found,
                               const char *what, bool with_host);
/* Lengths of slots that were measured, not set: those of two runs with the same setting differ by
 * timers, load and rounding, by less than this share of the expected one; settings that differ by
 * as little are not told apart. MIM_EDATA. */
#define MIM_LAYOUT_SLOT_TOLERANCE 0.05
int mim_layout_compare_slots(const mim_layout *expected, const mim_layout *found, const char *what);

/* The layout as a JSON text, to hand it to other processes. The caller frees *text. */
int mim_layout_to_text(const mim_layout *layout, char **text);
/* MIM_EDATA. */
int mim_layout_from_text(const char *text, mim_layout **layout);

size_t mim_layout_find_metric(const mim_layout *layout, const char *name); /* SIZE_MAX if none */
/* The metric that is the CPU use of a thread's CPU; SIZE_MAX if not measured. */
size_t mim_layout_core_metric(const mim_layout *layout, size_t thread);
/* The CPU number of a per-core metric, -1 for others. */
int mim_layout_metric_core(const mim_layout *layout, size_t metric);

#endif
