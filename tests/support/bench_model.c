#include "tests/support/bench_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"

int bench_model_create(const bench_size *size, mim_model **model)
{
    const size_t n_threads = size->n_threads, n = n_threads + BENCH_NODE;
    const mim_architecture network = {.kind = size->kind,
                                      .width = size->width,
                                      .n_blocks = size->n_blocks,
                                      .n_heads = size->n_heads,
                                      .mlp_ratio = 4,
                                      .dropout = 0.1, /* this and below: of cells */
                                      .encoder_width = 256,
                                      .context_width = 256};
    const mim_process process = {MIM_SCHEDULE_COSINE, 250, MIM_PREDICT_X0, MIM_OUTPUT_FREE};
    char names[BENCH_STRESSORS + 64][32];
    const char *pointers[BENCH_STRESSORS + 64];
    double minimum[64] = {0}, maximum[64];
    mim_domain *domain = NULL;
    if (n > 64)
        return mim_fail(MIM_EINVAL, "%zu metrics, expected 64 at most", n);
    for (size_t i = 0; i < n + BENCH_STRESSORS; i++) {
        snprintf(names[i], sizeof names[i],
                 i < n_threads ? "avg_cpu_utilizations_core_%02zu" : "name_%zu", i);
        pointers[i] = names[i];
    }
    for (size_t m = 0; m < n; m++)
        maximum[m] = 100;
    const mim_domain_parts parts = {.n_metrics = n,
                                    .n_threads = n_threads,
                                    .n_stressors = BENCH_STRESSORS,
                                    .n_sockets = size->n_sockets,
                                    .metrics = pointers,
                                    .actions = pointers + n,
                                    .minimum = minimum,
                                    .maximum = maximum};
    const int rc = mim_domain_create(&parts, &domain);
    return rc == MIM_OK ? mim_model_create(&domain, &network, &process, 1, model) : rc;
}

int bench_examples_create(const mim_domain *d, bench_examples *e)
{
    const size_t n_cells = d->n_threads * d->n_stressors;
    *e = (bench_examples){.metric = calloc(BENCH_EXAMPLES * d->n_metrics, sizeof *e->metric),
                          .action = calloc(BENCH_EXAMPLES * n_cells, sizeof *e->action),
                          .mask = calloc(BENCH_EXAMPLES * d->n_metrics, 1),
                          .has_previous = calloc(BENCH_EXAMPLES, 1)};
    if (!e->metric || !e->action || !e->mask || !e->has_previous)
        return mim_fail(MIM_ENOMEM, "examples");
    for (size_t i = 0; i < BENCH_EXAMPLES * d->n_metrics; i++) {
        e->metric[i] = (float)(100 * mim_rng_u01(1, MIM_STREAM_TEST, i, 0, 0));
        e->mask[i] = 1;
    }
    for (size_t i = 0; i < BENCH_EXAMPLES * n_cells; i++)
        e->action[i] = (float)(mim_rng_u01(1, MIM_STREAM_TEST, i, 1, 0) / BENCH_STRESSORS);
    e->examples = (mim_examples){BENCH_EXAMPLES, NULL,      e->metric,      e->mask,
                                 e->action,      e->action, e->has_previous};
    return MIM_OK;
}

void bench_examples_clear(bench_examples *e)
{
    free(e->metric);
    free(e->action);
    free(e->mask);
    free(e->has_previous);
}
