/* Attention without stored probabilities. Compiled so that a b + c may be one rounding (Makefile):
 * half of its work is small products. */
#include "nn/attend.h"

#include <stdlib.h>

#include "nn/dropout_internal.h"
#include "nn/half_internal.h"
#include "nn/parallel_internal.h"
#include "nn/tile_internal.h"
#include "nn/vector_internal.h"

enum {
    lanes = MIM_TILE_LANES,
    query_block = 24, /* a tile of scores and what it is made of stay in the first cache */
    key_block = 256,  /* a multiple of lanes, at most MIM_DROPOUT_DRAWS */
    max_workers = 64, /* that have memory of their own */
};

/* What a worker's memory is made of: arrays as long as queries, as keys, and tiles. */
typedef enum part {
    Q,
    Y, /* forward: the result; backward: its gradient */
    DQ,
    K,
    V,
    DK,
    DV,
    KEYS_T,
    VALUES_T,
    SCORES,
    D_SCORES,
    ROUNDED, /* both, rounded */
    N_PARTS
} part;

static size_t pad(size_t n) { return (n + lanes - 1) / lanes * lanes; }

static size_t even(size_t n) { return n + n % 2; }

size_t mim_attend_n_log_sums(const mim_attention *s)
{
    return s->n_samples * s->n_heads * s->n_queries;
}

static size_t part_size(const mim_attention *s, part p)
{
    if (p >= SCORES)
        return query_block * key_block;
    return pad(s->head_width) * (p < K ? even(s->n_queries) : pad(s->n_keys));
}

static size_t worker_size(const mim_attention *s)
{
    size_t sum = 2 * pad(s->n_queries); /* of each query's sums so far */
    for (int p = 0; p < N_PARTS; p++)
        sum += part_size(s, (part)p);
    return sum;
}

static size_t n_workers(const mim_attention *s)
{
    const size_t n_heads = s->n_samples * s->n_heads;
    return n_heads < max_workers ? n_heads : max_workers;
}

/* Draws made last: of n_rows (0: none yet) rows of probabilities, from key `first` on. */
typedef struct drawn {
    size_t row, n_rows, first;
    const mim_draw *draws;
    mim_draws room;
} drawn;

/* Draws of n keys of a row of a sample's probabilities; where rows are short and whole, of those
 * behind it in the same go. */
static const mim_draw *draw(const mim_attention *s, size_t sample, size_t row, size_t first,
                            size_t n, drawn *d)
{
    if (d->n_rows > 0 && row - d->row < d->n_rows && first == d->first) /* huge for rows before */
        return d->draws + (row - d->row) * s->n_keys;
    const size_t left = s->n_heads * s->n_queries - row, most = MIM_DROPOUT_DRAWS / n;
    d->row = row;
    d->first = first;
    d->n_rows = n < s->n_keys ? 1 : most < left ? most : left;
    d->draws =
        mim_dropout_draw(s->dropout, sample, row * s->n_keys + first, d->n_rows * n, &d->room);
    return d->draws;
}

size_t mim_attend_n_work(const mim_attention *s)
{
    return n_workers(s) * worker_size(s) + 3 * s->n_samples * s->n_heads * s->head_width;
}

#include "nn/as_float.h"

#include "nn/lanes_internal.h"

#include "nn/attend_internal.h"

#include "nn/as_double.h"

#include "nn/lanes_internal.h"

#include "nn/attend_internal.h"

#include "nn/as_bf16.h"

#include "nn/lanes_internal.h"

#include "nn/attend_internal.h"
