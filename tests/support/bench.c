#include "tests/support/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include "core/clock.h"
#include "core/error.h"
#include "core/quantile.h"
#include "core/rng.h"
#include "nn/gemm.h"
#include "nn/half_products.h"

double bench_median(size_t n, double *values, double *spread)
{
    qsort(values, n, sizeof *values, mim_by_value);
    *spread = values[3 * n / 4] - values[n / 4];
    return values[n / 2];
}

void bench_line(const char *name, double value, const char *unit, double peer, double ratio,
                size_t n, double spread, const char *more)
{
    printf("{\"bench\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", ", name, value, unit);
    if (peer > 0)
        printf("\"peer\": %.4g, \"ratio\": %.3f, ", peer, ratio);
    else
        printf("\"peer\": null, \"ratio\": null, ");
    printf("\"n\": %zu, \"spread\": %.3g%s}\n", n, spread, more);
    fflush(stdout);
}

void bench_null(const char *name, const char *unit, const char *reason)
{
    printf(
        "{\"bench\": \"%s\", \"value\": null, \"unit\": \"%s\", \"peer\": null, \"ratio\": null, "
        "\"n\": 0, \"spread\": null, \"reason\": \"%s\"}\n",
        name, unit, reason);
    fflush(stdout);
}

bool bench_set_threads(int n)
{
#if defined(_OPENMP)
    omp_set_num_threads(n);
    return true;
#else
    return n == 1;
#endif
}

/* ---- time ----------------------------------------------------------------------------------- */

int64_t bench_busy_ns(void)
{
    long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
    FILE *f = fopen("/proc/stat", "r");
    int n = 0;
    if (f) {
        n = fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &system, &idle,
                   &wait, &irq, &soft, &steal);
        fclose(f);
    }
    return n == 8 ? (user + nice + system + irq + soft + steal) * 1000000000 / sysconf(_SC_CLK_TCK)
                  : 0;
}

bench_timer bench_start(int n_threads)
{
    return (bench_timer){n_threads, mim_clock_mono_ns(), mim_clock_process_cpu_ns(),
                         bench_busy_ns()};
}

double bench_stop_ns(const bench_timer *t, bool *is_alone)
{
    const int64_t cpu = mim_clock_process_cpu_ns() - t->cpu_ns;
    const int64_t wall = mim_clock_mono_ns() - t->wall_ns, busy = bench_busy_ns() - t->busy_ns;
    const double tick = 1e9 / (double)sysconf(_SC_CLK_TCK);
    const double all = (double)wall * (double)sysconf(_SC_NPROCESSORS_ONLN);
    *is_alone = t->n_threads == 1 || (double)(busy - cpu) <= 0.02 * all + 2 * tick;
    return t->n_threads == 1 ? (double)cpu : (double)wall;
}

/* ---- products ------------------------------------------------------------------------------- */

enum { MAX_SHAPES = 13 };

struct bench_products {
    mim_precision precision;
    size_t n_shapes;
    mim_gemm_shape shapes[MAX_SHAPES];
    float *a, *b, *c;
    mim_bf16 *half_a;
    mim_layer_weights *half_b;
    mim_half_products *half;
};

static void add_shape(bench_products *p, bool is_ta, bool is_tb, size_t m, size_t n, size_t k)
{
    p->shapes[p->n_shapes++] = (mim_gemm_shape){.is_ta = is_ta,
                                                .is_tb = is_tb,
                                                .m = m,
                                                .n = n,
                                                .k = k,
                                                .ld_a = is_ta ? m : k,
                                                .ld_b = is_tb ? k : n,
                                                .ld_c = n};
}

static size_t largest(const bench_products *p)
{
    size_t most = 0;
    for (size_t i = 0; i < p->n_shapes; i++) {
        const mim_gemm_shape *g = &p->shapes[i];
        const size_t sizes[] = {most, g->m * g->k, g->k * g->n, g->m * g->n};
        for (size_t j = 1; j < 4; j++)
            most = sizes[j] > most ? sizes[j] : most;
    }
    return most;
}

int bench_products_create(mim_precision precision, size_t n_rows, size_t width, size_t hidden,
                          bench_products **products)
{
    const size_t layers[4][2] = {
        {width, 3 * width}, {width, width}, {width, hidden}, {hidden, width}};
    bench_products *p = calloc(1, sizeof *p);
    if (!p)
        return mim_fail(MIM_ENOMEM, "products");
    p->precision = precision;
    add_shape(p, false, false, 512, 512, 512);
    for (size_t l = 0; l < 4; l++) {
        const size_t in = layers[l][0], out = layers[l][1];
        add_shape(p, false, true, n_rows, out, in);
        add_shape(p, false, false, n_rows, in, out);
        add_shape(p, true, false, out, in, n_rows);
    }
    const size_t n = largest(p);
    p->a = calloc(3 * n, sizeof *p->a);
    p->half_a = calloc(n, sizeof *p->half_a);
    int rc = p->a && p->half_a ? mim_layer_weights_create(NULL, MIM_PRECISION_BF16, n, &p->half_b)
                               : mim_fail(MIM_ENOMEM, "operands");
    if (rc == MIM_OK)
        rc = mim_half_products_create(mim_gemm_find(NULL), p->half_b, &p->half);
    if (rc != MIM_OK) {
        bench_products_destroy(&p);
        return rc;
    }
    p->b = p->a + n;
    p->c = p->b + n;
    for (size_t i = 0; i < 2 * n; i++)
        p->a[i] = (float)mim_rng_u01(1, MIM_STREAM_TEST, i / n, 0, (uint32_t)(i % n)) - 0.5f;
    mim_half_from_float(n, p->a, p->half_a);
    mim_layer_weights_load(p->half_b, p->b);
    *products = p;
    return MIM_OK;
}

void bench_products_destroy(bench_products **products)
{
    bench_products *p = *products;
    if (!p)
        return;
    *products = NULL;
    mim_half_products_destroy(&p->half);
    mim_layer_weights_destroy(&p->half_b);
    free(p->a);
    free(p->half_a);
    free(p);
}

double bench_products_best(bench_products *p, int n_threads, size_t n_runs)
{
    double best = 0;
    for (size_t run = 0; run < n_runs; run++)
        for (size_t i = 0; i < p->n_shapes; i++) {
            const mim_gemm_shape *g = &p->shapes[i];
            const double flop = 2.0 * (double)g->m * (double)g->n * (double)g->k;
            bool is_alone;
            const bench_timer timer = bench_start(n_threads);
            if (p->precision == MIM_PRECISION_BF16)
                mim_half_products_run(p->half, g, p->half_a, mim_layer_weights_half(p->half_b, 0),
                                      !g->is_ta, false, p->c);
            else
                mim_gemm_find(NULL)->run_f(g, 1, p->a, p->b, 0, p->c);
            const double rate = flop / bench_stop_ns(&timer, &is_alone);
            best = rate > best ? rate : best;
        }
    return best;
}
