/* Who falls (mim_dropout of nn/layers.h), some draws at a time. */
#ifndef MIM_NN_DROPOUT_INTERNAL_H
#define MIM_NN_DROPOUT_INTERNAL_H

#include <assert.h>

#include "core/rng.h"
#include "nn/layers.h"

enum { MIM_DROPOUT_DRAWS = 256 }; /* at a time */

static inline bool mim_dropout_is_on(const mim_dropout *d) { return d && d->rate > 0; }

/* Kept is what draws this or more. */
static inline uint16_t mim_dropout_threshold(const mim_dropout *d)
{
    assert(d->rate > 0 && d->rate < 1);
    return (uint16_t)(d->rate * 0x1p16);
}

/* Two draws are one random number, as they lie in memory. */
typedef uint16_t mim_draw __attribute__((may_alias));
typedef struct mim_draws {
    uint32_t words[MIM_DROPOUT_DRAWS / 2 + 1];
} mim_draws;

/* Draws of elements first .. first + n - 1 of a local sample, n <= MIM_DROPOUT_DRAWS, in `room`. */
static inline const mim_draw *mim_dropout_draw(const mim_dropout *d, size_t sample, size_t first,
                                               size_t n, mim_draws *room)
{
    assert(n <= MIM_DROPOUT_DRAWS && first + n <= UINT32_MAX);
    const uint64_t a = (uint64_t)d->step << 32 | d->samples[sample];
    const size_t odd = first % 2;
    mim_rng_fill_u32(d->seed, MIM_STREAM_DROPOUT, a, d->site, (uint32_t)(first / 2),
                     (odd + n + 1) / 2, room->words);
    return (const mim_draw *)room->words + odd;
}

#endif
