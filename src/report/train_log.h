/* The figures of a training, as mimesys_train logs them: one JSON object a line, each with a step.
 *
 * A line may hold any of the figures below, others are passed over; lines of one step are one
 * record. A line of an earlier step than the line before comes from a training that was resumed
 * there: it takes the place of all that was logged from its step on. A last line that is cut, as a
 * kill leaves it, is passed over, too. */
#ifndef MIM_REPORT_TRAIN_LOG_H
#define MIM_REPORT_TRAIN_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

#define MIM_TRAIN_LOG_FILE "metrics.jsonl" /* in the folder of a training */

typedef enum {
    MIM_LOG_LOSS,
    MIM_LOG_VALIDATION,      /* loss of the moving average */
    MIM_LOG_VALIDATION_LIVE, /* of the parameters as they are */
    MIM_LOG_NL1,             /* normalised L1 of plans that were tried */
    MIM_LOG_EXAMPLES_PER_S,
    MIM_LOG_GFLOP_PER_S,
    MIM_LOG_RATE,
    MIM_LOG_NORM, /* of the gradient before clipping */
    MIM_N_LOG
} mim_log_figure;

/* The key in a line. */
const char *mim_log_figure_key(mim_log_figure figure);

typedef struct mim_train_log {
    size_t n;                   /* records, by growing step */
    double *step;               /* [n] whole numbers */
    double *values;             /* [n][MIM_N_LOG], NaN where a step has none */
    size_t n_lines, n_replaced; /* lines read; records that later lines took the place of */
    bool is_cut;                /* the last line was */
} mim_train_log;

/* `path`: the file, or a folder that holds MIM_TRAIN_LOG_FILE. MIM_EIO; MIM_EDATA names the line
 * that is no such object, or says that there is none. */
int mim_train_log_read(const char *path, mim_train_log **log);
void mim_train_log_destroy(mim_train_log **log);

double mim_train_log_at(const mim_train_log *log, size_t record, mim_log_figure figure);
/* The last value of a figure, NaN when there is none; `record` (may be NULL) is where. */
double mim_train_log_last(const mim_train_log *log, mim_log_figure figure, size_t *record);
/* The same of the smallest one. */
double mim_train_log_least(const mim_train_log *log, mim_log_figure figure, size_t *record);

#endif
