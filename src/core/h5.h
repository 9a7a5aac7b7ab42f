/* Small HDF5 files, written whole and read with suspicion.
 *
 * Writing happens in memory; mim_h5_commit publishes the image atomically, so a full disk or a kill
 * never leaves half a file. Every file carries the root attributes schema, schema_version,
 * created_by and config; every dataset units, dims and long_name.
 * Reading: the library's own error printing is off; everything read is checked against what the
 * caller expects before memory is taken. */
#ifndef MIM_CORE_H5_H
#define MIM_CORE_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum { MIM_H5_MAX_RANK = 4 };

typedef struct mim_h5 mim_h5;

/* `config` is an ini or JSON text, may be NULL. */
int mim_h5_create(const char *path, const char *schema, int schema_version, const char *config,
                  mim_h5 **file);
int mim_h5_put_real(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                    const double *values, const char *units, const char *dims,
                    const char *long_name);
int mim_h5_put_count(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                     const uint64_t *values, const char *units, const char *dims,
                     const char *long_name);
int mim_h5_put_texts(mim_h5 *file, const char *name, size_t n, const char *const *texts,
                     const char *dims, const char *long_name);
/* Attribute of the root (`dataset` NULL) or of a dataset. */
int mim_h5_put_attribute_text(mim_h5 *file, const char *dataset, const char *name, const char *text);
int mim_h5_put_attribute_real(mim_h5 *file, const char *dataset, const char *name, double value);
int mim_h5_commit(mim_h5 **file); /* destroys `file` either way */
void mim_h5_destroy(mim_h5 **file);

/* MIM_EIO: cannot be opened; MIM_EDATA: not an HDF5 file. */
int mim_h5_open(const char *path, mim_h5 **file);
bool mim_h5_has(mim_h5 *file, const char *dataset);
/* MIM_EDATA when the dataset is missing, of another rank, not of a float class, or has more than
 * max_values values. `values` is new memory, the caller frees it. Any float width is widened. */
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
