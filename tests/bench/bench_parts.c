/* Where the time of a training step's blocks goes: each pass and product of nn/dit.h by itself, at
 * the shapes of a denoiser with one token a thread (32 samples of 21 tokens) and with one a cell (2
 * of 400), times how often a step of those samples runs it, beside forward and backward of the
 * whole body ("peer", so "ratio" is the share; products also tell their rate). One thread, CPU time
 * of the process. One JSON object a line. usage: bench_parts [REPETITIONS] */
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "core/text.h"
#include "nn/adaln.h"
#include "nn/attend.h"
#include "nn/dit.h"
#include "nn/gelu.h"
#include "tests/support/bench.h"

enum { WIDTH = 256, N_HEADS = 8, HIDDEN = 1024, N_BLOCKS = 6, N_DEFAULT = 15, PAD = 16 };
enum { LD_1 = WIDTH + PAD, LD_3 = 3 * WIDTH + PAD, LD_H = HIDDEN + PAD }; /* as in nn/dit.c */

static const struct {
    const char *name;
    size_t n_samples, n_tokens, condition;
} cases[] = {{"thread_tokens", 32, 21, WIDTH}, {"cell_tokens", 2, 400, 2 * WIDTH}};

/* Arrays large enough for any part; what is in them does not matter. */
typedef struct parts {
    size_t n_samples, n_tokens, n_rows;
    float *wide[4], *narrow[6]; /* [n_rows][LD_H], [n_rows][LD_1] */
    float *condition;           /* [n_samples][6 WIDTH] */
    float *weights, *work;
    mim_adaln norm;
    mim_gelu gelu;
    mim_attention attention;
    mim_gemm_shape product;
} parts;

static void norm_forward(parts *p)
{
    const mim_adaln_branch_f branch = {p->narrow[1], p->weights, p->condition, NULL};
    mim_adaln_forward_f(&p->norm, p->narrow[0], &branch, p->narrow[2], p->condition + WIDTH,
                        p->condition + 2 * WIDTH, p->narrow[3], p->wide[3]);
}

static void norm_backward(parts *p)
{
    const mim_adaln_branch_f branch = {p->narrow[1], p->weights, p->condition, NULL};
    const mim_adaln_gradient_f gradient = {p->narrow[4], p->condition + 3 * WIDTH, p->weights};
    mim_adaln_backward_f(&p->norm, p->narrow[0], p->wide[3], p->condition + WIDTH,
                         p->condition + 2 * WIDTH, p->narrow[5], MIM_ADD, p->narrow[2],
                         p->narrow[3], p->condition + 4 * WIDTH, p->condition + 5 * WIDTH, &branch,
                         &gradient, p->work);
}

static void gelu_forward(parts *p)
{
    mim_gelu_forward_f(&p->gelu, p->wide[0], p->weights, p->wide[1]);
}

static void gelu_backward(parts *p)
{
    mim_gelu_backward_f(&p->gelu, p->wide[0], p->weights, p->wide[1], p->wide[1], p->wide[2],
                        p->weights + HIDDEN, p->work);
}

static mim_projection_f projection(const parts *p)
{
    return (mim_projection_f){p->wide[0], p->wide[0] + WIDTH, p->wide[0] + 2 * WIDTH,
                              p->weights, p->weights,         p->weights};
}

static void attention_forward(parts *p)
{
    const mim_projection_f from = projection(p);
    mim_attend_forward_f(&p->attention, &from, p->narrow[0], p->wide[3], p->work);
}

static void attention_backward(parts *p)
{
    const mim_projection_f from = projection(p);
    const mim_projection_gradient_f to = {p->wide[1], p->wide[1] + WIDTH, p->wide[1] + 2 * WIDTH,
                                          p->weights, p->weights + WIDTH, p->weights + 2 * WIDTH};
    mim_attend_backward_f(&p->attention, &from, p->narrow[0], p->wide[3], p->narrow[1], &to,
                          p->work);
}

static void product(parts *p)
{
    const mim_gemm_shape *g = &p->product;
    mim_gemm_find(NULL)->run_f(g, 1, p->wide[0], g->is_ta ? p->wide[1] : p->weights,
                               g->is_ta ? 1 : 0, g->is_ta ? p->weights : p->wide[2]);
}

/* Median of n runs in ms. */
static double time_part(parts *p, void (*run)(parts *), size_t n, double *values, double *spread)
{
    bool is_alone;
    run(p);
    for (size_t i = 0; i < n; i++) {
        const bench_timer timer = bench_start(1);
        run(p);
        values[i] = bench_stop_ns(&timer, &is_alone) * 1e-6;
    }
    return bench_median(n, values, spread);
}

static int make_parts(size_t which, parts *p)
{
    const size_t s = cases[which].n_samples, t = cases[which].n_tokens, n = s * t;
    *p = (parts){.n_samples = s, .n_tokens = t, .n_rows = n};
    p->norm = (mim_adaln){s, t, 1, WIDTH, 6 * WIDTH, LD_1, 1e-6};
    p->gelu = (mim_gelu){s, t, HIDDEN, LD_H, NULL};
    p->attention = (mim_attention){.n_samples = s,
                                   .n_heads = N_HEADS,
                                   .head_width = WIDTH / N_HEADS,
                                   .n_queries = t,
                                   .n_keys = t,
                                   .ld_q = LD_3,
                                   .ld_k = LD_3,
                                   .ld_v = LD_3,
                                   .ld_y = LD_1};
    const size_t works[] = {mim_adaln_n_work(&p->norm), mim_gelu_n_work(&p->gelu),
                            mim_attend_n_work(&p->attention)};
    size_t n_work = 0;
    for (size_t i = 0; i < 3; i++)
        n_work = works[i] > n_work ? works[i] : n_work;
    const size_t total = n * (4 * LD_H + 6 * LD_1) + s * 6 * WIDTH + HIDDEN * HIDDEN + n_work + 16;
    float *at = malloc(total * sizeof *at);
    if (!at)
        return mim_fail(MIM_ENOMEM, "arrays");
    for (size_t i = 0; i < total; i++)
        at[i] = (float)mim_rng_u01(1, MIM_STREAM_TEST, i >> 32, 0, (uint32_t)i) - 0.5f;
    for (size_t i = 0; i < 4; i++, at += n * LD_H)
        p->wide[i] = at;
    for (size_t i = 0; i < 6; i++, at += n * LD_1)
        p->narrow[i] = at;
    p->condition = at;
    p->weights = at + s * 6 * WIDTH;
    p->work = p->weights + HIDDEN * HIDDEN;
    return MIM_OK;
}

/* Forward and backward of the whole body, in ms. */
static int time_body(size_t which, size_t n, double *values, double *ms)
{
    const size_t s = cases[which].n_samples, t = cases[which].n_tokens, c = cases[which].condition;
    const mim_dit_shape shape = {WIDTH, N_HEADS, N_BLOCKS, HIDDEN, c, MIM_SILU, false};
    const mim_dit_options options = {NULL, MIM_PRECISION_F32, NULL, s, t, 1, true};
    const mim_dit_call call = {s, t, 1, NULL, NULL};
    mim_tensors *layout = NULL;
    mim_params_f *params = NULL;
    mim_dit_f *dit = NULL;
    float *condition = calloc(2 * s * c, sizeof *condition);
    size_t first = 0;
    double spread;
    int rc = condition ? mim_tensors_create(&layout) : mim_fail(MIM_ENOMEM, "conditions");
    if (rc == MIM_OK)
        rc = mim_dit_add_tensors(&shape, "", layout, &first);
    if (rc == MIM_OK)
        rc = mim_params_create_f(layout, &params);
    if (rc == MIM_OK)
        rc = mim_dit_create_f(&shape, layout, first, &options, &dit);
    if (rc == MIM_OK)
        mim_params_init_f(params, 1);
    for (size_t i = 0; rc == MIM_OK && i <= n; i++) {
        bool is_alone;
        for (size_t j = 0; j < s * t * WIDTH; j++)
            mim_dit_d_answer_f(dit)[j] = mim_dit_tokens_f(dit)[j] = (float)(j % 5) - 2;
        const bench_timer timer = bench_start(1);
        mim_dit_forward_f(dit, params->values, &call, condition);
        mim_dit_backward_f(dit, params->values, &call, condition, params->grads, condition + s * c);
        if (i > 0) /* the first compiles the products */
            values[i - 1] = bench_stop_ns(&timer, &is_alone) * 1e-6;
    }
    if (rc == MIM_OK)
        *ms = bench_median(n, values, &spread);
    mim_tensors_destroy(&layout);
    mim_params_destroy_f(&params);
    mim_dit_destroy_f(&dit);
    free(condition);
    return rc;
}

/* One line; times: how often a step runs it. Gives its ms a step. */
static double tell(size_t which, const char *part, parts *p, void (*run)(parts *), size_t times,
                   double whole, size_t n, double *values)
{
    char name[96], more[64] = "";
    double spread;
    const double ms = (double)times * time_part(p, run, n, values, &spread);
    if (run == product)
        snprintf(more, sizeof more, ", \"gflop_per_s\": %.1f",
                 2e-6 * (double)times * (double)p->product.m * (double)p->product.n *
                     (double)p->product.k / ms);
    snprintf(name, sizeof name, "train_part_%s_%s", cases[which].name, part);
    bench_line(name, ms, "ms", whole, ms / whole, n, (double)times * spread, more);
    return ms;
}

static double tell_products(size_t which, parts *p, double whole, size_t n, double *values)
{
    static const struct {
        const char *name;
        size_t in, out, ld_in, ld_out;
    } layers[] = {{"qkv", WIDTH, 3 * WIDTH, LD_1, LD_3},
                  {"mix", WIDTH, WIDTH, LD_1, LD_1},
                  {"mlp1", WIDTH, HIDDEN, LD_1, LD_H},
                  {"mlp2", HIDDEN, WIDTH, LD_H, LD_1}};
    double sum = 0;
    for (size_t l = 0; l < 4; l++) {
        const size_t in = layers[l].in, out = layers[l].out, m = p->n_rows;
        const size_t ld_in = layers[l].ld_in, ld_out = layers[l].ld_out;
        const struct {
            const char *name;
            mim_gemm_shape shape;
        } kinds[] = {{"forward", {false, true, m, out, in, ld_in, in, ld_out}},
                     {"to_input", {false, false, m, in, out, ld_out, in, ld_in}},
                     {"to_weight", {true, false, out, in, m, ld_out, ld_in, in}}};
        for (size_t k = 0; k < 3; k++) {
            char name[64];
            p->product = kinds[k].shape;
            snprintf(name, sizeof name, "%s_%s", layers[l].name, kinds[k].name);
            sum += tell(which, name, p, product, N_BLOCKS, whole, n, values);
        }
    }
    return sum;
}

static int bench(size_t which, size_t n, double *values)
{
    static const struct {
        const char *name;
        void (*run)(parts *);
        size_t times;
    } passes[] = {{"norm_forward", norm_forward, 2 * N_BLOCKS + 1},
                  {"norm_backward", norm_backward, 2 * N_BLOCKS + 1},
                  {"gelu_forward", gelu_forward, N_BLOCKS},
                  {"gelu_backward", gelu_backward, N_BLOCKS},
                  {"attention_forward", attention_forward, N_BLOCKS},
                  {"attention_backward", attention_backward, N_BLOCKS}};
    parts p;
    char name[96];
    double whole = 0, sum = 0;
    int rc = time_body(which, n, values, &whole);
    if (rc == MIM_OK)
        rc = make_parts(which, &p);
    if (rc != MIM_OK)
        return rc;
    sum = tell_products(which, &p, whole, n, values);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        sum += tell(which, passes[i].name, &p, passes[i].run, passes[i].times, whole, n, values);
    snprintf(name, sizeof name, "train_part_%s_all_of_these", cases[which].name);
    bench_line(name, sum, "ms", whole, sum / whole, n, 0, "");
    free(p.wide[0]);
    return MIM_OK;
}

int main(int argc, char **argv)
{
    int64_t asked = N_DEFAULT;
    int rc = argc > 1 ? mim_parse_i64("repetitions", argv[1], 3, 1000, &asked) : MIM_OK;
    double *values = calloc((size_t)asked, sizeof *values);
    bench_set_threads(1);
    for (size_t i = 0; rc == MIM_OK && values && i < sizeof cases / sizeof *cases; i++)
        rc = bench(i, (size_t)asked, values);
    free(values);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_parts: %s\n", mim_error());
    return mim_exit_status(rc);
}
