/* One-dimensional convolutions and their transposes, and the RMS norm that goes with them.
 *
 * Arrays are [n_samples][positions][channels], dense: a layer over channels alone is a linear layer
 * of all rows. Weights have the order of PyTorch's: [n_out][n_in][width], of the transpose
 * [n_in][n_out][width]. Everything goes through matrix products: positions are unfolded into rows
 * of n_in width numbers first, into `work`, but for width 1.
 *
 * Conventions as in nn/layers.h; in float (_f) and in double (_d). */
#ifndef MIM_NN_CONVOLUTION_H
#define MIM_NN_CONVOLUTION_H

#include "nn/layers.h"

typedef struct mim_convolution {
    size_t n_samples, n_positions; /* positions of x */
    size_t n_in, n_out;            /* channels */
    size_t width, stride, padding; /* padding: zeros on either side, below width */
    bool is_transposed;            /* stretches: stride positions of y for one of x */
} mim_convolution;

/* Positions of y: (n + 2 padding - width) / stride + 1; of the transpose (n - 1) stride - 2 padding
 * + width. 0 when the kernel does not fit. */
size_t mim_convolution_n_positions(const mim_convolution *shape);
/* Numbers of the array `work`, free after the call. */
size_t mim_convolution_n_work(const mim_convolution *shape);
/* Multiply-adds times 2 of a forward call. */
double mim_convolution_flop(const mim_convolution *shape);

#include "nn/as_float.h"

#include "nn/convolution_declare.h"

#include "nn/as_double.h"

#include "nn/convolution_declare.h"

#endif
