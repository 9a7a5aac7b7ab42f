/* Products by oneDNN (C API 2.x: *_desc_init). The only file that knows the library. */
#include "nn/gemm_internal.h"

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "nn/half_products.h"
#include "nn/parallel_internal.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* A piece of C and what it is made of. */
static mim_gemm_shape piece_of(const mim_gemm_shape *g, const mim_gemm_cut *cut, size_t number,
                               size_t *a, size_t *b, size_t *c)
{
    mim_gemm_shape piece = *g;
    const size_t row = number / cut->n_columns * cut->row_step;
    const size_t column = number % cut->n_columns * cut->column_step;
    *a = row * (g->is_ta ? 1 : g->ld_a);
    *b = column * (g->is_tb ? g->ld_b : 1);
    *c = row * g->ld_c + column;
    piece.m = least(g->m - row, cut->row_step);
    piece.n = least(g->n - column, cut->column_step);
    return piece;
}

static void run_piece(const mim_gemm_shape *g, float alpha, const float *a, const float *b,
                      float beta, float *c)
{
    if (g->k == 0 ||
        dnnl_sgemm(g->is_ta ? 'T' : 'N', g->is_tb ? 'T' : 'N', (dnnl_dim_t)g->m, (dnnl_dim_t)g->n,
                   (dnnl_dim_t)g->k, alpha, a, (dnnl_dim_t)g->ld_a, b, (dnnl_dim_t)g->ld_b, beta, c,
                   (dnnl_dim_t)g->ld_c) != dnnl_success)
        mim_gemm_plain_run_f(g, alpha, a, b, beta, c);
}

/* One piece also stands in a parallel region: else the library would share it out by itself, in a
 * way that depends on the number of threads. */
static void run(const mim_gemm_shape *g, float alpha, const float *a, const float *b, float beta,
                float *c)
{
    mim_gemm_assert(g);
    if (g->m == 0 || g->n == 0)
        return;
    const mim_gemm_cut cut = mim_gemm_cut_of(g, false);
    MIM_PARALLEL_FOR(true)
    for (size_t i = 0; i < cut.n_pieces; i++) {
        size_t at_a, at_b, at_c;
        const mim_gemm_shape piece = piece_of(g, &cut, i, &at_a, &at_b, &at_c);
        run_piece(&piece, alpha, a + at_a, b + at_b, beta, c + at_c);
    }
}

/* ---- many small products in one matmul primitive -------------------------------------------- */

/* [n_outer, n_inner, rows, columns] with the strides of one operand. */
static dnnl_status_t describe(const mim_gemm_batch *batch, const size_t step[2], size_t rows,
                              size_t columns, size_t ld, bool is_transposed,
                              dnnl_memory_desc_t *desc)
{
    const dnnl_dims_t dims = {(dnnl_dim_t)batch->n_outer, (dnnl_dim_t)batch->n_inner,
                              (dnnl_dim_t)rows, (dnnl_dim_t)columns};
    const dnnl_dims_t strides = {(dnnl_dim_t)step[0], (dnnl_dim_t)step[1],
                                 is_transposed ? 1 : (dnnl_dim_t)ld,
                                 is_transposed ? (dnnl_dim_t)ld : 1};
    return dnnl_memory_desc_init_by_strides(desc, 4, dims, dnnl_f32, strides);
}

/* Everything of one call. Making it anew each time costs microseconds: the library keeps the
 * compiled code. */
typedef struct matmul {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t post_ops;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c;
} matmul;

static void release(matmul *m)
{
    if (m->a)
        dnnl_memory_destroy(m->a);
    if (m->b)
        dnnl_memory_destroy(m->b);
    if (m->c)
        dnnl_memory_destroy(m->c);
    if (m->primitive)
        dnnl_primitive_destroy(m->primitive);
    if (m->desc)
        dnnl_primitive_desc_destroy(m->desc);
    if (m->post_ops)
        dnnl_post_ops_destroy(m->post_ops);
    if (m->attributes)
        dnnl_primitive_attr_destroy(m->attributes);
    if (m->stream)
        dnnl_stream_destroy(m->stream);
    if (m->engine)
        dnnl_engine_destroy(m->engine);
}

/* alpha scales the product, the post-operation adds beta times what C held. */
static dnnl_status_t set_scales(matmul *m, float alpha, float beta)
{
    dnnl_status_t status = dnnl_primitive_attr_create(&m->attributes);
    if (status == dnnl_success && alpha != 1)
        status = dnnl_primitive_attr_set_output_scales(m->attributes, 1, 0, &alpha);
    if (status == dnnl_success && beta != 0) {
        status = dnnl_post_ops_create(&m->post_ops);
        if (status == dnnl_success)
            status = dnnl_post_ops_append_sum(m->post_ops, beta);
        if (status == dnnl_success)
            status = dnnl_primitive_attr_set_post_ops(m->attributes, m->post_ops);
    }
    return status;
}

static dnnl_status_t prepare(matmul *m, const mim_gemm_shape *g, const mim_gemm_batch *batch,
                             float alpha, const float *a, const float *b, float beta, float *c)
{
    dnnl_memory_desc_t desc_a, desc_b, desc_c;
    dnnl_matmul_desc_t operation;
    dnnl_status_t status;
    /* The library's operands are not const; it only reads a and b. */
    void *data_a = (void *)(uintptr_t)a, *data_b = (void *)(uintptr_t)b;
    if ((status = describe(batch, batch->step_a, g->m, g->k, g->ld_a, g->is_ta, &desc_a)) ||
        (status = describe(batch, batch->step_b, g->k, g->n, g->ld_b, g->is_tb, &desc_b)) ||
        (status = describe(batch, batch->step_c, g->m, g->n, g->ld_c, false, &desc_c)) ||
        (status = dnnl_engine_create(&m->engine, dnnl_cpu, 0)) ||
        (status = dnnl_stream_create(&m->stream, m->engine, dnnl_stream_default_flags)) ||
        (status = set_scales(m, alpha, beta)) ||
        (status = dnnl_matmul_desc_init(&operation, &desc_a, &desc_b, NULL, &desc_c)) ||
        (status =
             dnnl_primitive_desc_create(&m->desc, &operation, m->attributes, m->engine, NULL)) ||
        (status = dnnl_primitive_create(&m->primitive, m->desc)) ||
        (status = dnnl_memory_create(&m->a, &desc_a, m->engine, data_a)) ||
        (status = dnnl_memory_create(&m->b, &desc_b, m->engine, data_b)) ||
        (status = dnnl_memory_create(&m->c, &desc_c, m->engine, c)))
        return status;
    return dnnl_success;
}

static void run_batch(const mim_gemm_shape *g, const mim_gemm_batch *batch, float alpha,
                      const float *a, const float *b, float beta, float *c)
{
    matmul m = {0};
    dnnl_status_t status = dnnl_invalid_arguments;
    mim_gemm_assert(g);
    if (g->m == 0 || g->n == 0 || batch->n_outer == 0 || batch->n_inner == 0)
        return;
    if (g->k > 0)
        status = prepare(&m, g, batch, alpha, a, b, beta, c);
    if (status == dnnl_success) {
        const dnnl_exec_arg_t arguments[] = {
            {DNNL_ARG_SRC, m.a}, {DNNL_ARG_WEIGHTS, m.b}, {DNNL_ARG_DST, m.c}};
        status = dnnl_primitive_execute(m.primitive, m.stream, 3, arguments);
        if (status == dnnl_success)
            status = dnnl_stream_wait(m.stream);
    }
    release(&m);
    if (status != dnnl_success)
        mim_gemm_plain_run_batch_f(g, batch, alpha, a, b, beta, c);
}

/* ---- products made ready once --------------------------------------------------------------- */

static bool has_isa(dnnl_cpu_isa_t isa) { return (dnnl_get_effective_cpu_isa() & isa) == isa; }

bool mim_onednn_has_bf16(void) { return has_isa(dnnl_cpu_isa_avx512_core_bf16); }

bool mim_onednn_has_amx(void) { return has_isa(dnnl_cpu_isa_avx512_core_amx); }

static void forget_memory(dnnl_memory_t memory)
{
    if (memory)
        dnnl_memory_destroy(memory);
}

static void forget_primitive(dnnl_primitive_t primitive)
{
    if (primitive)
        dnnl_primitive_destroy(primitive);
}

/* The library's operands are not const; it only reads a and b. */
static void *writable(const void *data) { return (void *)(uintptr_t)data; }

/* ---- matrices rearranged once for many ------------------------------------------------------ */

typedef struct pack {
    const void *matrix;
    dnnl_memory_desc_t plain, packed;
    dnnl_stream_t stream;
    dnnl_primitive_t reorder;
    dnnl_memory_t from, to;
    bool is_renewed; /* the last time it was asked */
} pack;

struct mim_onednn_packs {
    pthread_mutex_t lock; /* of what follows: plans of several threads ask for theirs */
    dnnl_engine_t engine;
    size_t n, n_room;
    pack *all;
};

int mim_onednn_packs_create(mim_onednn_packs **packs)
{
    mim_onednn_packs *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "rearranged matrices");
    if (dnnl_engine_create(&made->engine, dnnl_cpu, 0) != dnnl_success) {
        free(made);
        return mim_fail(MIM_ENOMEM, "rearranged matrices: oneDNN has no engine");
    }
    pthread_mutex_init(&made->lock, NULL);
    *packs = made;
    return MIM_OK;
}

static void pack_clear(pack *p)
{
    forget_primitive(p->reorder);
    forget_memory(p->from);
    forget_memory(p->to);
    if (p->stream)
        dnnl_stream_destroy(p->stream);
}

void mim_onednn_packs_destroy(mim_onednn_packs **packs)
{
    mim_onednn_packs *old = *packs;
    if (!old)
        return;
    *packs = NULL;
    for (size_t i = 0; i < old->n; i++)
        pack_clear(&old->all[i]);
    free(old->all);
    dnnl_engine_destroy(old->engine);
    pthread_mutex_destroy(&old->lock);
    free(old);
}

static bool pack_renew(const pack *p)
{
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, p->from}, {DNNL_ARG_TO, p->to}};
    return dnnl_primitive_execute(p->reorder, p->stream, 2, arguments) == dnnl_success &&
           dnnl_stream_wait(p->stream) == dnnl_success;
}

bool mim_onednn_packs_renew(mim_onednn_packs *packs)
{
    bool are_renewed = true;
    MIM_PARALLEL_FOR(packs->n > 1)
    for (size_t i = 0; i < packs->n; i++)
        packs->all[i].is_renewed = pack_renew(&packs->all[i]);
    for (size_t i = 0; i < packs->n; i++)
        are_renewed = are_renewed && packs->all[i].is_renewed;
    return are_renewed;
}

static dnnl_status_t pack_make(mim_onednn_packs *packs, pack *p)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status;
    if ((status = dnnl_stream_create(&p->stream, packs->engine, dnnl_stream_default_flags)) ||
        (status = dnnl_memory_create(&p->from, &p->plain, packs->engine, writable(p->matrix))) ||
        (status = dnnl_memory_create(&p->to, &p->packed, packs->engine, DNNL_MEMORY_ALLOCATE)) ||
        (status = dnnl_reorder_primitive_desc_create(&desc, &p->plain, packs->engine, &p->packed,
                                                     packs->engine, NULL)) ||
        (status = dnnl_primitive_create(&p->reorder, desc)))
        ;
    else if (!pack_renew(p))
        status = dnnl_runtime_error;
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return status;
}

/* The matrix as it is wanted, or what it becomes; NULL: it cannot be had. */
static void *find_or_make(mim_onednn_packs *packs, const pack *wanted)
{
    void *data = NULL;
    size_t i = 0;
    while (i < packs->n && (packs->all[i].matrix != wanted->matrix ||
                            !dnnl_memory_desc_equal(&packs->all[i].plain, &wanted->plain) ||
                            !dnnl_memory_desc_equal(&packs->all[i].packed, &wanted->packed)))
        i++;
    if (i == packs->n && i == packs->n_room) {
        const size_t n_room = 2 * packs->n_room + 16;
        pack *more = realloc(packs->all, n_room * sizeof *more);
        if (!more)
            return NULL;
        packs->all = more;
        packs->n_room = n_room;
    }
    if (i == packs->n) {
        packs->all[i] = *wanted;
        if (pack_make(packs, &packs->all[i]) != dnnl_success) {
            pack_clear(&packs->all[i]);
            return NULL;
        }
        packs->n++;
    }
    return dnnl_memory_get_data_handle(packs->all[i].to, &data) == dnnl_success ? data : NULL;
}

static void *packed_matrix(mim_onednn_packs *packs, const void *matrix,
                           const dnnl_memory_desc_t *plain, const dnnl_memory_desc_t *packed)
{
    const pack wanted = {.matrix = matrix, .plain = *plain, .packed = *packed};
    if (dnnl_memory_desc_equal(plain, packed))
        return writable(matrix);
    pthread_mutex_lock(&packs->lock);
    void *data = find_or_make(packs, &wanted);
    pthread_mutex_unlock(&packs->lock);
    return data;
}

/* ---- plans ---------------------------------------------------------------------------------- */

/* Pieces of one size; those of the last row and of the last column may be of others. */
typedef struct piece_kind {
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t a, b, c, scratch; /* b: as the primitive wants it */
    void *weights;                       /* packed; NULL: B is none */
} piece_kind;

enum { N_KINDS = 4 };

/* What executing a piece takes; each has its own, so that threads do not meet. scratch: NULL where
 * the primitive needs none. */
typedef struct piece_place {
    dnnl_stream_t stream;
    dnnl_memory_t a, b, c, scratch;
} piece_place;

struct mim_onednn_plan {
    mim_gemm_shape shape;
    mim_gemm_cut cut;
    mim_plan_kind kind;
    mim_onednn_packs *packs; /* NULL: B is no weight matrix */
    const void *weights;
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t post_ops;
    piece_kind kinds[N_KINDS];
    piece_place *places; /* [n_pieces] */
};

/* An operand of `rows` by `columns`, whose stored rows lie ld apart. */
static dnnl_status_t describe_matrix(size_t rows, size_t columns, size_t ld, bool is_transposed,
                                     dnnl_data_type_t type, dnnl_memory_desc_t *desc)
{
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    const dnnl_dims_t strides = {is_transposed ? 1 : (dnnl_dim_t)ld,
                                 is_transposed ? (dnnl_dim_t)ld : 1};
    return dnnl_memory_desc_init_by_strides(desc, 2, dims, type, strides);
}

static dnnl_status_t prepare_kind(mim_onednn_plan *p, const mim_gemm_shape *g, piece_kind *kind)
{
    const dnnl_data_type_t type = p->kind.is_half ? dnnl_bf16 : dnnl_f32;
    const dnnl_data_type_t given = p->kind.gives_half ? dnnl_bf16 : dnnl_f32;
    dnnl_matmul_desc_t operation;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_memory_desc_t any, plain;
    dnnl_status_t status;
    const dnnl_dims_t dims = {(dnnl_dim_t)g->k, (dnnl_dim_t)g->n};
    if ((status = describe_matrix(g->m, g->k, g->ld_a, g->is_ta, type, &kind->a)) ||
        (status = describe_matrix(g->k, g->n, g->ld_b, g->is_tb, type, &plain)) ||
        (status = describe_matrix(g->m, g->n, g->ld_c, false, given, &kind->c)) ||
        (status = dnnl_memory_desc_init_by_tag(&any, 2, dims, type, dnnl_format_tag_any)) ||
        (status = dnnl_matmul_desc_init(&operation, &kind->a, p->packs ? &any : &plain, NULL,
                                        &kind->c)) ||
        (status = dnnl_primitive_desc_create(&desc, &operation, p->attributes, p->engine, NULL)) ||
        (status = dnnl_primitive_create(&kind->primitive, desc)))
        ;
    else {
        kind->b = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        kind->scratch = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
        if (p->packs && !(kind->weights = packed_matrix(p->packs, p->weights, &plain, &kind->b)))
            status = dnnl_out_of_memory;
    }
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return status;
}

static dnnl_status_t prepare_place(const mim_onednn_plan *p, const piece_kind *kind,
                                   piece_place *place)
{
    dnnl_status_t status;
    if ((status = dnnl_stream_create(&place->stream, p->engine, dnnl_stream_default_flags)) ||
        (status = dnnl_memory_create(&place->a, &kind->a, p->engine, DNNL_MEMORY_NONE)) ||
        (status = dnnl_memory_create(&place->b, &kind->b, p->engine,
                                     kind->weights ? kind->weights : DNNL_MEMORY_NONE)) ||
        (status = dnnl_memory_create(&place->c, &kind->c, p->engine, DNNL_MEMORY_NONE)))
        return status;
    if (dnnl_memory_desc_get_size(&kind->scratch) > 0)
        status =
            dnnl_memory_create(&place->scratch, &kind->scratch, p->engine, DNNL_MEMORY_ALLOCATE);
    return status;
}

static size_t kind_of(const mim_onednn_plan *p, size_t number)
{
    size_t a, b, c;
    const mim_gemm_shape piece = piece_of(&p->shape, &p->cut, number, &a, &b, &c);
    return (piece.m < least(p->cut.row_step, p->shape.m) ? 1u : 0u) +
           (piece.n < least(p->cut.column_step, p->shape.n) ? 2u : 0u);
}

static dnnl_status_t prepare_plan(mim_onednn_plan *p)
{
    dnnl_status_t status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_create(&p->attributes);
    if (status == dnnl_success) /* the library's own belongs to the thread that makes the plan */
        status = dnnl_primitive_attr_set_scratchpad_mode(p->attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && p->kind.is_added &&
        ((status = dnnl_post_ops_create(&p->post_ops)) == dnnl_success &&
         (status = dnnl_post_ops_append_sum(p->post_ops, 1)) == dnnl_success))
        status = dnnl_primitive_attr_set_post_ops(p->attributes, p->post_ops);
    for (size_t i = 0; status == dnnl_success && i < p->cut.n_pieces; i++) {
        const size_t kind = kind_of(p, i);
        size_t a, b, c;
        const mim_gemm_shape piece = piece_of(&p->shape, &p->cut, i, &a, &b, &c);
        if (!p->kinds[kind].primitive)
            status = prepare_kind(p, &piece, &p->kinds[kind]);
        if (status == dnnl_success)
            status = prepare_place(p, &p->kinds[kind], &p->places[i]);
    }
    return status;
}

bool mim_onednn_plan_create(const mim_gemm_shape *shape, mim_plan_kind kind,
                            mim_onednn_packs *packs, const void *weights, mim_onednn_plan **plan)
{
    if (shape->m == 0 || shape->n == 0 || shape->k == 0)
        return false;
    mim_onednn_plan *p = calloc(1, sizeof *p);
    if (!p)
        return false;
    p->shape = *shape;
    p->cut = mim_gemm_cut_of(shape, packs != NULL);
    p->kind = kind;
    p->packs = packs;
    p->weights = weights;
    p->places = calloc(p->cut.n_pieces, sizeof *p->places);
    const int n_threads = mim_set_threads(1); /* how the library cuts sums follows from them */
    const bool is_ready = p->places && prepare_plan(p) == dnnl_success;
    mim_set_threads(n_threads);
    if (!is_ready) {
        mim_onednn_plan_destroy(&p);
        return false;
    }
    *plan = p;
    return true;
}

void mim_onednn_plan_destroy(mim_onednn_plan **plan)
{
    mim_onednn_plan *p = *plan;
    if (!p)
        return;
    *plan = NULL;
    for (size_t i = 0; p->places && i < p->cut.n_pieces; i++) {
        forget_memory(p->places[i].a);
        forget_memory(p->places[i].b);
        forget_memory(p->places[i].c);
        forget_memory(p->places[i].scratch);
        if (p->places[i].stream)
            dnnl_stream_destroy(p->places[i].stream);
    }
    for (size_t i = 0; i < N_KINDS; i++)
        forget_primitive(p->kinds[i].primitive);
    if (p->post_ops)
        dnnl_post_ops_destroy(p->post_ops);
    if (p->attributes)
        dnnl_primitive_attr_destroy(p->attributes);
    if (p->engine)
        dnnl_engine_destroy(p->engine);
    free(p->places);
    free(p);
}

static dnnl_status_t execute_piece(const mim_onednn_plan *p, size_t number, const char *a,
                                   const char *b, char *c)
{
    const size_t size = p->kind.is_half ? sizeof(mim_bf16) : sizeof(float);
    const size_t given = p->kind.gives_half ? sizeof(mim_bf16) : sizeof(float);
    const piece_place *place = &p->places[number];
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, place->a},
                                         {DNNL_ARG_WEIGHTS, place->b},
                                         {DNNL_ARG_DST, place->c},
                                         {DNNL_ARG_SCRATCHPAD, place->scratch}};
    size_t at_a, at_b, at_c;
    dnnl_status_t status;
    piece_of(&p->shape, &p->cut, number, &at_a, &at_b, &at_c);
    if ((status = dnnl_memory_set_data_handle(place->a, writable(a + at_a * size))) ||
        (!p->packs &&
         (status = dnnl_memory_set_data_handle(place->b, writable(b + at_b * size)))) ||
        (status = dnnl_memory_set_data_handle(place->c, c + at_c * given)) ||
        (status = dnnl_primitive_execute(p->kinds[kind_of(p, number)].primitive, place->stream,
                                         place->scratch ? 4 : 3, arguments)))
        return status;
    return dnnl_stream_wait(place->stream);
}

static void run_plainly(const mim_onednn_plan *p, size_t number, const void *a, const void *b,
                        void *c)
{
    size_t at_a, at_b, at_c;
    const mim_gemm_shape piece = piece_of(&p->shape, &p->cut, number, &at_a, &at_b, &at_c);
    const mim_bf16 *half_a = a, *half_b = b;
    if (p->kind.gives_half)
        mim_half_product_plain_rounded(&piece, half_a + at_a, half_b + at_b, (mim_bf16 *)c + at_c);
    else if (p->kind.is_half)
        mim_half_product_plain(&piece, half_a + at_a, half_b + at_b, p->kind.is_added,
                               (float *)c + at_c);
    else
        mim_gemm_plain_run_f(&piece, 1, (const float *)a + at_a, (const float *)b + at_b,
                             p->kind.is_added ? 1 : 0, (float *)c + at_c);
}

void mim_onednn_plan_run(mim_onednn_plan *p, const void *a, const void *b, void *c)
{
    MIM_PARALLEL_FOR(true)
    for (size_t i = 0; i < p->cut.n_pieces; i++)
        if (execute_piece(p, i, a, b, c) != dnnl_success)
            run_plainly(p, i, a, b, c);
}

/* ---- the table ------------------------------------------------------------------------------ */

void mim_gemm_onednn_describe(size_t size, char *text)
{
    const dnnl_version_t *version = dnnl_version();
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    const char *name = "another instruction set";
    if (isa == dnnl_cpu_isa_sse41)
        name = "SSE4.1";
    else if (isa == dnnl_cpu_isa_avx)
        name = "AVX";
    else if (isa == dnnl_cpu_isa_avx2 || isa == dnnl_cpu_isa_avx2_vnni)
        name = "AVX2";
    else if (isa == dnnl_cpu_isa_avx512_core || isa == dnnl_cpu_isa_avx512_core_vnni)
        name = "AVX-512";
    else if (isa == dnnl_cpu_isa_avx512_core_bf16)
        name = "AVX-512 with bf16";
    else if (isa == dnnl_cpu_isa_avx512_core_amx)
        name = "AVX-512 with AMX";
    snprintf(text, size, "oneDNN %d.%d.%d, %s", version->major, version->minor, version->patch,
             name);
}

const mim_gemm mim_gemm_onednn = {
    .name = "onednn",
    .run_f = run,
    .run_d = mim_gemm_plain_run_d,
    .run_batch_f = run_batch,
    .run_batch_d = mim_gemm_plain_run_batch_d,
};
