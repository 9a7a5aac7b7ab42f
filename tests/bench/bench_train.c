/* Speed of training and of generating, on random numbers in place of measurements. Of training: a
 * step's share of the rate of products (the best of n = 512 and of the layers' own shapes) measured
 * between the steps of the same run, with 1 and 2 OpenMP threads, in f32 and bf16. 2 floating-point
 * operations a multiply-add, backward counted as two forwards. One thread is timed by the CPU time
 * of the process, two by the clock, where only steps count in which others left the processors
 * alone. "cells": a step of a denoiser with one token a cell, dropout included; "body": its blocks
 * alone, forward and backward, without. Of generating: the time for a plan of 60 slots. One JSON
 * object a line.
 *
 * On a machine that others use, too, set OMP_WAIT_POLICY=passive.
 * usage: bench_train [REPETITIONS [laptop|server|cells|body]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/text.h"
#include "diffusion/generator.h"
#include "diffusion/train.h"
#include "nn/dit.h"
#include "tests/support/bench.h"
#include "tests/support/bench_model.h"

enum { N_DEFAULT = 7, N_SLOTS = 60 };
enum {
    MAX_THREADS = 2,
    N_RUNS = 2,
    N_SPARE = 3
}; /* of products a step; steps that others may disturb */

static const struct {
    bench_size size;
    size_t batch, micro_batch;
} cases[] = {
    {{"laptop", MIM_NETWORK_THREAD_TOKEN, 2, 1, 128, 4, 4}, 256, 128},
    {{"server", MIM_NETWORK_THREAD_TOKEN, 20, 2, 256, 6, 8}, 128, 32},
    {{"cells", MIM_NETWORK_CELL_TOKEN, 20, 2, 256, 6, 8}, 8, 1},
};

/* What is timed beside products. */
typedef struct work {
    const char *name;
    double flop;
    size_t n_rows, width, hidden, n_bytes; /* tokens of a call, sizes of the blocks, memory */
    int (*run)(void *context);
    void *context;
} work;

/* One line: n runs of the work, products after each. */
static int bench_share(const work *w, mim_precision precision, int n_threads, size_t n,
                       double *values)
{
    char name[96], more[160], reason[160], library[80];
    bench_products *products = NULL;
    double *ratios = values + n, *peers = values + 2 * n, spread, ignored;
    size_t n_done = 0;
    const mim_precision computed = mim_gemm_precision(NULL, precision);
    snprintf(name, sizeof name, "train_%s_%s_%d", w->name, mim_precision_name(precision),
             n_threads);
    mim_gemm_describe(mim_gemm_find(NULL), sizeof library, library);
    if (precision == MIM_PRECISION_BF16 && !mim_gemm_has_bf16(mim_gemm_find(NULL))) {
        snprintf(reason, sizeof reason, "not supported here: %s", library);
        bench_null(name, "GFLOP/s", reason);
        return MIM_OK;
    }
    if (!bench_set_threads(n_threads)) {
        bench_null(name, "GFLOP/s", "not supported here: built without OpenMP");
        return MIM_OK;
    }
    int rc = bench_products_create(computed, w->n_rows, w->width, w->hidden, &products);
    if (rc == MIM_OK)
        rc = w->run(w->context); /* compiles the products */
    for (size_t i = 0; rc == MIM_OK && n_done < n && i < n_done + N_SPARE; i++) {
        bool is_alone = false;
        const bench_timer timer = bench_start(n_threads);
        rc = w->run(w->context);
        values[n_done] = w->flop / bench_stop_ns(&timer, &is_alone);
        if (!is_alone)
            continue;
        peers[n_done] = bench_products_best(products, n_threads, N_RUNS);
        ratios[n_done] = values[n_done] / peers[n_done];
        n_done++;
    }
    if (rc == MIM_OK && n_done < 3) {
        bench_null(name, "GFLOP/s", "not measurable now: others use the processors");
    } else if (rc == MIM_OK) {
        const double ratio = bench_median(n_done, ratios, &spread);
        snprintf(more, sizeof more,
                 ", \"ratio_spread\": %.3f, \"threads\": %d, \"memory_bytes\": %zu, "
                 "\"computed_in\": \"%s\"",
                 spread, n_threads, w->n_bytes, mim_precision_name(computed));
        const double value = bench_median(n_done, values, &spread);
        bench_line(name, value, "GFLOP/s", bench_median(n_done, peers, &ignored), ratio, n_done,
                   spread, more);
    }
    bench_products_destroy(&products);
    bench_set_threads(1);
    return rc;
}

static int run_step(void *context)
{
    double loss;
    return mim_trainer_step(context, &loss, NULL);
}

static int bench_training(size_t which, mim_model *model, const mim_examples *examples, size_t n,
                          double *values)
{
    mim_train_options options = {.batch = cases[which].batch,
                                 .n_shards = MAX_THREADS,
                                 .micro_batch = cases[which].micro_batch,
                                 .n_lanes = MAX_THREADS,
                                 .adam = mim_adam_default,
                                 .rate = {.base = 1e-4, .floor = 1, .n_steps = 1},
                                 .clip_norm = 1,
                                 .hide_all = 0.1};
    int rc = MIM_OK;
    for (int p = 0; rc == MIM_OK && p < 2; p++) {
        mim_trainer *trainer = NULL;
        options.precision = (mim_precision)p;
        rc = mim_trainer_create(&options, model, examples, &trainer);
        work w = {.name = cases[which].size.name,
                  .flop = 3 * mim_network_flop(&model->architecture, options.batch,
                                               cases[which].size.n_threads),
                  .n_rows = cases[which].micro_batch *
                            mim_network_n_rows(&model->architecture, cases[which].size.n_threads),
                  .width = cases[which].size.width,
                  .hidden = 4 * cases[which].size.width,
                  .run = run_step,
                  .context = trainer};
        if (rc == MIM_OK)
            w.n_bytes = mim_trainer_n_bytes(trainer);
        for (int threads = 1; rc == MIM_OK && threads <= 2; threads++)
            rc = bench_share(&w, options.precision, threads, n, values);
        mim_trainer_destroy(&trainer);
    }
    return rc;
}

/* ---- blocks of a denoiser with one token a cell --------------------------------------------- */

enum { CELL_BATCH = 8, CELL_TOKENS = 400, CELL_WIDTH = 256, CELL_CONDITION = 512 };

typedef struct body {
    mim_params_f *params;
    mim_dit_f *dit;
    float condition[CELL_BATCH * CELL_CONDITION], d_condition[CELL_BATCH * CELL_CONDITION];
} body;

static int run_body(void *context)
{
    body *b = context;
    const mim_dit_call call = {CELL_BATCH, CELL_TOKENS, 1, NULL, NULL};
    float *d_answer = mim_dit_d_answer_f(b->dit), *tokens = mim_dit_tokens_f(b->dit);
    for (size_t i = 0; i < CELL_BATCH * CELL_TOKENS * CELL_WIDTH; i++)
        d_answer[i] = tokens[i] = (float)(i % 7) * 0.1f - 0.3f;
    mim_dit_forward_f(b->dit, b->params->values, &call, b->condition);
    mim_dit_backward_f(b->dit, b->params->values, &call, b->condition, b->params->grads,
                       b->d_condition);
    return MIM_OK;
}

static int bench_body(mim_precision precision, size_t n, double *values)
{
    const mim_dit_shape shape = {CELL_WIDTH, 8, 6, 4 * CELL_WIDTH, CELL_CONDITION, MIM_SILU, true};
    const mim_dit_options options = {
        NULL, mim_gemm_precision(NULL, precision), NULL, CELL_BATCH, CELL_TOKENS, 1, true};
    body *b = calloc(1, sizeof *b);
    mim_tensors *layout = NULL;
    size_t first = 0;
    int rc = b ? mim_tensors_create(&layout) : mim_fail(MIM_ENOMEM, "body");
    if (rc == MIM_OK)
        rc = mim_dit_add_tensors(&shape, "", layout, &first);
    if (rc == MIM_OK)
        rc = mim_params_create_f(layout, &b->params);
    if (rc == MIM_OK)
        rc = mim_dit_create_f(&shape, layout, first, &options, &b->dit);
    if (rc == MIM_OK) {
        mim_params_init_f(b->params, 1);
        const work w = {.name = "body_400_tokens",
                        .flop = 3 * mim_dit_flop(&shape, CELL_BATCH, CELL_TOKENS, 1),
                        .n_rows = CELL_BATCH * CELL_TOKENS,
                        .width = CELL_WIDTH,
                        .hidden = 4 * CELL_WIDTH,
                        .n_bytes = mim_dit_n_bytes_f(b->dit),
                        .run = run_body,
                        .context = b};
        for (int threads = 1; rc == MIM_OK && threads <= 2; threads++)
            rc = bench_share(&w, precision, threads, n, values);
    }
    mim_tensors_destroy(&layout);
    if (b) {
        mim_params_destroy_f(&b->params);
        mim_dit_destroy_f(&b->dit);
    }
    free(b);
    return rc;
}

static int bench_generating(size_t which, const mim_model *model, const double *metrics, size_t n,
                            double *values)
{
    const mim_generation how = {.sampling = {MIM_SOLVER_DPMPP, 8, 1}, /* as by default */
                                .guidance = 1,
                                .smallest = 0.02,
                                .n_candidates = 8,
                                .is_mended = true};
    const size_t n_cells = cases[which].size.n_threads * BENCH_STRESSORS;
    double spread, *weights = calloc(N_SLOTS * n_cells, sizeof *weights);
    int rc = weights ? MIM_OK : mim_fail(MIM_ENOMEM, "weights");
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        const int64_t start = mim_clock_process_cpu_ns();
        rc = mim_diffusion_generate(model, &how, N_SLOTS, metrics, weights);
        values[i] = (double)(mim_clock_process_cpu_ns() - start) * 1e-9;
    }
    if (rc == MIM_OK) {
        char name[64];
        const double value = bench_median(n, values, &spread);
        snprintf(name, sizeof name, "generate_60_slots_%s", cases[which].size.name);
        bench_line(name, value, "s", 0, 0, n, spread, "");
    }
    free(weights);
    return rc;
}

static int bench(size_t which, size_t n, double *values)
{
    mim_model *model = NULL;
    bench_examples data = {0};
    double *asked = NULL;
    int rc = bench_model_create(&cases[which].size, &model);
    if (rc == MIM_OK)
        rc = bench_examples_create(model->domain, &data);
    const size_t n_asked = rc == MIM_OK ? N_SLOTS * model->domain->n_metrics : 0;
    if (rc == MIM_OK && !(asked = calloc(n_asked, sizeof *asked)))
        rc = mim_fail(MIM_ENOMEM, "metrics");
    for (size_t i = 0; rc == MIM_OK && i < n_asked; i++)
        asked[i] = (double)data.metric[i];
    if (rc == MIM_OK)
        rc = mim_response_fit(model->domain, &data.examples, &model->response);
    if (rc == MIM_OK)
        rc = bench_training(which, model, &data.examples, n, values);
    if (rc == MIM_OK && cases[which].size.kind == MIM_NETWORK_THREAD_TOKEN) /* of cells: minutes */
        rc = bench_generating(which, model, asked, n, values);
    mim_model_destroy(&model);
    bench_examples_clear(&data);
    free(asked);
    return rc;
}

int main(int argc, char **argv)
{
    const char *only = argc > 2 ? argv[2] : NULL;
    int64_t asked = N_DEFAULT;
    int rc = argc > 1 ? mim_parse_i64("repetitions", argv[1], 3, 1000, &asked) : MIM_OK;
    double *values = calloc(3 * (size_t)asked, sizeof *values);
    bench_set_threads(1);
    for (size_t i = 0; rc == MIM_OK && values && i < sizeof cases / sizeof *cases; i++)
        if (!only || strcmp(only, cases[i].size.name) == 0)
            rc = bench(i, (size_t)asked, values);
    for (int p = 0; rc == MIM_OK && values && p < 2; p++)
        if (!only || strcmp(only, "body") == 0)
            rc = bench_body((mim_precision)p, (size_t)asked, values);
    free(values);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_train: %s\n", mim_error());
    return mim_exit_status(rc);
}
