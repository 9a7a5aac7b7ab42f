/* Rows of the campaign store in memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "corpus/campaign_internal.h"

static const double row_tolerance = 1e-3;

void mim_campaign_columns(const mim_layout *l, mim_column columns[MIM_CAMPAIGN_N_COLUMNS])
{
    const mim_column made[MIM_CAMPAIGN_N_COLUMNS] = {
        {"plan_id", MIM_H5_U64, 1, {0}, "", "row", "which plan"},
        {"window", MIM_H5_U32, 1, {0}, "", "row", "which window of the plan"},
        {"n_windows", MIM_H5_U32, 1, {0}, "", "row", "windows of the plan"},
        {"action",
         MIM_H5_F32,
         3,
         {0, l->n_threads, l->n_stressors},
         "share of the slot",
         "row, thread, stressor",
         "what was asked for"},
        {"metric",
         MIM_H5_F64,
         2,
         {0, l->n_metrics},
         "see metric_units",
         "row, metric",
         "median over the repetitions, NaN = absent"},
        {"spread",
         MIM_H5_F64,
         2,
         {0, l->n_metrics},
         "see metric_units",
         "row, metric",
         "median absolute deviation over the repetitions, NaN = absent"},
        {"n_repeats", MIM_H5_U32, 1, {0}, "", "row", "repetitions behind the figures"},
        {"round", MIM_H5_U32, 1, {0}, "", "row", "round of the campaign"},
        {"status", MIM_H5_U8, 1, {0}, "", "row", "0 accepted, 1 disturbed, 2 failed"},
        {"start_s", MIM_H5_F64, 1, {0}, "s", "row", "start of the slot since the epoch"},
        {"host", MIM_H5_NAME, 1, {0}, "", "row", "which host ran it"},
    };
    memcpy(columns, made, sizeof made);
}

void mim_campaign_buffers(const mim_layout *l, const mim_campaign_rows *rows, size_t at,
                          void *buffers[MIM_CAMPAIGN_N_COLUMNS])
{
    void *const made[MIM_CAMPAIGN_N_COLUMNS] = {
        rows->plan_id + at,
        rows->window + at,
        rows->n_windows + at,
        rows->action + at * l->n_threads * l->n_stressors,
        rows->metric + at * l->n_metrics,
        rows->spread + at * l->n_metrics,
        rows->n_repeats + at,
        rows->round + at,
        rows->status + at,
        rows->start_s + at,
        rows->host + at,
    };
    memcpy(buffers, made, sizeof made);
}

int mim_campaign_rows_create(const mim_layout *l, size_t n, mim_campaign_rows **rows)
{
    const size_t m = n ? n : 1;
    mim_campaign_rows *r = calloc(1, sizeof *r);
    if (!r)
        return mim_fail(MIM_ENOMEM, "rows");
    r->n = n;
    r->plan_id = calloc(m, sizeof *r->plan_id);
    r->window = calloc(m, sizeof *r->window);
    r->n_windows = calloc(m, sizeof *r->n_windows);
    r->action = calloc(m, l->n_threads * l->n_stressors * sizeof *r->action);
    r->metric = calloc(m, l->n_metrics * sizeof *r->metric);
    r->spread = calloc(m, l->n_metrics * sizeof *r->spread);
    r->n_repeats = calloc(m, sizeof *r->n_repeats);
    r->round = calloc(m, sizeof *r->round);
    r->status = calloc(m, sizeof *r->status);
    r->start_s = calloc(m, sizeof *r->start_s);
    r->host = calloc(m, sizeof *r->host);
    if (!r->plan_id || !r->window || !r->n_windows || !r->action || !r->metric || !r->spread ||
        !r->n_repeats || !r->round || !r->status || !r->start_s || !r->host) {
        mim_campaign_rows_destroy(&r);
        return mim_fail(MIM_ENOMEM, "%zu rows of a campaign", n);
    }
    for (size_t i = 0; i < n * l->n_metrics; i++)
        r->metric[i] = r->spread[i] = NAN;
    *rows = r;
    return MIM_OK;
}

void mim_campaign_rows_destroy(mim_campaign_rows **rows)
{
    mim_campaign_rows *r = *rows;
    if (!r)
        return;
    free(r->plan_id);
    free(r->window);
    free(r->n_windows);
    free(r->action);
    free(r->metric);
    free(r->spread);
    free(r->n_repeats);
    free(r->round);
    free(r->status);
    free(r->start_s);
    free(r->host);
    free(r);
    *rows = NULL;
}

/* ---- checking ------------------------------------------------------------------------------- */

static int check_action(const mim_layout *l, size_t row, const float *action)
{
    for (size_t t = 0; t < l->n_threads; t++) {
        double sum = 0.0;
        for (size_t s = 0; s < l->n_stressors; s++) {
            const double w = (double)action[t * l->n_stressors + s];
            if (!(w >= 0.0 && w <= 1.0 + row_tolerance))
                return mim_fail(MIM_EINVAL,
                                "row %zu: thread %zu gives stressor %zu %g of the slot, expected 0 "
                                "to 1",
                                row, t, s, w);
            sum += w;
        }
        if (sum > 1.0 + row_tolerance)
            return mim_fail(MIM_EINVAL,
                            "row %zu: the shares of thread %zu sum to %g, expected at most 1", row,
                            t, sum);
    }
    return MIM_OK;
}

static int check_figures(const mim_layout *l, size_t row, const double *metric,
                         const double *spread)
{
    for (size_t m = 0; m < l->n_metrics; m++)
        if (isinf(metric[m]) || isinf(spread[m]) || spread[m] < 0.0 ||
            isnan(metric[m]) != isnan(spread[m]))
            return mim_fail(MIM_EINVAL, "row %zu: %s is %g with a spread of %g", row,
                            l->metric_names[m], metric[m], spread[m]);
    return MIM_OK;
}

/* Row i follows row i - 1 of its plan, or begins a plan where the last one is whole. */
static bool is_in_order(const mim_campaign_rows *r, size_t i)
{
    const bool is_first = r->window[i] == 0;
    const bool was_last = i == 0 || r->window[i - 1] + 1 == r->n_windows[i - 1];
    if (r->n_windows[i] == 0 || r->window[i] >= r->n_windows[i] || is_first != was_last)
        return false;
    return is_first ||
           (r->plan_id[i] == r->plan_id[i - 1] && r->n_windows[i] == r->n_windows[i - 1] &&
            r->window[i] == r->window[i - 1] + 1);
}

/* What holds for every row by itself; sentences call it `number`. */
static int check_row(const mim_layout *l, const mim_campaign_rows *r, size_t i, size_t number)
{
    if (r->status[i] > MIM_SLOT_FAILED)
        return mim_fail(MIM_EINVAL, "row %zu: status %d, expected 0 to 2", number, r->status[i]);
    if (!isfinite(r->start_s[i]))
        return mim_fail(MIM_EINVAL, "row %zu: start_s is %g", number, r->start_s[i]);
    if (!memchr(r->host[i], 0, MIM_HOST_NAME_BYTES))
        return mim_fail(MIM_EINVAL, "row %zu: the host's name has no end", number);
    int rc = check_action(l, number, r->action + i * l->n_threads * l->n_stressors);
    if (rc == MIM_OK)
        rc = check_figures(l, number, r->metric + i * l->n_metrics, r->spread + i * l->n_metrics);
    return rc;
}

int mim_campaign_rows_check_each(const mim_layout *l, const mim_campaign_rows *r, size_t first)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < r->n; i++)
        rc = check_row(l, r, i, first + i);
    return rc;
}

int mim_campaign_rows_check_order(const mim_campaign_rows *r, size_t begin, size_t first,
                                  bool is_end)
{
    for (size_t i = begin; i < r->n; i++)
        if (!is_in_order(r, i))
            return mim_fail(MIM_EINVAL,
                            "row %zu: window %u of %u of plan %llu; expected whole plans, their "
                            "windows in order",
                            first + i, r->window[i], r->n_windows[i],
                            (unsigned long long)r->plan_id[i]);
    if (is_end && r->n > 0 && r->window[r->n - 1] + 1 != r->n_windows[r->n - 1])
        return mim_fail(MIM_EINVAL, "plan %llu ends at window %u of %u",
                        (unsigned long long)r->plan_id[r->n - 1], r->window[r->n - 1],
                        r->n_windows[r->n - 1]);
    return MIM_OK;
}

int mim_campaign_rows_check(const mim_layout *l, const mim_campaign_rows *r)
{
    int rc = mim_campaign_rows_check_each(l, r, 0);
    return rc == MIM_OK ? mim_campaign_rows_check_order(r, 0, 0, true) : rc;
}

int mim_campaign_rows_plans(const mim_campaign_rows *rows, size_t *n, uint64_t **ids)
{
    uint64_t *made = malloc((rows->n + 1) * sizeof *made);
    size_t count = 0;
    if (!made)
        return mim_fail(MIM_ENOMEM, "%zu plan ids", rows->n);
    for (size_t i = 0; i < rows->n; i++)
        if (rows->window[i] == 0)
            made[count++] = rows->plan_id[i];
    *n = count;
    *ids = made;
    return MIM_OK;
}
