/* Matrix products, row-major, by a library or by plain loops, chosen at run time.
 *
 * C [m, n] = alpha op(A) op(B) + beta C, with op(A) [m, k] and op(B) [k, n]. op(X) = X or, where
 * is_ta / is_tb say so, the transpose of the stored X. ld_*: elements from a stored row to the next
 * (at least the row's length). beta = 0 means C is not read, so it may hold anything, NaN included.
 * C overlaps neither A nor B. Any of m, n, k may be 0; k = 0 leaves beta C.
 *
 * A product cannot fail: bad sizes are a programmer's mistake (assert), and where the library
 * refuses (no memory for its packing), the plain loops compute it.
 *
 * oneDNN takes scratch memory of its own, runs as many OpenMP threads as OMP_NUM_THREADS says and
 * knows no double: _d are the plain loops in both. Sums are formed in the precision of the
 * operands, in an order that depends on sizes, library and processor: results agree to some 1e-6
 * sqrt(k) of sum |a||b|, not to the bit. On one processor they are the same for any number of
 * threads (single products; and where we are built with OpenMP). Under valgrind, which knows no
 * AVX-512, use the plain ones. */
#ifndef MIM_NN_GEMM_H
#define MIM_NN_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/precision.h"

typedef struct mim_gemm_shape {
    bool is_ta, is_tb;
    size_t m, n, k;
    size_t ld_a, ld_b, ld_c;
} mim_gemm_shape;

/* Products of one shape, numbered (outer, inner): e.g. (sample, head). step_x[0] elements of X lie
 * between two outer indices, step_x[1] between two inner. No two C overlap. */
typedef struct mim_gemm_batch {
    size_t n_outer, n_inner;
    size_t step_a[2], step_b[2], step_c[2];
} mim_gemm_batch;

typedef struct mim_gemm {
    const char *name; /* "plain", "onednn" */
    void (*run_f)(const mim_gemm_shape *shape, float alpha, const float *a, const float *b,
                  float beta, float *c);
    void (*run_d)(const mim_gemm_shape *shape, double alpha, const double *a, const double *b,
                  double beta, double *c);
    void (*run_batch_f)(const mim_gemm_shape *shape, const mim_gemm_batch *batch, float alpha,
                        const float *a, const float *b, float beta, float *c);
    void (*run_batch_d)(const mim_gemm_shape *shape, const mim_gemm_batch *batch, double alpha,
                        const double *a, const double *b, double beta, double *c);
} mim_gemm;

extern const mim_gemm mim_gemm_plain;
extern const mim_gemm mim_gemm_onednn;

/* By name; NULL name: oneDNN. NULL when there is none of that name. */
const mim_gemm *mim_gemm_find(const char *name);

/* It multiplies bf16 numbers by instructions of this processor (nn/half_products.h). */
bool mim_gemm_has_bf16(const mim_gemm *gemm);
/* And they are faster than those for floats: AMX, or AMD's. Intel's VDPBF16PS without AMX does half
 * as much as its FMA (measured: 86 GFLOP/s beside 175). */
bool mim_gemm_is_fast_in_bf16(const mim_gemm *gemm);
/* What a network that may compute in `wanted` computes in: f32 instead of bf16 where that is faster
 * and, as nothing is rounded, more exact. */
mim_precision mim_gemm_precision(const mim_gemm *gemm, mim_precision wanted); /* NULL: default */

/* Name, version and the widest instructions in use, for reports: "oneDNN 2.6.3, AVX-512 VNNI". */
void mim_gemm_describe(const mim_gemm *gemm, size_t size, char *text);

#endif
