/* Rounding to the type of products' operands, for loops that become vector code. */
#ifndef MIM_NN_HALF_INTERNAL_H
#define MIM_NN_HALF_INTERNAL_H

#include <string.h>

#include "nn/precision.h"
#include "nn/vector_internal.h"

MIM_INLINE float mim_to_half_f(float x) { return x; }

MIM_INLINE double mim_to_half_d(double x) { return x; }

/* To the nearest, ties to even; values beyond the largest become infinite, NaN stays NaN. */
MIM_INLINE mim_bf16 mim_to_half_h(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
    return (mim_bf16)((x != x ? bits | 0x400000u : rounded) >> 16);
}

MIM_INLINE float mim_of_half_f(float x) { return x; }

MIM_INLINE double mim_of_half_d(double x) { return x; }

MIM_INLINE float mim_of_half_h(mim_bf16 x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
