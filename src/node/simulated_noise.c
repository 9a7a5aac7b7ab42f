/* The simulated node: noise and rare outliers, a function of (seed, plan id, slot, metric) only. */
#include <math.h>

#include "core/rng.h"
#include "node/simulated_constants.h"
#include "node/simulated_internal.h"

/* Whose noise it is: a metric of a slot of a plan. */
typedef struct source {
    uint64_t seed, plan_id;
    uint32_t slot, metric;
} source;

/* Draws of the second stream. */
enum { DRAW_ROUNDING, DRAW_RARE, N_DRAWS };

static double normal(const source *s)
{
    return mim_rng_normal(s->seed, MIM_STREAM_SIMULATED, s->plan_id, s->slot, s->metric);
}

static double chance(const source *s, uint32_t draw)
{
    return mim_rng_u01(s->seed, MIM_STREAM_SIMULATED_RARE, s->plan_id, s->slot,
                       N_DRAWS * s->metric + draw);
}

static bool is_outlier(const source *s) { return chance(s, DRAW_RARE) < MIM_SIMULATED_RARE; }

uint64_t mim_simulated_ticks(size_t slot_number, double slot_s)
{
    /* a ten-thousandth of a tick more, so that products just below a whole number count as it */
    return (uint64_t)((double)slot_number * slot_s * MIM_SIMULATED_TICKS_PER_S + 1e-4);
}

/* The kernel counts busy time in whole ticks. */
static double noisy_busy(const source *s, double busy, double ticks)
{
    if (busy > 2 * MIM_SIMULATED_IDLE_CPU)
        busy += MIM_SIMULATED_CPU_NOISE * normal(s);
    if (is_outlier(s))
        busy += MIM_SIMULATED_RARE_CPU;
    busy = fmin(1, fmax(0, busy));
    return fmin(ticks, floor(busy * ticks + chance(s, DRAW_ROUNDING))) / ticks;
}

static double factor(const source *s, double noise)
{
    return fmax(0, 1 + noise * normal(s)) * (is_outlier(s) ? MIM_SIMULATED_RARE_FACTOR : 1);
}

static void scale(size_t n, double *values, double by)
{
    for (size_t i = 0; i < n; i++)
        values[i] *= by;
}

/* Not even an outlier is more than what the hardware can hold or move. */
static void limit_sockets(const mim_simulated *node, mim_simulated_slot *slot)
{
    const double peak_bytes = node->peak_bytes_per_s / (double)node->n_sockets * slot->slot_s;
    for (size_t i = 0; i < node->n_sockets; i++) {
        const double share = fmin(1, peak_bytes / (slot->read_bytes[i] + slot->write_bytes[i]));
        slot->read_bytes[i] *= share;
        slot->write_bytes[i] *= share;
        slot->llc_bytes[i] = fmin(slot->llc_bytes[i], node->llc_bytes);
    }
}

void mim_simulated_noise(const mim_simulated *node, uint64_t plan_id, size_t slot_number,
                         mim_simulated_slot *slot)
{
    source s = {node->options.seed, plan_id, (uint32_t)slot_number, 0};
    const size_t n_cpus = node->n_cpus, n_sockets = node->n_sockets;
    const double ticks = (double)(mim_simulated_ticks(slot_number + 1, slot->slot_s) -
                                  mim_simulated_ticks(slot_number, slot->slot_s));
    const struct {
        double noise;
        size_t n;
        double *values;
    } metrics[MIM_SIMULATED_N_NODE_METRICS] = {
        [MIM_SIMULATED_IO_READ] = {MIM_SIMULATED_IO_NOISE, 1, &slot->disk_read_bytes},
        [MIM_SIMULATED_IO_WRITE] = {MIM_SIMULATED_IO_NOISE, 1, &slot->disk_write_bytes},
        [MIM_SIMULATED_L3] = {MIM_SIMULATED_LOOKUP_NOISE, n_sockets, slot->lookups},
        [MIM_SIMULATED_READ_BANDWIDTH] = {MIM_SIMULATED_BANDWIDTH_NOISE, n_sockets,
                                          slot->read_bytes},
        [MIM_SIMULATED_WRITE_BANDWIDTH] = {MIM_SIMULATED_BANDWIDTH_NOISE, n_sockets,
                                           slot->write_bytes},
        [MIM_SIMULATED_IPC] = {MIM_SIMULATED_IPC_NOISE, n_cpus, slot->instructions},
        [MIM_SIMULATED_LLC_KB] = {MIM_SIMULATED_OCCUPANCY_NOISE, n_sockets, slot->llc_bytes},
        [MIM_SIMULATED_MISSES] = {MIM_SIMULATED_MISS_NOISE, n_cpus, slot->misses},
    };
    for (size_t cpu = 0; cpu < n_cpus; cpu++) {
        s.metric = MIM_SIMULATED_N_NODE_METRICS + (uint32_t)cpu;
        slot->busy[cpu] = noisy_busy(&s, slot->busy[cpu], ticks);
    }
    for (uint32_t m = 0; m < MIM_SIMULATED_N_NODE_METRICS; m++) {
        s.metric = m;
        scale(metrics[m].n, metrics[m].values, factor(&s, metrics[m].noise));
    }
    limit_sockets(node, slot);
}
