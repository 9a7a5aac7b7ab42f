#include "core/rng.h"

#include <math.h>
#include <string.h>

#include "core/vector.h"

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
static uint64_t key_of(uint64_t seed, mim_stream stream)
{
    return seed ^ (uint64_t)stream * UINT64_C(0x9E3779B97F4A7C15);
}

static void block(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t index,
                  uint32_t out[4])
{
    const uint64_t own = key_of(seed, stream);
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

/* The same for `batch` indices, side by side; at index l, word w: out[4 l + w]. Random123's
 * function takes one counter at a time. */
enum { batch = 32 };

MIM_VECTOR static void blocks(const uint32_t counter[4], const uint32_t key[2], uint32_t *out)
{
    uint32_t c[4][batch], k_0 = key[0], k_1 = key[1];
    for (uint32_t l = 0; l < batch; l++) {
        c[0][l] = counter[0];
        c[1][l] = counter[1];
        c[2][l] = counter[2];
        c[3][l] = counter[3] + l;
    }
    for (int round = 0; round < PHILOX4x32_DEFAULT_ROUNDS; round++) {
        for (uint32_t l = 0; l < batch; l++) {
            const uint32_t even_0 = c[0][l], even_2 = c[2][l];
            c[0][l] = (uint32_t)((uint64_t)PHILOX_M4x32_1 * even_2 >> 32) ^ c[1][l] ^ k_0;
            c[2][l] = (uint32_t)((uint64_t)PHILOX_M4x32_0 * even_0 >> 32) ^ c[3][l] ^ k_1;
            c[1][l] = PHILOX_M4x32_1 * even_2;
            c[3][l] = PHILOX_M4x32_0 * even_0;
        }
        k_0 += PHILOX_W32_0;
        k_1 += PHILOX_W32_1;
    }
    for (uint32_t l = 0; l < batch; l++)
        for (uint32_t w = 0; w < 4; w++)
            out[4 * l + w] = c[w][l];
}

void mim_rng_fill_u32(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t first,
                      size_t n, uint32_t *out)
{
    const uint64_t own = key_of(seed, stream);
    const uint32_t key[2] = {(uint32_t)own, (uint32_t)(own >> 32)};
    uint32_t counter[4] = {(uint32_t)a, (uint32_t)(a >> 32), b, first / 4}, words[4 * batch];
    size_t skipped = first % 4;
    for (size_t i = 0; i < n;) {
        const size_t left = 4 * batch - skipped, take = n - i < left ? n - i : left;
        if (skipped == 0 && take == 4 * batch) {
            blocks(counter, key, out + i);
        } else {
            blocks(counter, key, words);
            memcpy(out + i, words + skipped, take * sizeof *out);
        }
        i += take;
        counter[3] += batch;
        skipped = 0;
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
