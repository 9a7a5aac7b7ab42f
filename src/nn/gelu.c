/* Bias, GELU and dropout in one pass. Compiled so that a b + c may be one rounding (Makefile): it
 * is polynomials for the most part. */
#include "nn/gelu.h"

#include "nn/dropout_internal.h"
#include "nn/half_internal.h"
#include "nn/parallel_internal.h"
#include "nn/vector_internal.h"

enum {
    chunk_rows = 32, /* rows whose bias gradient is summed in MIM_REAL; chunks are in double */
    n_columns = 64,  /* of the bias gradient that are summed over chunks together */
};

static size_t n_chunks(const mim_gelu *g)
{
    return (g->n_samples * g->n_tokens + chunk_rows - 1) / chunk_rows;
}

size_t mim_gelu_n_work(const mim_gelu *g) { return n_chunks(g) * g->width; }

#include "nn/as_float.h"

#include "nn/gelu_internal.h"

#include "nn/as_double.h"

#include "nn/gelu_internal.h"

#include "nn/as_bf16.h"

#include "nn/gelu_internal.h"
