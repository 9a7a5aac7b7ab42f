#include "tests/support/made_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/rng.h"

enum { N_ACTIONS = 3, N_METRICS = 4, N_THREADS = 2 };

static const char *const names[N_ACTIONS] = {
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false",
    "BM_STRESS_NG_HddRead_1MB_NoSleep", "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled"};

int made_layout(mim_layout **layout)
{
    mim_actions *actions = NULL;
    const mim_metric metrics[N_METRICS] = {
        mim_metric_of_core(0, 1),
        mim_metric_of_core(1, 1),
        {"io_read", "KB/s", MIM_FAMILY_IO_READ, MIM_TIER_PROC, -1},
        {"io_write", "KB/s", MIM_FAMILY_IO_WRITE, MIM_TIER_PROC, -1},
    };
    int rc = mim_actions_from_names(N_ACTIONS, names, &actions);
    if (rc == MIM_OK)
        rc = mim_layout_create(N_THREADS, actions, N_METRICS, metrics, 1.0, "made by rule", layout);
    mim_actions_destroy(&actions);
    return rc;
}

static double draw(uint64_t plan, uint32_t window, uint32_t which)
{
    return mim_rng_u01(1, MIM_STREAM_TEST, plan, window, which);
}

static void fill_row(const mim_layout *l, mim_campaign_rows *r, size_t i, uint64_t plan,
                     uint32_t window)
{
    const size_t cells = l->n_threads * l->n_stressors, n = l->n_metrics;
    r->plan_id[i] = plan;
    r->window[i] = window;
    r->n_windows[i] = (uint32_t)(1 + plan % 4);
    r->n_repeats[i] = 3;
    r->round[i] = (uint32_t)(plan / 10);
    r->status[i] = (plan + window) % 7 == 0 ? MIM_SLOT_DISTURBED : MIM_SLOT_ACCEPTED;
    r->start_s[i] = 1e9 + (double)plan + 0.25 * window;
    snprintf(r->host[i], sizeof r->host[i], "node%d", (int)(plan % 3));
    for (size_t c = 0; c < cells; c++)
        r->action[i * cells + c] = (float)(draw(plan, window, (uint32_t)c) / 3.0);
    for (size_t m = 0; m < n; m++) {
        const bool is_absent = m == 3 && plan % 2 == 1;
        r->metric[i * n + m] = is_absent ? NAN : 100.0 * draw(plan, window, 100 + (uint32_t)m);
        r->spread[i * n + m] = is_absent ? NAN : draw(plan, window, 200 + (uint32_t)m);
    }
}

int made_rows(const mim_layout *layout, uint64_t first, size_t n, mim_campaign_rows **rows)
{
    size_t n_rows = 0, at = 0;
    for (uint64_t p = first; p < first + n; p++)
        n_rows += 1 + p % 4;
    int rc = mim_campaign_rows_create(layout, n_rows, rows);
    for (uint64_t p = first; rc == MIM_OK && p < first + n; p++)
        for (uint32_t w = 0; w < 1 + p % 4; w++)
            fill_row(layout, *rows, at++, p, w);
    return rc;
}

static bool same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

int made_row_is_right(const mim_layout *l, const mim_campaign_rows *rows, size_t i)
{
    const size_t cells = l->n_threads * l->n_stressors, n = l->n_metrics;
    mim_campaign_rows *r = NULL;
    if (mim_campaign_rows_create(l, 1, &r) != MIM_OK)
        return 0;
    fill_row(l, r, 0, rows->plan_id[i], rows->window[i]);
    bool is_right = r->n_windows[0] == rows->n_windows[i] && r->round[0] == rows->round[i] &&
                    r->n_repeats[0] == rows->n_repeats[i] && r->status[0] == rows->status[i] &&
                    r->start_s[0] == rows->start_s[i] && strcmp(r->host[0], rows->host[i]) == 0 &&
                    memcmp(r->action, rows->action + i * cells, cells * sizeof *r->action) == 0;
    for (size_t m = 0; m < n; m++)
        is_right = is_right && same(r->metric[m], rows->metric[i * n + m]) &&
                   same(r->spread[m], rows->spread[i * n + m]);
    mim_campaign_rows_destroy(&r);
    return is_right;
}
