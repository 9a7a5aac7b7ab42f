/* Adam, clipping, moving averages, learning rates. */
#include "nn/optim.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "nn/parallel_internal.h"
#include "nn/vector_internal.h"

/* Values that a thread walks over at a time: by the number of values alone. */
enum {
    max_chunks = 1024,
    min_chunk = 1 << 15,
    square_lanes = 16,  /* sums of squares side by side */
    move_block = 2048,  /* gradients whose sums stay in the first cache */
    update_piece = 1024 /* values that do, with all that belongs to them; a multiple of the lanes */
};

static size_t chunk_of(size_t n)
{
    const size_t chunk = (n + max_chunks - 1) / max_chunks;
    return chunk < min_chunk ? min_chunk : chunk;
}

static size_t length_of(size_t n, size_t chunk, size_t number)
{
    const size_t left = n - number * chunk;
    return left < chunk ? left : chunk;
}

const mim_adam mim_adam_default = {.beta_1 = 0.9, .beta_2 = 0.999, .eps = 1e-8};

double mim_lr_at(const mim_lr_schedule *s, uint64_t step)
{
    const double pi = 3.14159265358979323846;
    if (step < s->n_warmup)
        return s->base * (double)(step + 1) / (double)s->n_warmup;
    if (s->decay == MIM_LR_CONSTANT)
        return s->base;
    if (step + 1 >= s->n_steps)
        return s->base * s->floor;
    /* 1 at the first step after the warm-up, 0 at the last of all */
    const double passed = (double)(step - s->n_warmup) / (double)(s->n_steps - 1 - s->n_warmup);
    const double left = s->decay == MIM_LR_LINEAR ? 1 - passed : 0.5 * (1 + cos(pi * passed));
    return s->base * (s->floor + (1 - s->floor) * left);
}

double mim_ema_beta_at(const mim_ema *ema, uint64_t n_updates)
{
    if (n_updates < ema->n_copies)
        return 0;
    const double n = (double)(n_updates - ema->n_copies);
    return ema->is_warming ? fmin(ema->beta, (1 + n) / (10 + n)) : ema->beta;
}

static inline float root_f(float x) { return sqrtf(x); }
static inline double root_d(double x) { return sqrt(x); }

#include "nn/as_float.h"
#include "nn/optim_internal.h"

#include "nn/as_double.h"
#include "nn/optim_internal.h"
