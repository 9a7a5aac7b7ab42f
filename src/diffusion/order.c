#include "diffusion/order.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/rng.h"

struct mim_order {
    uint64_t seed;
    size_t n;      /* that can come */
    size_t *which; /* [n] of all examples; NULL: all of them can come */
    /* Of the alias table, NULL when all are alike: an example stays with this probability, else its
     * alias comes. */
    double *stays; /* [n] */
    size_t *alias; /* [n] */
};

/* ---- all alike: a permutation each time round ----------------------------------------------- */

/* A Feistel network permutes 0 .. 2^(2 half) - 1; what falls beyond n - 1 is permuted again. */
static uint64_t permute(uint64_t seed, uint64_t epoch, unsigned half, uint64_t value)
{
    const uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t left = value >> half, right = value & mask;
    for (uint32_t round = 0; round < 6; round++) {
        const uint64_t next =
            left ^ (mim_rng_u32(seed, MIM_STREAM_EXAMPLES, epoch, round, (uint32_t)right) & mask);
        left = right;
        right = next;
    }
    return left << half | right;
}

static size_t shuffled(uint64_t seed, size_t n, uint64_t position)
{
    unsigned half = 1;
    while (half < 31 && UINT64_C(1) << (2 * half) < n)
        half++;
    uint64_t value = position % n;
    do
        value = permute(seed, position / n, half, value);
    while (value >= n);
    return (size_t)value;
}

/* ---- weights -------------------------------------------------------------------------------- */

static size_t drawn(const mim_order *o, uint64_t position)
{
    const double column = mim_rng_u01(o->seed, MIM_STREAM_DRAW, position, 0, 0) * (double)o->n;
    const size_t i = column < (double)o->n ? (size_t)column : o->n - 1;
    return mim_rng_u01(o->seed, MIM_STREAM_DRAW, position, 0, 1) < o->stays[i] ? i : o->alias[i];
}

/* Vose's algorithm: columns with too little are filled up by one that has too much. `todo`: room
 * for n; stays: the weights. */
static void fill_table(size_t n, double sum, size_t *todo, double *stays, size_t *alias)
{
    size_t n_small = 0, n_large = 0; /* small ones from the front, large ones from the back */
    for (size_t i = 0; i < n; i++) {
        stays[i] *= (double)n / sum;
        alias[i] = i;
        if (stays[i] < 1)
            todo[n_small++] = i;
        else
            todo[n - ++n_large] = i;
    }
    while (n_small > 0 && n_large > 0) {
        const size_t small = todo[--n_small], large = todo[n - n_large];
        alias[small] = large;
        stays[large] -= 1 - stays[small];
        if (stays[large] < 1) {
            n_large--;
            todo[n_small++] = large;
        }
    }
    while (n_large > 0) /* the rest are 1 but for rounding */
        stays[todo[n - n_large--]] = 1;
    while (n_small > 0)
        stays[todo[--n_small]] = 1;
}

static int make_table(mim_order *o, const double *weights)
{
    double sum = 0;
    size_t *todo = calloc(o->n, sizeof *todo);
    o->stays = calloc(o->n, sizeof *o->stays);
    o->alias = calloc(o->n, sizeof *o->alias);
    if (!todo || !o->stays || !o->alias) {
        free(todo);
        return mim_fail(MIM_ENOMEM, "weights of %zu examples", o->n);
    }
    for (size_t i = 0; i < o->n; i++) {
        o->stays[i] = weights[o->which ? o->which[i] : i];
        sum += o->stays[i];
    }
    fill_table(o->n, sum, todo, o->stays, o->alias);
    free(todo);
    return MIM_OK;
}

/* Lists those that can come when not all can; *are_alike: whether these have one weight. */
static int take(mim_order *o, size_t n, const double *weights, bool *are_alike)
{
    double first = 0;
    *are_alike = true;
    for (size_t i = 0; i < n; i++) {
        if (!(weights[i] >= 0 && isfinite(weights[i])))
            return mim_fail(MIM_EINVAL, "example %zu has the weight %g", i, weights[i]);
        if (!(weights[i] > 0))
            continue;
        if (o->n++ == 0)
            first = weights[i];
        *are_alike = *are_alike && !(weights[i] < first || weights[i] > first);
    }
    if (o->n == 0)
        return mim_fail(MIM_EDATA, "none of the %zu examples has a weight", n);
    if (o->n == n)
        return MIM_OK;
    if (!(o->which = calloc(o->n, sizeof *o->which)))
        return mim_fail(MIM_ENOMEM, "list of %zu examples", o->n);
    for (size_t i = 0, k = 0; i < n; i++)
        if (weights[i] > 0)
            o->which[k++] = i;
    return MIM_OK;
}

int mim_order_create(uint64_t seed, size_t n, const double *weights, mim_order **order)
{
    bool are_alike = true;
    if (n < 1)
        return mim_fail(MIM_EDATA, "no examples to train on");
    mim_order *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "order of %zu examples", n);
    made->seed = seed;
    made->n = weights ? 0 : n;
    int rc = weights ? take(made, n, weights, &are_alike) : MIM_OK;
    if (rc == MIM_OK && !are_alike)
        rc = make_table(made, weights);
    if (rc == MIM_OK) {
        *order = made;
        made = NULL;
    }
    mim_order_destroy(&made);
    return rc;
}

void mim_order_destroy(mim_order **order)
{
    mim_order *old = *order;
    if (!old)
        return;
    *order = NULL;
    free(old->which);
    free(old->stays);
    free(old->alias);
    free(old);
}

size_t mim_order_at(const mim_order *o, uint64_t position)
{
    const size_t i = o->stays ? drawn(o, position) : shuffled(o->seed, o->n, position);
    return o->which ? o->which[i] : i;
}

size_t mim_order_n(const mim_order *order) { return order->n; }
