/* The table of a network's tensors, and their numbers. */
#include "nn/params.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/pages.h"

/* Values, gradients; two moments, average. */
enum { n_arrays = 2, n_own_arrays = 3 };

int mim_tensors_create(mim_tensors **layout)
{
    mim_tensors *l = calloc(1, sizeof *l);
    if (!l)
        return mim_fail(MIM_ENOMEM, "table of tensors");
    *layout = l;
    return MIM_OK;
}

void mim_tensors_destroy(mim_tensors **layout)
{
    if (!layout || !*layout)
        return;
    free((*layout)->tensors);
    free(*layout);
    *layout = NULL;
}

static int copy_layout(const mim_tensors *layout, mim_tensors **copy)
{
    mim_tensors *l = NULL;
    int rc = mim_tensors_create(&l);
    if (rc != MIM_OK)
        return rc;
    if (!(l->tensors = malloc(layout->n_tensors * sizeof *l->tensors))) {
        mim_tensors_destroy(&l);
        return mim_fail(MIM_ENOMEM, "table of %zu tensors", layout->n_tensors);
    }
    memcpy(l->tensors, layout->tensors, layout->n_tensors * sizeof *l->tensors);
    l->n_tensors = layout->n_tensors;
    l->n_values = layout->n_values;
    *copy = l;
    return MIM_OK;
}

static int check_new(const mim_tensors *layout, const char *name, size_t rank, mim_init init,
                     double scale)
{
    if (!*name || strlen(name) >= MIM_TENSOR_MAX_NAME)
        return mim_fail(MIM_EINVAL, "tensor name \"%s\": expected 1 to %d bytes", name,
                        MIM_TENSOR_MAX_NAME - 1);
    if (mim_tensors_find(layout, name) != SIZE_MAX)
        return mim_fail(MIM_EINVAL, "tensor %s stands twice in the network", name);
    if (rank < 1 || rank > MIM_TENSOR_MAX_RANK)
        return mim_fail(MIM_EINVAL, "tensor %s: rank %zu, expected 1 to %d", name, rank,
                        MIM_TENSOR_MAX_RANK);
    if ((init == MIM_INIT_UNIFORM || init == MIM_INIT_NORMAL) && !(scale > 0 && isfinite(scale)))
        return mim_fail(MIM_EINVAL, "tensor %s: scale of first values %g, expected above 0", name,
                        scale);
    return MIM_OK;
}

/* Draws of a tensor are numbered in 32 bits. */
static int count_values(const mim_tensors *layout, const char *name, size_t rank,
                        const size_t *shape, size_t *n_values)
{
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) {
        if (shape[i] == 0)
            return mim_fail(MIM_EINVAL, "tensor %s: extent %zu is 0", name, i);
        if (shape[i] > UINT32_MAX / n)
            return mim_fail(MIM_EINVAL, "tensor %s: more than 2^32 values", name);
        n *= shape[i];
    }
    if (n > SIZE_MAX / 64 - layout->n_values)
        return mim_fail(MIM_EINVAL, "tensor %s: the network is too large", name);
    *n_values = n;
    return MIM_OK;
}

int mim_tensors_add(mim_tensors *layout, const char *name, size_t rank, const size_t *shape,
                    mim_init init, double scale, bool is_decayed, size_t *index)
{
    mim_tensor *tensors, *t;
    size_t n_values = 0;
    int rc = check_new(layout, name, rank, init, scale);
    if (rc != MIM_OK || (rc = count_values(layout, name, rank, shape, &n_values)) != MIM_OK)
        return rc;
    if (!(tensors = realloc(layout->tensors, (layout->n_tensors + 1) * sizeof *tensors)))
        return mim_fail(MIM_ENOMEM, "table of %zu tensors", layout->n_tensors + 1);
    layout->tensors = tensors;
    t = &tensors[layout->n_tensors];
    *t = (mim_tensor){.rank = rank,
                      .offset = layout->n_values,
                      .n_values = n_values,
                      .init = init,
                      .scale = scale,
                      .is_decayed = is_decayed};
    memcpy(t->name, name, strlen(name) + 1);
    memcpy(t->shape, shape, rank * sizeof *shape);
    if (index)
        *index = layout->n_tensors;
    layout->n_tensors++;
    layout->n_values += n_values;
    return MIM_OK;
}

int mim_tensors_add_linear(mim_tensors *layout, const char *name, size_t n_in, size_t n_out,
                           bool is_zero, size_t *index)
{
    const mim_init init = is_zero ? MIM_INIT_ZERO : MIM_INIT_UNIFORM;
    const double scale = n_in > 0 ? 1 / sqrt((double)n_in) : 0;
    const size_t shape[] = {n_out, n_in};
    char weight[2 * MIM_TENSOR_MAX_NAME], bias[2 * MIM_TENSOR_MAX_NAME];
    size_t at;
    snprintf(weight, sizeof weight, "%s.weight", name); /* what is cut is too long anyway */
    snprintf(bias, sizeof bias, "%s.bias", name);
    if (mim_tensors_find(layout, bias) != SIZE_MAX)
        return mim_fail(MIM_EINVAL, "tensor %s stands twice in the network", bias);
    int rc = mim_tensors_add(layout, weight, 2, shape, init, scale, true, &at);
    if (rc == MIM_OK)
        rc = mim_tensors_add(layout, bias, 1, shape, init, scale, false, NULL);
    if (rc == MIM_OK && index)
        *index = at;
    return rc;
}

size_t mim_tensors_find(const mim_tensors *layout, const char *name)
{
    for (size_t i = 0; i < layout->n_tensors; i++)
        if (strcmp(layout->tensors[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

int mim_tensors_match(const mim_tensors *expected, const mim_tensors *found)
{
    for (size_t i = 0; i < expected->n_tensors; i++) {
        const mim_tensor *e = &expected->tensors[i];
        const size_t at = mim_tensors_find(found, e->name);
        if (at == SIZE_MAX)
            return mim_fail(MIM_EDATA, "tensor %s: expected, not found", e->name);
        const mim_tensor *f = &found->tensors[at];
        if (e->rank != f->rank)
            return mim_fail(MIM_EDATA, "tensor %s: expected rank %zu, found %zu", e->name, e->rank,
                            f->rank);
        for (size_t d = 0; d < e->rank; d++)
            if (e->shape[d] != f->shape[d])
                return mim_fail(MIM_EDATA, "tensor %s: expected extent %zu on axis %zu, found %zu",
                                e->name, e->shape[d], d, f->shape[d]);
    }
    if (expected->n_tensors != found->n_tensors)
        return mim_fail(MIM_EDATA, "expected %zu tensors, found %zu", expected->n_tensors,
                        found->n_tensors);
    return MIM_OK;
}

void mim_part_range(const mim_part *part, size_t n_values, size_t *first, size_t *n)
{
    enum { block = 16 };
    const size_t n_blocks = n_values / block + (n_values % block > 0);
    const size_t whole = n_blocks / part->n_parts, rest = n_blocks % part->n_parts;
    const size_t i = part->index, begin = block * (i * whole + (i < rest ? i : rest));
    const size_t end = begin + block * (whole + (i < rest ? 1 : 0));
    assert(i < part->n_parts);
    *first = begin < n_values ? begin : n_values;
    *n = (end < n_values ? end : n_values) - *first;
}

/* FNV-1a, 64 bits: a tensor's own number, whatever stands around it. */
static uint64_t hash(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return h;
}

static double first_value(const mim_tensor *tensor, uint64_t seed, size_t i)
{
    const uint64_t own = hash(tensor->name);
    switch (tensor->init) {
    case MIM_INIT_ONE:
        return 1;
    case MIM_INIT_UNIFORM:
        return tensor->scale * (2 * mim_rng_u01(seed, MIM_STREAM_INIT, own, 0, (uint32_t)i) - 1);
    case MIM_INIT_NORMAL:
        return tensor->scale * mim_rng_normal(seed, MIM_STREAM_INIT, own, 0, (uint32_t)i);
    case MIM_INIT_ZERO:
        break;
    }
    return 0;
}

#include "nn/as_float.h"
#include "nn/params_internal.h"

#include "nn/as_double.h"
#include "nn/params_internal.h"
