#include "core/npz.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zip.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "core/text.h"

static const char suffix[] = ".npy";

/* ---- reading -------------------------------------------------------------------------------- */

typedef struct member {
    char *name;
    zip_uint64_t index;
    mim_npy array;
} member;

struct mim_npz {
    char *path;
    zip_t *archive;
    size_t n;
    member *members;
};

static int fail_zip(const mim_npz *npz, const char *name, zip_error_t *error)
{
    const int code = zip_error_code_zip(error) == ZIP_ER_MEMORY ? MIM_ENOMEM : MIM_EDATA;
    return mim_fail(code, "%s: %s: %s", npz->path, name, zip_error_strerror(error));
}

/* Up to n bytes of a member; fewer only at its end. */
static int read_bytes(const mim_npz *npz, const char *name, zip_file_t *file, size_t n, char *bytes,
                      size_t *n_read)
{
    size_t done = 0;
    while (done < n) {
        const zip_int64_t got = zip_fread(file, bytes + done, n - done);
        if (got < 0)
            return fail_zip(npz, name, zip_file_get_error(file));
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *n_read = done;
    return MIM_OK;
}

static int open_member(const mim_npz *npz, const member *m, zip_file_t **file)
{
    *file = zip_fopen_index(npz->archive, m->index, 0);
    return *file ? MIM_OK : fail_zip(npz, m->name, zip_get_error(npz->archive));
}

/* The head at the start of a member. */
static int read_head(const mim_npz *npz, const char *name, zip_file_t *file, mim_npy *array)
{
    size_t n_read = 0, n_head = 0;
    char start[MIM_NPY_START_BYTES], *head = NULL;
    int rc = read_bytes(npz, name, file, sizeof start, start, &n_read);
    if (rc != MIM_OK)
        return rc;
    if ((rc = mim_npy_n_head(start, n_read, &n_head)) != MIM_OK)
        return mim_fail_in(rc, "%s: %s", npz->path, name);
    if (n_head < n_read) /* no room for a dictionary */
        return mim_fail(MIM_EDATA, "%s: %s: a .npy header of no length", npz->path, name);
    if (!(head = malloc(n_head)))
        return mim_fail(MIM_ENOMEM, "%s: %s", npz->path, name);
    memcpy(head, start, n_read);
    size_t n_more = 0;
    rc = read_bytes(npz, name, file, n_head - n_read, head + n_read, &n_more);
    if (rc == MIM_OK && (rc = mim_npy_parse(head, n_read + n_more, array)) != MIM_OK)
        rc = mim_fail_in(rc, "%s: %s", npz->path, name);
    free(head);
    return rc;
}

/* That a member says it is as long as its head wants it, before memory is taken for it. */
static int check_length(const mim_npz *npz, const member *m)
{
    zip_stat_t status;
    if (m->array.n_values > MIM_NPZ_MAX_VALUES)
        return mim_fail(MIM_EDATA, "%s: %s: %zu values, expected %d at most", npz->path, m->name,
                        m->array.n_values, MIM_NPZ_MAX_VALUES);
    const size_t expected = m->array.n_head + m->array.n_values * m->array.item_bytes;
    if (zip_stat_index(npz->archive, m->index, 0, &status) != 0 || !(status.valid & ZIP_STAT_SIZE))
        return fail_zip(npz, m->name, zip_get_error(npz->archive));
    if (status.size != expected)
        return mim_fail(MIM_EDATA, "%s: %s: %llu bytes, expected %zu", npz->path, m->name,
                        (unsigned long long)status.size, expected);
    return MIM_OK;
}

static int add_member(mim_npz *npz, zip_uint64_t index)
{
    member *m = &npz->members[npz->n];
    zip_file_t *file = NULL;
    const char *stored = zip_get_name(npz->archive, index, 0);
    if (!stored)
        return fail_zip(npz, "a member's name", zip_get_error(npz->archive));
    if (!mim_has_suffix(stored, suffix))
        return mim_fail(MIM_EDATA, "%s: holds \"%.80s\", expected arrays NAME.npy only", npz->path,
                        stored);
    if (!(m->name = mim_strdup(stored)))
        return mim_fail(MIM_ENOMEM, "%s: names of arrays", npz->path);
    npz->n++;
    m->name[strlen(stored) - strlen(suffix)] = 0;
    m->index = index;
    for (size_t i = 0; i + 1 < npz->n; i++)
        if (strcmp(npz->members[i].name, m->name) == 0)
            return mim_fail(MIM_EDATA, "%s: %s: is there twice", npz->path, m->name);
    int rc = open_member(npz, m, &file);
    if (rc == MIM_OK)
        rc = read_head(npz, m->name, file, &m->array);
    if (rc == MIM_OK)
        rc = check_length(npz, m);
    if (file)
        zip_fclose(file);
    return rc;
}

static int open_archive(mim_npz *npz)
{
    int code = 0;
    if (mim_fault(npz->path) != MIM_OK)
        return MIM_EIO;
    errno = 0;
    npz->archive = zip_open(npz->path, ZIP_RDONLY, &code);
    if (npz->archive)
        return MIM_OK;
    const int system = errno;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const bool is_data = code != ZIP_ER_NOENT && code != ZIP_ER_OPEN && code != ZIP_ER_OPNOTSUPP &&
                         code != ZIP_ER_READ && code != ZIP_ER_MEMORY;
    const int rc = is_data
                       ? mim_fail(MIM_EDATA, "%s: no .npz file (a zip archive of arrays): %s",
                                  npz->path, zip_error_strerror(&error))
                       : mim_fail(code == ZIP_ER_MEMORY ? MIM_ENOMEM : MIM_EIO, "%s: %s", npz->path,
                                  code == ZIP_ER_NOENT       ? strerror(ENOENT)
                                  : code == ZIP_ER_OPNOTSUPP ? "expected a regular file"
                                  : system                   ? strerror(system)
                                                             : zip_error_strerror(&error));
    zip_error_fini(&error);
    return rc;
}

int mim_npz_open(const char *path, mim_npz **npz)
{
    mim_npz *made = calloc(1, sizeof *made);
    if (!made || !(made->path = mim_strdup(path))) {
        free(made);
        return mim_fail(MIM_ENOMEM, "%s", path);
    }
    int rc = open_archive(made);
    const zip_int64_t n = rc == MIM_OK ? zip_get_num_entries(made->archive, 0) : 0;
    if (rc == MIM_OK && (n < 0 || n > MIM_NPZ_MAX_ARRAYS))
        rc = mim_fail(MIM_EDATA, "%s: %lld arrays, expected %d at most", path, (long long)n,
                      MIM_NPZ_MAX_ARRAYS);
    if (rc == MIM_OK && !(made->members = calloc((size_t)n + 1, sizeof *made->members)))
        rc = mim_fail(MIM_ENOMEM, "%s: %lld arrays", path, (long long)n);
    for (zip_int64_t i = 0; rc == MIM_OK && i < n; i++)
        rc = add_member(made, (zip_uint64_t)i);
    if (rc == MIM_OK) {
        *npz = made;
        made = NULL;
    }
    mim_npz_destroy(&made);
    return rc;
}

void mim_npz_destroy(mim_npz **npz)
{
    mim_npz *old = *npz;
    if (!old)
        return;
    *npz = NULL;
    for (size_t i = 0; i < old->n; i++)
        free(old->members[i].name);
    free(old->members);
    if (old->archive)
        zip_discard(old->archive);
    free(old->path);
    free(old);
}

size_t mim_npz_n(const mim_npz *npz) { return npz->n; }

const char *mim_npz_name(const mim_npz *npz, size_t i) { return npz->members[i].name; }

const mim_npy *mim_npz_array(const mim_npz *npz, size_t i) { return &npz->members[i].array; }

size_t mim_npz_find(const mim_npz *npz, const char *name)
{
    for (size_t i = 0; i < npz->n; i++)
        if (strcmp(npz->members[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

int mim_npz_floats(mim_npz *npz, size_t i, float *floats)
{
    const member *m = &npz->members[i];
    const size_t n = m->array.n_values * m->array.item_bytes;
    size_t n_read = 0, n_more = 0;
    mim_npy again;
    zip_file_t *file = NULL;
    char beyond, *bytes = NULL;
    int rc = MIM_OK;
    if (!(bytes = malloc(n + 1)))
        rc = mim_fail(MIM_ENOMEM, "%s: %s", npz->path, m->name);
    if (rc == MIM_OK)
        rc = open_member(npz, m, &file);
    if (rc == MIM_OK)
        rc = read_head(npz, m->name, file, &again);
    if (rc == MIM_OK)
        rc = read_bytes(npz, m->name, file, n, bytes, &n_read);
    if (rc == MIM_OK) /* the checksum is compared at the end */
        rc = read_bytes(npz, m->name, file, 1, &beyond, &n_more);
    if (rc == MIM_OK && (rc = mim_npy_floats(&m->array, bytes, n_read + n_more, floats)) != MIM_OK)
        rc = mim_fail_in(rc, "%s: %s", npz->path, m->name);
    if (file)
        zip_fclose(file);
    free(bytes);
    return rc;
}

/* ---- writing -------------------------------------------------------------------------------- */

struct mim_npz_writer {
    zip_source_t *target; /* in memory */
    zip_t *archive;
};

int mim_npz_create(mim_npz_writer **writer)
{
    zip_error_t error;
    mim_npz_writer *made = calloc(1, sizeof *made);
    int rc = MIM_OK;
    zip_error_init(&error);
    if (!made || !(made->target = zip_source_buffer_create(NULL, 0, 0, &error)) ||
        !(made->archive = zip_open_from_source(made->target, ZIP_TRUNCATE, &error)))
        rc = mim_fail(MIM_ENOMEM, "a new zip archive: %s", zip_error_strerror(&error));
    else
        zip_source_keep(made->target); /* the archive has one of its own */
    zip_error_fini(&error);
    if (rc == MIM_OK) {
        *writer = made;
        return MIM_OK;
    }
    if (made && made->target)
        zip_source_free(made->target);
    free(made);
    return rc;
}

void mim_npz_writer_destroy(mim_npz_writer **writer)
{
    mim_npz_writer *old = *writer;
    if (!old)
        return;
    *writer = NULL;
    if (old->archive)
        zip_discard(old->archive);
    zip_source_free(old->target);
    free(old);
}

/* A member of these bytes, which the archive takes over. 1 January 1980 is the zip format's day 0.
 */
static int add_bytes(zip_t *archive, const char *name, char *bytes, size_t n)
{
    enum { DAY_0 = 1 << 5 | 1 };
    zip_source_t *source = zip_source_buffer(archive, bytes, n, 1);
    if (!source) {
        free(bytes);
        return -1;
    }
    const zip_int64_t index = zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(source);
        return -1;
    }
    return zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0 &&
                   zip_file_set_dostime(archive, (zip_uint64_t)index, 0, DAY_0, 0) == 0
               ? 0
               : -1;
}

int mim_npz_add(mim_npz_writer *writer, const char *name, size_t rank, const size_t *shape,
                const float *values)
{
    char head[MIM_NPY_HEAD_BYTES];
    size_t n = sizeof *values;
    for (size_t i = 0; i < rank; i++)
        n *= shape[i];
    const size_t n_head = mim_npy_put_head(rank, shape, head);
    char *bytes = malloc(n_head + n), *file = mim_format("%s%s", name, suffix);
    int rc = bytes && file ? MIM_OK : mim_fail(MIM_ENOMEM, "array %s", name);
    if (rc == MIM_OK) {
        memcpy(bytes, head, n_head);
        memcpy(bytes + n_head, values, n);
        if (add_bytes(writer->archive, file, bytes, n_head + n) != 0)
            rc = mim_fail(MIM_EINVAL, "array %s: %s", name, zip_strerror(writer->archive));
        bytes = NULL;
    }
    free(bytes);
    free(file);
    return rc;
}

/* What zip_close() left in the source. */
static int write_source(zip_source_t *source, const char *path)
{
    zip_stat_t status;
    char *bytes = NULL;
    int rc = MIM_OK;
    if (zip_source_stat(source, &status) != 0 || zip_source_open(source) != 0)
        return mim_fail(MIM_EIO, "%s: %s", path, zip_error_strerror(zip_source_error(source)));
    if (!(bytes = malloc(status.size + 1)))
        rc = mim_fail(MIM_ENOMEM, "%s: %llu bytes", path, (unsigned long long)status.size);
    else if (zip_source_read(source, bytes, status.size) != (zip_int64_t)status.size)
        rc = mim_fail(MIM_EIO, "%s: %s", path, zip_error_strerror(zip_source_error(source)));
    zip_source_close(source);
    if (rc == MIM_OK)
        rc = mim_atomic_write(path, bytes, status.size);
    free(bytes);
    return rc;
}

int mim_npz_commit(mim_npz_writer **writer, const char *path)
{
    mim_npz_writer *w = *writer;
    int rc = MIM_OK;
    if (zip_close(w->archive) != 0)
        rc = mim_fail(MIM_EIO, "%s: %s", path, zip_strerror(w->archive));
    else
        w->archive = NULL;
    if (rc == MIM_OK)
        rc = write_source(w->target, path);
    mim_npz_writer_destroy(writer);
    return rc;
}
