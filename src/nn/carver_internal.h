/* Arrays out of one allocation: a first pass with base NULL counts, a second one gives places. */
#ifndef MIM_NN_CARVER_INTERNAL_H
#define MIM_NN_CARVER_INTERNAL_H

#include <stdint.h>
#include <stdlib.h>

#include "core/error.h"
#include "nn/pages.h"

typedef struct mim_carver {
    char *base;
    size_t used; /* bytes */
} mim_carver;

enum { MIM_CARVER_ALIGNMENT = 64 };

/* n elements of `size` bytes; NULL while counting. */
static inline void *mim_carve(mim_carver *c, size_t n, size_t size)
{
    const size_t a = MIM_CARVER_ALIGNMENT;
    void *place = c->base ? c->base + c->used : NULL;
    c->used += (n * size + a - 1) / a * a;
    return place;
}

/* Takes what was counted and begins anew; the caller frees `base`. MIM_ENOMEM. */
static inline int mim_carver_take(mim_carver *c, const char *what)
{
    const size_t n = c->used > 0 ? c->used : MIM_CARVER_ALIGNMENT;
    c->base =
        mim_prefer_large_pages(n < SIZE_MAX / 4 ? aligned_alloc(MIM_CARVER_ALIGNMENT, n) : NULL, n);
    if (!c->base)
        return mim_fail(MIM_ENOMEM, "%s: %zu bytes", what, n);
    c->used = 0;
    return MIM_OK;
}

#endif
