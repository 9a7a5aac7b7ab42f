#include "nn/layer_weights_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/vector.h"
#include "nn/half_products.h"
#include "nn/parallel_internal.h"

/* A matrix, and its transpose as of the last load. */
typedef struct turned {
    size_t offset, n_rows, n_columns;
    float *transpose;
} turned;

struct mim_layer_weights {
    size_t n;
    mim_bf16 *numbers;       /* NULL: in f32 */
    mim_onednn_packs *packs; /* NULL: nobody would use them */
    bool is_packed;
    size_t n_turned, n_room;
    turned *turned; /* by offset, in f32 */
};

int mim_layer_weights_create(const mim_gemm *gemm, mim_precision precision, size_t n,
                             mim_layer_weights **weights)
{
    mim_layer_weights *made = calloc(1, sizeof *made);
    int rc = MIM_OK;
    gemm = gemm ? gemm : mim_gemm_find(NULL);
    const bool is_half = precision == MIM_PRECISION_BF16;
    if (!made || (is_half && !(made->numbers = calloc(n, sizeof *made->numbers))))
        rc = mim_fail(MIM_ENOMEM, "%zu parameters in %s", n, mim_precision_name(precision));
    if (rc == MIM_OK && is_half && mim_gemm_has_bf16(gemm))
        rc = mim_onednn_packs_create(&made->packs);
    if (rc != MIM_OK) {
        mim_layer_weights_destroy(&made);
        return rc;
    }
    made->n = n;
    made->is_packed = true;
    *weights = made;
    return MIM_OK;
}

void mim_layer_weights_destroy(mim_layer_weights **weights)
{
    mim_layer_weights *old = *weights;
    if (!old)
        return;
    *weights = NULL;
    mim_onednn_packs_destroy(&old->packs);
    for (size_t i = 0; i < old->n_turned; i++)
        free(old->turned[i].transpose);
    free(old->turned);
    free(old->numbers);
    free(old);
}

size_t mim_layer_weights_n_bytes(const mim_layer_weights *w)
{
    size_t sum = w->numbers ? w->n * sizeof *w->numbers : 0;
    for (size_t i = 0; i < w->n_turned; i++)
        sum += w->turned[i].n_rows * w->turned[i].n_columns * sizeof(float);
    return sum;
}

/* Of the matrices, the first that does not stand before `offset`. */
static size_t place_of(const mim_layer_weights *w, size_t offset)
{
    size_t first = 0, end = w->n_turned;
    while (first < end) {
        const size_t middle = (first + end) / 2;
        if (w->turned[middle].offset < offset)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

int mim_layer_weights_add(mim_layer_weights *w, size_t offset, size_t n_rows, size_t n_columns)
{
    const size_t place = place_of(w, offset);
    if (w->numbers || mim_layer_weights_transposed(w, offset))
        return MIM_OK;
    if (w->n_turned == w->n_room) {
        const size_t n = 2 * w->n_room + 16;
        turned *more = realloc(w->turned, n * sizeof *more);
        if (!more)
            return mim_fail(MIM_ENOMEM, "%zu transposed matrices", n);
        w->turned = more;
        w->n_room = n;
    }
    float *transpose = calloc(n_rows * n_columns, sizeof *transpose);
    if (!transpose)
        return mim_fail(MIM_ENOMEM, "a transposed matrix of %zu by %zu", n_columns, n_rows);
    memmove(w->turned + place + 1, w->turned + place, (w->n_turned - place) * sizeof *w->turned);
    turned *made = &w->turned[place];
    made->offset = offset;
    made->n_rows = n_rows;
    made->n_columns = n_columns;
    made->transpose = transpose;
    w->n_turned++;
    return MIM_OK;
}

/* `rows` (a constant where it matters: then it becomes vector code) of x's rows from r on. */
MIM_INLINE void turn_rows(size_t rows, size_t n_rows, size_t n_columns, size_t r, size_t first,
                          size_t n, const float *x, float *restrict transpose)
{
    for (size_t c = first; c < first + n; c++)
        for (size_t i = 0; i < rows; i++)
            transpose[c * n_rows + r + i] = x[(r + i) * n_columns + c];
}

/* Columns first .. first + n - 1 of x [n_rows][n_columns] become rows of `transpose`. */
MIM_VECTOR static void turn(size_t n_rows, size_t n_columns, size_t first, size_t n, const float *x,
                            float *restrict transpose)
{
    enum { block = 16 };
    size_t r = 0;
    for (; r + block <= n_rows; r += block)
        turn_rows(block, n_rows, n_columns, r, first, n, x, transpose);
    turn_rows(n_rows - r, n_rows, n_columns, r, first, n, x, transpose);
}

static void turn_all(const turned *m, const float *values)
{
    enum { n_at_once = 16 };
    const float *x = values + m->offset;
    MIM_PARALLEL_FOR(m->n_columns > n_at_once)
    for (size_t c = 0; c < m->n_columns; c += n_at_once)
        turn(m->n_rows, m->n_columns, c,
             m->n_columns - c < n_at_once ? m->n_columns - c : n_at_once, x, m->transpose);
}

void mim_layer_weights_load(mim_layer_weights *w, const float *values)
{
    for (size_t i = 0; i < w->n_turned; i++)
        turn_all(&w->turned[i], values);
    if (w->numbers) {
        mim_half_from_float(w->n, values, w->numbers);
        w->is_packed = !w->packs || mim_onednn_packs_renew(w->packs);
    }
}

const mim_bf16 *mim_layer_weights_half(const mim_layer_weights *w, size_t offset)
{
    return w->numbers + offset;
}

const float *mim_layer_weights_transposed(const mim_layer_weights *w, size_t offset)
{
    const size_t place = place_of(w, offset);
    const bool is_here = place < w->n_turned && w->turned[place].offset == offset;
    return is_here ? w->turned[place].transpose : NULL;
}

mim_onednn_packs *mim_layer_weights_packs(const mim_layer_weights *w)
{
    return w->is_packed ? w->packs : NULL;
}
