#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "tests/support/toy.h"

static const char *const metric_names[TOY_D] = {
    "avg_cpu_utilizations_core_00", "avg_cpu_utilizations_core_01", "io_read", "l3_cache_usage"};
static const char *const action_names[TOY_S] = {"toy_cpu", "toy_read", "toy_nothing"};

void toy_action(const double metrics[TOY_D], double weights[TOY_T * TOY_S])
{
    for (size_t t = 0; t < TOY_T; t++) {
        weights[t * TOY_S] = 0.6 * metrics[t] / 100;
        weights[t * TOY_S + 1] = 0.3 * metrics[2] / 1000;
        weights[t * TOY_S + 2] = 0;
    }
}

void toy_fill(toy *t, size_t n)
{
    const double most[TOY_D] = {100, 100, 1000, 0};
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < n; i++) {
        double metrics[TOY_D], weights[TOY_T * TOY_S];
        for (size_t m = 0; m < TOY_D; m++) {
            metrics[m] = most[m] * mim_rng_u01(17, MIM_STREAM_TEST, i, 0, (uint32_t)m);
            t->metric[i * TOY_D + m] = (float)metrics[m];
            t->mask[i * TOY_D + m] = m < 3;
        }
        toy_action(metrics, weights);
        for (size_t k = 0; k < TOY_T * TOY_S; k++) {
            t->action[i * TOY_T * TOY_S + k] = (float)weights[k];
            if (i % 2)
                t->previous[i * TOY_T * TOY_S + k] = t->action[(i - 1) * TOY_T * TOY_S + k];
        }
        t->has_previous[i] = i % 2;
    }
    t->examples =
        (mim_examples){n, NULL, t->metric, t->mask, t->action, t->previous, t->has_previous};
}

mim_model *toy_model(uint64_t seed, mim_prediction prediction)
{
    const mim_architecture size = {.width = 16, .n_blocks = 1, .n_heads = 2, .mlp_ratio = 2};
    return toy_model_of(&size, seed, prediction);
}

mim_model *toy_model_of(const mim_architecture *size, uint64_t seed, mim_prediction prediction)
{
    return toy_model_with(size, seed, prediction, MIM_OUTPUT_FREE);
}

mim_model *toy_model_with(const mim_architecture *size, uint64_t seed, mim_prediction prediction,
                          mim_output output)
{
    static const double minimum[TOY_D] = {0, 0, 0, NAN}, maximum[TOY_D] = {100, 100, 1000, NAN};
    const mim_domain_parts parts = {.n_metrics = TOY_D,
                                    .n_threads = TOY_T,
                                    .n_stressors = TOY_S,
                                    .n_sockets = 1,
                                    .metrics = metric_names,
                                    .actions = action_names,
                                    .minimum = minimum,
                                    .maximum = maximum,
                                    .host_class = "toy"};
    const bool is_flow = prediction == MIM_PREDICT_FLOW;
    const mim_process process = {is_flow ? MIM_SCHEDULE_FLOW : MIM_SCHEDULE_COSINE, 100, prediction,
                                 output};
    mim_domain *domain = NULL;
    mim_model *model = NULL;
    if (mim_domain_create(&parts, &domain) != MIM_OK ||
        mim_model_create(&domain, size, &process, seed, &model) != MIM_OK)
        return NULL;
    return model;
}

const mim_architecture toy_networks[MIM_N_NETWORKS] = {
    [MIM_NETWORK_THREAD_TOKEN] = {.width = 16, .n_blocks = 3, .n_heads = 2, .mlp_ratio = 2},
    [MIM_NETWORK_CELL_TOKEN] = {.kind = MIM_NETWORK_CELL_TOKEN,
                                .width = 16,
                                .n_blocks = 3,
                                .n_heads = 2,
                                .mlp_ratio = 2,
                                .encoder = MIM_CONTEXT_METRICS_ONLY,
                                .encoder_width = 8,
                                .context_width = 8},
    [MIM_NETWORK_UNET] = {.kind = MIM_NETWORK_UNET,
                          .width = 8,
                          .n_heads = 2,
                          .head_width = 4,
                          .multipliers = "1,2",
                          .encoder_width = 8,
                          .context_width = 8},
};

mim_train_options toy_options(void)
{
    return (mim_train_options){.batch = 32,
                               .n_shards = 4,
                               .adam = mim_adam_default,
                               .rate = {.base = 5e-3,
                                        .floor = 0.02,
                                        .n_warmup = 20,
                                        .n_steps = 600,
                                        .decay = MIM_LR_COSINE},
                               .ema = {.beta = 0.98, .n_copies = 20},
                               .clip_norm = 1,
                               .hide_all = 0.1,
                               .hide_previous = 0.1,
                               .jitter = 1e-3,
                               .max_skipped = 3};
}
