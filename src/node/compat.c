#include "node/compat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

void mim_compat_counts(size_t n, const double *weights, const uint32_t *cost_us, uint64_t *counts,
                       double *duty)
{
    double total = 0.0;
    for (size_t k = 0; k < n; k++)
        total += weights[k];
    double noop = fmax(0.0, 1.0 - total);
    for (size_t k = 0; k < n; k++) {
        double share = total > 1.0 ? weights[k] / total : weights[k];
        counts[k] = cost_us[k] > 0
                        ? (uint64_t)fmax(0.0, round(share * MIM_COMPAT_BUDGET_US / cost_us[k]))
                        : 0;
    }
    *duty = fmin(fmax(1.0 - noop, 0.0), 1.0);
}

static double set_duty(const char *name, uint64_t n)
{
    if (strstr(name, "BurstScaled"))
        return fmin((double)n / 100.0, 1.0);
    return strstr(name, "WeightScaled") ? 1.0 : NAN;
}

/* Fisher and Yates. */
static void shuffle(size_t n, uint64_t seed, uint64_t window, uint32_t row, size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        uint64_t bits = mim_rng_u32(seed, MIM_STREAM_COMPAT, window, row, (uint32_t)i);
        size_t k = (size_t)((bits * i) >> 32), kept = order[k];
        order[k] = order[i - 1];
        order[i - 1] = kept;
    }
}

int mim_compat_order_make(const mim_actions *actions, const double *weights,
                          const uint32_t *cost_us, uint64_t seed, size_t window, size_t row,
                          mim_compat_order *order)
{
    size_t n = mim_actions_n(actions);
    uint64_t *counts = calloc(n, sizeof *counts);
    size_t *shuffled = calloc(n, sizeof *shuffled);
    mim_compat_order made = {.runs = calloc(n, sizeof *made.runs)};
    int rc = counts && shuffled && made.runs ? MIM_OK : mim_fail(MIM_ENOMEM, "order of a row");
    if (rc == MIM_OK) {
        mim_compat_counts(n, weights, cost_us, counts, &made.duty);
        shuffle(n, seed, window, (uint32_t)row, shuffled);
    }
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        size_t k = shuffled[i];
        if (counts[k] == 0)
            continue;
        made.runs[made.n_runs++] =
            (mim_compat_run){k, counts[k], set_duty(mim_actions_name(actions, k), counts[k])};
        made.n_entries += counts[k];
    }
    if (rc == MIM_OK) {
        *order = made;
        made.runs = NULL;
    }
    free(made.runs);
    free(shuffled);
    free(counts);
    return rc;
}

void mim_compat_order_clear(mim_compat_order *order)
{
    free(order->runs);
    *order = (mim_compat_order){0};
}

int64_t mim_compat_active_us(const mim_compat_order *order, int64_t length_us)
{
    return order->n_entries ? llround((double)length_us * order->duty / (double)order->n_entries)
                            : 0;
}

int64_t mim_compat_idle_us(const mim_compat_order *order, int64_t length_us)
{
    double idle = (double)length_us * (1.0 - order->duty);
    return order->n_entries ? llround(idle / (double)order->n_entries) : 0;
}

int64_t mim_compat_next_us(int64_t slot_us, int64_t elapsed_us, uint64_t n_done)
{
    int64_t late_us = elapsed_us - slot_us * (int64_t)n_done;
    if (late_us <= 0)
        return slot_us;
    int64_t rest = slot_us - late_us;
    return rest > slot_us / 2 ? rest : slot_us / 2;
}

void mim_compat_walk(const mim_compat_order *order, int64_t length_us, double *current_duty,
                     const mim_compat_walker *walker)
{
    int64_t begin_us = walker->now_us(walker->context);
    int64_t active_us = mim_compat_active_us(order, length_us);
    int64_t idle_us = mim_compat_idle_us(order, length_us);
    if (order->n_entries == 0 && length_us > 0)
        walker->sleep(walker->context, length_us);
    for (size_t r = 0; r < order->n_runs; r++) {
        const mim_compat_run *run = &order->runs[r];
        for (uint64_t i = 0; i < run->n; i++) {
            int64_t left_us = length_us - (walker->now_us(walker->context) - begin_us);
            if (left_us <= 0 || walker->is_stopped(walker->context))
                return;
            if (!isnan(run->set_duty))
                *current_duty = run->set_duty;
            walker->run(walker->context, run->column, active_us < left_us ? active_us : left_us,
                        *current_duty);
            left_us = length_us - (walker->now_us(walker->context) - begin_us);
            int64_t pause_us = idle_us < left_us ? idle_us : left_us;
            if (pause_us > 0)
                walker->sleep(walker->context, pause_us);
        }
    }
}

uint64_t mim_compat_ops_a_look(const mim_stressor *stressor)
{
    /* Whole rounds of the original's loops where they are longer than a batch of ours. */
    static const struct {
        const char *kernel;
        uint64_t min_bytes; /* of memory */
        uint64_t n_ops;
    } rounds[] = {
        {"crc_compute", 0, 1000}, {"crc_extend", 0, 1000}, {"memcpy", 4 << 20, 5},
        {"memcmp", 4 << 20, 5},   {"memcpy", 0, 0},        {"memcmp", 0, 0},
        {"simd", 0, 0},           {"hashset", 0, 0},
    };
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
        if (strcmp(stressor->kernel, rounds[i].kernel) == 0 &&
            stressor->memory_bytes >= rounds[i].min_bytes)
            return rounds[i].n_ops;
    return 1;
}
