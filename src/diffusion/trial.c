#include "diffusion/trial.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "node/machine.h"
#include "node/simulated.h"
#include "plan/plan.h"

struct mim_trial {
    const mim_model *model;
    mim_generation how;
    double slot_s;
    mim_simulated *node;
    mim_actions *actions;
    size_t n, n_cells;
    double *wanted;      /* [n][D], NaN = not known */
    double *previous;    /* [n][T][S] */
    double *own;         /* [n][T][S] the plans that the metrics are of */
    bool *has_previous;  /* [n] */
    uint64_t *ids;       /* [n] */
    size_t n_metrics;    /* of the node */
    mim_metric *metrics; /* [n_metrics] */
    size_t *of_node;     /* [D] the node's metric, SIZE_MAX = none */
};

/* ---- setting up ----------------------------------------------------------------------------- */

static int allocate(mim_trial *t)
{
    const mim_domain *d = t->model->domain;
    t->wanted = calloc(t->n * d->n_metrics, sizeof *t->wanted);
    t->previous = calloc(t->n * t->n_cells, sizeof *t->previous);
    t->own = calloc(t->n * t->n_cells, sizeof *t->own);
    t->has_previous = calloc(t->n, sizeof *t->has_previous);
    t->ids = calloc(t->n, sizeof *t->ids);
    t->of_node = calloc(d->n_metrics, sizeof *t->of_node);
    return t->wanted && t->previous && t->own && t->has_previous && t->ids && t->of_node
               ? MIM_OK
               : mim_fail(MIM_ENOMEM, "trial of %zu plans", t->n);
}

static void copy_examples(mim_trial *t, const mim_examples *examples)
{
    const size_t n_metrics = t->model->domain->n_metrics;
    for (size_t i = 0; i < t->n; i++) {
        const size_t e = (size_t)((double)i * ((double)examples->n / (double)t->n));
        const size_t row = mim_examples_row(examples, e);
        t->ids[i] = i;
        t->has_previous[i] = examples->has_previous[row];
        for (size_t m = 0; m < n_metrics; m++)
            t->wanted[i * n_metrics + m] = examples->mask[row * n_metrics + m]
                                               ? (double)examples->metric[row * n_metrics + m]
                                               : (double)NAN;
        for (size_t c = 0; c < t->n_cells; c++) {
            t->previous[i * t->n_cells + c] = (double)examples->previous[row * t->n_cells + c];
            t->own[i * t->n_cells + c] = (double)examples->action[row * t->n_cells + c];
        }
    }
}

/* Working sets as the campaign had them that the examples are of. */
static int fit_actions(mim_trial *t)
{
    mim_machine *machine = NULL;
    int rc = mim_simulated_machine(t->node, &machine);
    if (rc == MIM_OK) {
        const mim_actions_node node = {
            .caches = mim_machine_caches(machine),
            .sizes_all = strcmp(t->model->domain->sizes, "node") == 0,
        };
        rc = mim_actions_fit(t->actions, &node);
    }
    mim_machine_destroy(&machine);
    return rc;
}

/* One slot of a plan on the node: its last. Fills `row` [D], or with NULL takes the metrics. */
static int run_plan(mim_trial *t, const mim_plan *plan, double *row)
{
    const mim_simulated_task task = {
        .plan = plan, .slot_s = t->slot_s > 0 ? t->slot_s : 1, .n_iters = 1};
    mim_series *series = NULL;
    const mim_simulated_outputs outputs = {.series = &series};
    int rc = mim_simulated_run(t->node, &task, &outputs);
    if (rc != MIM_OK)
        return rc;
    for (size_t m = 0; row && m < t->model->domain->n_metrics; m++)
        row[m] = t->of_node[m] == SIZE_MAX
                     ? (double)NAN
                     : mim_series_at(series, series->n_slots - 1, t->of_node[m]);
    if (!row) {
        t->n_metrics = series->n_metrics;
        t->metrics = calloc(series->n_metrics, sizeof *t->metrics);
        if (t->metrics)
            memcpy(t->metrics, series->metrics, series->n_metrics * sizeof *t->metrics);
        for (size_t m = 0; m < t->model->domain->n_metrics; m++)
            t->of_node[m] = mim_series_find(series, t->model->domain->metrics[m]);
        rc = t->metrics ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu metrics", series->n_metrics);
    }
    mim_series_destroy(&series);
    return rc;
}

/* An idle slot, of which only the metrics are looked at. */
static int list_metrics(mim_trial *t)
{
    mim_plan *plan = NULL;
    int rc = mim_plan_create(1, t->model->domain->n_threads, t->actions, &plan);
    if (rc == MIM_OK)
        rc = run_plan(t, plan, NULL);
    mim_plan_destroy(&plan);
    return rc;
}

static int check_actions(const mim_trial *t)
{
    for (size_t s = 0; s < mim_actions_n(t->actions); s++)
        if (!mim_actions_stressor(t->actions, s))
            return mim_fail(MIM_EUNSUP, "trial: a simulated node does not know the stressor %s",
                            mim_actions_name(t->actions, s));
    return MIM_OK;
}

int mim_trial_create(const mim_model *model, const mim_examples *examples, size_t n,
                     const mim_generation *how, double slot_s, mim_trial **trial)
{
    const mim_domain *d = model->domain;
    mim_simulated_options options;
    *trial = NULL;
    n = n < examples->n ? n : examples->n;
    if (n == 0 || !mim_simulated_of_class(d->host_class, &options))
        return MIM_OK;
    mim_trial *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "trial of %zu plans", n);
    made->model = model;
    made->how = *how;
    made->slot_s = slot_s;
    made->n = n;
    made->n_cells = d->n_threads * d->n_stressors;
    int rc = allocate(made);
    if (rc == MIM_OK)
        rc = mim_simulated_create(&options, &made->node);
    if (rc == MIM_OK)
        rc =
            mim_actions_from_names(d->n_stressors, (const char *const *)d->actions, &made->actions);
    if (rc == MIM_OK)
        rc = check_actions(made);
    if (rc == MIM_OK)
        rc = fit_actions(made);
    if (rc == MIM_OK)
        rc = list_metrics(made);
    if (rc == MIM_OK) {
        copy_examples(made, examples);
        *trial = made;
        made = NULL;
    }
    mim_trial_destroy(&made);
    return rc;
}

void mim_trial_destroy(mim_trial **trial)
{
    mim_trial *old = *trial;
    if (!old)
        return;
    *trial = NULL;
    mim_simulated_destroy(&old->node);
    mim_actions_destroy(&old->actions);
    free(old->wanted);
    free(old->previous);
    free(old->own);
    free(old->has_previous);
    free(old->ids);
    free(old->metrics);
    free(old->of_node);
    free(old);
}

const char *mim_trial_node(const mim_trial *trial) { return mim_simulated_name(trial->node); }

size_t mim_trial_n(const mim_trial *trial) { return trial->n; }

size_t mim_trial_n_groups(const mim_trial *trial)
{
    return (trial->n + MIM_GENERATOR_GROUP - 1) / MIM_GENERATOR_GROUP;
}

/* ---- running -------------------------------------------------------------------------------- */

static int try_plan(mim_trial *t, size_t i, const double *weights, double *row)
{
    const mim_domain *d = t->model->domain;
    const size_t n_windows = t->has_previous[i] ? 2 : 1;
    mim_plan *plan = NULL;
    int rc = mim_plan_create(n_windows, d->n_threads, t->actions, &plan);
    for (size_t w = 0; rc == MIM_OK && w < n_windows; w++) {
        const double *from = w + 1 == n_windows ? weights : t->previous + i * t->n_cells;
        for (size_t r = 0; r < d->n_threads; r++)
            memcpy(mim_plan_row(plan, w, r), from + r * d->n_stressors,
                   d->n_stressors * sizeof *from);
    }
    if (rc == MIM_OK)
        rc = mim_plan_validate(plan, "a model's plan");
    if (rc == MIM_OK)
        rc = run_plan(t, plan, row);
    mim_plan_destroy(&plan);
    return rc;
}

int mim_trial_run(mim_trial *t, size_t first, size_t n_groups, double *measured)
{
    const size_t n_metrics = t->model->domain->n_metrics, at = first * MIM_GENERATOR_GROUP;
    if (at >= t->n || n_groups == 0)
        return MIM_OK;
    const size_t most = n_groups * MIM_GENERATOR_GROUP, n = most < t->n - at ? most : t->n - at;
    double *weights = calloc(n * t->n_cells, sizeof *weights);
    int rc = weights
                 ? mim_diffusion_draw(t->model, &t->how, n, t->ids + at, t->wanted + at * n_metrics,
                                      t->previous + at * t->n_cells, t->has_previous + at, weights)
                 : mim_fail(MIM_ENOMEM, "%zu plans", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        rc = try_plan(t, at + i, weights + i * t->n_cells, measured + (at + i) * n_metrics);
    free(weights);
    return rc;
}

int mim_trial_run_own(mim_trial *t, size_t first, size_t n_groups, double *measured)
{
    const size_t n_metrics = t->model->domain->n_metrics, at = first * MIM_GENERATOR_GROUP;
    int rc = MIM_OK;
    for (size_t i = at; rc == MIM_OK && i < at + n_groups * MIM_GENERATOR_GROUP && i < t->n; i++)
        rc = try_plan(t, i, t->own + i * t->n_cells, measured + i * n_metrics);
    return rc;
}

int mim_trial_series(const mim_trial *t, const double *values, mim_series **series)
{
    const size_t n_metrics = t->model->domain->n_metrics;
    mim_series *made = NULL;
    const double *from = values ? values : t->wanted;
    int rc = mim_series_allocate(t->n, t->n_metrics, mim_simulated_name(t->node), &made);
    if (rc != MIM_OK)
        return rc;
    memcpy(made->metrics, t->metrics, t->n_metrics * sizeof *t->metrics);
    for (size_t i = 0; i < t->n; i++) {
        made->length_s[i] = t->slot_s > 0 ? t->slot_s : 1;
        made->start_s[i] = (double)i * made->length_s[i];
        for (size_t m = 0; m < n_metrics; m++)
            if (t->of_node[m] != SIZE_MAX)
                made->values[i * t->n_metrics + t->of_node[m]] = from[i * n_metrics + m];
    }
    made->n_records = t->n + 1;
    *series = made;
    return MIM_OK;
}
