/* Products by oneDNN (C API 2.x: *_desc_init). The only file that knows the library. */
#include "nn/gemm_internal.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdint.h>
#include <stdio.h>

static void run(const mim_gemm_shape *g, float alpha, const float *a, const float *b, float beta,
                float *c)
{
    mim_gemm_assert(g);
    if (g->m == 0 || g->n == 0)
        return;
    if (g->k == 0 ||
        dnnl_sgemm(g->is_ta ? 'T' : 'N', g->is_tb ? 'T' : 'N', (dnnl_dim_t)g->m, (dnnl_dim_t)g->n,
                   (dnnl_dim_t)g->k, alpha, a, (dnnl_dim_t)g->ld_a, b, (dnnl_dim_t)g->ld_b, beta, c,
                   (dnnl_dim_t)g->ld_c) != dnnl_success)
        mim_gemm_plain_run_f(g, alpha, a, b, beta, c);
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
