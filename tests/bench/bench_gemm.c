/* Rate of products of n = 512 and of the shapes of a denoiser's layers, oneDNN beside the plain
 * loops, in f32 and, where the processor has it, in bf16 with float results; one thread, per second
 * of the process's CPU time. 2 floating-point operations a multiply-add. One JSON object a line.
 * usage: bench_gemm [REPETITIONS] */
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/gemm.h"
#include "nn/half_products.h"
#include "tests/support/bench.h"

enum { N_DEFAULT = 50, N_MIN = 10, N_PEER = 5 };

static const struct {
    const char *name;
    bool is_ta, is_tb;
    size_t m, n, k;
} shapes[] = {
    {"512", false, false, 512, 512, 512},
    {"forward", false, true, 32 * 21, 1024, 256},         /* x W^T of 32 samples of 21 tokens */
    {"input_gradient", false, false, 32 * 21, 256, 1024}, /* dy W */
    {"weight_gradient", true, false, 1024, 256, 32 * 21}, /* dy^T x */
};

enum { N_MAX = 1024 * 1024 };

typedef struct operands {
    float *a, *b, *c;
    mim_bf16 *half_a;
    mim_layer_weights *half_b;
    mim_half_products *half;
} operands;

/* Median of n runs in GFLOP/s of CPU time; gemm NULL: bf16. */
static double rate(const mim_gemm *gemm, const mim_gemm_shape *g, const operands *o, size_t n,
                   double *rates, double *spread)
{
    const double flop = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    bool is_alone;
    for (size_t i = 0; i <= n; i++) { /* the first compiles its code */
        const bench_timer timer = bench_start(1);
        if (gemm)
            gemm->run_f(g, 1, o->a, o->b, 0, o->c);
        else
            mim_half_products_run(o->half, g, o->half_a, mim_layer_weights_half(o->half_b, 0),
                                  !g->is_ta, false, o->c);
        if (i > 0)
            rates[i - 1] = flop / bench_stop_ns(&timer, &is_alone);
    }
    return bench_median(n, rates, spread);
}

static void bench(size_t which, const operands *o, size_t n, double *rates)
{
    const bool is_ta = shapes[which].is_ta, is_tb = shapes[which].is_tb;
    const mim_gemm_shape g = {.is_ta = is_ta,
                              .is_tb = is_tb,
                              .m = shapes[which].m,
                              .n = shapes[which].n,
                              .k = shapes[which].k,
                              .ld_a = is_ta ? shapes[which].m : shapes[which].k,
                              .ld_b = is_tb ? shapes[which].k : shapes[which].n,
                              .ld_c = shapes[which].n};
    double spread;
    char name[64], library[80], reason[128];
    const double peer = rate(&mim_gemm_plain, &g, o, N_PEER, rates, &spread);
    const double single = rate(&mim_gemm_onednn, &g, o, n, rates, &spread);
    snprintf(name, sizeof name, "gemm_f32_%s", shapes[which].name);
    bench_line(name, single, "GFLOP/s", peer, single / peer, n, spread, "");
    snprintf(name, sizeof name, "gemm_bf16_%s", shapes[which].name);
    mim_gemm_describe(&mim_gemm_onednn, sizeof library, library);
    snprintf(reason, sizeof reason, "not supported here: %s", library);
    if (!mim_gemm_has_bf16(&mim_gemm_onednn)) {
        bench_null(name, "GFLOP/s", reason);
        return;
    }
    const double half = rate(NULL, &g, o, n, rates, &spread);
    bench_line(name, half, "GFLOP/s", single, half / single, n, spread, ""); /* beside f32 */
}

int main(int argc, char **argv)
{
    const long asked = argc > 1 ? atol(argv[1]) : N_DEFAULT;
    const size_t n = asked >= N_MIN ? (size_t)asked : N_MIN;
    operands o = {.a = calloc(3 * N_MAX, sizeof *o.a), .half_a = calloc(N_MAX, sizeof *o.half_a)};
    double *rates = calloc(n + N_PEER, sizeof *rates);
    int rc = o.a && o.half_a && rates
                 ? mim_layer_weights_create(&mim_gemm_onednn, MIM_PRECISION_BF16, N_MAX, &o.half_b)
                 : mim_fail(MIM_ENOMEM, "operands");
    if (rc == MIM_OK)
        rc = mim_half_products_create(&mim_gemm_onednn, o.half_b, &o.half);
    bench_set_threads(1);
    if (rc == MIM_OK) {
        mim_half_products_set_native(o.half, true); /* also where floats are faster */
        o.b = o.a + N_MAX;
        o.c = o.b + N_MAX;
        for (size_t i = 0; i < 2 * N_MAX; i++)
            o.a[i] = (float)mim_rng_u01(1, MIM_STREAM_TEST, i / N_MAX, 0, (uint32_t)(i % N_MAX));
        mim_half_from_float(N_MAX, o.a, o.half_a);
        mim_layer_weights_load(o.half_b, o.b);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            bench(s, &o, n, rates);
    }
    mim_half_products_destroy(&o.half);
    mim_layer_weights_destroy(&o.half_b);
    free(o.a);
    free(o.half_a);
    free(rates);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_gemm: %s\n", mim_error());
    return mim_exit_status(rc);
}
