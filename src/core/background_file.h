/* Whole files written while the caller goes on: bytes, published atomically (core/atomic_file.h) by
 * a thread that lasts as long as the write. One file at a time; a second one waits for the first.
 * The thread gets no stop signals, so one that comes is handled elsewhere and the file gets whole.
 *
 * A handle is used by one thread at a time. */
#ifndef MIM_CORE_BACKGROUND_FILE_H
#define MIM_CORE_BACKGROUND_FILE_H

#include <stddef.h>

#include "core/error.h"

typedef struct mim_background_file mim_background_file;

/* Ends the bytes of a write; called once, from any thread. */
typedef void mim_background_release(void *bytes, size_t n_bytes);

int mim_background_file_create(mim_background_file **writer);
/* Takes `bytes` over, also on failure. Waits for the write before; when that failed, its error is
 * returned as mim_background_file_wait would have, and nothing is started. MIM_ENOMEM: no thread.
 */
int mim_background_file_start(mim_background_file *writer, const char *path, void *bytes,
                              size_t n_bytes, mim_background_release *release);
/* Waits until nothing is being written; the result of the last start that has not been told yet,
 * with its sentence. */
int mim_background_file_wait(mim_background_file *writer);
void mim_background_file_destroy(mim_background_file **writer); /* waits, too */

#endif
