/* Speed of training and of generating, on random numbers in place of measurements: a step's share
 * of the rate of products (the best of n = 512 and of the MLP's shape) in the same run, per second
 * of CPU time; and the time for a plan of 60 slots. 2 floating-point operations a multiply-add,
 * backward counted as two forwards. One JSON object a line. Set OMP_NUM_THREADS to 1.
 * usage: bench_train [REPETITIONS] */
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/rng.h"
#include "core/text.h"
#include "diffusion/generator.h"
#include "diffusion/train.h"

enum { N_STRESSORS = 20, N_NODE = 8, N_EXAMPLES = 256, N_DEFAULT = 7, N_SLOTS = 60, N_SHARDS = 4 };

static const struct {
    const char *name;
    size_t n_threads, n_sockets, width, n_blocks, n_heads, shard;
} cases[] = {
    {"laptop", 2, 1, 128, 4, 4, 64},
    {"server", 20, 2, 256, 6, 8, 32},
};

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(size_t n, double *values, double *spread)
{
    qsort(values, n, sizeof *values, compare);
    *spread = values[3 * n / 4] - values[n / 4];
    return values[n / 2];
}

/* GFLOP/s of x W^T with m rows. */
static double product_rate(size_t m, size_t n, size_t k, size_t n_runs)
{
    const mim_gemm_shape g = {
        .is_tb = true, .m = m, .n = n, .k = k, .ld_a = k, .ld_b = k, .ld_c = n};
    const double flop = 2.0 * (double)m * (double)n * (double)k;
    float *a = calloc(m * k, sizeof *a), *b = calloc(n * k, sizeof *b),
          *c = calloc(m * n, sizeof *c);
    double best = 0;
    for (size_t i = 0; a && b && c && i < n_runs; i++) {
        const int64_t start = mim_clock_process_cpu_ns();
        mim_gemm_onednn.run_f(&g, 1, a, b, 0, c);
        const double rate = flop / (double)(mim_clock_process_cpu_ns() - start);
        best = rate > best ? rate : best;
    }
    free(a);
    free(b);
    free(c);
    return best;
}

static int make_model(size_t which, mim_model **model)
{
    const size_t n_threads = cases[which].n_threads, n = n_threads + N_NODE;
    const mim_architecture size = {.width = cases[which].width,
                                   .n_blocks = cases[which].n_blocks,
                                   .n_heads = cases[which].n_heads,
                                   .mlp_ratio = 4};
    const mim_process process = {MIM_SCHEDULE_COSINE, 250, MIM_PREDICT_X0};
    char names[N_STRESSORS + 64][32];
    const char *pointers[N_STRESSORS + 64];
    double minimum[64] = {0}, maximum[64];
    mim_domain *domain = NULL;
    for (size_t i = 0; i < n + N_STRESSORS; i++) {
        snprintf(names[i], sizeof names[i],
                 i < n_threads ? "avg_cpu_utilizations_core_%02zu" : "name_%zu", i);
        pointers[i] = names[i];
    }
    for (size_t m = 0; m < n; m++)
        maximum[m] = 100;
    const mim_domain_parts parts = {.n_metrics = n,
                                    .n_threads = n_threads,
                                    .n_stressors = N_STRESSORS,
                                    .n_sockets = cases[which].n_sockets,
                                    .metrics = pointers,
                                    .actions = pointers + n,
                                    .minimum = minimum,
                                    .maximum = maximum};
    const int rc = mim_domain_create(&parts, &domain);
    return rc == MIM_OK ? mim_model_create(&domain, &size, &process, 1, model) : rc;
}

static void print_line(const char *what, const char *name, double value, const char *unit,
                       double peer, size_t n, double spread)
{
    printf("{\"bench\": \"%s_%s\", \"value\": %.4g, \"unit\": \"%s\", ", what, name, value, unit);
    if (peer > 0)
        printf("\"peer\": %.4g, \"ratio\": %.3f, ", peer, value / peer);
    else
        printf("\"peer\": null, \"ratio\": null, ");
    printf("\"n\": %zu, \"spread\": %.3g}\n", n, spread);
    fflush(stdout);
}

static int bench_training(size_t which, mim_model *model, const mim_examples *examples, size_t n,
                          double *values)
{
    const mim_train_options options = {.batch = N_SHARDS * cases[which].shard,
                                       .n_shards = N_SHARDS,
                                       .adam = mim_adam_default,
                                       .rate = {.base = 1e-4, .floor = 1, .n_steps = 1},
                                       .clip_norm = 1,
                                       .hide_all = 0.1};
    const size_t tokens = cases[which].shard * (cases[which].n_threads + 1);
    const double flop =
        3 * mim_denoiser_flop(&model->architecture, options.batch, cases[which].n_threads);
    mim_trainer *trainer = NULL;
    double loss, spread;
    int rc = mim_trainer_create(&options, model, examples, &trainer);
    if (rc == MIM_OK)
        rc = mim_trainer_step(trainer, &loss, NULL); /* compiles the products */
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        const int64_t start = mim_clock_process_cpu_ns();
        rc = mim_trainer_step(trainer, &loss, NULL);
        values[i] = flop / (double)(mim_clock_process_cpu_ns() - start);
    }
    if (rc == MIM_OK) {
        const double square = product_rate(512, 512, 512, 20);
        const double own = product_rate(tokens, 4 * cases[which].width, cases[which].width, 50);
        const double value = median(n, values, &spread);
        print_line("train_step_f32", cases[which].name, value, "GFLOP/s",
                   square > own ? square : own, n, spread);
    }
    mim_trainer_destroy(&trainer);
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
    const size_t n_cells = cases[which].n_threads * N_STRESSORS;
    double spread, *weights = calloc(N_SLOTS * n_cells, sizeof *weights);
    int rc = weights ? MIM_OK : mim_fail(MIM_ENOMEM, "weights");
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        const int64_t start = mim_clock_process_cpu_ns();
        rc = mim_diffusion_generate(model, &how, N_SLOTS, metrics, weights);
        values[i] = (double)(mim_clock_process_cpu_ns() - start) * 1e-9;
    }
    if (rc == MIM_OK) {
        const double value = median(n, values, &spread);
        print_line("generate_60_slots", cases[which].name, value, "s", 0, n, spread);
    }
    free(weights);
    return rc;
}

static int bench(size_t which, size_t n, double *values)
{
    const size_t n_metrics = cases[which].n_threads + N_NODE;
    const size_t n_cells = cases[which].n_threads * N_STRESSORS;
    float *metric = calloc(N_EXAMPLES * n_metrics, sizeof *metric);
    float *action = calloc(N_EXAMPLES * n_cells, sizeof *action);
    double *asked = calloc(N_SLOTS * n_metrics, sizeof *asked);
    uint8_t *mask = calloc(N_EXAMPLES * n_metrics, 1), *has_previous = calloc(N_EXAMPLES, 1);
    mim_model *model = NULL;
    int rc = metric && action && asked && mask && has_previous ? make_model(which, &model)
                                                               : mim_fail(MIM_ENOMEM, "examples");
    for (size_t i = 0; rc == MIM_OK && i < N_EXAMPLES * n_metrics; i++) {
        metric[i] = (float)(100 * mim_rng_u01(1, MIM_STREAM_TEST, i, 0, 0));
        mask[i] = 1;
        if (i < N_SLOTS * n_metrics)
            asked[i] = (double)metric[i];
    }
    for (size_t i = 0; rc == MIM_OK && i < N_EXAMPLES * n_cells; i++)
        action[i] = (float)(mim_rng_u01(1, MIM_STREAM_TEST, i, 1, 0) / N_STRESSORS);
    const mim_examples examples = {N_EXAMPLES, NULL, metric, mask, action, action, has_previous};
    if (rc == MIM_OK)
        rc = mim_response_fit(model->domain, &examples, &model->response);
    if (rc == MIM_OK)
        rc = bench_training(which, model, &examples, n, values);
    if (rc == MIM_OK)
        rc = bench_generating(which, model, asked, n, values);
    mim_model_destroy(&model);
    free(metric);
    free(action);
    free(asked);
    free(mask);
    free(has_previous);
    return rc;
}

int main(int argc, char **argv)
{
    int64_t asked = N_DEFAULT;
    int rc = argc > 1 ? mim_parse_i64("repetitions", argv[1], 3, 1000, &asked) : MIM_OK;
    double *values = calloc((size_t)asked, sizeof *values);
    for (size_t i = 0; rc == MIM_OK && values && i < sizeof cases / sizeof *cases; i++)
        rc = bench(i, (size_t)asked, values);
    free(values);
    if (rc != MIM_OK)
        fprintf(stderr, "bench_train: %s\n", mim_error());
    return mim_exit_status(rc);
}
