#include "nn/weights.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/npz.h"

int mim_weights_export(const mim_tensors *layout, const float *numbers, const char *path)
{
    mim_npz_writer *writer = NULL;
    int rc = mim_npz_create(&writer);
    for (size_t i = 0; rc == MIM_OK && i < layout->n_tensors; i++) {
        const mim_tensor *t = &layout->tensors[i];
        rc = mim_npz_add(writer, t->name, t->rank, t->shape, numbers + t->offset);
    }
    if (rc == MIM_OK)
        rc = mim_npz_commit(&writer, path);
    mim_npz_writer_destroy(&writer);
    return rc;
}

/* Nothing that the network has not. */
static int check_names(const char *path, const mim_npz *npz, const mim_tensors *layout)
{
    for (size_t i = 0; i < mim_npz_n(npz); i++)
        if (mim_tensors_find(layout, mim_npz_name(npz, i)) == SIZE_MAX)
            return mim_fail(MIM_EDATA, "%s: %s: the network has no such tensor", path,
                            mim_npz_name(npz, i));
    return MIM_OK;
}

static int import_tensor(const char *path, mim_npz *npz, const mim_tensor *t, float *numbers)
{
    const size_t i = mim_npz_find(npz, t->name);
    char expected[MIM_NPY_SHAPE_BYTES], found[MIM_NPY_SHAPE_BYTES];
    if (i == SIZE_MAX)
        return mim_fail(MIM_EDATA, "%s: %s: is missing", path, t->name);
    const mim_npy *array = mim_npz_array(npz, i);
    if (array->rank != t->rank || memcmp(array->shape, t->shape, t->rank * sizeof *t->shape) != 0)
        return mim_fail(MIM_EDATA, "%s: %s: expected shape %s, found %s", path, t->name,
                        mim_npy_shape_text(t->rank, t->shape, expected),
                        mim_npy_shape_text(array->rank, array->shape, found));
    return mim_npz_floats(npz, i, numbers + t->offset);
}

int mim_weights_import(const char *path, const mim_tensors *layout, float *numbers)
{
    mim_npz *npz = NULL;
    float *read = malloc(layout->n_values * sizeof *read);
    int rc = read ? mim_npz_open(path, &npz) : mim_fail(MIM_ENOMEM, "%s: weights", path);
    if (rc == MIM_OK)
        rc = check_names(path, npz, layout);
    for (size_t i = 0; rc == MIM_OK && i < layout->n_tensors; i++)
        rc = import_tensor(path, npz, &layout->tensors[i], read);
    if (rc == MIM_OK)
        memcpy(numbers, read, layout->n_values * sizeof *read);
    mim_npz_destroy(&npz);
    free(read);
    return rc;
}
