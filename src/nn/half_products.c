#include "nn/half_products.h"

#include <stdlib.h>
#include <string.h>

#include "nn/gemm_internal.h"
#include "nn/half_internal.h"
#include "nn/half_weights_internal.h"
#include "nn/parallel_internal.h"

enum { row_block = 4096 }; /* numbers converted at a time */

/* A product met before. */
typedef struct entry {
    mim_gemm_shape shape;
    const mim_bf16 *weights; /* NULL: B is none */
    bool is_added, gives_half;
    mim_onednn_plan *plan;
} entry;

struct mim_half_products {
    const mim_gemm *gemm;
    const mim_half_weights *weights; /* NULL: none */
    bool is_native;
    size_t n_entries, n_room;
    entry *entries;
    size_t n_wide;
    float *wide; /* operands, and a result to be rounded, as floats */
};

int mim_half_products_create(const mim_gemm *gemm, const mim_half_weights *weights,
                             mim_half_products **products)
{
    mim_half_products *p = calloc(1, sizeof *p);
    if (!p)
        return mim_fail(MIM_ENOMEM, "products in bf16");
    p->gemm = gemm;
    p->weights = weights;
    p->is_native = mim_gemm_has_bf16(gemm);
    *products = p;
    return MIM_OK;
}

void mim_half_products_destroy(mim_half_products **products)
{
    mim_half_products *p = *products;
    if (!p)
        return;
    *products = NULL;
    for (size_t i = 0; i < p->n_entries; i++)
        mim_onednn_plan_destroy(&p->entries[i].plan);
    free(p->entries);
    free(p->wide);
    free(p);
}

/* ---- conversion ----------------------------------------------------------------------------- */

MIM_VECTOR static void narrow(size_t n, const float *x, mim_bf16 *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = mim_to_half_h(x[i]);
}

MIM_VECTOR static void widen(size_t n, const mim_bf16 *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = mim_of_half_h(x[i]);
}

void mim_half_from_float(size_t n, const float *x, mim_bf16 *y)
{
    MIM_PARALLEL_FOR(n > row_block)
    for (size_t i = 0; i < n; i += row_block)
        narrow(n - i < row_block ? n - i : row_block, x + i, y + i);
}

void mim_half_to_float(size_t n, const mim_bf16 *x, float *y)
{
    MIM_PARALLEL_FOR(n > row_block)
    for (size_t i = 0; i < n; i += row_block)
        widen(n - i < row_block ? n - i : row_block, x + i, y + i);
}

/* ---- by floats ------------------------------------------------------------------------------ */

static size_t extent(size_t n_rows, size_t n_columns, size_t ld)
{
    return n_rows == 0 ? 0 : (n_rows - 1) * ld + n_columns;
}

/* A as floats, B at *wide_b, room for n_more numbers at *more; what lies between rows is widened,
 * too, and not used. NULL: there is no memory. */
static float *widen_operands(mim_half_products *p, const mim_gemm_shape *g, const mim_bf16 *a,
                             const mim_bf16 *b, size_t n_more, float **wide_b, float **more)
{
    const size_t n_a = g->is_ta ? extent(g->k, g->m, g->ld_a) : extent(g->m, g->k, g->ld_a);
    const size_t n_b = g->is_tb ? extent(g->n, g->k, g->ld_b) : extent(g->k, g->n, g->ld_b);
    const size_t n = n_a + n_b + n_more;
    if (n > p->n_wide) {
        float *larger = realloc(p->wide, n * sizeof *larger);
        if (!larger)
            return NULL;
        p->wide = larger;
        p->n_wide = n;
    }
    *wide_b = p->wide + n_a;
    *more = *wide_b + n_b;
    mim_half_to_float(n_a, a, p->wide);
    mim_half_to_float(n_b, b, *wide_b);
    return p->wide;
}

static void run_wide(mim_half_products *p, const mim_gemm_shape *g, const mim_bf16 *a,
                     const mim_bf16 *b, bool is_added, float *c)
{
    float *wide_b, *more;
    const float *wide_a = widen_operands(p, g, a, b, 0, &wide_b, &more);
    if (wide_a)
        p->gemm->run_f(g, 1, wide_a, wide_b, is_added ? 1 : 0, c);
    else
        mim_half_product_plain(g, a, b, is_added, c);
}

static void run_wide_rounded(mim_half_products *p, const mim_gemm_shape *g, const mim_bf16 *a,
                             const mim_bf16 *b, mim_bf16 *c)
{
    mim_gemm_shape dense = *g;
    float *wide_b, *result;
    const float *wide_a = widen_operands(p, g, a, b, g->m * g->n, &wide_b, &result);
    if (!wide_a) {
        mim_half_product_plain_rounded(g, a, b, c);
        return;
    }
    dense.ld_c = g->n;
    p->gemm->run_f(&dense, 1, wide_a, wide_b, 0, result);
    for (size_t i = 0; i < g->m; i++)
        narrow(g->n, result + i * g->n, c + i * g->ld_c);
}

/* Element i, j of the product, added to `sum`. */
static float element(const mim_gemm_shape *g, const mim_bf16 *a, const mim_bf16 *b, size_t i,
                     size_t j, float sum)
{
    const size_t a_row = g->is_ta ? 1 : g->ld_a, a_column = g->is_ta ? g->ld_a : 1;
    const size_t b_row = g->is_tb ? 1 : g->ld_b, b_column = g->is_tb ? g->ld_b : 1;
    for (size_t k = 0; k < g->k; k++)
        sum +=
            mim_of_half_h(a[i * a_row + k * a_column]) * mim_of_half_h(b[k * b_row + j * b_column]);
    return sum;
}

void mim_half_product_plain(const mim_gemm_shape *g, const mim_bf16 *a, const mim_bf16 *b,
                            bool is_added, float *c)
{
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++)
            c[i * g->ld_c + j] = element(g, a, b, i, j, is_added ? c[i * g->ld_c + j] : 0);
}

void mim_half_product_plain_rounded(const mim_gemm_shape *g, const mim_bf16 *a, const mim_bf16 *b,
                                    mim_bf16 *c)
{
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++)
            c[i * g->ld_c + j] = mim_to_half_h(element(g, a, b, i, j, 0));
}

/* ---- by the processor ----------------------------------------------------------------------- */

static bool is_same(const mim_gemm_shape *a, const mim_gemm_shape *b)
{
    return a->is_ta == b->is_ta && a->is_tb == b->is_tb && a->m == b->m && a->n == b->n &&
           a->k == b->k && a->ld_a == b->ld_a && a->ld_b == b->ld_b && a->ld_c == b->ld_c;
}

static entry *find(mim_half_products *p, const mim_gemm_shape *shape, mim_onednn_packs *packs,
                   const mim_bf16 *weights, bool is_added, bool gives_half)
{
    for (size_t i = 0; i < p->n_entries; i++) {
        entry *e = &p->entries[i];
        if (e->weights == weights && e->is_added == is_added && e->gives_half == gives_half &&
            is_same(&e->shape, shape))
            return e;
    }
    if (p->n_entries == p->n_room) {
        const size_t n = 2 * p->n_room + 16;
        entry *more = realloc(p->entries, n * sizeof *more);
        if (!more)
            return NULL;
        p->entries = more;
        p->n_room = n;
    }
    entry *made = &p->entries[p->n_entries];
    *made = (entry){
        .shape = *shape, .weights = weights, .is_added = is_added, .gives_half = gives_half};
    const mim_plan_kind kind = {.is_half = true, .gives_half = gives_half, .is_added = is_added};
    if (!mim_onednn_plan_create(shape, kind, packs, weights, &made->plan))
        made->plan = NULL; /* and it is not tried again */
    p->n_entries++;
    return made;
}

/* False: nothing has been done. */
static bool run_native(mim_half_products *p, const mim_gemm_shape *shape, const mim_bf16 *a,
                       const mim_bf16 *b, bool is_weights, bool is_added, bool gives_half, void *c)
{
    mim_onednn_packs *packs = is_weights ? mim_half_weights_packs(p->weights) : NULL;
    entry *e = find(p, shape, packs, packs ? b : NULL, is_added, gives_half);
    if (!e || !e->plan)
        return false;
    mim_onednn_plan_run(e->plan, a, b, c);
    return true;
}

void mim_half_products_run(mim_half_products *p, const mim_gemm_shape *shape, const mim_bf16 *a,
                           const mim_bf16 *b, bool is_weights, bool is_added, float *c)
{
    mim_gemm_assert(shape);
    if (!p->is_native || !run_native(p, shape, a, b, is_weights, is_added, false, c))
        run_wide(p, shape, a, b, is_added, c);
}

void mim_half_products_run_rounded(mim_half_products *p, const mim_gemm_shape *shape,
                                   const mim_bf16 *a, const mim_bf16 *b, bool is_weights,
                                   mim_bf16 *c)
{
    mim_gemm_assert(shape);
    if (!p->is_native || !run_native(p, shape, a, b, is_weights, false, true, c))
        run_wide_rounded(p, shape, a, b, c);
}
