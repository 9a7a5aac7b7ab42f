/* A folder that stands for / in tests of what reads /proc and /sys. */
#ifndef MIM_TESTS_TREE_H
#define MIM_TESTS_TREE_H

#include <stddef.h>

enum { TREE_PATH_BYTES = 512 };

/* Makes an empty one below TMPDIR; its path goes to `root`. */
void tree_make(char root[TREE_PATH_BYTES]);
void tree_remove(const char *root);
/* Puts the file root/name with this text, and the folders above it. */
void tree_put(const char *root, const char *name, const char *text);
/* The text of the file root/name, at most n_bytes - 1 of it; fails the test when it cannot be read.
 */
void tree_get(const char *root, const char *name, size_t n_bytes, char *text);

#endif
