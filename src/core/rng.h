/* Counter-based random numbers (Philox4x32-10; Salmon et al., SC 2011, through Random123).
 *
 * A number is a pure function of (seed, stream, a, b, draw): never of rank, thread or call order.
 * Streams keep uses apart; add new ones at the end, as results depend on their values. */
#ifndef MIM_CORE_RNG_H
#define MIM_CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    MIM_STREAM_TEST,
    MIM_STREAM_PLAN,   /* random plans */
    MIM_STREAM_KERNEL, /* buffer contents and offsets of stressors */
    MIM_STREAM_NOISE,
    MIM_STREAM_FAULT,
    MIM_STREAM_INIT, /* first values of a network */
    MIM_STREAM_DROPOUT,
    MIM_STREAM_EXAMPLES, /* order of training examples */
    MIM_STREAM_TIMESTEP, /* of a training example */
    MIM_STREAM_HIDE,     /* what a training example does not tell */
    MIM_STREAM_JITTER,   /* noise on metrics */
    MIM_STREAM_GENERATE, /* noise of the sampler */
    MIM_STREAM_SPLIT,    /* which plans of a corpus are for validation */
    /* the simulated node: its noise, its rounding and outliers */
    MIM_STREAM_SIMULATED,
    MIM_STREAM_SIMULATED_RARE,
    MIM_STREAM_COMPAT,  /* order of stressors as the original shuffles it */
    MIM_STREAM_AUGMENT, /* where the threads of a training example go */
    MIM_STREAM_DRAW,    /* which example is drawn when not all are alike */
} mim_stream;

/* The four words Philox4x32-10 gives for a counter and a key (for known-answer tests). */
void mim_rng_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* a: e.g. step or plan id (64 bits), b: e.g. sample or row, draw: the n-th number for (a, b). The
 * three functions share their bits: for one (stream, a, b) ask only one of them. */
uint32_t mim_rng_u32(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t draw);
double mim_rng_u01(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b,
                   uint32_t draw); /* [0,1) */
double mim_rng_normal(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t draw);

/* out[i] = mim_rng_u32(seed, stream, a, b, first + i), some ten times as fast as one by one. */
void mim_rng_fill_u32(uint64_t seed, mim_stream stream, uint64_t a, uint32_t b, uint32_t first,
                      size_t n, uint32_t *out);

#endif
