#include "nn/half_products.h"

#include <stdlib.h>
#include <string.h>

#include "nn/gemm_internal.h"
#include "nn/half_internal.h"
#include "nn/layer_weights_internal.h"
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
    const mim_layer_weights *weights; /* NULL: none */
    bool is_native;
    size_t n_entries, n_room;
    entry *entries;
    size_t n_wide;
    float *wide; /* operands, and a result to be rounded, as floats */
};

int mim_half_products_create(const mim_gemm *gemm, const mim_layer_weights *weights,
                             mim_half_products **products)
{
    mim_half_products *p = calloc(1, sizeof *p);
    if (!p)
        return mim_fail(MIM_ENOMEM, "products in bf16");
    p->gemm = gemm;
    p->weights = weights;
    p->is_native = mim_gemm_is_fast_in_bf16(gemm);
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

void mim_half_products_set_native(mim_half_products *p, bool is_native)
{
    p->is_native = is_native && mim_gemm_has_bf16(p->gemm);
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

/* An operand as it is stored. */
typedef struct matrix {
    size_t n_rows, width, ld;
} matrix;

static matrix stored(bool is_transposed, size_t n_rows, size_t n_columns, size_t ld)
{
    return is_transposed ? (matrix){n_columns, n_rows, ld} : (matrix){n_rows, n_columns, ld};
}

/* Distance of its rows as floats: products also read down columns, which a power of two would put
 * into few sets of the first cache. */
static size_t wide_ld(const matrix *m) { return m->width % 256 ? m->width : m->width + 16; }

static void widen_matrix(const matrix *m, const mim_bf16 *x, float *wide)
{
    const size_t ld = wide_ld(m), step = row_block / (m->width + 1) + 1;
    MIM_PARALLEL_FOR(m->n_rows > step)
    for (size_t first = 0; first < m->n_rows; first += step)
        for (size_t r = first; r < m->n_rows && r < first + step; r++)
            widen(m->width, x + r * m->ld, wide + r * ld);
}

/* A product's operands as floats, and room for a result. */
typedef struct wide_product {
    mim_gemm_shape shape;
    const float *a, *b;
    float *result; /* [m][n] */
} wide_product;

/* False: there is no memory. */
static bool widen_operands(mim_half_products *p, const mim_gemm_shape *g, const mim_bf16 *a,
                           const mim_bf16 *b, bool has_result, wide_product *wide)
{
    const matrix of_a = stored(g->is_ta, g->m, g->k, g->ld_a);
    const matrix of_b = stored(g->is_tb, g->k, g->n, g->ld_b);
    const size_t n_a = of_a.n_rows * wide_ld(&of_a), n_b = of_b.n_rows * wide_ld(&of_b);
    const size_t n = n_a + n_b + (has_result ? g->m * g->n : 0);
    if (n > p->n_wide) {
        float *larger = realloc(p->wide, n * sizeof *larger);
        if (!larger)
            return false;
        p->wide = larger;
        p->n_wide = n;
    }
    *wide = (wide_product){*g, p->wide, p->wide + n_a, p->wide + n_a + n_b};
    widen_matrix(&of_a, a, p->wide);
    wide->shape.ld_a = wide_ld(&of_a);
    widen_matrix(&of_b, b, p->wide + n_a);
    wide->shape.ld_b = wide_ld(&of_b);
    return true;
}

static void run_wide(mim_half_products *p, const mim_gemm_shape *g, const mim_bf16 *a,
                     const mim_bf16 *b, bool is_added, float *c)
{
    wide_product wide;
    if (widen_operands(p, g, a, b, false, &wide))
        p->gemm->run_f(&wide.shape, 1, wide.a, wide.b, is_added ? 1 : 0, c);
    else
        mim_half_product_plain(g, a, b, is_added, c);
}

static void run_wide_rounded(mim_half_products *p, const mim_gemm_shape *g, const mim_bf16 *a,
                             const mim_bf16 *b, mim_bf16 *c)
{
    wide_product wide;
    if (!widen_operands(p, g, a, b, true, &wide)) {
        mim_half_product_plain_rounded(g, a, b, c);
        return;
    }
    wide.shape.ld_c = g->n;
    p->gemm->run_f(&wide.shape, 1, wide.a, wide.b, 0, wide.result);
    if (g->ld_c == g->n)
        mim_half_from_float(g->m * g->n, wide.result, c);
    else
        for (size_t i = 0; i < g->m; i++)
            narrow(g->n, wide.result + i * g->n, c + i * g->ld_c);
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
    mim_onednn_packs *packs = is_weights ? mim_layer_weights_packs(p->weights) : NULL;
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
