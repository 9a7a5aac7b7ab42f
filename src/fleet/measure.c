#include "fleet/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/signals.h"
#include "core/text.h"
#include "corpus/summary.h"

/* Slots of one window and of one kind (accepted or not), in the order of measurement. */
typedef struct slots {
    size_t n;
    double start_s; /* of the first */
    double *values; /* [n_repeats][n_metrics] */
} slots;

struct mim_measure {
    mim_fleet *fleet;
    const mim_layout *layout;
    mim_measure_options options;
    const mim_plan *plan;
    uint64_t plan_id;
    uint32_t round;
    size_t n_windows;
    slots *accepted, *disturbed; /* [n_windows] */
    double *values;              /* of both */
    bool was_stopped;
    char host[MIM_HOST_NAME_BYTES];
    char *error;
    mim_measure_figures figures;
};

static size_t n_lacking(const mim_measure *m)
{
    size_t most = 0;
    for (size_t w = 0; w < m->n_windows; w++) {
        size_t lacks = m->options.n_repeats - m->accepted[w].n;
        most = lacks > most ? lacks : most;
    }
    return most;
}

static int submit(mim_measure *m)
{
    const mim_fleet_task task = {.id = m->plan_id,
                                 .plan = m->plan,
                                 .slot_s = m->options.slot_s,
                                 .n_iters = n_lacking(m),
                                 .seed = m->options.seed};
    return mim_fleet_submit(m->fleet, &task);
}

int mim_measure_begin(mim_fleet *fleet, const mim_layout *layout,
                      const mim_measure_options *options, const mim_plan *plan, uint64_t plan_id,
                      uint32_t round, mim_measure **measure)
{
    if (options->n_repeats < 1 || options->n_repeats > 64 || options->max_tries < 1)
        return mim_fail(MIM_EINVAL, "%zu repeats in %zu tries: expected 1 to 64 in 1 or more",
                        options->n_repeats, options->max_tries);
    size_t n = mim_plan_n_windows(plan), n_values = options->n_repeats * layout->n_metrics;
    mim_measure *m = calloc(1, sizeof *m);
    if (!m || !(m->accepted = calloc(2 * n, sizeof *m->accepted)) ||
        !(m->values = calloc(2 * n * n_values, sizeof *m->values))) {
        mim_measure_destroy(&m);
        return mim_fail(MIM_ENOMEM, "measurement of %zu windows", n);
    }
    m->disturbed = m->accepted + n;
    for (size_t i = 0; i < 2 * n; i++)
        m->accepted[i].values = m->values + i * n_values;
    m->fleet = fleet;
    m->layout = layout;
    m->options = *options;
    m->plan = plan;
    m->plan_id = plan_id;
    m->round = round;
    m->n_windows = n;
    int rc = submit(m);
    if (rc != MIM_OK) {
        mim_measure_destroy(&m);
        return rc;
    }
    *measure = m;
    return MIM_OK;
}

static void keep_slot(const mim_measure *m, const mim_series *series, size_t slot, slots *kind)
{
    if (kind->n == m->options.n_repeats)
        return;
    double *row = kind->values + kind->n * m->layout->n_metrics;
    for (size_t i = 0; i < m->layout->n_metrics; i++) {
        size_t at = mim_series_find(series, m->layout->metric_names[i]);
        row[i] = at == SIZE_MAX ? NAN : mim_series_at(series, slot, at);
    }
    if (kind->n++ == 0)
        kind->start_s = series->start_s[slot];
}

static int take_done(mim_measure *m, const mim_fleet_result *result)
{
    for (size_t slot = 0; slot < result->series->n_slots; slot++) {
        size_t w = slot % m->n_windows;
        keep_slot(m, result->series, slot,
                  result->is_accepted[slot] ? &m->accepted[w] : &m->disturbed[w]);
    }
    snprintf(m->host, sizeof m->host, "%.*s", (int)sizeof m->host - 1, result->host);
    return MIM_OK;
}

static int take_failed(mim_measure *m, const mim_fleet_result *result)
{
    char *error = mim_format("%s: %s", mim_fleet_status_name(result->status),
                             result->error ? result->error : "");
    if (!error)
        return mim_fail(MIM_ENOMEM, "result of plan %llu", (unsigned long long)m->plan_id);
    free(m->error);
    m->error = error;
    m->figures.n_failed_tries++;
    m->figures.is_refused = result->status == MIM_FLEET_REFUSED;
    m->was_stopped = m->was_stopped || result->status == MIM_FLEET_STOPPED;
    snprintf(m->host, sizeof m->host, "%.*s", (int)sizeof m->host - 1, result->host);
    return MIM_OK;
}

int mim_measure_take(mim_measure *m, const mim_fleet_result *result, bool *is_over)
{
    m->figures.n_tries++;
    m->figures.written_bytes += result->written_bytes;
    int rc = result->status == MIM_FLEET_DONE ? take_done(m, result) : take_failed(m, result);
    if (rc != MIM_OK)
        return rc;
    bool may_try = m->figures.n_tries < m->options.max_tries && !m->figures.is_refused;
    m->was_stopped = m->was_stopped || (may_try && n_lacking(m) > 0 && mim_signals_stop() != 0);
    *is_over = n_lacking(m) == 0 || !may_try || m->was_stopped;
    return *is_over ? MIM_OK : submit(m);
}

bool mim_measure_is_settled(const mim_measure *m)
{
    if (!m->was_stopped)
        return true;
    for (size_t w = 0; w < m->n_windows; w++)
        if (m->accepted[w].n == 0)
            return false;
    return true;
}

static mim_slot_status status_of(const mim_measure *m, size_t window)
{
    return m->accepted[window].n    ? MIM_SLOT_ACCEPTED
           : m->disturbed[window].n ? MIM_SLOT_DISTURBED
                                    : MIM_SLOT_FAILED;
}

mim_measure_figures mim_measure_look(const mim_measure *m)
{
    mim_measure_figures f = m->figures;
    for (size_t w = 0; w < m->n_windows; w++) {
        mim_slot_status status = status_of(m, w);
        f.n_accepted += status == MIM_SLOT_ACCEPTED;
        f.n_disturbed += status == MIM_SLOT_DISTURBED;
        f.n_failed += status == MIM_SLOT_FAILED;
    }
    f.error = m->error;
    return f;
}

static int fill_row(const mim_measure *m, size_t w, mim_campaign_rows *rows)
{
    const mim_layout *l = m->layout;
    const slots *used = m->accepted[w].n ? &m->accepted[w] : &m->disturbed[w];
    size_t n_cells = l->n_threads * l->n_stressors;
    const double *weights = mim_plan_weights(m->plan, w, 0);
    for (size_t i = 0; i < n_cells; i++)
        rows->action[w * n_cells + i] = (float)weights[i];
    rows->plan_id[w] = m->plan_id;
    rows->window[w] = (uint32_t)w;
    rows->n_windows[w] = (uint32_t)m->n_windows;
    rows->round[w] = m->round;
    rows->n_repeats[w] = (uint32_t)used->n;
    rows->status[w] = (uint8_t)status_of(m, w);
    rows->start_s[w] = used->start_s;
    memcpy(rows->host[w], m->host, sizeof rows->host[w]);
    if (used->n == 0)
        return MIM_OK; /* metrics stay absent */
    return mim_summarize_slot(used->n, l->n_metrics, l->n_metrics, used->values,
                              rows->metric + w * l->n_metrics, rows->spread + w * l->n_metrics);
}

int mim_measure_rows(const mim_measure *m, mim_campaign_rows **rows)
{
    mim_campaign_rows *made = NULL;
    if (m->layout->n_threads != mim_plan_n_threads(m->plan) ||
        m->layout->n_stressors != mim_plan_n_stressors(m->plan))
        return mim_fail(MIM_EINVAL, "a plan of %zu threads and %zu stressors, expected %zu and %zu",
                        mim_plan_n_threads(m->plan), mim_plan_n_stressors(m->plan),
                        m->layout->n_threads, m->layout->n_stressors);
    int rc = mim_campaign_rows_create(m->layout, m->n_windows, &made);
    for (size_t w = 0; rc == MIM_OK && w < m->n_windows; w++)
        rc = fill_row(m, w, made);
    if (rc == MIM_OK) {
        *rows = made;
        made = NULL;
    }
    mim_campaign_rows_destroy(&made);
    return rc;
}

void mim_measure_destroy(mim_measure **measure)
{
    mim_measure *old = measure ? *measure : NULL;
    if (!old)
        return;
    free(old->accepted);
    free(old->values);
    free(old->error);
    free(old);
    *measure = NULL;
}
