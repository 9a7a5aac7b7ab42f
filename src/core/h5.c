#define _GNU_SOURCE /* memfd_create */
#include "core/h5_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/digest.h"
#include "core/text.h"
#include "core/version.h"

enum { CHUNK_BYTES = 1 << 20 };

static int write_fail(const mim_h5 *file, const char *what)
{
    return mim_fail(MIM_EIO, "%s: the HDF5 library could not store %s", file->path, what);
}

static int check_name(const mim_h5 *file, const char *name)
{
    if (!name || !name[0] || strlen(name) >= MIM_H5_MAX_NAME)
        return mim_fail(MIM_EINVAL, "%s: a name of 1 to %d bytes is needed", file->path,
                        MIM_H5_MAX_NAME - 1);
    return MIM_OK;
}

/* ---- attributes ---------------------------------------------------------------------------- */

static int put_attribute(const mim_h5 *file, hid_t owner, const char *name, hid_t type,
                         const void *value)
{
    int rc = MIM_OK;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(owner, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (space < 0 || attribute < 0 || H5Awrite(attribute, type, value) < 0)
        rc = write_fail(file, name);
    if (attribute >= 0)
        H5Aclose(attribute);
    if (space >= 0)
        H5Sclose(space);
    return rc;
}

static hid_t text_type(size_t n_bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, n_bytes) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        type = H5I_INVALID_HID;
    }
    return type;
}

static int put_text(const mim_h5 *file, hid_t owner, const char *name, const char *text)
{
    hid_t type = text_type(strlen(text ? text : "") + 1);
    if (type < 0)
        return write_fail(file, name);
    int rc = put_attribute(file, owner, name, type, text ? text : "");
    H5Tclose(type);
    return rc;
}

/* The object an attribute goes to; the caller closes it. */
static int open_owner(const mim_h5 *file, const char *dataset, hid_t *owner)
{
    *owner = H5Oopen(file->id, dataset ? dataset : "/", H5P_DEFAULT);
    if (*owner < 0)
        return mim_fail(MIM_EINVAL, "%s: no dataset %s to describe", file->path, dataset);
    return MIM_OK;
}

int mim_h5_put_attribute_text(mim_h5 *file, const char *dataset, const char *name, const char *text)
{
    hid_t owner;
    int rc = check_name(file, name);
    if (rc == MIM_OK)
        rc = open_owner(file, dataset, &owner);
    if (rc != MIM_OK)
        return rc;
    rc = put_text(file, owner, name, text);
    H5Oclose(owner);
    return rc;
}

int mim_h5_put_attribute_real(mim_h5 *file, const char *dataset, const char *name, double value)
{
    hid_t owner;
    int rc = check_name(file, name);
    if (rc == MIM_OK)
        rc = open_owner(file, dataset, &owner);
    if (rc != MIM_OK)
        return rc;
    rc = put_attribute(file, owner, name, H5T_NATIVE_DOUBLE, &value);
    H5Oclose(owner);
    return rc;
}

/* ---- datasets ------------------------------------------------------------------------------ */

static hid_t dataset_properties(size_t rank, const hsize_t *extents, size_t value_bytes)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    if (properties < 0)
        return properties;
    H5Pset_obj_track_times(properties, 0); /* equal content, equal file */
    hsize_t row = value_bytes, chunk[MIM_H5_MAX_RANK];
    for (size_t d = 1; d < rank; d++)
        row *= chunk[d] = extents[d];
    if (rank > 0 && row > 0 && row * extents[0] >= MIM_H5_SMALL_BYTES && row <= UINT32_MAX) {
        chunk[0] = row >= CHUNK_BYTES ? 1 : CHUNK_BYTES / row;
        if (chunk[0] > extents[0])
            chunk[0] = extents[0];
        H5Pset_chunk(properties, (int)rank, chunk);
        H5Pset_shuffle(properties);
        H5Pset_deflate(properties, 1);
        H5Pset_fletcher32(properties); /* a flipped bit is an error when it is read */
    }
    return properties;
}

void mim_h5_seal(mim_h5 *file) { file->is_sealed = true; }

static int put_digest(const mim_h5 *file, hid_t dataset, const char *name, size_t n_bytes,
                      const void *values)
{
    const uint64_t digest = mim_digest_row(mim_digest_seed(name), 0, n_bytes, values);
    return put_attribute(file, dataset, MIM_H5_DIGEST, H5T_NATIVE_UINT64, &digest);
}

static int put_dataset(mim_h5 *file, const char *name, size_t rank, const size_t *shape, hid_t type,
                       const void *values, const char *units, const char *dims,
                       const char *long_name)
{
    hid_t space = H5I_INVALID_HID, properties = H5I_INVALID_HID, dataset = H5I_INVALID_HID;
    hsize_t extents[MIM_H5_MAX_RANK], n_values = 1;
    int rc = check_name(file, name);
    if (rc != MIM_OK)
        return rc;
    if (rank > MIM_H5_MAX_RANK)
        return mim_fail(MIM_EINVAL, "%s: %s has rank %zu, at most %d can be stored", file->path,
                        name, rank, MIM_H5_MAX_RANK);
    for (size_t d = 0; d < rank; d++)
        n_values *= extents[d] = shape[d];
    space = rank ? H5Screate_simple((int)rank, extents, NULL) : H5Screate(H5S_SCALAR);
    properties = dataset_properties(rank, extents, H5Tget_size(type));
    if (space >= 0 && properties >= 0)
        dataset = H5Dcreate2(file->id, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (dataset < 0 ||
        (n_values > 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)) {
        rc = write_fail(file, name);
        goto done;
    }
    if ((rc = put_text(file, dataset, "units", units)) == MIM_OK &&
        (rc = put_text(file, dataset, "dims", dims)) == MIM_OK)
        rc = put_text(file, dataset, "long_name", long_name);
    const size_t n_bytes = (size_t)n_values * H5Tget_size(type);
    if (rc == MIM_OK && file->is_sealed && n_bytes < MIM_H5_SMALL_BYTES)
        rc = put_digest(file, dataset, name, n_bytes, values);
done:
    if (dataset >= 0)
        H5Dclose(dataset);
    if (properties >= 0)
        H5Pclose(properties);
    if (space >= 0)
        H5Sclose(space);
    return rc;
}

int mim_h5_put_real(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                    const double *values, const char *units, const char *dims,
                    const char *long_name)
{
    return put_dataset(file, name, rank, shape, H5T_NATIVE_DOUBLE, values, units, dims, long_name);
}

int mim_h5_put_float(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                     const float *values, const char *units, const char *dims,
                     const char *long_name)
{
    return put_dataset(file, name, rank, shape, H5T_NATIVE_FLOAT, values, units, dims, long_name);
}

int mim_h5_put_count(mim_h5 *file, const char *name, size_t rank, const size_t *shape,
                     const uint64_t *values, const char *units, const char *dims,
                     const char *long_name)
{
    return put_dataset(file, name, rank, shape, H5T_NATIVE_UINT64, values, units, dims, long_name);
}

int mim_h5_put_texts(mim_h5 *file, const char *name, size_t n, const char *const *texts,
                     const char *dims, const char *long_name)
{
    size_t n_bytes = 1;
    for (size_t i = 0; i < n; i++)
        if (strlen(texts[i]) + 1 > n_bytes)
            n_bytes = strlen(texts[i]) + 1;
    char *table = calloc(n ? n : 1, n_bytes);
    if (!table)
        return mim_fail(MIM_ENOMEM, "%s: %zu texts of %zu bytes", file->path, n, n_bytes);
    for (size_t i = 0; i < n; i++)
        memcpy(table + i * n_bytes, texts[i], strlen(texts[i]));
    hid_t type = text_type(n_bytes);
    int rc = type < 0 ? write_fail(file, name)
                      : put_dataset(file, name, 1, &n, type, table, "", dims, long_name);
    if (type >= 0)
        H5Tclose(type);
    free(table);
    return rc;
}

static hid_t cell_type(mim_h5_cell cell)
{
    switch (cell) {
    case MIM_H5_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case MIM_H5_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case MIM_H5_U64:
        return H5Tcopy(H5T_STD_U64LE);
    case MIM_H5_U32:
        return H5Tcopy(H5T_STD_U32LE);
    case MIM_H5_U8:
        return H5Tcopy(H5T_STD_U8LE);
    default:
        return text_type(MIM_H5_CELL_NAME_BYTES);
    }
}

int mim_h5_reserve(mim_h5 *file, const char *name, mim_h5_cell cell, size_t rank,
                   const size_t *shape, const char *units, const char *dims, const char *long_name)
{
    hid_t space = H5I_INVALID_HID, dataset = H5I_INVALID_HID;
    hsize_t extents[MIM_H5_MAX_RANK];
    int rc = check_name(file, name);
    if (rc == MIM_OK && (rank == 0 || rank > MIM_H5_MAX_RANK))
        rc = mim_fail(MIM_EINVAL, "%s: %s has rank %zu, expected 1 to %d", file->path, name, rank,
                      MIM_H5_MAX_RANK);
    if (rc != MIM_OK)
        return rc;
    for (size_t d = 0; d < rank; d++)
        extents[d] = shape[d];
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE), type = cell_type(cell);
    if (properties >= 0 && type >= 0 && H5Pset_obj_track_times(properties, 0) >= 0 &&
        H5Pset_layout(properties, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0 &&
        (space = H5Screate_simple((int)rank, extents, NULL)) >= 0)
        dataset = H5Dcreate2(file->id, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (dataset < 0)
        rc = write_fail(file, name);
    else if ((rc = put_text(file, dataset, "units", units)) == MIM_OK &&
             (rc = put_text(file, dataset, "dims", dims)) == MIM_OK)
        rc = put_text(file, dataset, "long_name", long_name);
    if (dataset >= 0)
        H5Dclose(dataset);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (properties >= 0)
        H5Pclose(properties);
    return rc;
}

/* ---- handles ------------------------------------------------------------------------------- */

/* Neither the library's own in-memory driver (the image that H5Fget_file_image gives of a 1.8
 * format file has a wrong checksum in 1.10.8) nor its default one (which wants a real path behind
 * the name) serves for a file that lives in memory only. */
static hid_t create_file(const char *name)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    hid_t id = H5I_INVALID_HID;
    if (access >= 0 && creation >= 0 && H5Pset_fapl_stdio(access) >= 0 &&
        H5Pset_file_locking(access, false, true) >= 0 &&
        /* 1.8 takes attributes above 64 KiB (a configuration) and any reader since 2008 knows it */
        H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_obj_track_times(creation, 0) >= 0)
        id = H5Fcreate(name, H5F_ACC_TRUNC, creation, access);
    if (access >= 0)
        H5Pclose(access);
    if (creation >= 0)
        H5Pclose(creation);
    return id;
}

static int create(const char *path, bool in_place, const char *schema, int schema_version,
                  const char *config, mim_h5 **file)
{
    int rc = MIM_OK;
    char name[64];
    mim_h5 *made = calloc(1, sizeof *made);
    if (!made || !(made->path = mim_strdup(path))) {
        rc = mim_fail(MIM_ENOMEM, "%s: file handle", path);
        goto done;
    }
    made->id = H5I_INVALID_HID;
    made->memory = made->fd = -1;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (!in_place && (made->memory = memfd_create("mimesys", MFD_CLOEXEC)) < 0) {
        rc = mim_fail(MIM_ENOMEM, "%s: a file in memory: %s", path, strerror(errno));
        goto done;
    }
    snprintf(name, sizeof name, "/proc/self/fd/%d", made->memory);
    if ((made->id = create_file(in_place ? path : name)) < 0) {
        rc = write_fail(made, "anything");
        goto done;
    }
    if ((rc = put_text(made, made->id, "schema", schema)) != MIM_OK ||
        (rc = put_attribute(made, made->id, "schema_version", H5T_NATIVE_INT, &schema_version)) !=
            MIM_OK ||
        (rc = put_text(made, made->id, "created_by", "mimesys " MIM_VERSION)) != MIM_OK ||
        (rc = put_text(made, made->id, "config", config)) != MIM_OK)
        goto done;
    *file = made;
    made = NULL;
done:
    mim_h5_destroy(&made);
    return rc;
}

int mim_h5_create(const char *path, const char *schema, int schema_version, const char *config,
                  mim_h5 **file)
{
    return create(path, false, schema, schema_version, config, file);
}

int mim_h5_create_in_place(const char *path, const char *schema, int schema_version,
                           const char *config, mim_h5 **file)
{
    return create(path, true, schema, schema_version, config, file);
}

/* The library's part is over then. */
static int finish(mim_h5 *file)
{
    herr_t closed = H5Fclose(file->id);
    file->id = H5I_INVALID_HID;
    return closed < 0 ? write_fail(file, "the file's end") : MIM_OK;
}

static int map_image(const mim_h5 *file, void **image, size_t *n_bytes)
{
    struct stat status;
    if (fstat(file->memory, &status) != 0 || status.st_size <= 0)
        return write_fail(file, "the file's end");
    size_t n = (size_t)status.st_size;
    void *mapped = mmap(NULL, n, PROT_READ, MAP_SHARED, file->memory, 0);
    if (mapped == MAP_FAILED)
        return mim_fail(MIM_ENOMEM, "%s: image of %zu bytes: %s", file->path, n, strerror(errno));
    *image = mapped;
    *n_bytes = n;
    return MIM_OK;
}

int mim_h5_take_image(mim_h5 **file, void **image, size_t *n_bytes)
{
    int rc = (*file)->memory >= 0
                 ? finish(*file)
                 : mim_fail(MIM_EINVAL, "%s: is written in place, not in memory", (*file)->path);
    if (rc == MIM_OK)
        rc = map_image(*file, image, n_bytes);
    mim_h5_destroy(file);
    return rc;
}

void mim_h5_release_image(void *image, size_t n_bytes)
{
    if (image)
        munmap(image, n_bytes);
}

int mim_h5_commit(mim_h5 **file)
{
    void *image = NULL;
    size_t n_bytes = 0;
    int rc = finish(*file);
    if (rc == MIM_OK && (*file)->memory >= 0) {
        rc = map_image(*file, &image, &n_bytes);
        if (rc == MIM_OK)
            rc = mim_atomic_write((*file)->path, image, n_bytes);
        mim_h5_release_image(image, n_bytes);
    }
    mim_h5_destroy(file);
    return rc;
}

void mim_h5_destroy(mim_h5 **file)
{
    mim_h5 *old = *file;
    if (!old)
        return;
    *file = NULL;
    mim_h5_release(old);
    if (old->id >= 0)
        H5Fclose(old->id);
    if (old->memory >= 0)
        close(old->memory);
    free(old->path);
    free(old);
}
