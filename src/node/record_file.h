/* A stats file that records are appended to, by one or more processes in turn.
 *
 * A record goes out in one write under an exclusive lock, so that a reader or a kill finds whole
 * records; a write cut short (full disk, power cut) is trimmed back to the last whole record. A
 * file of another kind, of another host or with other types is refused and left as it is. */
#ifndef MIM_NODE_RECORD_FILE_H
#define MIM_NODE_RECORD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum { MIM_RECORD_JOB_BYTES = 80 };

typedef struct mim_record_file mim_record_file;

/* `header` is what a new file starts with and what an existing one must agree with (host name and
 * types). Opens nothing yet. */
int mim_record_file_create(const char *path, const char *header, double lock_limit_s,
                           mim_record_file **file);
void mim_record_file_destroy(mim_record_file **file);

/* Waits for the lock, opening or making the file; when it was moved away or removed meanwhile, the
 * new file of that name is taken. MIM_EIO: no permission, not a regular file, locked longer than
 * the limit; MIM_EUNSUP: the file system has no locks; MIM_EDATA: not a file to continue;
 * MIM_ESTOPPED: a signal came while waiting. */
int mim_record_file_lock(mim_record_file *file);
void mim_record_file_unlock(mim_record_file *file);
/* Between lock and unlock. */
bool mim_record_file_is_empty(const mim_record_file *file);
/* Whether the last record is this handle's own: false for an empty file, too. */
bool mim_record_file_is_own(const mim_record_file *file);
size_t mim_record_file_trimmed_bytes(const mim_record_file *file); /* by the last lock */
/* Appends, with the header first when the file is empty. MIM_EIO: the file is as before. */
int mim_record_file_append(mim_record_file *file, const char *record, size_t n_bytes);
/* Waits until everything is on the disk. */
int mim_record_file_sync(mim_record_file *file);

/* As lock, but neither makes, changes nor locks anything: may records be appended here?
 * *n_bytes: size of the file, 0 when it does not exist. */
int mim_record_file_check(const mim_record_file *file, uint64_t *n_bytes);

/* Job of the last record, "" when there is no file or no record. */
void mim_record_file_last_job(const char *path, char job[MIM_RECORD_JOB_BYTES]);

#endif
