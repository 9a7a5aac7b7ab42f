#include "tests/support/simulated_lessons.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

enum { CELLS = SIMULATED_T * SIMULATED_S };

static double draw(size_t i, size_t t, uint32_t which)
{
    return mim_rng_u01(8, MIM_STREAM_TEST, i, (uint32_t)t, which);
}

/* Two stressors a thread; every seventh plan is idle. */
static void fill_action(size_t i, float *action)
{
    for (size_t t = 0; i % 7 != 3 && t < SIMULATED_T; t++) {
        action[t * SIMULATED_S + (size_t)(SIMULATED_S * draw(i, t, 0))] =
            (float)(0.5 * draw(i, t, 1));
        action[t * SIMULATED_S + (size_t)(SIMULATED_S * draw(i, t, 2))] =
            (float)(0.5 * draw(i, t, 3));
    }
}

static int run(const simulated_lessons *l, const double *previous, const double *weights,
               mim_series **series)
{
    const size_t n_windows = previous ? 2 : 1;
    mim_plan *plan = NULL;
    int rc = mim_plan_create(n_windows, SIMULATED_T, l->actions, &plan);
    for (size_t w = 0; rc == MIM_OK && w < n_windows; w++)
        for (size_t t = 0; weights && t < SIMULATED_T; t++)
            memcpy(mim_plan_row(plan, w, t),
                   (w + 1 == n_windows ? weights : previous) + t * SIMULATED_S,
                   SIMULATED_S * sizeof *weights);
    const mim_simulated_task task = {.plan = plan, .slot_s = 1, .n_iters = 1};
    const mim_simulated_outputs outputs = {.series = series};
    if (rc == MIM_OK)
        rc = mim_simulated_run(l->node, &task, &outputs);
    mim_plan_destroy(&plan);
    return rc;
}

int simulated_lessons_measure(const simulated_lessons *l, const double *previous,
                              const double *weights, double *metrics)
{
    mim_series *series = NULL;
    const int rc = run(l, previous, weights, &series);
    for (size_t m = 0; rc == MIM_OK && m < l->n_metrics; m++)
        metrics[m] = mim_series_at(series, series->n_slots - 1, m);
    mim_series_destroy(&series);
    return rc;
}

static int fill(simulated_lessons *l, double *range)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < l->n; i++) {
        double previous[CELLS], weights[CELLS], metrics[SIMULATED_MAX_D];
        l->has_previous[i] = i % 2;
        fill_action(i, l->action + i * CELLS);
        if (i % 2)
            memcpy(l->previous + i * CELLS, l->action + (i - 1) * CELLS, CELLS * sizeof *l->action);
        for (size_t c = 0; c < CELLS; c++) {
            weights[c] = (double)l->action[i * CELLS + c];
            previous[c] = (double)l->previous[i * CELLS + c];
        }
        rc = simulated_lessons_measure(l, i % 2 ? previous : NULL, weights, metrics);
        for (size_t m = 0; rc == MIM_OK && m < l->n_metrics; m++) {
            const size_t at = i * l->n_metrics + m;
            l->mask[at] = !(m == 2 && i % 5 == 4);
            l->metric[at] = l->mask[at] ? (float)metrics[m] : 0;
            range[m] = metrics[m] < range[m] ? metrics[m] : range[m];
            if (metrics[m] > range[SIMULATED_MAX_D + m])
                range[SIMULATED_MAX_D + m] = metrics[m];
        }
    }
    return rc;
}

static int make_model(simulated_lessons *l, const mim_series *series, const double *range)
{
    const char *names[SIMULATED_MAX_D], *actions[SIMULATED_S];
    const mim_architecture size = {.width = 16, .n_blocks = 1, .n_heads = 2, .mlp_ratio = 2};
    const mim_process process = {MIM_SCHEDULE_COSINE, 50, MIM_PREDICT_X0, MIM_OUTPUT_FREE};
    mim_domain *domain = NULL;
    for (size_t m = 0; m < l->n_metrics; m++)
        names[m] = series->metrics[m].name;
    for (size_t s = 0; s < SIMULATED_S; s++)
        actions[s] = mim_actions_name(l->actions, s);
    char *host_class = mim_simulated_host_class(l->node);
    const mim_domain_parts parts = {.n_metrics = l->n_metrics,
                                    .n_threads = SIMULATED_T,
                                    .n_stressors = SIMULATED_S,
                                    .n_sockets = 1,
                                    .metrics = names,
                                    .actions = actions,
                                    .minimum = range,
                                    .maximum = range + SIMULATED_MAX_D,
                                    .host_class = host_class};
    int rc = mim_domain_create(&parts, &domain);
    free(host_class);
    if (rc == MIM_OK)
        rc = mim_model_create(&domain, &size, &process, 3, &l->model);
    for (size_t i = 0; rc == MIM_OK && i < l->model->params->n_values; i++)
        l->model->params->ema[i] +=
            (float)(0.4 * mim_rng_u01(1, MIM_STREAM_TEST, 9, 0, (uint32_t)i) - 0.2);
    return rc;
}

int simulated_lessons_make(size_t n, simulated_lessons *l)
{
    const mim_simulated_options options = {.size = {1, 2}, .has_carry_over = true};
    double range[2 * SIMULATED_MAX_D] = {0};
    mim_series *series = NULL;
    memset(l, 0, sizeof *l);
    l->n = n;
    int rc = mim_simulated_create(&options, &l->node);
    if (rc == MIM_OK)
        rc = mim_actions_builtin("20", &l->actions);
    if (rc == MIM_OK)
        rc = run(l, NULL, NULL, &series);
    if (rc == MIM_OK) {
        l->n_metrics = series->n_metrics;
        l->metric = calloc(n, SIMULATED_MAX_D * sizeof *l->metric);
        l->mask = calloc(n, SIMULATED_MAX_D);
        l->action = calloc(n, CELLS * sizeof *l->action);
        l->previous = calloc(n, CELLS * sizeof *l->previous);
        l->has_previous = calloc(n, 1);
        if (!l->metric || !l->mask || !l->action || !l->previous || !l->has_previous)
            rc = mim_fail(MIM_ENOMEM, "lessons");
    }
    if (rc == MIM_OK)
        rc = fill(l, range);
    if (rc == MIM_OK)
        rc = make_model(l, series, range);
    l->examples =
        (mim_examples){n, NULL, l->metric, l->mask, l->action, l->previous, l->has_previous};
    mim_series_destroy(&series);
    return rc;
}

void simulated_lessons_clear(simulated_lessons *l)
{
    mim_simulated_destroy(&l->node);
    mim_actions_destroy(&l->actions);
    mim_model_destroy(&l->model);
    free(l->metric);
    free(l->mask);
    free(l->action);
    free(l->previous);
    free(l->has_previous);
}
