/* One array as NumPy's .npy files hold it (NEP 1, versions 1 and 2): 6 bytes of magic, version,
 * length of the header, the header as a Python dictionary of descr, fortran_order and shape, then
 * the values.
 *
 * Read are little-endian floats of 2, 4 and 8 bytes ('<f2', '<f4', '<f8') in C order; written is
 * '<f4', version 1. Sentences name what was found instead; the caller adds file and array. */
#ifndef MIM_CORE_NPY_H
#define MIM_CORE_NPY_H

#include <stddef.h>

#include "core/error.h"

enum {
    MIM_NPY_MAX_RANK = 8,
    MIM_NPY_MAX_HEAD = 1 << 16, /* bytes before the values that are read at most */
    MIM_NPY_HEAD_BYTES = 256,   /* that mim_npy_put_head() writes at most */
    MIM_NPY_START_BYTES = 12,   /* what mim_npy_n_head() looks at */
    MIM_NPY_SHAPE_BYTES = 192,  /* of mim_npy_shape_text() */
};

typedef struct mim_npy {
    size_t item_bytes; /* 2, 4 or 8 */
    size_t rank, shape[MIM_NPY_MAX_RANK];
    size_t n_values; /* product of the extents; times item_bytes it is below SIZE_MAX / 2 */
    size_t n_head;   /* bytes before the first value */
} mim_npy;

/* How long the head of an array is that starts with these bytes. MIM_EDATA: no .npy file, another
 * version, or a head longer than MIM_NPY_MAX_HEAD. */
int mim_npy_n_head(const void *bytes, size_t n_bytes, size_t *n_head);
/* The head of an array, whole; n_bytes as mim_npy_n_head() gave it or more. MIM_EDATA: anything but
 * such a header, another type of number, Fortran order of more than one axis. */
int mim_npy_parse(const void *bytes, size_t n_bytes, mim_npy *array);

/* The values after the head, n_bytes of them, as floats [n_values]. MIM_EDATA: too few or too many
 * bytes, or a value that is not finite as a float. */
int mim_npy_floats(const mim_npy *array, const void *values, size_t n_bytes, float *floats);

/* The head of an array of floats; gives its length. rank: up to MIM_NPY_MAX_RANK. */
size_t mim_npy_put_head(size_t rank, const size_t *shape, char head[MIM_NPY_HEAD_BYTES]);

/* "[256, 64]" */
const char *mim_npy_shape_text(size_t rank, const size_t *shape, char text[MIM_NPY_SHAPE_BYTES]);

#endif
