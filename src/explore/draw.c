#include "explore/draw.h"

#include <float.h>
#include <math.h>

#include "core/rng.h"

double mim_draw_u01(mim_draw *draw)
{
    return mim_rng_u01(draw->seed, MIM_STREAM_PLAN, draw->id, draw->window, draw->n++);
}

size_t mim_draw_below(mim_draw *draw, size_t n)
{
    size_t i = (size_t)(mim_draw_u01(draw) * (double)n);
    return i < n ? i : n - 1; /* the product may be rounded up to n */
}

double mim_draw_exponential(mim_draw *draw) { return fmax(-log1p(-mim_draw_u01(draw)), DBL_MIN); }

void mim_draw_sample(mim_draw *draw, size_t *items, size_t n, size_t k)
{
    for (size_t i = 0; i < k && i + 1 < n; i++) {
        size_t j = i + mim_draw_below(draw, n - i), kept = items[i];
        items[i] = items[j];
        items[j] = kept;
    }
}
