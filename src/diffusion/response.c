#include "diffusion/response.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lapacke.h>

#include "diffusion/response_internal.h"

enum { N_REWEIGHTINGS = 12 };
static const double little = 0.05; /* the weight at which u is a half */
/* Shares of the samples' weight in the equations, for a and for b and c; and below which a
 * deviation counts as this one. */
static const double ridge = 1e-9, ridge_of_little = 1e-3, smallest_deviation = 1e-3;

int mim_response_create(const mim_domain *domain, mim_response **response)
{
    const size_t n_rows = 1 + domain->n_node_metrics, n_columns = 3 * domain->n_stressors + 1;
    const size_t n = n_rows * n_columns;
    mim_response *made = calloc(1, sizeof *made);
    if (!made || !(made->mean = calloc(2 * n, sizeof *made->mean))) {
        free(made);
        return mim_fail(MIM_ENOMEM, "response of %zu metrics", n_rows);
    }
    made->n_rows = n_rows;
    made->n_columns = n_columns;
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

/* One metric's samples: x has a row's columns, the 1 at the end. */
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

static double presence(double weight) { return weight / (weight + little); }

/* The columns of a thread's CPU, or (thread = SIZE_MAX) of a metric of the node. */
static void fill_columns(const mim_domain *d, size_t thread, const float *action, double *x)
{
    const size_t n = d->n_stressors;
    memset(x, 0, 3 * n * sizeof *x);
    x[3 * n] = 1;
    for (size_t t = 0; t < d->n_threads; t++) {
        for (size_t s = 0; s < n; s++) {
            const double weight = (double)action[t * n + s];
            if (thread == SIZE_MAX || thread == t)
                x[s] += weight;
            if (thread == t)
                x[n + s] = presence(weight);
            if (thread != SIZE_MAX)
                x[2 * n + s] += presence(weight);
        }
    }
}

/* Every thread is a point of the CPU's model. */
static void gather_cpu(points *p, const mim_domain *d, const mim_examples *e)
{
    const size_t n_cells = d->n_threads * d->n_stressors;
    p->n = 0;
    for (size_t i = 0; i < e->n; i++) {
        for (size_t t = 0; t < d->n_threads; t++) {
            const double y = share_of_example(d, e, i, d->thread_metric[t]);
            if (!isfinite(y))
                continue;
            fill_columns(d, t, e->action + row_of_example(e, i) * n_cells,
                         p->x + p->n * p->n_columns);
            p->y[p->n++] = y;
        }
    }
}

static void gather_node(points *p, const mim_domain *d, const mim_examples *e, size_t g)
{
    const size_t n_cells = d->n_threads * d->n_stressors;
    p->n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const double y = share_of_example(d, e, i, d->node_metric[g]);
        if (!isfinite(y))
            continue;
        fill_columns(d, SIZE_MAX, e->action + row_of_example(e, i) * n_cells,
                     p->x + p->n * p->n_columns);
        p->y[p->n++] = y;
    }
}

/* Least squares of target on x, each point counting by 1 / its leftover (all alike without);
 * ridge_of_others: for b and c. */
static int solve(points *p, const double *target, const double *leftover, double ridge_of_others)
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
        p->equations[a * n + a] += (a < n / 3 || a + 1 == n ? ridge : ridge_of_others) * total;
    const lapack_int order = (lapack_int)n;
    lapack_int info =
        LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', order, 1, p->equations, order, p->solution, 1);
    return info == 0 ? MIM_OK
                     : mim_fail(MIM_ECHECK, "response: %zu equations cannot be solved (%d)", n,
                                (int)info);
}

static double product(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static int fit_points(points *p, double *mean, double *deviation)
{
    const size_t n = p->n_columns;
    int rc = MIM_OK;
    if (p->n < n)
        return MIM_OK;
    for (int i = 0; rc == MIM_OK && i < N_REWEIGHTINGS; i++) {
        rc = solve(p, p->y, i > 0 ? p->leftover : NULL, ridge_of_little);
        for (size_t k = 0; rc == MIM_OK && k < p->n; k++)
            p->leftover[k] = p->y[k] - product(n, p->solution, p->x + k * n);
    }
    if (rc != MIM_OK)
        return rc;
    memcpy(mean, p->solution, n * sizeof *mean);
    for (size_t k = 0; k < p->n; k++)
        p->leftover[k] = fabs(p->leftover[k]);
    rc = solve(p, p->leftover, NULL, 1); /* sizes of noise are known too badly for more than a */
    for (size_t a = 0; rc == MIM_OK && a < n; a++)
        deviation[a] = fmax(0, p->solution[a]);
    return rc;
}

int mim_response_fit(const mim_domain *domain, const mim_examples *examples,
                     mim_response **response)
{
    const size_t n_columns = 3 * domain->n_stressors + 1;
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
        rc =
            fit_points(&p, made->mean + (1 + g) * n_columns, made->deviation + (1 + g) * n_columns);
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
    const double *c = response->mean + row * response->n_columns;
    for (size_t a = 0; a < response->n_columns; a++)
        if (c[a] < 0 || c[a] > 0)
            return true;
    return false;
}

double mim_response_of(const double *coefficients, bool is_node, const mim_domain *domain,
                       size_t thread, const double *weights)
{
    const size_t n = domain->n_stressors;
    double sum = coefficients[3 * n];
    for (size_t t = 0; t < domain->n_threads; t++) {
        const double *row = weights + t * n;
        const bool is_own = is_node || t == thread;
        for (size_t s = 0; s < n; s++) {
            if (!(row[s] > 0))
                continue;
            sum += is_own ? coefficients[s] * row[s] : 0;
            if (!is_node)
                sum += presence(row[s]) *
                       ((is_own ? coefficients[n + s] : 0) + coefficients[2 * n + s]);
        }
    }
    return sum;
}

static void put(const mim_domain *d, size_t metric, double share, double *metrics)
{
    if (metric != SIZE_MAX)
        metrics[metric] = d->minimum[metric] +
                          fmin(1, fmax(0, share)) * (d->maximum[metric] - d->minimum[metric]);
}

void mim_response_predict(const mim_response *response, const mim_domain *domain,
                          const double *weights, double *metrics)
{
    for (size_t m = 0; m < domain->n_metrics; m++)
        metrics[m] = NAN;
    for (size_t t = 0; mim_response_knows(response, 0) && t < domain->n_threads; t++)
        put(domain, domain->thread_metric[t],
            mim_response_of(response->mean, false, domain, t, weights), metrics);
    for (size_t g = 0; g < domain->n_node_metrics; g++)
        if (mim_response_knows(response, 1 + g))
            put(domain, domain->node_metric[g],
                mim_response_of(response->mean + (1 + g) * response->n_columns, true, domain, 0,
                                weights),
                metrics);
}

/* Expected |measured - wanted| of one metric, NaN when it is not asked for or not known. */
static double miss_of(const mim_response *r, const mim_domain *d, size_t row, size_t thread,
                      size_t metric, const double *wanted, const double *weights)
{
    const double share = metric == SIZE_MAX ? NAN : mim_response_share(d, metric, wanted[metric]);
    if (!isfinite(share) || !mim_response_knows(r, row))
        return NAN;
    const size_t at = row * r->n_columns;
    const double found = mim_response_of(r->mean + at, row > 0, d, thread, weights);
    return hypot(fmin(1, fmax(0, found)) - share,
                 mim_response_of(r->deviation + at, row > 0, d, thread, weights));
}

double mim_response_miss(const mim_response *response, const mim_domain *domain,
                         const double *wanted, const double *weights)
{
    double cpu = 0, total = 0;
    size_t n_cpu = 0, n_families = 0;
    for (size_t t = 0; t < domain->n_threads; t++) {
        const double miss =
            miss_of(response, domain, 0, t, domain->thread_metric[t], wanted, weights);
        cpu += isfinite(miss) ? miss : 0;
        n_cpu += isfinite(miss) ? 1 : 0;
    }
    if (n_cpu > 0) {
        total += cpu / (double)n_cpu;
        n_families++;
    }
    for (size_t g = 0; g < domain->n_node_metrics; g++) {
        const double miss =
            miss_of(response, domain, 1 + g, 0, domain->node_metric[g], wanted, weights);
        total += isfinite(miss) ? miss : 0;
        n_families += isfinite(miss) ? 1 : 0;
    }
    return n_families > 0 ? total / (double)n_families : 0;
}
