/* mimesys_replay: the slots of all nodes as rows of one table, and the axes that they share.
 *
 * Nodes may differ in threads, stressors and metrics: an axis holds what any node has, and a value
 * is NaN where a node has no such thing. */
#ifndef MIM_MPI_REPLAY_ROWS_H
#define MIM_MPI_REPLAY_ROWS_H

#include <stdint.h>

#include "mpi/replay.h"
#include "mpi/rows_h5.h"

enum { MIM_REPLAY_N_COLUMNS = 13 };

typedef struct mim_replay_axes {
    size_t n_threads;                  /* of the largest node */
    size_t n_stressors, n_metrics;     /* of all nodes together */
    char *stressor_text, *metric_text; /* what the names point into */
    char **stressors;                  /* [n_stressors] */
    char **metrics, **units;           /* [n_metrics] */
    size_t n_columns;
    mim_column columns[MIM_REPLAY_N_COLUMNS];
} mim_replay_axes;

/* Collective. The result is agreed. */
int mim_replay_axes_create(const mim_replay *r, mim_replay_axes *axes);
void mim_replay_axes_clear(mim_replay_axes *axes);

typedef struct mim_replay_rows {
    size_t n;
    uint32_t *node, *slot;
    double *start_s;
    uint8_t *acceptance;
    double *cells[5];                    /* [n][n_threads][n_stressors] */
    double *lanes[3];                    /* [n][n_threads] */
    double *metrics;                     /* [n][n_metrics] */
    void *buffers[MIM_REPLAY_N_COLUMNS]; /* the above, in the order of the columns */
} mim_replay_rows;

/* Not collective: the slots of this rank that ran to their end. */
int mim_replay_rows_create(const mim_replay *r, const mim_replay_axes *axes, mim_replay_rows *rows);
void mim_replay_rows_clear(mim_replay_rows *rows);

#endif
