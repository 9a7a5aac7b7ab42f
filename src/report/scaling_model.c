#include "report/scaling_model.h"

#include <math.h>

double mim_ring_s(size_t n_nodes, double n_bytes, double bandwidth_bytes_per_s, double latency_s)
{
    const double n = (double)n_nodes;
    return 2 * (n - 1) * (latency_s + n_bytes / n / bandwidth_bytes_per_s);
}

static double sum_s(const mim_scaling_model *m, size_t n_nodes, double n_bytes)
{
    return mim_ring_s(n_nodes, n_bytes, m->bandwidth_bytes_per_s, m->latency_s);
}

double mim_scaling_step_s(const mim_scaling_model *m, size_t n_nodes, bool overlaps)
{
    const double computed_s = m->compute_s / m->speed;
    double summed_s = 0, n_bytes = 0;
    for (size_t k = 0; k < m->n_buckets; k++) {
        summed_s = fmax(summed_s, m->ready_s[k] / m->speed) + sum_s(m, n_nodes, m->n_bytes[k]);
        n_bytes += m->n_bytes[k];
    }
    if (!overlaps)
        summed_s = computed_s + sum_s(m, n_nodes, n_bytes);
    return fmax(computed_s, summed_s) + m->update_s / m->speed;
}

double mim_scaling_share(const mim_scaling_model *m, size_t n_nodes, bool overlaps)
{
    return mim_scaling_step_s(m, 1, overlaps) / mim_scaling_step_s(m, n_nodes, overlaps);
}
