/* What the products share: the plain ones stand in where a library refuses or has no double. */
#ifndef MIM_NN_GEMM_INTERNAL_H
#define MIM_NN_GEMM_INTERNAL_H

#include "nn/gemm.h"

/* assert() of the shape's promises. */
void mim_gemm_assert(const mim_gemm_shape *shape);

void mim_gemm_plain_run_f(const mim_gemm_shape *shape, float alpha, const float *a, const float *b,
                          float beta, float *c);
void mim_gemm_plain_run_d(const mim_gemm_shape *shape, double alpha, const double *a,
                          const double *b, double beta, double *c);
void mim_gemm_plain_run_batch_f(const mim_gemm_shape *shape, const mim_gemm_batch *batch,
                                float alpha, const float *a, const float *b, float beta, float *c);
void mim_gemm_plain_run_batch_d(const mim_gemm_shape *shape, const mim_gemm_batch *batch,
                                double alpha, const double *a, const double *b, double beta,
                                double *c);

/* oneDNN's version and instructions. */
void mim_gemm_onednn_describe(size_t size, char *text);

#endif
