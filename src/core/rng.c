#include "core/rng.h"

#include <math.h>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#endif
#include <Random123/philox.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

void mim_rng_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    philox4x32_ctr_t c = {{counter[0], counter[1], counter[2], counter[3]}};
    philox4x32_key_t k = {{key[0], key[1]}};
    philox4x32_ctr_t r = philox4x32(c, k);
    for (int i = 0; i < 4; i++)
        out[i] = r.v[i];
}

/* Counter: (a, b, index of the block); key: the seed, told apart by stream. With the stream in the
 * counter, many draws would run into the next stream. The constant is odd and far from small
 * seeds' differences (2^64 / golden ratio). */
static void block(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t index,
                  uint32_t out[4])
{
    const uint64_t own = seed ^ (uint64_t)stream * UINT64_C(0x9E3779B97F4A7C15);
    const uint32_t counter[4] = {(uint32_t)a, (uint32_t)(a >> 32), b, index};
    const uint32_t key[2] = {(uint32_t)own, (uint32_t)(own >> 32)};
    mim_rng_philox4x32(counter, key, out);
}

uint32_t mim_rng_u32(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t draw)
{
    uint32_t out[4];
    block(seed, stream, a, b, draw / 4, out);
    return out[draw % 4];
}

void mim_rng_fill_u32(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t first,
                      size_t n, uint32_t *out)
{
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        const uint32_t draw = first + (uint32_t)i;
        if (i == 0 || draw % 4 == 0)
            block(seed, stream, a, b, draw / 4, words);
        out[i] = words[draw % 4];
    }
}

static double unit(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return (double)bits * 0x1p-53;
}

double mim_rng_u01(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t draw)
{
    uint32_t out[4];
    block(seed, stream, a, b, draw / 2, out);
    return unit(out[2 * (draw % 2)], out[2 * (draw % 2) + 1]);
}

double mim_rng_normal(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t draw)
{
    const double two_pi = 6.283185307179586476925;
    uint32_t out[4];
    block(seed, stream, a, b, draw, out);
    double u = 1.0 - unit(out[0], out[1]); /* (0,1] */
    return sqrt(-2.0 * log(u)) * cos(two_pi * unit(out[2], out[3]));
}
