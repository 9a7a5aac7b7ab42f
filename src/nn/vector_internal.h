/* exp, erfcx and tanh without branches, calls or tables, so that loops over them become vector
 * code (core/vector.h).
 * For doubles the C library's own are used: they serve the finite differences, where digits count
 * and time does not. Bounds of errors: tests/test_nn_activation.c. Static, guarded; both
 * precisions. */
#ifndef MIM_NN_VECTOR_INTERNAL_H
#define MIM_NN_VECTOR_INTERNAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/vector.h"

/* x = n ln 2 + r, |r| <= ln(2)/2: gives r, and 2^n in *power. Adding 1.5 2^23 rounds to an integer
 * and leaves it in the low bits; ln 2 in two parts, the first exact in 9 bits, so n times it is
 * exact. x: -87 to 88. */
MIM_INLINE float mim_exp_rest(float x, float *power)
{
    const float shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(power, &bits, sizeof *power);
    return (x - n * 0.693359375f) + n * 2.12194440e-4f;
}

/* 2^n exp r, Taylor to r^7 (5e-9). 0 below -87, exp(88) above 88. */
MIM_INLINE float mim_exp_f(float x)
{
    const float low = x < -87.0f ? -87.0f : x;
    float power, p = 1.0f / 5040;
    const float r = mim_exp_rest(low > 88.0f ? 88.0f : low, &power);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return x < -87.0f ? 0.0f : p * power;
}

MIM_INLINE double mim_exp_d(double x) { return exp(x); }

/* The same for x of at most 1 and what is rounded to bf16 afterwards: Taylor to r^5 (3e-6). */
MIM_INLINE float mim_exp_h(float x)
{
    float power, p = 1.0f / 120;
    const float r = mim_exp_rest(x < -87.0f ? -87.0f : x, &power);
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return x < -87.0f ? 0.0f : p * power;
}

/* exp(z^2) erfc(z), z >= 0: t P(t), t = 1 / (1 + 0.3 z), P interpolating at the 9 Chebyshev points
 * of z in [0, 9.4]; relative error 2.4e-8 there, and exp(-z^2) is 0 in float beyond. */
MIM_INLINE float mim_erfcx_f(float z)
{
    const float t = 1.0f / (1.0f + 0.3f * z);
    float p = -0.130419334f;
    p = p * t + 0.49020514f;
    p = p * t - 0.522535962f;
    p = p * t + 0.560327381f;
    p = p * t - 0.104055148f;
    p = p * t + 0.219276235f;
    p = p * t + 0.147123141f;
    p = p * t + 0.170902715f;
    p = p * t + 0.169175812f;
    return t * p;
}

/* Phi, the normal distribution, and phi, its density, share one exponential. */
MIM_INLINE void mim_normal_f(float x, float *phi, float *big_phi)
{
    const float power = mim_exp_f(-0.5f * x * x);
    const float tail = 0.5f * power * mim_erfcx_f(fabsf(x) * 0.70710678f);
    *phi = 0.39894228f * power;
    *big_phi = x < 0.0f ? tail : 1.0f - tail;
}

MIM_INLINE void mim_normal_d(double x, double *phi, double *big_phi)
{
    *phi = 0.398942280401432677940 * exp(-0.5 * x * x);
    *big_phi = 0.5 * erfc(-x * 0.707106781186547524401);
}

/* Odd Taylor polynomial where 1 - exp(-2x) would cancel. */
MIM_INLINE float mim_tanh_f(float x)
{
    const float a = fabsf(x), s = x * x, e = mim_exp_f(-2.0f * a);
    const float far = copysignf((1.0f - e) / (1.0f + e), x);
    const float near =
        x * (1.0f + s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 + s * (62.0f / 2835)))));
    return a < 0.3f ? near : far;
}

MIM_INLINE double mim_tanh_d(double x) { return tanh(x); }

#endif
