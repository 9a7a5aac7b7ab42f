/* Log lines and progress, written to a stream the program gives (stderr).
 *
 * A line reads `2026-01-02T03:04:05Z info 0/1 executor: slot=3 ...`: time (UTC), level, rank/size,
 * module, text. All functions accept a NULL log and then do nothing, so library code passes on what
 * it was given. Thread-safe: a line is written by one call. */
#ifndef MIM_CORE_LOG_H
#define MIM_CORE_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include "core/error.h"

typedef enum { MIM_LOG_ERROR, MIM_LOG_WARN, MIM_LOG_INFO, MIM_LOG_DEBUG } mim_log_level;

typedef struct mim_log mim_log;
typedef struct mim_progress mim_progress;

/* `stream` is borrowed and must outlive the log. Only rank 0 writes lines below warn. */
int mim_log_create(FILE *stream, mim_log_level level, int rank, int n_ranks, mim_log **log);
void mim_log_destroy(mim_log **log);

void mim_log_line(mim_log *log, mim_log_level level, const char *module, const char *format, ...)
    MIM_PRINTF(4, 5);

#define mim_log_warn(log, module, ...) mim_log_line(log, MIM_LOG_WARN, module, __VA_ARGS__)
#define mim_log_info(log, module, ...) mim_log_line(log, MIM_LOG_INFO, module, __VA_ARGS__)
#define mim_log_debug(log, module, ...) mim_log_line(log, MIM_LOG_DEBUG, module, __VA_ARGS__)

/* Progress of `n_total` steps: a moving line with the time left when the log's stream is a
 * terminal, otherwise one plain info line every `every_s` seconds. A NULL log gives a silent one.
 */
int mim_progress_create(mim_log *log, const char *what, size_t n_total, double every_s,
                        mim_progress **progress);
void mim_progress_step(mim_progress *progress, size_t n_done);
/* Ends the moving line. */
void mim_progress_destroy(mim_progress **progress);

#endif
