#include "diffusion/weighting.h"

#include <math.h>
#include <string.h>

#include "trace/metric.h"

static const double least_weight = 1e-6;

const mim_weighting mim_weighting_none = {.high_io = 1, .tail = 1, .previous = 1};

int mim_weighting_check(const mim_weighting *w)
{
    const struct {
        const char *what;
        double value, min, max;
    } parts[] = {{"high_io", w->high_io, 0, 1e6},
                 {"tail", w->tail, 0, 1e6},
                 {"tail_from", w->tail_from, 0, 1},
                 {"previous", w->previous, 0, 1e6},
                 {"active_percent", w->active_percent, 0, 100},
                 {"target_percent", w->target_percent, 0, 100}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!(parts[i].value >= parts[i].min && parts[i].value <= parts[i].max))
            return mim_fail(MIM_EINVAL, "weights of examples: %s: expected %g to %g, found %g",
                            parts[i].what, parts[i].min, parts[i].max, parts[i].value);
    if (w->target_percent > 0 && !(w->target_sigma > 0 && isfinite(w->target_sigma)))
        return mim_fail(MIM_EINVAL, "weights of examples: a deviation of %g from the target",
                        w->target_sigma);
    return MIM_OK;
}

static bool is_one(double factor) { return !(factor < 1 || factor > 1); }

bool mim_weighting_is_uniform(const mim_weighting *w)
{
    return is_one(w->high_io) && is_one(w->tail) && is_one(w->previous) &&
           w->min_active_cores == 0 && !(w->target_percent > 0);
}

static bool is_high_io(const mim_weighting *w, const mim_domain *d, const float *metric,
                       const uint8_t *mask)
{
    double sum = 0;
    for (size_t m = 0; m < d->n_metrics; m++) {
        const mim_family family = mim_metric_target_family(d->metrics[m]);
        if (mask[m] && (family == MIM_FAMILY_IO_READ || family == MIM_FAMILY_IO_WRITE))
            sum += (double)metric[m];
    }
    return sum >= w->io_threshold_kbs;
}

static bool is_tail(const mim_weighting *w, const mim_domain *d, const float *metric,
                    const uint8_t *mask)
{
    for (size_t m = 0; m < d->n_metrics; m++) {
        const mim_family family = mim_metric_target_family(d->metrics[m]);
        const double width = d->maximum[m] - d->minimum[m];
        if (mask[m] && width > 0 && (family == MIM_FAMILY_MEMORY || family == MIM_FAMILY_CACHE) &&
            (double)metric[m] - d->minimum[m] >= w->tail_from * width)
            return true;
    }
    return false;
}

/* Factor by the CPU use of threads. */
static double density(const mim_weighting *w, const mim_domain *d, const float *metric,
                      const uint8_t *mask)
{
    size_t n_active = 0, n_known = 0;
    double sum = 0;
    for (size_t t = 0; t < d->n_threads; t++) {
        const size_t m = d->thread_metric[t];
        if (m == SIZE_MAX || !mask[m])
            continue;
        n_known++;
        n_active += (double)metric[m] >= w->active_percent ? 1 : 0;
        sum += (double)metric[m];
    }
    if (n_active < w->min_active_cores)
        return 0;
    if (!(w->target_percent > 0))
        return 1;
    if (n_known == 0)
        return least_weight;
    const double away = (sum / (double)n_known - w->target_percent) / w->target_sigma;
    return fmax(least_weight, exp(-0.5 * away * away));
}

double mim_weighting_of(const mim_weighting *w, const mim_domain *d, const float *metric,
                        const uint8_t *mask, bool has_previous)
{
    double weight = has_previous ? w->previous : 1;
    if (!is_one(w->high_io) && is_high_io(w, d, metric, mask))
        weight *= w->high_io;
    if (!is_one(w->tail) && is_tail(w, d, metric, mask))
        weight *= w->tail;
    return weight * density(w, d, metric, mask);
}
