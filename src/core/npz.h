/* Named arrays as NumPy's .npz files hold them: a zip archive with one NAME.npy a member
 * (core/npy.h), stored or deflated, as numpy.savez() writes and numpy.load() reads. How weights go
 * to and from other programs.
 *
 * Files are not trusted: sizes are checked before memory is taken, checksums when a member has been
 * read. Sentences begin with the file and, where it is about one, the array. */
#ifndef MIM_CORE_NPZ_H
#define MIM_CORE_NPZ_H

#include <stddef.h>

#include "core/error.h"
#include "core/npy.h"

enum { MIM_NPZ_MAX_ARRAYS = 8192, MIM_NPZ_MAX_VALUES = 1 << 28 /* of an array */ };

typedef struct mim_npz mim_npz;

/* Reads what is in the archive, values apart. MIM_EIO; MIM_EDATA: no zip archive, a member that is
 * no array or not as long as it says, two of one name, more arrays or values than above. */
int mim_npz_open(const char *path, mim_npz **npz);
void mim_npz_destroy(mim_npz **npz);
size_t mim_npz_n(const mim_npz *npz);
const char *mim_npz_name(const mim_npz *npz, size_t i); /* without .npy */
const mim_npy *mim_npz_array(const mim_npz *npz, size_t i);
/* Number of an array, SIZE_MAX when there is none of that name. */
size_t mim_npz_find(const mim_npz *npz, const char *name);
/* Its values as floats [n_values]; memory for as many more is taken for the call. MIM_EDATA: cut,
 * of another length, a wrong checksum, encrypted, a value that is not finite. */
int mim_npz_floats(mim_npz *npz, size_t i, float *floats);

/* A new file, built in memory and written atomically by commit; the same arrays give the same bytes
 * on any day. */
typedef struct mim_npz_writer mim_npz_writer;
int mim_npz_create(mim_npz_writer **writer);
int mim_npz_add(mim_npz_writer *writer, const char *name, size_t rank, const size_t *shape,
                const float *values);
/* Destroys the writer either way. */
int mim_npz_commit(mim_npz_writer **writer, const char *path);
void mim_npz_writer_destroy(mim_npz_writer **writer);

#endif
