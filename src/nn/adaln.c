/* Gated residual, layer norm and modulation in one pass. */
#include "nn/adaln.h"

#include "nn/dropout_internal.h"
#include "nn/half_internal.h"
#include "nn/parallel_internal.h"
#include "nn/vector_internal.h"

enum {
    n_lanes = 16,    /* partial sums of a row */
    chunk_rows = 32, /* rows whose sums are formed in MIM_REAL; sums of chunks are in double */
    n_sums = 4,      /* dscale, dshift, dgate, dbias */
    n_columns = 64,  /* that are summed over chunks together */
};

/* Some tokens of one condition row: the unit of work. */
typedef struct chunk {
    size_t sample, condition;     /* condition: row */
    size_t token, step, n_tokens; /* first, distance, number */
} chunk;

static size_t n_parts(const mim_adaln *a)
{
    const size_t n = (a->n_tokens + a->n_conditions - 1) / a->n_conditions;
    return (n + chunk_rows - 1) / chunk_rows;
}

static size_t n_chunks(const mim_adaln *a) { return a->n_samples * a->n_conditions * n_parts(a); }

static chunk chunk_at(const mim_adaln *a, size_t number)
{
    const size_t parts = n_parts(a), group = number / parts, own = group % a->n_conditions;
    const size_t first = own + number % parts * chunk_rows * a->n_conditions;
    chunk c = {group / a->n_conditions, group, first, a->n_conditions, 0};
    if (first < a->n_tokens)
        c.n_tokens = (a->n_tokens - first + a->n_conditions - 1) / a->n_conditions;
    if (c.n_tokens > chunk_rows)
        c.n_tokens = chunk_rows;
    return c;
}

size_t mim_adaln_n_work(const mim_adaln *a) { return n_chunks(a) * n_sums * a->width; }

#include "nn/as_float.h"

#include "nn/adaln_internal.h"

#include "nn/as_double.h"

#include "nn/adaln_internal.h"

#include "nn/as_bf16.h"

#include "nn/adaln_internal.h"
