#include "node/disturbance.h"

#include <math.h>
#include <stdlib.h>

#include "trace/accept.h"
#include "trace/series.h"

const char *const mim_disturbance_figures[MIM_DISTURBANCE_N_FIGURES] = {
    "steal_pct",   "others_cpu_pct", "psi_cpu_some",    "psi_cpu_full",
    "psi_io_some", "psi_io_full",    "psi_memory_some", "psi_memory_full",
};

static int create(size_t n_slots, mim_disturbance **disturbance)
{
    mim_disturbance *d = calloc(1, sizeof *d);
    size_t n = n_slots ? n_slots : 1;
    bool is_complete = d && (d->is_accepted = calloc(n, sizeof *d->is_accepted));
    for (size_t f = 0; is_complete && f < MIM_DISTURBANCE_N_FIGURES; f++) {
        is_complete = (d->figures[f] = calloc(n, sizeof *d->figures[f])) != NULL;
        for (size_t i = 0; is_complete && i < n_slots; i++)
            d->figures[f][i] = NAN;
    }
    if (!is_complete) {
        mim_disturbance_destroy(&d);
        return mim_fail(MIM_ENOMEM, "marks of %zu slots", n_slots);
    }
    d->n_slots = n_slots;
    *disturbance = d;
    return MIM_OK;
}

static void copy_figures(const mim_series *series, mim_disturbance *d)
{
    for (size_t f = 0; f < MIM_DISTURBANCE_N_FIGURES; f++) {
        size_t metric = mim_series_find(series, mim_disturbance_figures[f]);
        for (size_t i = 0; metric != SIZE_MAX && i < d->n_slots; i++)
            d->figures[f][i] = mim_series_at(series, i, metric);
    }
}

static int fill(const mim_stats *stats, mim_disturbance *d)
{
    mim_series *series = NULL;
    mim_accept *accept = NULL;
    int rc = mim_series_create(stats, NULL, &series);
    bool is_whole = rc == MIM_OK && series->n_slots == d->n_slots &&
                    mim_stats_n_records(stats) == d->n_slots + 1;
    if (rc == MIM_OK && is_whole)
        rc = mim_accept_create(series, &accept);
    if (rc == MIM_OK && is_whole) {
        copy_figures(series, d);
        d->is_known = accept->is_known;
        d->n_accepted = accept->n_accepted;
        for (size_t i = 0; i < d->n_slots; i++)
            d->is_accepted[i] = accept->is_accepted[i];
    }
    mim_accept_destroy(&accept);
    mim_series_destroy(&series);
    return rc;
}

int mim_disturbance_read(const mim_stats *stats, size_t n_slots, mim_disturbance **disturbance)
{
    mim_disturbance *made = NULL;
    int rc = create(n_slots, &made);
    if (rc == MIM_OK && n_slots > 0) /* one record alone bounds no slot */
        rc = fill(stats, made);
    if (rc == MIM_OK) {
        *disturbance = made;
        made = NULL;
    }
    mim_disturbance_destroy(&made);
    return rc;
}

void mim_disturbance_destroy(mim_disturbance **disturbance)
{
    mim_disturbance *d = disturbance ? *disturbance : NULL;
    if (!d)
        return;
    for (size_t f = 0; f < MIM_DISTURBANCE_N_FIGURES; f++)
        free(d->figures[f]);
    free(d->is_accepted);
    free(d);
    *disturbance = NULL;
}

size_t mim_disturbance_lacking(const mim_disturbance *d, const size_t *slot_windows,
                               size_t n_windows, bool *lacks)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_slots; i++)
        if (d->is_accepted[i] && slot_windows[i] < n_windows)
            lacks[slot_windows[i]] = false;
    for (size_t w = 0; w < n_windows; w++)
        n += lacks[w];
    return n;
}
