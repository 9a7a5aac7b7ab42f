/* Rows that ranks hold, in one HDF5 file: written aside, in parallel, then given its name.
 *
 * The file's form (attributes, small datasets, reserved columns; corpus/table_internal.h) is made
 * by rank 0 alone. Where the other ranks do not see its file, as without a shared file system,
 * their rows go to rank 0 in blocks, and it writes them. */
#ifndef MIM_MPI_ROWS_H5_H
#define MIM_MPI_ROWS_H5_H

#include <mpi.h>
#include <stddef.h>

#include "corpus/table_internal.h"

typedef struct mim_rows_h5 {
    size_t n_columns;
    const mim_column *columns; /* [n_columns], the same on all ranks */
    size_t n_rows;             /* of this rank; may be 0 */
    void *const *buffers;      /* [n_columns], each [n_rows][shape] */
} mim_rows_h5;

/* Collective. The rows of all ranks, in their order, into the columns that `part` (the same on all
 * ranks) has reserved for just these rows; then it is brought to the disk. The result is agreed. */
int mim_rows_h5_fill(MPI_Comm comm, const char *part, const mim_rows_h5 *rows);

/* Collective. A whole file: `make` is called on rank 0 to create `part` with columns of total_rows
 * rows. `path`: its name when it is complete, the same on all ranks; what was there before is
 * replaced then, and is untouched on failure. write_s: how long the writing took; may be NULL. The
 * result is agreed. */
int mim_rows_h5_write(MPI_Comm comm, const char *path, const mim_rows_h5 *rows,
                      int (*make)(void *context, const char *part, size_t total_rows),
                      void *context, double *write_s);

#endif
