#include "diffusion/response.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lapacke.h>

#include "diffusion/response_internal.h"

enum { N_REWEIGHTINGS = 12 };
/* Of a sample's weight in the equations, and below which a deviation counts as this one. */
static const double ridge = 1e-9, smallest_deviation = 1e-3;

int mim_response_create(const mim_domain *domain, mim_response **response)
{
    const size_t n_rows = 1 + domain->n_node_metrics, n = n_rows * (domain->n_stressors + 1);
    mim_response *made = calloc(1, sizeof *made);
    if (!made || !(made->mean = calloc(2 * n, sizeof *made->mean))) {
        free(made);
        return mim_fail(MIM_ENOMEM, "response of %zu metrics", n_rows);
    }
    made->n_rows = n_rows;
    made->n_stressors = domain->n_stressors;
    made->deviation = made->mean + n;
    *response = made;
    return MIM_OK;
}

void mim_response_destroy(mim_response **response)
{
    mim_response *old = response ? *response : NULL;
    if (!old)
        return;
    free(old->mean);
    free(old);
    *response = NULL;
}

/* ---- fitting -------------------------------------------------------------------------------- */

/* One metric's samples: x has a 1 behind the S weights. */
typedef struct points {
    size_t n, n_columns;
    double *x;         /* [n][n_columns] */
    double *y;         /* [n] shares of the range */
    double *leftover;  /* [n] */
    double *equations; /* [n_columns][n_columns] */
    double *solution;  /* [n_columns] */
} points;

static int points_create(size_t most, size_t n_columns, points *p)
{
    *p = (points){.n_columns = n_columns};
    p->x = calloc(most * (n_columns + 2) + (n_columns + 1) * n_columns, sizeof *p->x);
    if (!p->x)
        return mim_fail(MIM_ENOMEM, "%zu samples of %zu weights", most, n_columns);
    p->y = p->x + most * n_columns;
    p->leftover = p->y + most;
    p->equations = p->leftover + most;
    p->solution = p->equations + n_columns * n_columns;
    return MIM_OK;
}

static size_t row_of_example(const mim_examples *e, size_t i) { return e->rows ? e->rows[i] : i; }

static double share_of_example(const mim_domain *d, const mim_examples *e, size_t i, size_t metric)
{
    const size_t at = metric == SIZE_MAX ? 0 : row_of_example(e, i) * d->n_metrics + metric;
    return mim_response_share(
        d, metric, metric != SIZE_MAX && e->mask[at] ? (double)e->metric[at] : (double)NAN);
}

static void add_point(points *p, double y, size_t n_threads, const float *weights)
{
    double *x = p->x + p->n * p->n_columns;
    const size_t n_stressors = p->n_columns - 1;
    for (size_t s = 0; s < n_stressors; s++) {
        x[s] = 0;
        for (size_t t = 0; t < n_threads; t++)
            x[s] += (double)weights[t * n_stressors + s];
    }
    x[n_stressors] = 1;
    p->y[p->n++] = y;
}

/* Every thread is a point of the CPU's model. */
static void gather_cpu(points *p, const mim_domain *d, const mim_examples *e)
{
    const size_t n_cells = d->n_threads * d->n_stressors;
    p->n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const float *action = e->action + row_of_example(e, i) * n_cells;
        for (size_t t = 0; t < d->n_threads; t++) {
            const double y = share_of_example(d, e, i, d->thread_metric[t]);
            if (isfinite(y))
                add_point(p, y, 1, action + t * d->n_stressors);
        }
    }
}

static void gather_node(points *p, const mim_domain *d, const mim_examples *e, size_t g)
{
    const size_t n_cells = d->n_threads * d->n_stressors;
    p->n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const double y = share_of_example(d, e, i, d->node_metric[g]);
        if (isfinite(y))
            add_point(p, y, d->n_threads, e->action + row_of_example(e, i) * n_cells);
    }
}

/* Least squares of target on x, each point counting by 1 / its leftover (all alike without). */
static int solve(points *p, const double *target, const double *leftover)
{
    const size_t n = p->n_columns;
    memset(p->equations, 0, n * n * sizeof *p->equations);
    memset(p->solution, 0, n * sizeof *p->solution);
    double total = 0;
    for (size_t i = 0; i < p->n; i++) {
        const double *x = p->x + i * n;
        const double weight = leftover ? 1 / fmax(fabs(leftover[i]), smallest_deviation) : 1;
        total += weight;
        for (size_t a = 0; a < n; a++) {
            if (x[a] == 0)
                continue;
            p->solution[a] += weight * x[a] * target[i];
            for (size_t b = a; b < n; b++)
                p->equations[a * n + b] += weight * x[a] * x[b];
        }
    }
    for (size_t a = 0; a < n; a++)
        p->equations[a * n + a] += ridge * total;
    const lapack_int order = (lapack_int)n;
    lapack_int info =
        LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', order, 1, p->equations, order, p->solution, 1);
    return info == 0 ? MIM_OK
                     : mim_fail(MIM_ECHECK, "response: %zu equations cannot be solved (%d)", n,
                                (int)info);
}

static int fit_points(points *p, double *mean, double *deviation)
{
    const size_t n = p->n_columns;
    int rc = MIM_OK;
    if (p->n < 2 * n)
        return MIM_OK;
    for (int i = 0; rc == MIM_OK && i < N_REWEIGHTINGS; i++) {
        rc = solve(p, p->y, i > 0 ? p->leftover : NULL);
        for (size_t k = 0; rc == MIM_OK && k < p->n; k++)
            p->leftover[k] = p->y[k] - mim_response_sum(p->solution, n - 1, p->x + k * n);
    }
    if (rc != MIM_OK)
        return rc;
    memcpy(mean, p->solution, n * sizeof *mean);
    for (size_t k = 0; k < p->n; k++)
        p->leftover[k] = fabs(p->leftover[k]);
    rc = solve(p, p->leftover, NULL);
    for (size_t a = 0; rc == MIM_OK && a < n; a++)
        deviation[a] = fmax(0, p->solution[a]);
    return rc;
}

int mim_response_fit(const mim_domain *domain, const mim_examples *examples,
                     mim_response **response)
{
    const size_t n_columns = domain->n_stressors + 1;
    mim_response *made = NULL;
    points p = {0};
    int rc = mim_response_create(domain, &made);
    if (rc == MIM_OK)
        rc = points_create(examples->n * domain->n_threads, n_columns, &p);
    if (rc == MIM_OK) {
        gather_cpu(&p, domain, examples);
        rc = fit_points(&p, made->mean, made->deviation);
    }
    for (size_t g = 0; rc == MIM_OK && g < domain->n_node_metrics; g++) {
        gather_node(&p, domain, examples, g);
        rc = fit_points(&p, made->mean + (1 + g) * n_columns, made->deviation + (1 + g) * n_columns);
    }
    free(p.x);
    if (rc == MIM_OK) {
        *response = made;
        made = NULL;
    }
    mim_response_destroy(&made);
    return rc;
}

/* ---- predicting ----------------------------------------------------------------------------- */

bool mim_response_knows(const mim_response *response, size_t row)
{
    const double *c = response->mean + row * (response->n_stressors + 1);
    for (size_t s = 0; s <= response->n_stressors; s++)
        if (c[s] < 0 || c[s] > 0)
            return true;
    return false;
}

double mim_response_sum(const double *coefficients, size_t n_stressors, const double *weights)
{
    double sum = coefficients[n_stressors];
    for (size_t s = 0; s < n_stressors; s++)
        sum += coefficients[s] * weights[s];
    return sum;
}

/* Of a metric of the node: without the constant it is a sum over threads. */
static double sum_threads(const double *coefficients, const mim_domain *d, const double *weights)
{
    const double constant = coefficients[d->n_stressors];
    double sum = constant;
    for (size_t t = 0; t < d->n_threads; t++)
        sum += mim_response_sum(coefficients, d->n_stressors, weights + t * d->n_stressors) -
               constant;
    return sum;
}

static void put(const mim_domain *d, size_t metric, double share, double *metrics)
{
    if (metric != SIZE_MAX)
        metrics[metric] = d->minimum[metric] + fmin(1, fmax(0, share)) *
                                                   (d->maximum[metric] - d->minimum[metric]);
}

void mim_response_predict(const mim_response *response, const mim_domain *domain,
                          const double *weights, double *metrics)
{
    const size_t n = domain->n_stressors;
    for (size_t m = 0; m < domain->n_metrics; m++)
        metrics[m] = NAN;
    for (size_t t = 0; mim_response_knows(response, 0) && t < domain->n_threads; t++)
        put(domain, domain->thread_metric[t],
            mim_response_sum(response->mean, n, weights + t * n), metrics);
    for (size_t g = 0; g < domain->n_node_metrics; g++)
        if (mim_response_knows(response, 1 + g))
            put(domain, domain->node_metric[g],
                sum_threads(response->mean + (1 + g) * (n + 1), domain, weights), metrics);
}

double mim_response_miss(const mim_response *response, const mim_domain *domain,
                         const double *wanted, const double *weights)
{
    const size_t n = domain->n_stressors;
    double cpu = 0, total = 0;
    size_t n_cpu = 0, n_families = 0;
    for (size_t t = 0; mim_response_knows(response, 0) && t < domain->n_threads; t++) {
        const size_t m = domain->thread_metric[t];
        const double share = m == SIZE_MAX ? NAN : mim_response_share(domain, m, wanted[m]);
        if (!isfinite(share))
            continue;
        const double found = mim_response_sum(response->mean, n, weights + t * n);
        cpu += hypot(fmin(1, fmax(0, found)) - share,
                     mim_response_sum(response->deviation, n, weights + t * n));
        n_cpu++;
    }
    if (n_cpu > 0) {
        total += cpu / (double)n_cpu;
        n_families++;
    }
    for (size_t g = 0; g < domain->n_node_metrics; g++) {
        const size_t m = domain->node_metric[g], at = (1 + g) * (n + 1);
        const double share = mim_response_share(domain, m, wanted[m]);
        if (!isfinite(share) || !mim_response_knows(response, 1 + g))
            continue;
        const double found = sum_threads(response->mean + at, domain, weights);
        total += hypot(fmin(1, fmax(0, found)) - share,
                       sum_threads(response->deviation + at, domain, weights));
        n_families++;
    }
    return n_families > 0 ? total / (double)n_families : 0;
}
