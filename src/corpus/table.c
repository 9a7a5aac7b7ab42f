#define _GNU_SOURCE
#include "corpus/table_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/digest.h"
#include "core/fault.h"
#include "core/text.h"

struct mim_table {
    char *path;
    hid_t file, transfer;
    size_t n_columns, n_rows;
    mim_column columns[MIM_TABLE_MAX_COLUMNS];
    hid_t datasets[MIM_TABLE_MAX_COLUMNS], types[MIM_TABLE_MAX_COLUMNS];
};

static size_t cell_bytes(mim_h5_cell cell)
{
    switch (cell) {
    case MIM_H5_F32:
    case MIM_H5_U32:
        return 4;
    case MIM_H5_F64:
    case MIM_H5_U64:
        return 8;
    case MIM_H5_U8:
        return 1;
    default:
        return MIM_H5_CELL_NAME_BYTES;
    }
}

size_t mim_column_row_bytes(const mim_column *column)
{
    size_t n = cell_bytes(column->cell);
    for (size_t d = 1; d < column->rank; d++)
        n *= column->shape[d];
    return n;
}

/* ---- the form ------------------------------------------------------------------------------- */

int mim_table_reserve(mim_h5 *file, size_t n_columns, const mim_column *columns, size_t n_rows)
{
    int rc = MIM_OK;
    for (size_t c = 0; rc == MIM_OK && c < n_columns; c++) {
        size_t shape[MIM_COLUMN_MAX_RANK];
        memcpy(shape, columns[c].shape, sizeof shape);
        shape[0] = n_rows;
        rc = mim_h5_reserve(file, columns[c].name, columns[c].cell, columns[c].rank, shape,
                            columns[c].units, columns[c].dims, columns[c].long_name);
    }
    return rc;
}

void mim_columns_digest(size_t n_columns, const mim_column *columns, void *const *buffers,
                        size_t first, size_t n, size_t block_rows, size_t stride, uint64_t *sums)
{
    const size_t first_block = first / block_rows;
    for (size_t c = 0; c < n_columns; c++) {
        const size_t row_bytes = mim_column_row_bytes(&columns[c]);
        const uint64_t seed = mim_digest_seed(columns[c].name);
        const unsigned char *bytes = buffers[c];
        for (size_t i = 0; i < n; i++) {
            const size_t block = (first + i) / block_rows - first_block;
            sums[block * stride + c] +=
                mim_digest_row(seed, first + i, row_bytes, bytes + i * row_bytes);
        }
    }
}

int mim_columns_put_names(mim_h5 *file, const char *digest_name, size_t n_columns,
                          const mim_column *columns)
{
    char names[512] = "";
    for (size_t c = 0; c < n_columns; c++) {
        strcat(names, c ? "," : "");
        strcat(names, columns[c].name);
    }
    return mim_h5_put_attribute_text(file, digest_name, "datasets", names);
}

int mim_table_check_schema(mim_h5 *file, const char *path, const char *kind, const char *schema,
                           int newest, int *version)
{
    char *found = NULL;
    bool has_version = false;
    double number = 0.0;
    int rc = mim_h5_get_attribute_text(file, NULL, "schema", &found);
    if (rc == MIM_OK && !found)
        rc = mim_fail(MIM_EDATA, "%s: does not say what it holds, expected %s (%s)", path, kind,
                      schema);
    if (rc == MIM_OK && strcmp(found, schema) != 0)
        rc =
            mim_fail(MIM_EDATA, "%s: holds \"%.60s\", expected %s (%s)", path, found, kind, schema);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_real(file, NULL, "schema_version", &has_version, &number);
    if (rc == MIM_OK &&
        (!has_version || !(number >= 1 && number <= newest) || number != floor(number)))
        rc = mim_fail(MIM_EDATA, "%s: is %s of version %g, this program knows versions 1 to %d",
                      path, schema, has_version ? number : 0.0, newest);
    if (rc == MIM_OK)
        *version = (int)number;
    free(found);
    return rc;
}

int mim_table_check_columns(mim_h5 *file, const char *path, size_t n_columns,
                            const mim_column *columns, size_t *n_rows)
{
    size_t n = 0;
    for (size_t c = 0; c < n_columns; c++) {
        size_t rank = 0, shape[MIM_H5_MAX_RANK] = {0};
        int rc = mim_h5_get_shape(file, columns[c].name, &rank, shape);
        if (rc != MIM_OK)
            return rc;
        if (c == 0)
            n = shape[0];
        bool is_right = rank == columns[c].rank && shape[0] == n;
        for (size_t d = 1; is_right && d < rank; d++)
            is_right = shape[d] == columns[c].shape[d];
        if (!is_right)
            return mim_fail(MIM_EDATA, "%s: %s has another shape than the rest of the file tells",
                            path, columns[c].name);
    }
    *n_rows = n;
    return MIM_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static hid_t native_type(mim_h5_cell cell)
{
    hid_t type;
    switch (cell) {
    case MIM_H5_F32:
        return H5Tcopy(H5T_NATIVE_FLOAT);
    case MIM_H5_F64:
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    case MIM_H5_U64:
        return H5Tcopy(H5T_NATIVE_UINT64);
    case MIM_H5_U32:
        return H5Tcopy(H5T_NATIVE_UINT32);
    case MIM_H5_U8:
        return H5Tcopy(H5T_NATIVE_UINT8);
    default:
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, MIM_H5_CELL_NAME_BYTES);
        H5Tset_cset(type, H5T_CSET_UTF8);
        return type;
    }
}

/* Whether the dataset is what mim_h5_reserve makes: this class of values, at one place, in this
 * file, with as many rows as told. */
static bool is_reserved(const mim_table *table, size_t c)
{
    const mim_column *column = &table->columns[c];
    hsize_t extents[H5S_MAX_RANK] = {0};
    hid_t type = H5Dget_type(table->datasets[c]), space = H5Dget_space(table->datasets[c]),
          properties = H5Dget_create_plist(table->datasets[c]);
    bool is_right =
        type >= 0 && space >= 0 && properties >= 0 &&
        H5Tget_class(type) == H5Tget_class(table->types[c]) &&
        H5Tget_size(type) == cell_bytes(column->cell) && H5Tis_variable_str(type) <= 0 &&
        H5Pget_layout(properties) == H5D_CONTIGUOUS && H5Pget_external_count(properties) == 0 &&
        H5Sget_simple_extent_ndims(space) == (int)column->rank &&
        H5Sget_simple_extent_dims(space, extents, NULL) >= 0 && extents[0] == table->n_rows;
    for (size_t d = 1; is_right && d < column->rank; d++)
        is_right = extents[d] == column->shape[d];
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (properties >= 0)
        H5Pclose(properties);
    return is_right;
}

static int open_columns(mim_table *table, const mim_column *columns)
{
    int rc = MIM_OK;
    for (size_t c = 0; c < table->n_columns; c++) {
        table->columns[c] = columns[c];
        table->types[c] = native_type(columns[c].cell);
        table->datasets[c] = H5Dopen2(table->file, columns[c].name, H5P_DEFAULT);
        if (rc == MIM_OK && (table->datasets[c] < 0 || !is_reserved(table, c)))
            rc = mim_fail(MIM_EDATA, "%s: %s is not stored as in files of this version",
                          table->path, columns[c].name);
    }
    return rc;
}

static int close_all(mim_table **table)
{
    mim_table *t = *table;
    int rc = MIM_OK;
    if (!t)
        return MIM_OK;
    for (size_t c = 0; c < t->n_columns; c++) {
        if (t->datasets[c] >= 0 && H5Dclose(t->datasets[c]) < 0)
            rc = MIM_EIO;
        if (t->types[c] >= 0)
            H5Tclose(t->types[c]);
    }
    if (t->file >= 0 && H5Fclose(t->file) < 0)
        rc = MIM_EIO;
    if (rc != MIM_OK)
        mim_fail(rc, "%s: the HDF5 library could not store its end", t->path);
    free(t->path);
    free(t);
    *table = NULL;
    return rc;
}

static hid_t open_file(const char *path, bool for_writing, hid_t access)
{
    /* Its own locks would shut out readers, who need none (a row is there before it is counted). */
    hid_t own = access == H5P_DEFAULT ? H5Pcreate(H5P_FILE_ACCESS) : H5Pcopy(access);
    hid_t file = H5I_INVALID_HID;
    /* The usual driver asks for the real name, which a file that was not published yet has not. */
    const bool is_unnamed = strncmp(path, "/proc/self/fd/", 14) == 0;
    if (own >= 0 && is_unnamed && access == H5P_DEFAULT)
        H5Pset_fapl_stdio(own);
    if (own >= 0 && H5Pset_file_locking(own, false, true) >= 0)
        file = H5Fopen(path, for_writing ? H5F_ACC_RDWR : H5F_ACC_RDONLY, own);
    if (own >= 0)
        H5Pclose(own);
    return file;
}

int mim_table_open(const char *path, bool for_writing, hid_t access, hid_t transfer,
                   size_t n_columns, const mim_column *columns, size_t n_rows, mim_table **table)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    mim_table *made = calloc(1, sizeof *made);
    if (!made || !(made->path = mim_strdup(path)) || n_columns > MIM_TABLE_MAX_COLUMNS) {
        free(made);
        return mim_fail(MIM_ENOMEM, "%s: table handle", path);
    }
    made->transfer = transfer;
    made->n_rows = n_rows;
    made->file = open_file(path, for_writing, access);
    int rc = MIM_OK;
    if (made->file < 0) {
        rc = mim_fail(MIM_EIO, "%s: the HDF5 library cannot open it%s", path,
                      for_writing ? " for writing" : "");
    } else {
        made->n_columns = n_columns;
        rc = open_columns(made, columns);
    }
    if (rc == MIM_OK) {
        *table = made;
        return MIM_OK;
    }
    char sentence[MIM_ERROR_TEXT_BYTES];
    strcpy(sentence, mim_error());
    close_all(&made);
    return mim_fail(rc, "%s", sentence);
}

int mim_table_close(mim_table **table) { return close_all(table); }

/* ---- rows ----------------------------------------------------------------------------------- */

/* Selects rows in the file and as many in memory; 0 rows select nothing. */
static bool select_rows(const mim_column *column, hid_t dataset, size_t first, size_t n,
                        hid_t *file_space, hid_t *memory_space)
{
    hsize_t start[MIM_COLUMN_MAX_RANK] = {first}, count[MIM_COLUMN_MAX_RANK] = {n ? n : 1};
    for (size_t d = 1; d < column->rank; d++)
        count[d] = column->shape[d];
    *file_space = H5Dget_space(dataset);
    *memory_space = H5Screate_simple((int)column->rank, count, NULL);
    if (*file_space < 0 || *memory_space < 0)
        return false;
    if (n == 0)
        return H5Sselect_none(*file_space) >= 0 && H5Sselect_none(*memory_space) >= 0;
    return H5Sselect_hyperslab(*file_space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
}

/* One column, one transfer; made even when there is nothing to move, for the other ranks' sake. */
static bool move_column(mim_table *table, size_t c, size_t first, size_t n, bool is_read,
                        void *buffer)
{
    char unused[MIM_H5_CELL_NAME_BYTES] = "";
    hid_t file_space = H5I_INVALID_HID, memory_space = H5I_INVALID_HID;
    bool is_selected =
        select_rows(&table->columns[c], table->datasets[c], first, n, &file_space, &memory_space);
    void *memory = n ? buffer : unused;
    herr_t moved = is_read ? H5Dread(table->datasets[c], table->types[c], memory_space, file_space,
                                     table->transfer, memory)
                           : H5Dwrite(table->datasets[c], table->types[c], memory_space, file_space,
                                      table->transfer, memory);
    if (file_space >= 0)
        H5Sclose(file_space);
    if (memory_space >= 0)
        H5Sclose(memory_space);
    return is_selected && moved >= 0;
}

static int check_range(const mim_table *table, size_t first, size_t n)
{
    if (first > table->n_rows || n > table->n_rows - first)
        return mim_fail(MIM_EINVAL, "%s: rows %zu to %zu of %zu", table->path, first, first + n,
                        table->n_rows);
    return MIM_OK;
}

int mim_table_write(mim_table *table, size_t first, size_t n, void *const *buffers)
{
    int rc = check_range(table, first, n);
    if (rc == MIM_OK)
        rc = mim_fault(table->path);
    const size_t n_mine = rc == MIM_OK ? n : 0; /* takes part all the same */
    for (size_t c = 0; c < table->n_columns; c++)
        if (!move_column(table, c, n_mine ? first : 0, n_mine, false, buffers[c]) && rc == MIM_OK)
            rc = mim_fail(MIM_EIO, "%s: %zu rows of %s could not be written (is the disk full?)",
                          table->path, n, table->columns[c].name);
    return rc;
}

int mim_table_read(mim_table *table, size_t first, size_t n, void *const *buffers)
{
    int rc = check_range(table, first, n);
    if (rc == MIM_OK)
        rc = mim_fault(table->path);
    const size_t n_mine = rc == MIM_OK ? n : 0;
    for (size_t c = 0; c < table->n_columns; c++)
        if (!move_column(table, c, n_mine ? first : 0, n_mine, true, buffers[c]) && rc == MIM_OK)
            rc = mim_fail(MIM_EDATA, "%s: %zu rows of %s could not be read", table->path, n,
                          table->columns[c].name);
    return rc;
}

int mim_table_flush(mim_table *table)
{
    if (H5Fflush(table->file, H5F_SCOPE_LOCAL) < 0)
        return mim_fail(MIM_EIO, "%s: what was written could not be stored", table->path);
    return MIM_OK;
}

int mim_table_offset(const char *path, const char *name, uint64_t *place)
{
    hid_t file = open_file(path, false, H5P_DEFAULT), dataset = H5I_INVALID_HID;
    haddr_t address = HADDR_UNDEF;
    if (file >= 0 && (dataset = H5Dopen2(file, name, H5P_DEFAULT)) >= 0)
        address = H5Dget_offset(dataset);
    if (dataset >= 0)
        H5Dclose(dataset);
    if (file >= 0)
        H5Fclose(file);
    if (address == HADDR_UNDEF)
        return mim_fail(MIM_EDATA, "%s: %s is not stored as in files of this version", path, name);
    *place = address;
    return MIM_OK;
}

int mim_table_places(const mim_table *table, uint64_t *places)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        hid_t type = H5Dget_type(table->datasets[c]);
        const haddr_t address = H5Dget_offset(table->datasets[c]);
        const bool is_native = type >= 0 && H5Tequal(type, table->types[c]) > 0;
        if (type >= 0)
            H5Tclose(type);
        if (!is_native || address == HADDR_UNDEF)
            return mim_fail(MIM_EUNSUP, "%s: %s is not stored as this machine has numbers",
                            table->path, table->columns[c].name);
        places[c] = address;
    }
    return MIM_OK;
}

int mim_sync_path(const char *path)
{
    int rc = mim_fault(path), fd = open(path, O_RDONLY | O_CLOEXEC);
    if (rc == MIM_OK && (fd < 0 || fsync(fd) != 0))
        rc = mim_fail(MIM_EIO, "%s: could not be brought to the disk: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}
