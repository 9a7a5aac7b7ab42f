/* Small products with operands in the first caches, in vectors as wide as the processor has: each
 * width is a set of functions of its own, of which mim_tile_find() gives one. gcc's versions of one
 * function (MIM_VECTOR) do not do here: the shape of a tile follows from the width.
 *
 * Operands are made of units: a number, or with bf16 two that follow each other along the sum, as
 * processors multiply them (mim_unit_f, _d, _h). Sums are MIM_REAL.
 *
 * Included by one .c file, and by tests. */
#ifndef MIM_NN_TILE_INTERNAL_H
#define MIM_NN_TILE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nn/vector_internal.h"

/* Columns to whose multiple C and B must have room: what lies beyond n_columns is computed, too. */
enum { MIM_TILE_LANES = 16 };

typedef float mim_unit_f;
typedef double mim_unit_d;
/* Two numbers, the first in the lower half; a row of them is a row of mim_bf16, too. */
typedef uint32_t mim_unit_h __attribute__((may_alias));

#if defined(__GNUC__) && !defined(__clang__)
#define MIM_TILE_UNROLL _Pragma("GCC unroll 12")
#else
#define MIM_TILE_UNROLL
#endif

#include "nn/as_float.h"

#define MIM_TILE_BYTES 16
#define MIM_TILE_TARGET
#define MIM_TILE(name) name##_f_16
#include "nn/tile_width_internal.h"

#if defined(MIM_HAS_VERSIONS)
#define MIM_TILE_BYTES 32
#define MIM_TILE_TARGET __attribute__((target("arch=x86-64-v3")))
#define MIM_TILE(name) name##_f_32
#include "nn/tile_width_internal.h"

#define MIM_TILE_BYTES 64
#define MIM_TILE_TARGET __attribute__((target("arch=x86-64-v4")))
#define MIM_TILE(name) name##_f_64
#include "nn/tile_width_internal.h"
#endif

#include "nn/as_double.h"

#define MIM_TILE_BYTES 16
#define MIM_TILE_TARGET
#define MIM_TILE(name) name##_d_16
#include "nn/tile_width_internal.h"

#include "nn/as_bf16.h"

#define MIM_TILE_BYTES 16
#define MIM_TILE_TARGET
#define MIM_TILE(name) name##_h_16
#include "nn/tile_width_internal.h"

#if defined(MIM_HAS_VERSIONS)
#define MIM_TILE_BYTES 32
#define MIM_TILE_TARGET __attribute__((target("arch=x86-64-v3")))
#define MIM_TILE(name) name##_h_32
#include "nn/tile_width_internal.h"

#define MIM_TILE_BYTES 64
#define MIM_TILE_TARGET __attribute__((target("arch=x86-64-v4")))
#define MIM_TILE(name) name##_h_64
#include "nn/tile_width_internal.h"

#include <immintrin.h>

#define MIM_TILE_BYTES 64
#define MIM_TILE_IS_NATIVE
#define MIM_TILE_TARGET __attribute__((target("arch=x86-64-v4,avx512bf16")))
#define MIM_TILE(name) name##_h_native
#include "nn/tile_width_internal.h"
#undef MIM_TILE_IS_NATIVE
#endif

/* C [n_rows, n_columns], rows at ld_c, = A B, or with is_added += A B, sums over n_units units. A's
 * unit (r, k) stands at a[r step_r + k step_k], so A may be transposed; B's rows of units stand at
 * ld_b. */
typedef void (*mim_tile_multiply_f)(size_t n_rows, size_t n_columns, size_t n_units,
                                    const mim_unit_f *a, size_t step_r, size_t step_k,
                                    const mim_unit_f *b, size_t ld_b, bool is_added, float *c,
                                    size_t ld_c);
typedef void (*mim_tile_multiply_d)(size_t n_rows, size_t n_columns, size_t n_units,
                                    const mim_unit_d *a, size_t step_r, size_t step_k,
                                    const mim_unit_d *b, size_t ld_b, bool is_added, double *c,
                                    size_t ld_c);
typedef void (*mim_tile_multiply_h)(size_t n_rows, size_t n_columns, size_t n_units,
                                    const mim_unit_h *a, size_t step_r, size_t step_k,
                                    const mim_unit_h *b, size_t ld_b, bool is_added, float *c,
                                    size_t ld_c);

static inline mim_tile_multiply_f mim_tile_find_f(void)
{
#if defined(MIM_HAS_VERSIONS)
    if (__builtin_cpu_supports("x86-64-v4"))
        return multiply_f_64;
    if (__builtin_cpu_supports("x86-64-v3"))
        return multiply_f_32;
#endif
    return multiply_f_16;
}

static inline mim_tile_multiply_d mim_tile_find_d(void) { return multiply_d_16; }

static inline mim_tile_multiply_h mim_tile_find_h(void)
{
#if defined(MIM_HAS_VERSIONS)
    if (__builtin_cpu_supports("x86-64-v4"))
        return __builtin_cpu_supports("avx512bf16") ? multiply_h_native : multiply_h_64;
    if (__builtin_cpu_supports("x86-64-v3"))
        return multiply_h_32;
#endif
    return multiply_h_16;
}

#endif
