/* Small HDF5 files in a folder of the test's own, good and damaged, and what their readers leave.
 * Failures are the test's (cmocka). */
#ifndef MIM_TESTS_H5_FILES_H
#define MIM_TESTS_H5_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/h5.h"

int h5_make_folder(void **state);
int h5_remove_folder(void **state);      /* with its files */
const char *in_folder(const char *name); /* the same buffer each time */

size_t file_bytes(const char *path, char *bytes, size_t max);
void write_bytes(const char *path, const char *bytes, size_t n);

/* "v": reals 1 to 6 [1][2][3] in "u"; "t": texts a, bc. */
void make_small(const char *name);
/* Reads all there is to read in such a file; only the codes of damaged data may come, with a
 * sentence that names it. `reader` may be NULL. */
void read_all(mim_h5_reader *reader, const char *path);
/* A copy with 1 to 8 bits changed. good, bad: [n] */
void damage(int trial, uint32_t *random, size_t n, const char *good, char *bad);

size_t count_fds(void);
void assert_no_child(void);
pid_t only_child(void); /* 0 when the kernel does not tell */

#endif
