/* Starting together with a victim program through a file that both can reach.
 *
 *   0: being prepared      written here before set-up, so that nothing old is taken for an answer
 *   1: ready               written here when every thread is ready
 *   2: go                  written by the other side when it is ready, too
 *
 * (The original waits for a 1 that it has just written itself, that is not at all.) When waiting
 * fails or a signal ends it, 0 is written again: the other side shall not start. A file that is
 * gone or empty for a moment, as while it is being rewritten, is waited for. */
#ifndef MIM_NODE_START_FILE_H
#define MIM_NODE_START_FILE_H

#include <stdint.h>

#include "core/error.h"
#include "core/log.h"

typedef struct mim_start_file {
    const char *path;
    double timeout_s;
    mim_log *log;
} mim_start_file;

/* Writes 0. MIM_EIO. */
int mim_start_file_prepare(const mim_start_file *file);
/* The agree_start of mim_execute_options; `start_file` is a mim_start_file. Writes 1, waits for 2.
 * MIM_EIO: it cannot be written, or no answer within timeout_s; MIM_EDATA: it holds something else
 * than 0, 1 or 2; MIM_ESTOPPED: a signal. */
int mim_start_file_agree(void *start_file, int rc, int64_t *start_ns);

#endif
