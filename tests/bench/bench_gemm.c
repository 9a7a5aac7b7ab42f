/* Rate of float products: of n = 512 and of the shapes of a denoiser's layers, oneDNN beside the
 * plain loops, per second of CPU time of the process (so for any OMP_NUM_THREADS, but set it to 1:
 * waiting threads spin). 2 floating-point operations a multiply-add. One JSON object a line.
 * usage: bench_gemm [REPETITIONS] */
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/rng.h"
#include "nn/gemm.h"

enum { N_DEFAULT = 50, N_MIN = 10, N_PEER = 5 };

static const struct {
    const char *name;
    bool is_ta, is_tb;
    size_t m, n, k;
} shapes[] = {
    {"gemm_f32_512", false, false, 512, 512, 512},
    {"gemm_f32_forward", false, true, 32 * 21, 1024, 256}, /* x W^T of 32 samples of 21 tokens */
    {"gemm_f32_input_gradient", false, false, 32 * 21, 256, 1024}, /* dy W */
    {"gemm_f32_weight_gradient", true, false, 1024, 256, 32 * 21}, /* dy^T x */
};

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Median of n runs in GFLOP/s of CPU time; *spread is the distance of the quartiles. */
static double rate(const mim_gemm *gemm, const mim_gemm_shape *g, const float *a, const float *b,
                   float *c, size_t n, double *rates, double *spread)
{
    const double flop = 2.0 * (double)g->m * (double)g->n * (double)g->k;

    gemm->run_f(g, 1, a, b, 0, c); /* compiles its code */
    for (size_t i = 0; i < n; i++) {
        const int64_t start = mim_clock_process_cpu_ns();
        gemm->run_f(g, 1, a, b, 0, c);
        rates[i] = flop / (double)(mim_clock_process_cpu_ns() - start);
    }
    qsort(rates, n, sizeof *rates, compare);
    *spread = rates[3 * n / 4] - rates[n / 4];
    return rates[n / 2];
}

int main(int argc, char **argv)
{
    const long asked = argc > 1 ? atol(argv[1]) : N_DEFAULT;
    const size_t n = asked >= N_MIN ? (size_t)asked : N_MIN, n_max = 1024 * 1024;
    float *a = malloc(n_max * sizeof *a), *b = malloc(n_max * sizeof *b);
    float *c = malloc(n_max * sizeof *c);
    double *rates = malloc(n * sizeof *rates);

    for (size_t i = 0; a && b && i < n_max; i++) {
        a[i] = (float)mim_rng_u01(1, MIM_STREAM_TEST, 0, 0, (uint32_t)i);
        b[i] = (float)mim_rng_u01(1, MIM_STREAM_TEST, 1, 0, (uint32_t)i);
    }
    for (size_t s = 0; a && b && c && rates && s < sizeof shapes / sizeof *shapes; s++) {
        const bool is_ta = shapes[s].is_ta, is_tb = shapes[s].is_tb;
        const mim_gemm_shape g = {.is_ta = is_ta,
                                  .is_tb = is_tb,
                                  .m = shapes[s].m,
                                  .n = shapes[s].n,
                                  .k = shapes[s].k,
                                  .ld_a = is_ta ? shapes[s].m : shapes[s].k,
                                  .ld_b = is_tb ? shapes[s].k : shapes[s].n,
                                  .ld_c = shapes[s].n};
        double spread, peer_spread;
        const double peer = rate(&mim_gemm_plain, &g, a, b, c, N_PEER, rates, &peer_spread);
        const double value = rate(&mim_gemm_onednn, &g, a, b, c, n, rates, &spread);
        printf("{\"bench\": \"%s\", \"value\": %.1f, \"unit\": \"GFLOP/s\", \"peer\": %.1f, "
               "\"ratio\": %.2f, \"n\": %zu, \"spread\": %.1f}\n",
               shapes[s].name, value, peer, value / peer, n, spread);
    }
    const int rc = a && b && c && rates ? 0 : 1;
    free(a);
    free(b);
    free(c);
    free(rates);
    return rc;
}
