/* Bringing a plan's predicted metrics to the wanted ones. */
#include <limits.h>
#include <stdint.h>

#include "diffusion/response_internal.h"

enum { N_SWEEPS = 24 };
/* Of a metric's range: a miss that is left alone, and a weight's effect that is dropped. */
static const double good_enough = 1e-6, negligible = 1e-5;
/* A miss that is worth another stressor. */
static const double worth_more = 5e-5;

typedef struct mending {
    const mim_response *response;
    const mim_domain *domain;
    const double *wanted;
    double *weights; /* [T][S] */
} mending;

/* A metric: the rows of the plan that it is of. */
typedef struct span {
    const double *coefficients;
    size_t row;      /* of the response */
    size_t first, n; /* threads */
    double wanted;   /* share of the range */
} span;

/* Wanted minus predicted; 0 when both are at the same end of the range. */
static double lacks(const mending *m, const span *a)
{
    const double found =
        mim_response_of(a->coefficients, a->row > 0, m->domain, a->first, m->weights);
    if ((a->wanted >= 1 && found >= 1) || (a->wanted <= 0 && found <= 0))
        return 0;
    return a->wanted - found;
}

/* The effect of a stressor's weight on a row of the response, in the mean over all threads. */
static double effect_on(const mending *m, size_t row, size_t stressor)
{
    const double effect = m->response->mean[row * m->response->n_columns + stressor];
    return row == 0 ? effect / (double)m->domain->n_threads : effect;
}

/* The row that a stressor moves most. */
static size_t purpose(const mending *m, size_t stressor)
{
    size_t most = 0;
    for (size_t row = 1; row < m->response->n_rows; row++)
        if (fabs(effect_on(m, row, stressor)) > fabs(effect_on(m, most, stressor)))
            most = row;
    return most;
}

/* What a stressor's weight is worth where it works best, as a power of two. */
static int worth(const mending *m, size_t stressor)
{
    const double most = fabs(effect_on(m, purpose(m, stressor), stressor));
    return most > 0 ? ilogb(most) : INT_MIN;
}

/* Takes what a row has above 1 from the weights that are worth least. */
static void settle_row(const mending *m, double *row)
{
    const size_t n = m->domain->n_stressors;
    double excess = -1;
    for (size_t s = 0; s < n; s++)
        excess += row[s] = fmin(1, fmax(0, row[s]));
    while (excess > 0) {
        int least = INT_MAX;
        double sum = 0;
        for (size_t s = 0; s < n; s++)
            if (row[s] > 0 && worth(m, s) < least)
                least = worth(m, s);
        for (size_t s = 0; s < n; s++)
            sum += row[s] > 0 && worth(m, s) == least ? row[s] : 0;
        if (!(sum > 0))
            return;
        const double kept = excess < sum ? 1 - excess / sum : 0;
        for (size_t s = 0; s < n; s++)
            if (row[s] > 0 && worth(m, s) == least)
                row[s] *= kept;
        excess = kept > 0 ? 0 : excess - sum;
    }
}

/* One metric's move: weights of stressors that serve it change by themselves times their effect. */
static void move(const mending *m, const span *a)
{
    const size_t n = m->domain->n_stressors;
    const double lack = lacks(m, a);
    double power = 0;
    if (fabs(lack) < good_enough)
        return;
    for (size_t t = a->first; t < a->first + a->n; t++)
        for (size_t s = 0; s < n; s++)
            if (purpose(m, s) == a->row)
                power += m->weights[t * n + s] * a->coefficients[s] * a->coefficients[s];
    for (size_t t = a->first; power > 0 && t < a->first + a->n; t++) {
        for (size_t s = 0; s < n; s++)
            if (purpose(m, s) == a->row)
                m->weights[t * n + s] *= fmax(0, 1 + lack / power * a->coefficients[s]);
        settle_row(m, m->weights + t * n);
    }
}

static double room(const mending *m, size_t t)
{
    const size_t n = m->domain->n_stressors;
    double sum = 0;
    for (size_t s = 0; s < n; s++)
        sum += m->weights[t * n + s];
    return 1 - sum;
}

/* The stressor that moves the metric most, where there is the most room. */
static void add(const mending *m, const span *a)
{
    const size_t n = m->domain->n_stressors;
    const double lack = lacks(m, a);
    size_t best = SIZE_MAX, row = a->first;
    for (size_t s = 0; s < n; s++)
        if (purpose(m, s) == a->row && a->coefficients[s] > 0 &&
            (best == SIZE_MAX || a->coefficients[s] > a->coefficients[best]))
            best = s;
    if (lack < worth_more || best == SIZE_MAX)
        return;
    for (size_t t = a->first + 1; t < a->first + a->n; t++)
        if (room(m, t) > room(m, row))
            row = t;
    m->weights[row * n + best] += lack / a->coefficients[best];
    settle_row(m, m->weights + row * n);
}

/* The i-th metric to be seen to: those of the node first, then the threads' CPU, which are held
 * best as they come last. Whether it is asked for. */
static bool span_at(const mending *m, size_t i, span *a)
{
    const mim_domain *d = m->domain;
    const bool is_node = i < d->n_node_metrics;
    const size_t row = is_node ? 1 + i : 0;
    const size_t metric = is_node ? d->node_metric[i] : d->thread_metric[i - d->n_node_metrics];
    if (metric == SIZE_MAX || !mim_response_knows(m->response, row))
        return false;
    *a = (span){.coefficients = m->response->mean + row * m->response->n_columns,
                .row = row,
                .first = is_node ? 0 : i - d->n_node_metrics,
                .n = is_node ? d->n_threads : 1,
                .wanted = mim_response_share(d, metric, m->wanted[metric])};
    return isfinite(a->wanted);
}

static void sweep(const mending *m, void (*step)(const mending *, const span *))
{
    span a;
    for (size_t i = 0; i < m->domain->n_node_metrics + m->domain->n_threads; i++)
        if (span_at(m, i, &a))
            step(m, &a);
}

static void drop_negligible(const mending *m)
{
    const size_t n = m->domain->n_stressors;
    for (size_t k = 0; k < m->domain->n_threads * n; k++) {
        double effect = 0;
        for (size_t row = 0; row < m->response->n_rows; row++)
            effect = fmax(effect, fabs(m->response->mean[row * m->response->n_columns + k % n]));
        if (effect > 0 && m->weights[k] * effect < negligible)
            m->weights[k] = 0;
    }
}

void mim_response_mend(const mim_response *response, const mim_domain *domain, const double *wanted,
                       double *weights)
{
    const mending m = {response, domain, wanted, weights};
    for (int i = 0; i < N_SWEEPS; i++) {
        sweep(&m, move);
        if (i % 8 == 7)
            sweep(&m, add);
    }
    sweep(&m, move);
    drop_negligible(&m);
}
