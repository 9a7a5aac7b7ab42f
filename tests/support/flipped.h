/* One damaged byte in a file, where a dataset has its values. */
#ifndef MIM_TESTS_FLIPPED_H
#define MIM_TESTS_FLIPPED_H

#include <stddef.h>
#include <stdint.h>

enum { FLIPPED_MAX = 64 };

typedef struct flipped_place {
    char name[64];
    uint64_t place; /* of its first value in the file */
    size_t n_bytes; /* of all values */
} flipped_place;

/* The datasets at the file's root that are stored in one piece; returns how many, 0 when the file
 * cannot be read. */
size_t flipped_places(const char *path, flipped_place places[FLIPPED_MAX]);
/* Changes a bit of a byte; the same again changes it back. 0: done. */
int flip_byte(const char *path, uint64_t place);

#endif
