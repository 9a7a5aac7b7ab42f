/* What the forked reader answers: the only place where the HDF5 library meets files we did not
 * write. It may crash, loop or run out of memory here; h5_open.c turns that into an error. */
#include "core/h5_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/digest.h"

/* ---- finding and checking ------------------------------------------------------------------ */

/* Opens the dataset (or the root for ""), if it is a plain one inside this file. */
static int open_object(mim_h5_server *r, const char *name, hid_t *object)
{
    H5L_info_t link;
    H5O_info_t info;
    if (name[0] && H5Lexists(r->file, name, H5P_DEFAULT) <= 0)
        return mim_fail(MIM_EDATA, "no dataset %s", name);
    if (name[0] &&
        (H5Lget_info(r->file, name, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD))
        return mim_fail(MIM_EDATA, "%s is a link to elsewhere, expected a dataset", name);
    hid_t opened = H5Oopen(r->file, name[0] ? name : "/", H5P_DEFAULT);
    if (opened < 0)
        return mim_fail(MIM_EDATA, "%s cannot be opened: the file is damaged",
                        name[0] ? name : "/");
    if (name[0] &&
        (H5Oget_info2(opened, &info, H5O_INFO_BASIC) < 0 || info.type != H5O_TYPE_DATASET)) {
        H5Oclose(opened);
        return mim_fail(MIM_EDATA, "%s is not a dataset", name);
    }
    *object = opened;
    return MIM_OK;
}

static int get_extents(hid_t dataset, const char *name, mim_h5_answer *answer)
{
    hsize_t extents[MIM_H5_MAX_RANK] = {0};
    hid_t space = H5Dget_space(dataset);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    H5S_class_t kind = space < 0 ? H5S_NO_CLASS : H5Sget_simple_extent_type(space);
    int rc = MIM_OK;
    if (rank < 0 || kind == H5S_NO_CLASS)
        rc = mim_fail(MIM_EDATA, "%s: its extent cannot be read", name);
    else if (kind == H5S_NULL)
        rc = mim_fail(MIM_EDATA, "%s holds nothing", name);
    else if (rank > MIM_H5_MAX_RANK)
        rc =
            mim_fail(MIM_EDATA, "%s has rank %d, expected at most %d", name, rank, MIM_H5_MAX_RANK);
    else if (rank > 0 && H5Sget_simple_extent_dims(space, extents, NULL) != rank)
        rc = mim_fail(MIM_EDATA, "%s: its extent cannot be read", name);
    if (rc == MIM_OK) {
        answer->is_there = 1;
        answer->rank = (uint32_t)rank;
        for (int d = 0; d < rank; d++)
            answer->shape[d] = extents[d];
    }
    if (space >= 0)
        H5Sclose(space);
    return rc;
}

/* Values in all, or an error when above `max`. */
static int count_values(const mim_h5_answer *answer, const char *name, uint64_t max, uint64_t *n)
{
    uint64_t product = 1;
    for (uint32_t d = 0; d < answer->rank; d++)
        if (answer->shape[d] == 0)
            product = 0;
    for (uint32_t d = 0; d < answer->rank && product > 0; d++) {
        if (answer->shape[d] > max / product)
            return mim_fail(MIM_EDATA, "%s has more than %llu values, which is the most accepted",
                            name, (unsigned long long)max);
        product *= answer->shape[d];
    }
    *n = product;
    return MIM_OK;
}

static const char *class_name(H5T_class_t class)
{
    switch (class) {
    case H5T_INTEGER:
        return "integers";
    case H5T_FLOAT:
        return "floating-point numbers";
    case H5T_STRING:
        return "texts";
    default:
        return "values of another type";
    }
}

static int check_class(hid_t type, const char *name, H5T_class_t expected)
{
    H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    if (class != expected)
        return mim_fail(MIM_EDATA, "%s holds %s, expected %s", name, class_name(class),
                        class_name(expected));
    return MIM_OK;
}

static int check_storage(hid_t dataset, const char *name)
{
    hid_t properties = H5Dget_create_plist(dataset);
    H5D_layout_t layout = properties < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(properties);
    int rc = MIM_OK;
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
        rc = mim_fail(MIM_EDATA, "%s is not stored in this file", name);
    else if (layout == H5D_CONTIGUOUS && H5Pget_external_count(properties) != 0)
        rc = mim_fail(MIM_EDATA, "%s is stored in another file", name);
    if (properties >= 0)
        H5Pclose(properties);
    return rc;
}

/* ---- answers ------------------------------------------------------------------------------- */

static int damaged(const char *name)
{
    return mim_fail(MIM_EDATA, "%s: its values cannot be read: the file is damaged", name);
}

/* An attribute with what tells how to read it; negative ids where the file is damaged. */
typedef struct attribute_ids {
    hid_t id, space, type;
} attribute_ids;

static attribute_ids open_attribute(hid_t owner, const char *name)
{
    const hid_t id = H5Aopen(owner, name, H5P_DEFAULT);
    return (attribute_ids){id, id < 0 ? id : H5Aget_space(id), id < 0 ? id : H5Aget_type(id)};
}

static void close_attribute(const attribute_ids *a)
{
    if (a->type >= 0)
        H5Tclose(a->type);
    if (a->space >= 0)
        H5Sclose(a->space);
    if (a->id >= 0)
        H5Aclose(a->id);
}

static bool get_digest(hid_t dataset, uint64_t *digest)
{
    const attribute_ids a = open_attribute(dataset, MIM_H5_DIGEST);
    const bool is_got = a.space >= 0 && a.type >= 0 && H5Sget_simple_extent_npoints(a.space) == 1 &&
                        H5Tget_class(a.type) == H5T_INTEGER &&
                        H5Aread(a.id, H5T_NATIVE_UINT64, digest) >= 0;
    close_attribute(&a);
    return is_got;
}

/* Of datasets that were stored with one: their values as the file has them, all at once. */
static int check_digest(mim_h5_server *r, hid_t dataset, const char *name, hid_t type,
                        uint64_t n_values)
{
    uint64_t expected = 0;
    const htri_t is_there = H5Aexists(dataset, MIM_H5_DIGEST);
    const size_t value_bytes = H5Tget_size(type);
    if (is_there == 0)
        return MIM_OK;
    if (is_there < 0 || !get_digest(dataset, &expected) || H5Tis_variable_str(type) != 0 ||
        value_bytes == 0 || n_values > MIM_H5_SMALL_BYTES / value_bytes)
        return damaged(name);
    if (n_values > 0 && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, r->block) < 0)
        return damaged(name);
    const size_t n_bytes = (size_t)n_values * value_bytes;
    return mim_digest_row(mim_digest_seed(name), 0, n_bytes, r->block) == expected
               ? MIM_OK
               : mim_fail(MIM_EDATA, "%s is damaged: not the digest it was written with", name);
}

/* Selects `n` values from `first` on in row-major order, `n` at most a run of the innermost
 * dimensions, and returns how many it took. */
static uint64_t select_run(hid_t space, const mim_h5_answer *answer, uint64_t first, uint64_t max)
{
    hsize_t start[MIM_H5_MAX_RANK] = {0}, count[MIM_H5_MAX_RANK] = {0};
    uint64_t inner = 1, left = first;
    uint32_t rank = answer->rank, split = rank - 1;
    for (uint32_t d = rank; d-- > 0;) {
        start[d] = left % answer->shape[d];
        left /= answer->shape[d];
        count[d] = 1;
    }
    /* whole inner dimensions as long as they start at 0 and fit; `split` is cut where needed */
    while (split > 0 && start[split] == 0 && inner * answer->shape[split] <= max) {
        count[split] = answer->shape[split];
        inner *= answer->shape[split];
        split--;
    }
    uint64_t n = answer->shape[split] - start[split];
    if (n > max / inner)
        n = max / inner;
    count[split] = n;
    if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0)
        return 0;
    return n * inner;
}

static int send_run(mim_h5_server *r, hid_t dataset, hid_t space, hid_t type, hsize_t n)
{
    hid_t memory = H5Screate_simple(1, &n, NULL);
    memset(r->block, 0, n * 8); /* what was never written is not the last file's */
    int failed = memory < 0 || H5Dread(dataset, type, memory, space, H5P_DEFAULT, r->block) < 0;
    if (memory >= 0)
        H5Sclose(memory);
    if (failed)
        return MIM_EDATA;
    if (type == H5T_NATIVE_INT64) {
        int64_t value;
        for (hsize_t i = 0; i < n; i++) {
            memcpy(&value, r->block + i * sizeof value, sizeof value);
            if (value < 0)
                return MIM_EDATA;
        }
    }
    mim_h5_server_frame(r, MIM_OK, r->block, n * 8);
    return MIM_OK;
}

static int send_values(mim_h5_server *r, hid_t dataset, const char *name,
                       const mim_h5_answer *answer, uint64_t n_values, hid_t type)
{
    hid_t space = H5Dget_space(dataset);
    int rc = space < 0 ? damaged(name) : MIM_OK;
    for (uint64_t at = 0; rc == MIM_OK && at < n_values;) {
        uint64_t n = 1;
        if (answer->rank > 0 && (n = select_run(space, answer, at, MIM_H5_BLOCK_BYTES / 8)) == 0)
            rc = damaged(name);
        else if (send_run(r, dataset, space, type, n) != MIM_OK)
            rc = type == H5T_NATIVE_INT64
                     ? mim_fail(MIM_EDATA, "%s holds negative or unreadable values", name)
                     : damaged(name);
        at += n;
    }
    if (space >= 0)
        H5Sclose(space);
    return rc;
}

/* On failure the error frame is still to be sent. */
static int answer_values(mim_h5_server *r, const mim_h5_request *request, hid_t dataset)
{
    mim_h5_answer answer = {0};
    uint64_t n_values = 0;
    bool is_real = request->question == MIM_H5_ASK_REAL;
    hid_t type = H5Dget_type(dataset), memory_type = H5T_NATIVE_DOUBLE;
    int rc = check_class(type, request->name, is_real ? H5T_FLOAT : H5T_INTEGER);
    if (!is_real)
        memory_type = rc == MIM_OK && H5Tget_sign(type) == H5T_SGN_NONE ? H5T_NATIVE_UINT64
                                                                        : H5T_NATIVE_INT64;
    if (rc == MIM_OK)
        rc = get_extents(dataset, request->name, &answer);
    if (rc == MIM_OK && answer.rank != request->rank)
        rc = mim_fail(MIM_EDATA, "%s has rank %u, expected %u", request->name, answer.rank,
                      request->rank);
    if (rc == MIM_OK)
        rc = count_values(&answer, request->name, request->max_values, &n_values);
    if (rc == MIM_OK)
        rc = check_storage(dataset, request->name);
    if (rc == MIM_OK)
        rc = check_digest(r, dataset, request->name, type, n_values);
    if (type >= 0)
        H5Tclose(type);
    if (rc != MIM_OK)
        return rc;
    mim_h5_server_frame(r, MIM_OK, &answer, sizeof answer);
    mim_h5_server_allow_cpu(n_values * 8);
    return send_values(r, dataset, request->name, &answer, n_values, memory_type);
}

static void send_text(mim_h5_server *r, const char *text)
{
    uint64_t left = strlen(text);
    mim_h5_server_frame(r, MIM_OK, &left, sizeof left);
    for (const char *at = text; left > 0;) {
        size_t n = left < MIM_H5_BLOCK_BYTES ? (size_t)left : MIM_H5_BLOCK_BYTES;
        mim_h5_server_frame(r, MIM_OK, at, n);
        at += n;
        left -= n;
    }
}

/* The memory type for texts as the file has them: variable (char * each) or of one size, with a 0
 * byte added. *n_bytes: 0 for variable ones. */
static hid_t text_memory_type(hid_t type, size_t *n_bytes)
{
    hid_t memory_type = H5Tcopy(H5T_C_S1);
    htri_t is_variable = H5Tis_variable_str(type);
    *n_bytes = is_variable > 0 ? 0 : H5Tget_size(type) + 1;
    if (memory_type < 0 || is_variable < 0 || *n_bytes > MIM_H5_MAX_TEXT_BYTES ||
        H5Tset_size(memory_type, *n_bytes ? *n_bytes : H5T_VARIABLE) < 0 ||
        H5Tset_cset(memory_type, H5Tget_cset(type)) < 0) {
        if (memory_type >= 0)
            H5Tclose(memory_type);
        return H5I_INVALID_HID;
    }
    return memory_type;
}

/* Reads as many texts at once as fit into the block, so that a table's size on paper costs nothing;
 * longer and variable ones one by one. */
static int send_texts(mim_h5_server *r, hid_t dataset, const char *name, hid_t memory_type,
                      size_t n_bytes, hsize_t n)
{
    const hsize_t fit = n_bytes ? MIM_H5_BLOCK_BYTES / n_bytes : 0, most = fit ? fit : 1;
    hid_t space = H5Dget_space(dataset);
    char *one = fit ? NULL : calloc(1, n_bytes + 1), *fixed = fit ? (char *)r->block : one;
    int rc = space < 0 || !fixed ? damaged(name) : MIM_OK;
    for (hsize_t at = 0, count; rc == MIM_OK && at < n; at += count) {
        char *variable = NULL;
        count = n - at < most ? n - at : most;
        hid_t memory = H5Screate_simple(1, &count, NULL);
        memset(fixed, 0, count * n_bytes);
        if (memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &count, NULL) < 0 ||
            H5Dread(dataset, memory_type, memory, space, H5P_DEFAULT,
                    n_bytes ? (void *)fixed : (void *)&variable) < 0)
            rc = damaged(name);
        for (hsize_t i = 0; rc == MIM_OK && i < count; i++) {
            if (n_bytes)
                fixed[(i + 1) * n_bytes - 1] = 0; /* whatever the file made of it */
            send_text(r, n_bytes ? fixed + i * n_bytes : variable ? variable : "");
        }
        free(variable);
        if (memory >= 0)
            H5Sclose(memory);
    }
    free(one);
    if (space >= 0)
        H5Sclose(space);
    return rc;
}

static int answer_texts(mim_h5_server *r, const mim_h5_request *request, hid_t dataset)
{
    mim_h5_answer answer = {0};
    uint64_t n = 0;
    size_t n_bytes = 0;
    hid_t type = H5Dget_type(dataset), memory_type = H5I_INVALID_HID;
    int rc = check_class(type, request->name, H5T_STRING);
    if (rc != MIM_OK || (rc = get_extents(dataset, request->name, &answer)) != MIM_OK)
        goto done;
    if (answer.rank != 1) {
        rc = mim_fail(MIM_EDATA, "%s has rank %u, expected 1", request->name, answer.rank);
        goto done;
    }
    if ((rc = count_values(&answer, request->name, request->max_values, &n)) != MIM_OK ||
        (rc = check_storage(dataset, request->name)) != MIM_OK ||
        (rc = check_digest(r, dataset, request->name, type, n)) != MIM_OK)
        goto done;
    if ((memory_type = text_memory_type(type, &n_bytes)) < 0) {
        rc = damaged(request->name);
        goto done;
    }
    mim_h5_server_frame(r, MIM_OK, &answer, sizeof answer);
    rc = send_texts(r, dataset, request->name, memory_type, n_bytes, n);
done:
    if (memory_type >= 0)
        H5Tclose(memory_type);
    if (type >= 0)
        H5Tclose(type);
    return rc;
}

static int send_attribute_text(mim_h5_server *r, hid_t attribute, const char *name, hid_t type)
{
    mim_h5_answer answer = {.is_there = 1};
    size_t n_bytes = 0;
    char *fixed = NULL, *variable = NULL;
    hid_t memory_type = H5I_INVALID_HID;
    int rc = check_class(type, name, H5T_STRING);
    if (rc != MIM_OK)
        return rc;
    memory_type = text_memory_type(type, &n_bytes);
    if (memory_type < 0 || !(fixed = calloc(1, n_bytes + 1)) ||
        H5Aread(attribute, memory_type, n_bytes ? (void *)fixed : (void *)&variable) < 0) {
        rc = damaged(name);
    } else {
        mim_h5_server_frame(r, MIM_OK, &answer, sizeof answer);
        send_text(r, n_bytes ? fixed : variable ? variable : "");
    }
    free(variable);
    free(fixed);
    if (memory_type >= 0)
        H5Tclose(memory_type);
    return rc;
}

static int send_attribute_real(mim_h5_server *r, hid_t attribute, const char *name, hid_t type)
{
    mim_h5_answer answer = {.is_there = 1};
    H5T_class_t class = H5Tget_class(type);
    if (class != H5T_INTEGER && class != H5T_FLOAT)
        return mim_fail(MIM_EDATA, "attribute %s holds %s, expected a number", name,
                        class_name(class));
    if (H5Aread(attribute, H5T_NATIVE_DOUBLE, &answer.value) < 0)
        return damaged(name);
    mim_h5_server_frame(r, MIM_OK, &answer, sizeof answer);
    return MIM_OK;
}

static int answer_attribute(mim_h5_server *r, const mim_h5_request *request, hid_t owner)
{
    htri_t is_there = H5Aexists(owner, request->attribute);
    if (is_there < 0)
        return damaged(request->attribute);
    if (is_there == 0) {
        mim_h5_answer answer = {0};
        mim_h5_server_frame(r, MIM_OK, &answer, sizeof answer);
        return MIM_OK;
    }
    const attribute_ids a = open_attribute(owner, request->attribute);
    int rc;
    if (a.space < 0 || a.type < 0)
        rc = damaged(request->attribute);
    else if (H5Sget_simple_extent_npoints(a.space) != 1)
        rc = mim_fail(MIM_EDATA, "attribute %s is not a single value", request->attribute);
    else if (request->question == MIM_H5_ASK_ATTRIBUTE_TEXT)
        rc = send_attribute_text(r, a.id, request->attribute, a.type);
    else
        rc = send_attribute_real(r, a.id, request->attribute, a.type);
    close_attribute(&a);
    return rc;
}

int mim_h5_server_answer(mim_h5_server *r, const mim_h5_request *request)
{
    hid_t object = H5I_INVALID_HID;
    mim_h5_answer answer = {0};
    if (request->question == MIM_H5_ASK_HAS) {
        htri_t is_there = H5Lexists(r->file, request->name, H5P_DEFAULT);
        if (is_there < 0)
            return damaged(request->name);
        answer.is_there = is_there > 0;
        mim_h5_server_frame(r, MIM_OK, &answer, sizeof answer);
        return MIM_OK;
    }
    int rc = open_object(r, request->name, &object);
    if (rc != MIM_OK)
        return rc;
    switch (request->question) {
    case MIM_H5_ASK_SHAPE:
        if ((rc = get_extents(object, request->name, &answer)) == MIM_OK)
            mim_h5_server_frame(r, MIM_OK, &answer, sizeof answer);
        break;
    case MIM_H5_ASK_REAL:
    case MIM_H5_ASK_COUNT:
        rc = answer_values(r, request, object);
        break;
    case MIM_H5_ASK_TEXTS:
        rc = answer_texts(r, request, object);
        break;
    default:
        rc = answer_attribute(r, request, object);
    }
    H5Oclose(object);
    return rc;
}
