/* A folder made anew for every test that writes scratch files, and small file systems over it. */
#ifndef MIM_TESTS_SUPPORT_SCRATCH_FOLDER_H
#define MIM_TESTS_SUPPORT_SCRATCH_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "node/scratch.h"

extern char folder[256];

/* cmocka's set-up and tear-down; the latter fails, and with it the test, when anything is left. */
int make_folder(void **unused);
int remove_folder(void **unused);
#define WITH_FOLDER(TEST) cmocka_unit_test_setup_teardown(TEST, make_folder, remove_folder)

size_t n_names(void); /* in the folder */
/* Ends the test when there can be none. */
mim_scratch *create_scratch(mim_io_mode mode, uint64_t min_free, uint64_t max_written);
/* A tmpfs over the folder, gone with this process in any case; false when not permitted. `size` as
 * "size=8m". */
bool mount_small(const char *size, unsigned long flags);
int remount_read_only(bool is_read_only); /* that file system; 0 when done */
int unmount_small(void);
/* What somebody else writes there; false when it does not all fit. */
bool write_foreign_file(const char *path, size_t n_mib);

#endif
