/* Campaign rows as samples, and parts as one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/import.h"

#include "core/text.h"

int mim_campaign_plan_start(mim_campaign *campaign, size_t row, size_t *start)
{
    const size_t n = mim_campaign_n_rows(campaign);
    mim_campaign_rows *one = NULL;
    if (row >= n) {
        *start = n;
        return MIM_OK;
    }
    int rc = mim_campaign_read(campaign, row, 1, &one);
    if (rc == MIM_OK)
        *start = one->window[0] == 0 ? row : row + (one->n_windows[0] - one->window[0]);
    mim_campaign_rows_destroy(&one);
    if (rc == MIM_OK && *start > n)
        rc = mim_fail(MIM_EDATA, "row %zu belongs to a plan that is not whole", row);
    return rc;
}

/* The layout with other metrics. */
static int with_metrics(const mim_layout *l, size_t n, const mim_metric *metrics, const char *host,
                        mim_layout **made)
{
    mim_actions *actions = NULL;
    int rc = mim_actions_from_names(l->n_stressors, (const char *const *)l->action_names, &actions);
    if (rc == MIM_OK)
        rc = mim_layout_create(l->n_threads, actions, n, metrics, l->slot_s, host, made);
    if (rc == MIM_OK && (rc = mim_layout_set_sizes(*made, l->sizes)) != MIM_OK)
        mim_layout_destroy(made);
    mim_actions_destroy(&actions);
    for (size_t t = 0; rc == MIM_OK && t < l->n_threads; t++) {
        (*made)->thread_cpus[t] = l->thread_cpus[t];
        (*made)->thread_sockets[t] = l->thread_sockets[t];
    }
    return rc;
}

/* columns: [D] of the samples, where each metric stands in the rows. */
static void put_row(const mim_layout *l, const size_t *columns, size_t n_columns,
                    const mim_campaign_rows *rows, size_t i, mim_samples *s)
{
    const size_t n = l->n_metrics, cells = l->n_threads * l->n_stressors, at = s->n++;
    s->plan_id[at] = rows->plan_id[i];
    s->window[at] = rows->window[i];
    s->n_repeats[at] = rows->n_repeats[i];
    for (size_t m = 0; m < n; m++) {
        const size_t from = i * n_columns + columns[m];
        if (isnan(rows->metric[from]))
            continue;
        s->metric[at * n + m] = (float)rows->metric[from];
        s->spread[at * n + m] = (float)rows->spread[from];
        s->mask[at * n + m] = 1;
    }
    memcpy(s->action + at * cells, rows->action + i * cells, cells * sizeof *s->action);
    s->has_previous[at] = rows->window[i] > 0;
    if (rows->window[i] > 0)
        memcpy(s->previous_action + at * cells, rows->action + (i - 1) * cells,
               cells * sizeof *s->action);
}

/* The campaign's layout with the metrics that are wanted, and where these stand in its rows. */
static int narrow(const mim_layout *l, bool all_metrics, size_t **columns, mim_layout **narrowed)
{
    size_t n = 0;
    mim_metric *metrics = calloc(l->n_metrics, sizeof *metrics);
    size_t *kept = calloc(l->n_metrics, sizeof *kept);
    int rc = metrics && kept ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu metrics", l->n_metrics);
    for (size_t m = 0; rc == MIM_OK && m < l->n_metrics; m++) {
        if (!all_metrics && !mim_metric_is_target(l->metric_names[m]))
            continue;
        metrics[n] = (mim_metric){.unit = l->metric_units[m], .core = -1};
        strcpy(metrics[n].name, l->metric_names[m]); /* its length was checked */
        kept[n++] = m;
    }
    if (rc == MIM_OK && n == 0)
        rc = mim_fail(MIM_EDATA,
                      "none of its %zu metrics can be imitated by a plan: use "
                      "dataset.metrics=all",
                      l->n_metrics);
    if (rc == MIM_OK)
        rc = with_metrics(l, n, metrics, l->host_class, narrowed);
    if (rc == MIM_OK) {
        *columns = kept;
        kept = NULL;
    }
    free(metrics);
    free(kept);
    return rc;
}

int mim_campaign_import(mim_campaign *campaign, size_t first, size_t n,
                        const mim_import_options *options, mim_part **part)
{
    const mim_layout *stored = mim_campaign_layout(campaign);
    mim_campaign_rows *rows = NULL;
    size_t *columns = NULL;
    mim_part *made = calloc(1, sizeof *made);
    int rc = made ? narrow(stored, options->all_metrics, &columns, &made->layout)
                  : mim_fail(MIM_ENOMEM, "part");
    if (rc == MIM_OK)
        rc = mim_campaign_read(campaign, first, n, &rows);
    if (rc == MIM_OK)
        rc = mim_samples_create(made->layout, n, &made->samples);
    if (rc == MIM_OK)
        made->samples->n = 0;
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        const bool is_usable = rows->status[i] == MIM_SLOT_ACCEPTED ||
                               (options->with_disturbed && rows->status[i] == MIM_SLOT_DISTURBED);
        if (rows->window[i] > 0 && (i == 0 || rows->plan_id[i - 1] != rows->plan_id[i] ||
                                    rows->window[i - 1] + 1 != rows->window[i])) {
            rc = mim_fail(MIM_EDATA, "row %zu does not follow the window before it", first + i);
            break;
        }
        made->n_slots++;
        made->n_disturbed += rows->status[i] == MIM_SLOT_DISTURBED && !is_usable;
        if (is_usable && rows->n_repeats[i] >= options->min_repeats && rows->n_repeats[i] > 0)
            put_row(made->layout, columns, stored->n_metrics, rows, i, made->samples);
        else
            made->n_lost++;
    }
    mim_campaign_rows_destroy(&rows);
    free(columns);
    if (rc == MIM_OK) {
        *part = made;
        made = NULL;
    }
    mim_part_destroy(&made);
    return rc;
}

/* ---- merging -------------------------------------------------------------------------------- */

/* Metrics of both, by name; the texts stay where they are. units: [n] of names. */
static int unite(const mim_layout *a, const mim_layout *b, const char *what, mim_metric *metrics,
                 size_t *n)
{
    size_t i = 0, k = 0, count = 0;
    while (i < a->n_metrics || k < b->n_metrics) {
        const int order = i == a->n_metrics   ? 1
                          : k == b->n_metrics ? -1
                                              : strcmp(a->metric_names[i], b->metric_names[k]);
        const mim_layout *from = order <= 0 ? a : b;
        const size_t at = order <= 0 ? i : k;
        if (order == 0 && strcmp(a->metric_units[i], b->metric_units[k]) != 0)
            return mim_fail(MIM_EDATA, "%s: %s is in %s, expected %s", what, b->metric_names[k],
                            b->metric_units[k], a->metric_units[i]);
        metrics[count] = (mim_metric){.unit = from->metric_units[at], .core = -1};
        strcpy(metrics[count].name, from->metric_names[at]); /* its length was checked */
        count++;
        i += order <= 0;
        k += order >= 0;
    }
    *n = count;
    return MIM_OK;
}

int mim_layout_merge(const mim_layout *a, const mim_layout *b, const char *what, bool mixed_hosts,
                     mim_layout **merged)
{
    const bool same_host = strcmp(a->host_class, b->host_class) == 0;
    size_t n = 0;
    mim_layout *wide_a = NULL, *wide_b = NULL;
    mim_metric *metrics = malloc((a->n_metrics + b->n_metrics) * sizeof *metrics);
    int rc = metrics ? unite(a, b, what, metrics, &n) : mim_fail(MIM_ENOMEM, "metrics");
    if (rc == MIM_OK)
        rc = with_metrics(a, n, metrics, same_host || !mixed_hosts ? a->host_class : "mixed",
                          &wide_a);
    if (rc == MIM_OK)
        rc = with_metrics(b, n, metrics, b->host_class, &wide_b);
    if (rc == MIM_OK &&
        (rc = mim_layout_compare_columns(wide_a, wide_b, what, !mixed_hosts)) == MIM_OK) {
        *merged = wide_a;
        wide_a = NULL;
    }
    mim_layout_destroy(&wide_a);
    mim_layout_destroy(&wide_b);
    free(metrics);
    return rc;
}

/* Copies a part's samples behind the others, its metrics to their places. */
static int join_part(const mim_part *part, const mim_layout *l, mim_samples *s, size_t at)
{
    const mim_samples *p = part->samples;
    const size_t n = l->n_metrics, d = part->layout->n_metrics,
                 cells = l->n_threads * l->n_stressors;
    for (size_t m = 0; m < d; m++) {
        const size_t to = mim_layout_find_metric(l, part->layout->metric_names[m]);
        if (to == SIZE_MAX)
            return mim_fail(MIM_EINVAL, "metric %s is not in the layout",
                            part->layout->metric_names[m]);
        for (size_t i = 0; i < p->n; i++) {
            s->metric[(at + i) * n + to] = p->metric[i * d + m];
            s->spread[(at + i) * n + to] = p->spread[i * d + m];
            s->mask[(at + i) * n + to] = p->mask[i * d + m];
        }
    }
    memcpy(s->plan_id + at, p->plan_id, p->n * sizeof *p->plan_id);
    memcpy(s->window + at, p->window, p->n * sizeof *p->window);
    memcpy(s->n_repeats + at, p->n_repeats, p->n * sizeof *p->n_repeats);
    memcpy(s->action + at * cells, p->action, p->n * cells * sizeof *p->action);
    memcpy(s->previous_action + at * cells, p->previous_action, p->n * cells * sizeof *p->action);
    memcpy(s->has_previous + at, p->has_previous, p->n * sizeof *p->has_previous);
    return MIM_OK;
}

int mim_parts_join(size_t n, mim_part *const *parts, const mim_layout *layout, uint64_t split_seed,
                   double validation_share, mim_samples **samples)
{
    size_t total = 0, at = 0;
    mim_samples *made = NULL;
    for (size_t i = 0; i < n; i++)
        total += parts[i]->samples->n;
    int rc = mim_samples_create(layout, total, &made);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        rc = join_part(parts[i], layout, made, at);
        at += parts[i]->samples->n;
    }
    for (size_t i = 0; rc == MIM_OK && i < total; i++)
        made->is_validation[i] =
            mim_corpus_is_validation(made->plan_id[i], split_seed, validation_share);
    if (rc == MIM_OK) {
        *samples = made;
        made = NULL;
    }
    mim_samples_destroy(&made);
    return rc;
}
