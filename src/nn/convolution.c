/* Convolutions as matrix products, and the RMS norm. */
#include "nn/convolution.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const double smallest_length = 1e-12;

size_t mim_convolution_n_positions(const mim_convolution *c)
{
    const size_t n = c->n_positions;
    if (n == 0)
        return 0;
    if (c->is_transposed)
        return (n - 1) * c->stride + c->width > 2 * c->padding
                   ? (n - 1) * c->stride + c->width - 2 * c->padding
                   : 0;
    return n + 2 * c->padding < c->width ? 0 : (n + 2 * c->padding - c->width) / c->stride + 1;
}

/* Whether rows of x are what is multiplied. */
static bool is_pointwise(const mim_convolution *c)
{
    return c->width == 1 && c->stride == 1 && c->padding == 0;
}

/* Rows that are unfolded: one a position of the shorter side, with the channels of the longer. */
static size_t n_rows(const mim_convolution *c)
{
    return c->n_samples * (c->is_transposed ? c->n_positions : mim_convolution_n_positions(c));
}

static size_t n_columns(const mim_convolution *c)
{
    return c->width * (c->is_transposed ? c->n_out : c->n_in);
}

size_t mim_convolution_n_work(const mim_convolution *c)
{
    return is_pointwise(c) ? 0 : n_rows(c) * n_columns(c);
}

double mim_convolution_flop(const mim_convolution *c)
{
    return 2 * (double)n_rows(c) * (double)c->n_in * (double)c->n_out * (double)c->width;
}

/* The position of the long side that tap `tap` of row `row` sees; SIZE_MAX: padding. */
static size_t seen_at(const mim_convolution *c, size_t n_long, size_t row, size_t tap)
{
    const size_t at = row * c->stride + tap;
    return at < c->padding || at - c->padding >= n_long ? SIZE_MAX : at - c->padding;
}

#include "nn/as_float.h"

#include "nn/convolution_internal.h"

#include "nn/as_double.h"

#include "nn/convolution_internal.h"
