/* Execution plans: weights [window][thread][stressor].
 *
 * A weight is the share of a slot; a thread's weights sum to at most 1; an all-zero row is an idle
 * thread. File: HDF5 dataset `execution_plan` of rank 3 (any float width is read, f64 is written),
 * so the original's plan files are read and ours are read by it; our own attributes and datasets
 * beside it name the action list, the slot length and where the plan came from. Leading all-zero
 * windows mean "no previous action" and are not run. */
#ifndef MIM_PLAN_PLAN_H
#define MIM_PLAN_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/h5.h"
#include "plan/actions.h"

/* Refused above these when read: far beyond real use, far below what would exhaust a machine. */
#define MIM_PLAN_MAX_WINDOWS 1000000
#define MIM_PLAN_MAX_THREADS 4096
#define MIM_PLAN_MAX_VALUES (256u * 1024u * 1024u)
/* A row may exceed 1 by rounding only; such a row is normalised, beyond that it is an error. */
#define MIM_PLAN_ROW_TOLERANCE 1e-3

typedef struct mim_plan mim_plan;

/* All weights 0. Copies `actions`. */
int mim_plan_create(size_t n_windows, size_t n_threads, const mim_actions *actions,
                    mim_plan **plan);
void mim_plan_destroy(mim_plan **plan);

size_t mim_plan_n_windows(const mim_plan *plan);
size_t mim_plan_n_threads(const mim_plan *plan);
size_t mim_plan_n_stressors(const mim_plan *plan);
const mim_actions *mim_plan_actions(const mim_plan *plan);
/* Fits the plan's list to the node it will run on: see mim_actions_fit. */
int mim_plan_fit(mim_plan *plan, const mim_actions_node *node);
double *mim_plan_row(mim_plan *plan, size_t window, size_t thread); /* [n_stressors], writable */
const double *mim_plan_weights(const mim_plan *plan, size_t window, size_t thread);
double mim_plan_slot_s(const mim_plan *plan); /* 0 when not given */
void mim_plan_set_slot_s(mim_plan *plan, double slot_s);
const char *mim_plan_origin(const mim_plan *plan); /* JSON text: method, trace, notes; "" if none */
int mim_plan_set_origin(mim_plan *plan, const char *origin);

/* Rank and shape are given by the type; checks finite, 0 <= w <= 1, row sums (normalising
 * rounding), at least one window and thread. MIM_EDATA names window, thread and stressor. */
int mim_plan_validate(mim_plan *plan, const char *name);
size_t mim_plan_first_window(const mim_plan *plan); /* first not all-zero; 0 when all are zero */
/* For plans whose idle start is meant: a millionth of a slot of a stressor in window 0, so that
 * leading idle windows run and slots keep their numbers. */
void mim_plan_keep_idle_start(mim_plan *plan);

/* `fallback`: the list for files that do not name theirs (NULL: the default list of 20). MIM_EDATA:
 * not HDF5, no such dataset, wrong rank, wrong number of stressors, invalid weights. Validates. */
int mim_plan_read(const char *path, const mim_actions *fallback, mim_plan **plan);
/* The same by a reader for many files (core/h5.h); NULL: by one of its own. */
int mim_plan_read_with(mim_h5_reader *reader, const char *path, const mim_actions *fallback,
                       mim_plan **plan);
int mim_plan_write(const mim_plan *plan, const char *path);

/* What running a plan takes. */
typedef struct mim_plan_need {
    size_t n_threads;        /* threads with any weight */
    uint64_t memory_bytes;   /* buffers of all threads */
    uint64_t scratch_bytes;  /* scratch files */
    double cpu_s_per_slot_s; /* largest sum over threads of unpaced weights */
    double n_slots;          /* windows that run */
    uint8_t *uses; /* [plan's threads][n_stressors]: 1 where any window's weight is above 0 */
} mim_plan_need;
/* Each row has an own instance of every stressor it uses in any window; the shared read file is
 * one. mim_plan_need_clear frees `uses`. */
int mim_plan_needs(const mim_plan *plan, mim_plan_need *need);
void mim_plan_need_clear(mim_plan_need *need);

#endif
