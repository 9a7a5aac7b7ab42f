/* Row tables in an HDF5 file: what the campaign store and the training corpus share.
 *
 * A table is a set of reserved datasets (core/h5.h) with the same number of rows. This is the only
 * place that reads and writes rows through the HDF5 library of this process. Given property lists
 * for parallel access, the calls marked (c) are collective: all ranks that opened the table make
 * them together, also with 0 rows, and go through the same HDF5 calls whatever fails in between. */
#ifndef MIM_CORPUS_TABLE_INTERNAL_H
#define MIM_CORPUS_TABLE_INTERNAL_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/h5.h"
#include "corpus/layout.h"

enum { MIM_TABLE_MAX_COLUMNS = 16, MIM_COLUMN_MAX_RANK = 3 };

typedef struct mim_column {
    const char *name;
    mim_h5_cell cell;
    size_t rank;                       /* with the rows: 1 to MIM_COLUMN_MAX_RANK */
    size_t shape[MIM_COLUMN_MAX_RANK]; /* of one row from [1] on; [0] is not used */
    const char *units, *dims, *long_name;
} mim_column;

typedef struct mim_table mim_table;

/* Bytes of one row of a column, and of all columns. */
size_t mim_column_row_bytes(const mim_column *column);

/* Reserves the columns with n_rows rows each. */
int mim_table_reserve(mim_h5 *file, size_t n_columns, const mim_column *columns, size_t n_rows);

/* Adds the digest of each row (core/digest.h) to the sum of its block and column: rows 0 to
 * block_rows - 1 of the dataset are a block, and so on. buffers: rows [first, first + n), as for
 * mim_table_write; sums: [blocks][stride], from the block of row `first` on. */
void mim_columns_digest(size_t n_columns, const mim_column *columns, void *const *buffers,
                        size_t first, size_t n, size_t block_rows, size_t stride, uint64_t *sums);

/* Whose digests the dataset `digest_name` of the file holds: its attribute `datasets`. */
int mim_columns_put_names(mim_h5 *file, const char *digest_name, size_t n_columns,
                          const mim_column *columns);

/* MIM_EDATA unless the file says it is `schema` of a version from 1 to `newest`; `kind` names it in
 * sentences. */
int mim_table_check_schema(mim_h5 *file, const char *path, const char *kind, const char *schema,
                           int newest, int *version);
/* The same for the columns: rank, shape and a common number of rows. */
int mim_table_check_columns(mim_h5 *file, const char *path, size_t n_columns,
                            const mim_column *columns, size_t *n_rows);

/* Opens the rows (c). The property lists are H5P_DEFAULT or the caller's, which must live as long
 * as the table. `columns` is borrowed for the call; n_rows must be what the file has. MIM_EIO,
 * MIM_EDATA. */
int mim_table_open(const char *path, bool for_writing, hid_t access, hid_t transfer,
                   size_t n_columns, const mim_column *columns, size_t n_rows, mim_table **table);
/* (c) MIM_EIO when what was written could not be stored; `table` is destroyed either way. */
int mim_table_close(mim_table **table);

/* Rows [first, first + n) of all columns (c). buffers: [n_columns], each [n][shape]. */
int mim_table_write(mim_table *table, size_t first, size_t n, void *const *buffers);
int mim_table_read(mim_table *table, size_t first, size_t n, void *const *buffers);
/* Hands what was written to the operating system (c). */
int mim_table_flush(mim_table *table);

/* Where the values of a dataset of fixed place begin in the file, bytes. MIM_EDATA. */
int mim_table_offset(const char *path, const char *name, uint64_t *place);

/* The same for all columns of an open table, so that rows can be read without the library: places
 * [n_columns]. MIM_EUNSUP: the file holds numbers of another kind of machine. */
int mim_table_places(const mim_table *table, uint64_t *places);

/* Waits until a file (or folder) is on the disk. MIM_EIO. */
int mim_sync_path(const char *path);

/* Columns of a layout's own datasets. */
int mim_layout_put(const mim_layout *layout, mim_h5 *file);
int mim_layout_get(mim_h5 *file, const char *path, mim_layout **layout);

#endif
