#include "baseline/nearest.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

struct mim_nearest {
    const mim_layout *layout;
    const double *range_min, *range_max; /* [n_metrics] */
    const mim_samples *samples;
    size_t n;       /* training samples */
    size_t *sample; /* [n] their numbers in the corpus */
    /* Of mim_nearest_open only, NULL otherwise. */
    mim_corpus *own_corpus;
    mim_samples *own_samples;
};

/* A metric that counts in a query. */
typedef struct axis {
    size_t column;
    double wanted, per_unit; /* 1 / (max - min) */
} axis;

/* ---- the index ------------------------------------------------------------------------------- */

static int choose_training(mim_nearest *nearest)
{
    const mim_samples *samples = nearest->samples;
    for (size_t i = 0; i < samples->n; i++)
        if (!samples->is_validation[i])
            nearest->sample[nearest->n++] = i;
    return nearest->n > 0 ? MIM_OK
                          : mim_fail(MIM_EDATA,
                                     "expected training samples, found none (%zu for "
                                     "validation)",
                                     samples->n);
}

int mim_nearest_create(const mim_layout *layout, const double *range_min, const double *range_max,
                       const mim_samples *samples, mim_nearest **nearest)
{
    mim_nearest *made = calloc(1, sizeof *made);
    int rc = MIM_OK;
    if (!made)
        return mim_fail(MIM_ENOMEM, "index of samples");
    made->layout = layout;
    made->range_min = range_min;
    made->range_max = range_max;
    made->samples = samples;
    made->sample = calloc(samples->n ? samples->n : 1, sizeof *made->sample);
    rc = made->sample ? choose_training(made) : mim_fail(MIM_ENOMEM, "%zu samples", samples->n);
    if (rc == MIM_OK) {
        *nearest = made;
        made = NULL;
    }
    mim_nearest_destroy(&made);
    return rc;
}

int mim_nearest_open(const char *path, mim_nearest **nearest)
{
    mim_corpus *corpus = NULL;
    mim_samples *samples = NULL;
    int rc = mim_corpus_open(path, &corpus);
    if (rc == MIM_OK)
        rc = mim_corpus_read(corpus, 0, mim_corpus_n_samples(corpus), &samples);
    if (rc == MIM_OK) {
        rc = mim_nearest_create(mim_corpus_layout(corpus), mim_corpus_range_min(corpus),
                                mim_corpus_range_max(corpus), samples, nearest);
        if (rc == MIM_EDATA)
            mim_fail_in(rc, "%s", path);
    }
    if (rc == MIM_OK) {
        (*nearest)->own_corpus = corpus;
        (*nearest)->own_samples = samples;
        corpus = NULL;
        samples = NULL;
    }
    mim_samples_destroy(&samples);
    mim_corpus_destroy(&corpus);
    return rc;
}

void mim_nearest_destroy(mim_nearest **nearest)
{
    if (!*nearest)
        return;
    mim_samples_destroy(&(*nearest)->own_samples);
    mim_corpus_destroy(&(*nearest)->own_corpus);
    free((*nearest)->sample);
    free(*nearest);
    *nearest = NULL;
}

const mim_layout *mim_nearest_layout(const mim_nearest *nearest) { return nearest->layout; }

/* ---- searching ------------------------------------------------------------------------------- */

/* The axes of a query that count, in axes[n_metrics]; returns their number. */
static size_t find_axes(const mim_nearest *nearest, const double *query, axis *axes)
{
    size_t n = 0;
    for (size_t m = 0; m < nearest->layout->n_metrics; m++) {
        const double low = nearest->range_min[m], high = nearest->range_max[m];
        if (isfinite(query[m]) && high > low)
            axes[n++] = (axis){m, fmin(fmax(query[m], low), high), 1 / (high - low)};
    }
    return n;
}

/* Infinite where nothing is in common. */
static double distance_to(const mim_nearest *nearest, size_t sample, const axis *axes, size_t n)
{
    const size_t row = sample * nearest->layout->n_metrics;
    const float *metric = nearest->samples->metric + row;
    const uint8_t *mask = nearest->samples->mask + row;
    double sum = 0;
    size_t n_common = 0;
    for (size_t i = 0; i < n; i++) {
        if (!mask[axes[i].column])
            continue;
        const double d = (axes[i].wanted - (double)metric[axes[i].column]) * axes[i].per_unit;
        sum += d * d;
        n_common++;
    }
    return n_common ? sqrt(sum / (double)n_common) : INFINITY;
}

/* Puts a candidate among the n found, of at most k; behind those of the same distance. */
static size_t insert(mim_neighbour candidate, size_t k, mim_neighbour *found, size_t n)
{
    size_t at = n < k ? n++ : k - 1;
    for (; at > 0 && found[at - 1].distance > candidate.distance; at--)
        found[at] = found[at - 1];
    found[at] = candidate;
    return n;
}

static size_t search(const mim_nearest *nearest, const axis *axes, size_t n_axes, size_t k,
                     mim_neighbour *found)
{
    const size_t n_weights = nearest->layout->n_threads * nearest->layout->n_stressors;
    size_t n = 0;
    for (size_t i = 0; i < nearest->n; i++) {
        const size_t sample = nearest->sample[i];
        const double distance = distance_to(nearest, sample, axes, n_axes);
        if (isfinite(distance) && (n < k || distance < found[k - 1].distance))
            n = insert(
                (mim_neighbour){distance, sample, nearest->samples->action + sample * n_weights}, k,
                found, n);
    }
    return n;
}

int mim_nearest_find(const mim_nearest *nearest, const double *query, size_t k,
                     mim_neighbour *found, size_t *n_found)
{
    axis *axes = calloc(nearest->layout->n_metrics, sizeof *axes);
    if (!axes)
        return mim_fail(MIM_ENOMEM, "%zu metrics", nearest->layout->n_metrics);
    *n_found = search(nearest, axes, find_axes(nearest, query, axes), k, found);
    free(axes);
    return MIM_OK;
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* The column of the layout that a metric of a wanted series is compared with, SIZE_MAX if none. */
static size_t column_of(const mim_nearest *nearest, const mim_metric *metric)
{
    const mim_layout *layout = nearest->layout;
    size_t column = SIZE_MAX;
    if (!mim_family_is_target(metric->family))
        return SIZE_MAX;
    if (metric->core < 0)
        column = mim_layout_find_metric(layout, metric->name);
    else if ((size_t)metric->core < layout->n_threads)
        column = mim_layout_core_metric(layout, (size_t)metric->core);
    return column != SIZE_MAX && nearest->range_max[column] > nearest->range_min[column] ? column
                                                                                         : SIZE_MAX;
}

/* columns: [n_metrics of wanted] */
static int find_columns(const mim_nearest *nearest, const mim_series *wanted, size_t *columns)
{
    const size_t n_cores = mim_series_n_cores(wanted);
    size_t n = 0;
    if (n_cores == 0)
        return mim_fail(MIM_EDATA, "the trace holds no CPU utilisation of any core");
    if (n_cores != nearest->layout->n_threads)
        return mim_fail(
            MIM_EUNSUP, "the actions of the corpus are of %zu thread%s, the plan has %zu",
            nearest->layout->n_threads, nearest->layout->n_threads == 1 ? "" : "s", n_cores);
    for (size_t m = 0; m < wanted->n_metrics; m++) {
        columns[m] = column_of(nearest, &wanted->metrics[m]);
        n += columns[m] != SIZE_MAX;
    }
    return n > 0 ? MIM_OK
                 : mim_fail(MIM_EDATA, "the corpus varies in no metric that the trace holds");
}

/* Row sums at most 1: float32 actions may exceed it by rounding. */
static void put_action(const double *action, size_t slot, mim_plan *plan)
{
    const size_t n_stressors = mim_plan_n_stressors(plan);
    for (size_t t = 0; t < mim_plan_n_threads(plan); t++, action += n_stressors) {
        double *row = mim_plan_row(plan, slot, t), sum = 0;
        for (size_t s = 0; s < n_stressors; s++)
            sum += action[s];
        for (size_t s = 0; s < n_stressors; s++)
            row[s] = sum > 1 ? action[s] / sum : action[s];
    }
}

typedef struct walk {
    size_t *columns; /* [n_metrics of wanted] */
    double *query;   /* [n_metrics of the layout] */
    mim_neighbour *found;
    double *action;
} walk;

static int walk_create(const mim_nearest *nearest, const mim_series *wanted, size_t k, walk *w)
{
    const mim_layout *layout = nearest->layout;
    w->columns = calloc(wanted->n_metrics ? wanted->n_metrics : 1, sizeof *w->columns);
    w->query = calloc(layout->n_metrics, sizeof *w->query);
    w->found = calloc(k, sizeof *w->found);
    w->action = calloc(layout->n_threads * layout->n_stressors, sizeof *w->action);
    if (!w->columns || !w->query || !w->found || !w->action)
        return mim_fail(MIM_ENOMEM, "search for %zu neighbours", k);
    return find_columns(nearest, wanted, w->columns);
}

static void walk_clear(walk *w)
{
    free(w->columns);
    free(w->query);
    free(w->found);
    free(w->action);
}

static int walk_slots(const mim_nearest *nearest, const mim_series *wanted, size_t k,
                      mim_nearest_blend blend, walk *w, mim_plan *plan)
{
    const size_t n_weights = nearest->layout->n_threads * nearest->layout->n_stressors;
    int rc = MIM_OK;
    for (size_t slot = 0; slot < wanted->n_slots && rc == MIM_OK; slot++) {
        size_t n_found = 0;
        for (size_t m = 0; m < nearest->layout->n_metrics; m++)
            w->query[m] = NAN;
        for (size_t m = 0; m < wanted->n_metrics; m++)
            if (w->columns[m] != SIZE_MAX)
                w->query[w->columns[m]] = mim_series_at(wanted, slot, m);
        rc = mim_nearest_find(nearest, w->query, k, w->found, &n_found);
        memset(w->action, 0, n_weights * sizeof *w->action);
        blend(n_found, w->found, n_weights, w->action);
        put_action(w->action, slot, plan);
    }
    return rc;
}

int mim_nearest_plan_with(const mim_nearest *nearest, const mim_series *wanted, size_t k,
                          mim_nearest_blend blend, mim_plan **plan)
{
    const mim_layout *layout = nearest->layout;
    mim_actions *actions = NULL;
    mim_plan *made = NULL;
    walk w = {NULL, NULL, NULL, NULL};
    if (k == 0)
        return mim_fail(MIM_EINVAL, "expected at least 1 neighbour");
    k = k < nearest->n ? k : nearest->n;
    int rc = walk_create(nearest, wanted, k, &w);
    if (rc == MIM_OK)
        rc = mim_actions_from_names(layout->n_stressors, (const char *const *)layout->action_names,
                                    &actions);
    if (rc == MIM_OK)
        rc = mim_plan_create(wanted->n_slots, layout->n_threads, actions, &made);
    if (rc == MIM_OK)
        rc = walk_slots(nearest, wanted, k, blend, &w, made);
    if (rc == MIM_OK) {
        *plan = made;
        made = NULL;
    }
    mim_plan_destroy(&made);
    mim_actions_destroy(&actions);
    walk_clear(&w);
    return rc;
}

static void copy_nearest(size_t n_found, const mim_neighbour *found, size_t n_weights,
                         double *action)
{
    for (size_t w = 0; n_found > 0 && w < n_weights; w++)
        action[w] = (double)found[0].action[w];
}

int mim_nearest_plan(const mim_nearest *nearest, const mim_series *wanted, mim_plan **plan)
{
    return mim_nearest_plan_with(nearest, wanted, 1, copy_nearest, plan);
}

/* ---- what the corpus does not reach ---------------------------------------------------------- */

int mim_nearest_outside_note(const mim_nearest *nearest, const mim_series *wanted, char **note)
{
    size_t n_outside = 0, most = 0, worst = 0;
    for (size_t m = 0; m < wanted->n_metrics; m++) {
        const size_t column = column_of(nearest, &wanted->metrics[m]);
        if (column == SIZE_MAX)
            continue;
        const double low = nearest->range_min[column], high = nearest->range_max[column];
        const double more = 1e-3 * (high - low);
        size_t n = 0;
        for (size_t slot = 0; slot < wanted->n_slots; slot++) {
            const double value = mim_series_at(wanted, slot, m);
            n += isfinite(value) && (value < low - more || value > high + more);
        }
        n_outside += n > 0;
        worst = n > most ? m : worst;
        most = n > most ? n : most;
    }
    if (n_outside == 0) {
        *note = NULL;
        return MIM_OK;
    }
    char *made = mim_format("%zu metric%s outside what the corpus reached, most often %s, in %zu "
                            "of %zu slots: taken as the end of its range",
                            n_outside, n_outside == 1 ? " is" : "s are",
                            wanted->metrics[worst].name, most, wanted->n_slots);
    if (!made)
        return mim_fail(MIM_ENOMEM, "a note");
    *note = made;
    return MIM_OK;
}
