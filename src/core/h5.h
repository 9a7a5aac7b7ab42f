/* Small HDF5 files, written whole and read with suspicion.
 *
 * Writing happens in memory; mim_h5_commit publishes the image atomically, so a full disk or a kill
 * never leaves half a file. Every file carries the root attributes schema, schema_version,
 * created_by and config; every dataset units, dims and long_name.
 *
 * Reading: the HDF5 library may crash, loop or eat memory on a damaged file, so it never sees one
 * in this process. mim_h5_open forks a reader (no exec) which holds the file and answers the calls
 * below over a socket, a block at a time; it can open and write nothing else, its memory and CPU
 * time are limited, it leaves no core file and ends when this process does. Whatever happens to it,
 * the caller gets MIM_EDATA. What it says is checked against what the caller expects before memory
 * is taken. External links, external storage and virtual datasets are refused.
 *
 * Many files: forking and starting the library takes longer than a small file's content. A
 * mim_h5_reader keeps its process from file to file. One that fails at a file gets no other, and
 * the file is tried again by a new one before it is called damaged: whether a file can be read does
 * not depend on the files before it. What separate processes give beyond that, and one does not, is
 * safety from a file that is made to take the reader over and speak for the files that follow.
 *
 * Threads: a handle is used by one thread at a time; no two threads may write HDF5 files at once,
 * or one open a file while another writes (the library has no locks of its own). */
#ifndef MIM_CORE_H5_H
#define MIM_CORE_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum { MIM_H5_MAX_RANK = 4, MIM_H5_MAX_NAME = 256 };

typedef struct mim_h5 mim_h5;
typedef struct mim_h5_reader mim_h5_reader;

/* `config` is an ini or JSON text, may be NULL. Texts are UTF-8; names at most
 * MIM_H5_MAX_NAME - 1 bytes. NULL units, dims, long_name are stored as "". Shapes are in rows-first
 * (C) order; rank 0 is a single value. */
int mim_h5_create(const char *path, const char *schema, int schema_version, const char *config,
                  mim_h5 **file);
/* From here on small datasets are stored with a digest of their values (core/digest.h, the whole
 * as one row, in the attribute "digest"); whoever reads them below gets MIM_EDATA when they do not
 * have it. Large ones are stored with checksums in any case. For files that people do not edit. */
void mim_h5_seal(mim_h5 *file);
int mim_h5_put_real(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                    const double *values, const char *units, const char *dims,
                    const char *long_name);
int mim_h5_put_float(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                     const float *values, const char *units, const char *dims,
                     const char *long_name);
int mim_h5_put_count(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                     const uint64_t *values, const char *units, const char *dims,
                     const char *long_name);
int mim_h5_put_texts(mim_h5 *file, const char *name, size_t n, const char *const *texts,
                     const char *dims, const char *long_name);
/* Attribute of the root (`dataset` NULL) or of a dataset. */
int mim_h5_put_attribute_text(mim_h5 *file, const char *dataset, const char *name,
                              const char *text);
int mim_h5_put_attribute_real(mim_h5 *file, const char *dataset, const char *name, double value);
/* Files too large for memory: written where they will be, not atomically (the caller takes a name
 * of its own and renames). Their rows are reserved here, each dataset at its fixed place, and
 * written through the HDF5 library later; unwritten values read as 0. */
typedef enum {
    MIM_H5_F32,
    MIM_H5_F64,
    MIM_H5_U64,
    MIM_H5_U32,
    MIM_H5_U8,
    MIM_H5_NAME /* text of up to MIM_H5_CELL_NAME_BYTES - 1 bytes */
} mim_h5_cell;
enum { MIM_H5_CELL_NAME_BYTES = 64 };
int mim_h5_create_in_place(const char *path, const char *schema, int schema_version,
                           const char *config, mim_h5 **file);
int mim_h5_reserve(mim_h5 *file, const char *name, mim_h5_cell cell, size_t rank,
                   const size_t *shape, const char *units, const char *dims, const char *long_name);
int mim_h5_commit(mim_h5 **file); /* destroys `file` either way */
/* What mim_h5_commit would write, for who writes it later or on another thread; destroys `file`
 * either way. The caller ends it with mim_h5_release_image. MIM_EINVAL: a file written in place. */
int mim_h5_take_image(mim_h5 **file, void **image, size_t *n_bytes);
void mim_h5_release_image(void *image, size_t n_bytes); /* not the library's: on any thread */
void mim_h5_destroy(mim_h5 **file);

/* MIM_EIO: cannot be opened, or not a regular file; MIM_EDATA: not a (readable) HDF5 file. */
int mim_h5_open(const char *path, mim_h5 **file);
/* By a reader for many files, one at a time (MIM_EINVAL: it has another one open); NULL: by one of
 * its own, as mim_h5_open. The file is to be destroyed before its reader. */
int mim_h5_open_with(mim_h5_reader *reader, const char *path, mim_h5 **file);
/* Starts its process when the first file needs it. */
int mim_h5_reader_create(mim_h5_reader **reader);
void mim_h5_reader_destroy(mim_h5_reader **reader);
bool mim_h5_has(mim_h5 *file, const char *dataset);
/* Rank and extents of a dataset of any type, for choosing what to ask for. MIM_EDATA when missing
 * or of a rank above MIM_H5_MAX_RANK. */
int mim_h5_get_shape(mim_h5 *file, const char *name, size_t *rank, size_t shape[MIM_H5_MAX_RANK]);
/* MIM_EDATA when the dataset is missing, of another rank, not of a float class, or has more than
 * max_values values. `values` is new memory, the caller frees it. Any float width is widened.
 * NaN passes: only the caller knows whether it may stand there. */
int mim_h5_get_real(mim_h5 *file, const char *name, size_t rank, size_t max_values, size_t *shape,
                    double **values);
int mim_h5_get_count(mim_h5 *file, const char *name, size_t rank, size_t max_values, size_t *shape,
                     uint64_t **values);
int mim_h5_get_texts(mim_h5 *file, const char *name, size_t max_texts, size_t *n, char ***texts);
void mim_h5_free_texts(size_t n, char ***texts);
/* NULL text / false when absent; MIM_EDATA when of another type. The caller frees `text`. */
int mim_h5_get_attribute_text(mim_h5 *file, const char *dataset, const char *name, char **text);
int mim_h5_get_attribute_real(mim_h5 *file, const char *dataset, const char *name, bool *is_there,
                              double *value);

#endif
