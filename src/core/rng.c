#include "core/rng.h"

#include <math.h>
#include <stdbool.h>
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
#if defined(MIM_HAS_VERSIONS)
#include <immintrin.h>
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

/* The same for some indices side by side (Random123's function takes one at a time); at index l,
 * word w: out[4 l + w]. */
enum { few = 16, many = 32 };

MIM_INLINE void blocks(size_t n, const uint32_t counter[4], const uint32_t key[2], uint32_t *out)
{
    uint32_t c[4][many], k_0 = key[0], k_1 = key[1];
    for (uint32_t l = 0; l < n; l++) {
        c[0][l] = counter[0];
        c[1][l] = counter[1];
        c[2][l] = counter[2];
        c[3][l] = counter[3] + l;
    }
    for (int round = 0; round < PHILOX4x32_DEFAULT_ROUNDS; round++) {
        for (uint32_t l = 0; l < n; l++) {
            const uint32_t even_0 = c[0][l], even_2 = c[2][l];
            c[0][l] = (uint32_t)((uint64_t)PHILOX_M4x32_1 * even_2 >> 32) ^ c[1][l] ^ k_0;
            c[2][l] = (uint32_t)((uint64_t)PHILOX_M4x32_0 * even_0 >> 32) ^ c[3][l] ^ k_1;
            c[1][l] = PHILOX_M4x32_1 * even_2;
            c[3][l] = PHILOX_M4x32_0 * even_0;
        }
        k_0 += PHILOX_W32_0;
        k_1 += PHILOX_W32_1;
    }
    for (uint32_t l = 0; l < n; l++)
        for (uint32_t w = 0; w < 4; w++)
            out[4 * l + w] = c[w][l];
}

MIM_VECTOR static void few_blocks(const uint32_t counter[4], const uint32_t key[2], uint32_t *out)
{
    blocks(few, counter, key, out);
}

MIM_VECTOR static void many_blocks(const uint32_t counter[4], const uint32_t key[2], uint32_t *out)
{
    blocks(many, counter, key, out);
}

#if defined(MIM_HAS_VERSIONS)
#define WIDE __attribute__((target("arch=x86-64-v4")))

typedef uint64_t lanes __attribute__((vector_size(64)));

/* The product of the lanes' low halves: one instruction, which gcc does not find by itself. */
WIDE MIM_INLINE lanes product(lanes a, uint64_t b)
{
    return (lanes)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((long long)b));
}

/* n a multiple of 8. Each word has a lane of 64 bits, of which the upper half is of no meaning:
 * three instructions a word and round. */
WIDE MIM_INLINE void blocks_wide(size_t n, const uint32_t counter[4], const uint32_t key[2],
                                 uint32_t *out)
{
    /* so that joining neighbours puts them in order */
    const lanes order = {0, 4, 1, 5, 2, 6, 3, 7}, low = (lanes){0} + UINT32_MAX;
    lanes c[4][many / 8];
    uint32_t k_0 = key[0], k_1 = key[1];
    for (size_t l = 0; l < n / 8; l++) {
        for (size_t w = 0; w < 4; w++)
            c[w][l] = (lanes){0} + counter[w];
        c[3][l] += order + 8 * l;
    }
    for (int round = 0; round < PHILOX4x32_DEFAULT_ROUNDS; round++) {
        for (size_t l = 0; l < n / 8; l++) {
            const lanes p_0 = product(c[0][l], PHILOX_M4x32_0);
            const lanes p_2 = product(c[2][l], PHILOX_M4x32_1);
            c[0][l] = p_2 >> 32 ^ c[1][l] ^ k_0;
            c[2][l] = p_0 >> 32 ^ c[3][l] ^ k_1;
            c[1][l] = p_2;
            c[3][l] = p_0;
        }
        k_0 += PHILOX_W32_0;
        k_1 += PHILOX_W32_1;
    }
    for (size_t l = 0; l < n / 8; l++) {
        const lanes first = (c[0][l] & low) | c[1][l] << 32;
        const lanes last = (c[2][l] & low) | c[3][l] << 32;
        const lanes joined[2] = {
            __builtin_shuffle(first, last, (lanes){0, 8, 2, 10, 4, 12, 6, 14}),
            __builtin_shuffle(first, last, (lanes){1, 9, 3, 11, 5, 13, 7, 15})};
        memcpy(out + 32 * l, joined, sizeof joined);
    }
}

WIDE static void few_blocks_wide(const uint32_t counter[4], const uint32_t key[2], uint32_t *out)
{
    blocks_wide(few, counter, key, out);
}

WIDE static void many_blocks_wide(const uint32_t counter[4], const uint32_t key[2], uint32_t *out)
{
    blocks_wide(many, counter, key, out);
}
#endif

typedef void fill_blocks(const uint32_t *counter, const uint32_t *key, uint32_t *out);

static fill_blocks *find_blocks(bool is_many)
{
#if defined(MIM_HAS_VERSIONS)
    if (__builtin_cpu_supports("x86-64-v4"))
        return is_many ? many_blocks_wide : few_blocks_wide;
#endif
    return is_many ? many_blocks : few_blocks;
}

void mim_rng_fill_u32(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t first,
                      size_t n, uint32_t *out)
{
    const uint64_t own = key_of(seed, stream);
    const uint32_t key[2] = {(uint32_t)own, (uint32_t)(own >> 32)};
    uint32_t counter[4] = {(uint32_t)a, (uint32_t)(a >> 32), b, first / 4}, words[4 * many];
    size_t skipped = first % 4;
    for (size_t i = 0; i < n;) {
        const uint32_t n_blocks = skipped + n - i > 4 * few ? many : few;
        const size_t left = 4 * n_blocks - skipped, take = n - i < left ? n - i : left;
        fill_blocks *const fill = find_blocks(n_blocks == many);
        if (skipped == 0 && take == 4 * n_blocks) {
            fill(counter, key, out + i);
        } else {
            fill(counter, key, words);
            memcpy(out + i, words + skipped, take * sizeof *out);
        }
        i += take;
        counter[3] += n_blocks;
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
