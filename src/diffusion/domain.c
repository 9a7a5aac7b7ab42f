#include "diffusion/domain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "plan/actions.h"

static const char core_prefix[] = "avg_cpu_utilizations_core_";

static const char *const normalisation_names[MIM_N_NORMALISATIONS] = {"linear", "log"};

const char *mim_normalisation_name(mim_normalisation n) { return normalisation_names[n]; }

int mim_normalisation_find(const char *name, mim_normalisation *normalisation)
{
    for (int i = 0; i < MIM_N_NORMALISATIONS; i++) {
        if (strcmp(name, normalisation_names[i]) == 0) {
            *normalisation = (mim_normalisation)i;
            return MIM_OK;
        }
    }
    return mim_fail(MIM_EDATA, "normalisation: expected linear or log, found %s", name);
}

static int copy_names(size_t n, const char *const *names, const char *what, char ***copy)
{
    char **made = *copy = calloc(n, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "%zu names", n);
    for (size_t i = 0; i < n; i++) {
        if (!names[i][0])
            return mim_fail(MIM_EDATA, "%s %zu has no name", what, i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return mim_fail(MIM_EDATA, "%s %s is there twice", what, names[i]);
        if (!(made[i] = mim_strdup(names[i])))
            return mim_fail(MIM_ENOMEM, "%zu names", n);
    }
    return MIM_OK;
}

static int check_sizes(const mim_domain *d)
{
    const struct {
        const char *what;
        size_t n, max;
    } sizes[] = {{"metrics", d->n_metrics, MIM_DOMAIN_MAX_METRICS},
                 {"stressors", d->n_stressors, MIM_DOMAIN_MAX_STRESSORS},
                 {"threads", d->n_threads, MIM_DOMAIN_MAX_THREADS},
                 {"sockets", d->n_sockets, MIM_DOMAIN_MAX_SOCKETS}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].n < 1 || sizes[i].n > sizes[i].max)
            return mim_fail(MIM_EDATA, "a model has 1 to %zu %s, found %zu", sizes[i].max,
                            sizes[i].what, sizes[i].n);
    if (d->n_sockets > d->n_threads)
        return mim_fail(MIM_EDATA, "%zu sockets, but %zu threads", d->n_sockets, d->n_threads);
    return MIM_OK;
}

/* The thread whose CPU a metric is, SIZE_MAX for others. */
static size_t thread_of(const mim_domain *d, const char *metric)
{
    int64_t core;
    if (strncmp(metric, core_prefix, sizeof core_prefix - 1) != 0 ||
        strspn(metric + sizeof core_prefix - 1, "0123456789") !=
            strlen(metric) - (sizeof core_prefix - 1) ||
        mim_parse_i64("core", metric + sizeof core_prefix - 1, 0, (int64_t)d->n_threads - 1,
                      &core) != MIM_OK)
        return SIZE_MAX;
    return (size_t)core;
}

static int assign_range(mim_domain *d, size_t m, double minimum, double maximum)
{
    if (isnan(minimum) && isnan(maximum))
        return MIM_OK; /* 0 to 0: like a constant one it is never known */
    if (!isfinite(minimum) || !isfinite(maximum) || minimum > maximum)
        return mim_fail(MIM_EDATA, "%s: range %g to %g", d->metrics[m], minimum, maximum);
    d->minimum[m] = minimum;
    d->maximum[m] = maximum;
    return MIM_OK;
}

static int assign_thread_metric(mim_domain *d, size_t t, size_t m, unsigned char *is_taken)
{
    d->thread_metric[t] = m;
    if (m == SIZE_MAX)
        return MIM_OK;
    if (m >= d->n_metrics || is_taken[m])
        return mim_fail(MIM_EDATA, "thread %zu: metric %zu of %zu is not there or another thread's",
                        t, m, d->n_metrics);
    is_taken[m] = 1;
    return MIM_OK;
}

static int assign_threads(mim_domain *d, const mim_domain_parts *parts)
{
    int rc = MIM_OK;
    unsigned char *is_taken = calloc(d->n_metrics, 1);
    if (!is_taken)
        return mim_fail(MIM_ENOMEM, "%zu metrics", d->n_metrics);
    for (size_t t = 0; rc == MIM_OK && t < d->n_threads; t++) {
        d->socket[t] = parts->socket ? parts->socket[t] : t * d->n_sockets / d->n_threads;
        if (d->socket[t] >= d->n_sockets)
            rc = mim_fail(MIM_EDATA, "thread %zu is on socket %zu of %zu", t, d->socket[t],
                          d->n_sockets);
        d->thread_metric[t] = SIZE_MAX;
        if (rc == MIM_OK && parts->thread_metric)
            rc = assign_thread_metric(d, t, parts->thread_metric[t], is_taken);
    }
    for (size_t m = 0; rc == MIM_OK && m < d->n_metrics; m++) {
        const size_t t = parts->thread_metric ? SIZE_MAX : thread_of(d, d->metrics[m]);
        if (t != SIZE_MAX && d->thread_metric[t] == SIZE_MAX)
            rc = assign_thread_metric(d, t, m, is_taken);
        if (!is_taken[m])
            d->node_metric[d->n_node_metrics++] = m;
    }
    free(is_taken);
    return rc;
}

/* Threads are alike, so their CPU metrics share one range. */
static void share_range(mim_domain *d)
{
    double minimum = INFINITY, maximum = -INFINITY;
    for (size_t t = 0; t < d->n_threads; t++) {
        const size_t m = d->thread_metric[t];
        if (m == SIZE_MAX || !(d->maximum[m] > d->minimum[m]))
            continue;
        minimum = fmin(minimum, d->minimum[m]);
        maximum = fmax(maximum, d->maximum[m]);
    }
    for (size_t t = 0; t < d->n_threads; t++) {
        const size_t m = d->thread_metric[t];
        if (m == SIZE_MAX || !(d->maximum[m] > d->minimum[m]))
            continue;
        d->minimum[m] = minimum;
        d->maximum[m] = maximum;
    }
}

static int allocate(mim_domain *d)
{
    d->minimum = calloc(2 * d->n_metrics, sizeof *d->minimum);
    d->thread_metric = calloc(2 * d->n_threads, sizeof *d->thread_metric);
    d->node_metric = calloc(d->n_metrics, sizeof *d->node_metric);
    if (!d->minimum || !d->thread_metric || !d->node_metric || !d->host_class || !d->sizes)
        return mim_fail(MIM_ENOMEM, "%zu metrics, %zu threads", d->n_metrics, d->n_threads);
    d->maximum = d->minimum + d->n_metrics;
    d->socket = d->thread_metric + d->n_threads;
    return MIM_OK;
}

int mim_domain_create(const mim_domain_parts *parts, mim_domain **domain)
{
    mim_domain *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "domain");
    made->n_metrics = parts->n_metrics;
    made->n_stressors = parts->n_stressors;
    made->n_threads = parts->n_threads;
    made->n_sockets = parts->n_sockets;
    made->normalisation = parts->normalisation;
    const char *sizes = parts->sizes ? parts->sizes : "original";
    int rc = check_sizes(made);
    if (rc == MIM_OK && (rc = mim_actions_check_sizes(sizes)) != MIM_OK)
        rc = mim_fail_in(rc, "stressor_sizes");
    if (rc != MIM_OK)
        goto done;
    made->host_class = mim_strdup(parts->host_class ? parts->host_class : "");
    made->sizes = mim_strdup(sizes);
    if ((rc = allocate(made)) != MIM_OK ||
        (rc = copy_names(made->n_metrics, parts->metrics, "metric", &made->metrics)) != MIM_OK ||
        (rc = copy_names(made->n_stressors, parts->actions, "action", &made->actions)) != MIM_OK)
        goto done;
    for (size_t m = 0; rc == MIM_OK && m < made->n_metrics; m++)
        rc = assign_range(made, m, parts->minimum[m], parts->maximum[m]);
    if (rc == MIM_OK)
        rc = assign_threads(made, parts);
    if (rc != MIM_OK)
        goto done;
    share_range(made);
    *domain = made;
    made = NULL;
done:
    mim_domain_destroy(&made);
    return rc;
}

static void free_names(size_t n, char **names)
{
    for (size_t i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

void mim_domain_destroy(mim_domain **domain)
{
    mim_domain *old = *domain;
    if (!old)
        return;
    *domain = NULL;
    free_names(old->n_metrics, old->metrics);
    free_names(old->n_stressors, old->actions);
    free(old->minimum);
    free(old->thread_metric);
    free(old->node_metric);
    free(old->host_class);
    free(old->sizes);
    free(old);
}

static void normalise(const mim_domain *d, size_t metric, const double *values, float *value,
                      float *mask)
{
    *value = *mask = 0;
    if (metric == SIZE_MAX || !isfinite(values[metric]) ||
        !(d->maximum[metric] > d->minimum[metric]))
        return;
    const double width = d->maximum[metric] - d->minimum[metric];
    const double above = values[metric] - d->minimum[metric];
    const double share = d->normalisation == MIM_NORMALISE_LOG
                             ? log1p(fmax(0, above)) / log1p(width)
                             : above / width;
    const double scaled = 2 * share - 1;
    *value = (float)fmin(1, fmax(-1, scaled));
    *mask = 1;
}

void mim_domain_normalise(const mim_domain *domain, const double *values, mim_normalised out)
{
    for (size_t t = 0; t < domain->n_threads; t++)
        normalise(domain, domain->thread_metric[t], values, &out.cpu[t], &out.cpu_mask[t]);
    for (size_t g = 0; g < domain->n_node_metrics; g++)
        normalise(domain, domain->node_metric[g], values, &out.node[g], &out.node_mask[g]);
}

bool mim_domain_is_outside(const mim_domain *domain, size_t metric, double value)
{
    const double minimum = domain->minimum[metric], maximum = domain->maximum[metric];
    const double slack = 1e-3 * (maximum - minimum);
    return isfinite(value) && (value < minimum - slack || value > maximum + slack);
}
