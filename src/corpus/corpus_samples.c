/* Samples of the training corpus in memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "corpus/corpus_internal.h"

static const double row_tolerance = 1e-3;

void mim_corpus_columns(const mim_layout *l, mim_column columns[MIM_CORPUS_N_COLUMNS])
{
    const char *const cells = "sample, thread, stressor", *const figures = "sample, metric";
    const char *const share = "share of the slot", *const unit = "see metric_units";
    const mim_column made[MIM_CORPUS_N_COLUMNS] = {
        {"plan_id", MIM_H5_U64, 1, {0}, "", "sample", "which plan"},
        {"window", MIM_H5_U32, 1, {0}, "", "sample", "which window of the plan"},
        {"metric", MIM_H5_F32, 2, {0, l->n_metrics}, unit, figures, "measured; 0 where absent"},
        {"mask", MIM_H5_U8, 2, {0, l->n_metrics}, "", figures, "1 present, 0 absent"},
        {"spread",
         MIM_H5_F32,
         2,
         {0, l->n_metrics},
         unit,
         figures,
         "median absolute deviation over repetitions; 0 where absent"},
        {"n_repeats", MIM_H5_U32, 1, {0}, "", "sample", "repetitions behind the figures"},
        {"action",
         MIM_H5_F32,
         3,
         {0, l->n_threads, l->n_stressors},
         share,
         cells,
         "what ran in the slot"},
        {"previous_action",
         MIM_H5_F32,
         3,
         {0, l->n_threads, l->n_stressors},
         share,
         cells,
         "what ran in the slot before"},
        {"has_previous", MIM_H5_U8, 1, {0}, "", "sample", "0: began from an idle machine"},
        {"is_validation", MIM_H5_U8, 1, {0}, "", "sample", "1: not for training"},
    };
    memcpy(columns, made, sizeof made);
}

void mim_corpus_buffers(const mim_layout *l, const mim_samples *s, size_t at,
                        void *buffers[MIM_CORPUS_N_COLUMNS])
{
    const size_t cells = l->n_threads * l->n_stressors;
    void *const made[MIM_CORPUS_N_COLUMNS] = {
        s->plan_id + at,
        s->window + at,
        s->metric + at * l->n_metrics,
        s->mask + at * l->n_metrics,
        s->spread + at * l->n_metrics,
        s->n_repeats + at,
        s->action + at * cells,
        s->previous_action + at * cells,
        s->has_previous + at,
        s->is_validation + at,
    };
    memcpy(buffers, made, sizeof made);
}

int mim_samples_create(const mim_layout *l, size_t n, mim_samples **samples)
{
    const size_t m = n ? n : 1, cells = l->n_threads * l->n_stressors;
    mim_samples *s = calloc(1, sizeof *s);
    if (!s)
        return mim_fail(MIM_ENOMEM, "samples");
    s->n = n;
    s->plan_id = calloc(m, sizeof *s->plan_id);
    s->window = calloc(m, sizeof *s->window);
    s->metric = calloc(m, l->n_metrics * sizeof *s->metric);
    s->mask = calloc(m, l->n_metrics * sizeof *s->mask);
    s->spread = calloc(m, l->n_metrics * sizeof *s->spread);
    s->n_repeats = calloc(m, sizeof *s->n_repeats);
    s->action = calloc(m, cells * sizeof *s->action);
    s->previous_action = calloc(m, cells * sizeof *s->previous_action);
    s->has_previous = calloc(m, sizeof *s->has_previous);
    s->is_validation = calloc(m, sizeof *s->is_validation);
    if (!s->plan_id || !s->window || !s->metric || !s->mask || !s->spread || !s->n_repeats ||
        !s->action || !s->previous_action || !s->has_previous || !s->is_validation) {
        mim_samples_destroy(&s);
        return mim_fail(MIM_ENOMEM, "%zu samples", n);
    }
    *samples = s;
    return MIM_OK;
}

void mim_samples_destroy(mim_samples **samples)
{
    mim_samples *s = *samples;
    if (!s)
        return;
    free(s->plan_id);
    free(s->window);
    free(s->metric);
    free(s->mask);
    free(s->spread);
    free(s->n_repeats);
    free(s->action);
    free(s->previous_action);
    free(s->has_previous);
    free(s->is_validation);
    free(s);
    *samples = NULL;
}

bool mim_corpus_is_validation(uint64_t plan_id, uint64_t seed, double share)
{
    return mim_rng_u01(seed, MIM_STREAM_SPLIT, plan_id, 0, 0) < share;
}

/* ---- checking ------------------------------------------------------------------------------- */

static int check_action(const mim_layout *l, size_t sample, const char *name, const float *action,
                        bool is_zero)
{
    for (size_t t = 0; t < l->n_threads; t++) {
        double sum = 0.0;
        for (size_t s = 0; s < l->n_stressors; s++) {
            const double w = (double)action[t * l->n_stressors + s];
            if (!(w >= 0.0 && w <= 1.0 + row_tolerance))
                return mim_fail(MIM_EINVAL,
                                "sample %zu: %s of thread %zu, stressor %zu is %g, expected 0 to 1",
                                sample, name, t, s, w);
            sum += w;
        }
        if (sum > 1.0 + row_tolerance)
            return mim_fail(MIM_EINVAL,
                            "sample %zu: %s of thread %zu sums to %g, expected at most 1", sample,
                            name, t, sum);
        if (is_zero && sum != 0.0)
            return mim_fail(MIM_EINVAL, "sample %zu: has a %s, and says it has none", sample, name);
    }
    return MIM_OK;
}

static int check_figures(const mim_layout *l, const mim_samples *s, size_t i, size_t number)
{
    for (size_t m = 0; m < l->n_metrics; m++) {
        const size_t at = i * l->n_metrics + m;
        const bool is_absent = s->mask[at] == 0;
        if (s->mask[at] > 1 || !isfinite(s->metric[at]) || !isfinite(s->spread[at]) ||
            s->spread[at] < 0.0f || (is_absent && (s->metric[at] != 0.0f || s->spread[at] != 0.0f)))
            return mim_fail(MIM_EINVAL, "sample %zu: %s is %g, spread %g, mask %d", number,
                            l->metric_names[m], (double)s->metric[at], (double)s->spread[at],
                            s->mask[at]);
    }
    return MIM_OK;
}

int mim_samples_check_one(const mim_layout *l, const mim_corpus_info *info, const mim_samples *s,
                          size_t i, size_t number)
{
    const size_t cells = l->n_threads * l->n_stressors;
    const bool side =
        mim_corpus_is_validation(s->plan_id[i], info->split_seed, info->validation_share);
    int rc = check_action(l, number, "action", s->action + i * cells, false);
    if (rc == MIM_OK)
        rc = check_action(l, number, "previous action", s->previous_action + i * cells,
                          !s->has_previous[i]);
    if (rc == MIM_OK)
        rc = check_figures(l, s, i, number);
    if (rc == MIM_OK && (s->has_previous[i] > 1 || s->is_validation[i] != side))
        rc = mim_fail(MIM_EINVAL, "sample %zu: is on the wrong side of the split", number);
    return rc;
}

int mim_samples_check(const mim_layout *l, const mim_corpus_info *info, const mim_samples *s)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < s->n; i++)
        rc = mim_samples_check_one(l, info, s, i, i);
    return rc;
}
