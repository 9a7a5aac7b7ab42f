/* Whole-file outputs that appear complete or not at all.
 *
 * The content goes to an unnamed file in the target's folder (a name.tmp.<pid> file where the file
 * system has no unnamed ones) and takes its name at commit: fsync, rename, fsync of the folder. A
 * killed program therefore leaves no file behind; leftovers of dead processes for the same target
 * are removed at open. Links are followed; a write-protected file is refused; permissions of the
 * old file are kept. Pipes, /dev/stdout and /dev/fd/N are written directly. */
#ifndef MIM_CORE_ATOMIC_FILE_H
#define MIM_CORE_ATOMIC_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "core/error.h"

typedef struct mim_atomic_file mim_atomic_file;

int mim_atomic_file_open(const char *path, mim_atomic_file **file);
FILE *mim_atomic_file_stream(mim_atomic_file *file); /* owned by `file` */
/* Publishes; MIM_EIO when anything since the open failed (full disk). Destroys `file` either way;
 * a file that was there before is untouched on failure. */
int mim_atomic_file_commit(mim_atomic_file **file);
void mim_atomic_file_destroy(mim_atomic_file **file); /* abandons an uncommitted file */

/* MIM_EUSAGE when both names are one regular file: writing would replace what is to be read. */
int mim_output_check(const char *output, const char *input);

int mim_atomic_write(const char *path, const void *bytes, size_t n_bytes);

/* Whole file into a new buffer with a 0 byte after it. MIM_EIO, also when it is a folder or not a
 * regular file; MIM_EDATA when larger than max_bytes. The caller frees `bytes`. */
int mim_read_file(const char *path, size_t max_bytes, char **bytes, size_t *n_bytes);

/* Creates the folder and its parents; fine when it is there already. */
int mim_make_folder(const char *path);

#endif
