/* Differences of counters between kept records.
 *
 * A sum over devices is known for a slot only when the same devices are in both of its records:
 * what a device did before it came or after it went is not known, so that slot is absent. */
#include <math.h>
#include <stdlib.h>

#include "trace/series_internal.h"

/* A step back this small is the jitter of an accounting layer (containers' idle time), not a reset.
 */
enum { MAX_JITTER = 5 };

/* Twice the time that passes, in hundredths of a second. */
enum { MAX_CPU_CS_PER_S = 200 };

bool mim_counter_step(unsigned width_bits, uint64_t *last, uint64_t now, uint64_t *delta)
{
    uint64_t before = *last;
    if (width_bits > 0 && width_bits < 64) {
        *last = now;
        *delta = (now - before) & ((UINT64_C(1) << width_bits) - 1);
        return true;
    }
    if (now >= before) {
        *last = now;
        *delta = now - before;
        return true;
    }
    *delta = 0;
    if (before - now <= MAX_JITTER)
        return true; /* the highest value stays */
    *last = now;
    return false;
}

/* More than a device or a CPU can do is a counter that was set anew or is wrong, not work. A second
 * of slack is for counters that are brought up to date now and then: containers' CPU times grow by
 * 56 to 144 hundredths in a second. */
static bool is_plausible(double delta, double max_per_s, double length_s)
{
    return !(max_per_s > 0) || delta <= max_per_s * (length_s + 1.0);
}

/* What a row adds to the sum; false when it cannot be known. A counter that never ran in a slot
 * may have missed anything. */
static bool add_growth(mim_channel *c, const double growth[MIM_CHANNEL_MAX_KEYS])
{
    if (c->is_multiplexed) {
        if (growth[2] > 0) /* counted no longer than wanted, but for the moments of reading */
            c->sum += c->factor[0] * growth[0] * fmax(1.0, growth[1] / growth[2]);
        return growth[2] > 0;
    }
    for (size_t i = 0; i < c->n_keys; i++)
        c->sum += c->factor[i] * growth[i];
    return true;
}

static void channel_row(mim_channel *c, const mim_row *row, size_t place, double length_s)
{
    uint64_t now[MIM_CHANNEL_MAX_KEYS], delta;
    double growth[MIM_CHANNEL_MAX_KEYS] = {0};
    if (c->counted && !c->counted[row->device])
        return;
    for (size_t i = 0; i < c->n_keys; i++)
        if (!mim_row_value(row, c->keys[i], &now[i]))
            return;
    c->n_now++;
    if (c->is_gauge) {
        for (size_t i = 0; i < c->n_keys; i++)
            c->sum += c->factor[i] * (double)now[i];
        return;
    }
    mim_counter_state *state = &c->states[row->device];
    bool is_known = place > 0 && state->seen == place, is_whole = is_known;
    for (size_t i = 0; i < c->n_keys; i++) {
        if (!is_known)
            state->last[i] = now[i];
        else if (mim_counter_step(c->width_bits[i], &state->last[i], now[i], &delta) &&
                 is_plausible((double)delta, c->max_per_s, length_s))
            growth[i] = (double)delta;
        else
            is_whole = false;
    }
    c->n_both += is_known;
    if (!is_whole || !add_growth(c, growth))
        c->is_broken = true;
    state->seen = place + 1;
}

static void cpu_row(mim_series_plan *plan, const mim_row *row, size_t place, double *slot)
{
    mim_cpu_state *state = &plan->cpu_states[row->device];
    bool is_known = place > 0 && state->seen == place, is_whole = true;
    double total = 0.0, idle = 0.0;
    for (size_t i = 0; i < MIM_CPU_KEYS; i++) {
        uint64_t now, delta;
        if (plan->cpu_keys[i] == SIZE_MAX)
            continue;
        if (!mim_row_value(row, plan->cpu_keys[i], &now))
            return;
        if (!is_known)
            state->last[i] = now;
        else if (mim_counter_step(plan->cpu_width_bits[i], &state->last[i], now, &delta)) {
            total += (double)delta;
            idle += i <= MIM_CPU_IOWAIT ? (double)delta : 0.0;
        } else
            is_whole = false;
    }
    state->seen = place + 1;
    if (!is_known || !is_whole || !slot || !is_plausible(total, MAX_CPU_CS_PER_S, plan->length_s))
        return;
    plan->idle_sum += idle;
    plan->n_idle++;
    if (plan->cpu_columns[row->device] != SIZE_MAX && total > 0)
        slot[plan->cpu_columns[row->device]] = 100.0 * (total - idle) / total;
}

/* The value of a channel over the slot that the record at hand ends. */
static double channel_value(const mim_channel *c, double length_s)
{
    if (c->is_gauge)
        return c->n_now > 0 && c->n_now >= c->n_before ? c->scale * c->sum : NAN;
    if (c->is_broken || c->n_both == 0 || c->n_both < c->n_before)
        return NAN;
    return c->scale * c->sum / length_s / (c->is_mean ? (double)c->n_both : 1.0);
}

static void channels_begin(mim_series_plan *plan, double length_s)
{
    plan->length_s = length_s;
    plan->idle_sum = 0.0;
    plan->n_idle = 0;
    for (size_t i = 0; i < plan->n_channels; i++) {
        mim_channel *c = &plan->channels[i];
        c->sum = 0.0;
        c->n_before = c->n_now;
        c->n_now = c->n_both = 0;
        c->is_broken = false;
    }
}

/* 100 % of all CPUs' time less idle, stolen and our own. */
static double others_pct(const mim_series_plan *plan, double length_s)
{
    const mim_channel *steal = &plan->channels[plan->steal_channel];
    const mim_channel *own = &plan->channels[plan->own_channel];
    double cpu_s = length_s * (double)plan->n_idle;
    if (plan->n_idle < plan->n_cpus || plan->n_idle != steal->n_both)
        return NAN;
    double own_s = 1e-6 * channel_value(own, length_s) * length_s;
    return 100.0 - channel_value(steal, length_s) - plan->idle_sum / cpu_s - 100.0 * own_s / cpu_s;
}

/* Instructions of all CPUs a cycle of all CPUs. */
static double ipc(const mim_series_plan *plan, double length_s)
{
    const double cycles = channel_value(&plan->channels[plan->cycles_channel], length_s);
    return cycles > 0
               ? channel_value(&plan->channels[plan->instructions_channel], length_s) / cycles
               : NAN;
}

static void slot_end(const mim_series_plan *plan, double length_s, double *slot)
{
    for (size_t i = 0; i < plan->n_channels; i++)
        if (plan->channels[i].column != SIZE_MAX)
            slot[plan->channels[i].column] = channel_value(&plan->channels[i], length_s);
    if (plan->others_column != SIZE_MAX)
        slot[plan->others_column] = others_pct(plan, length_s);
    if (plan->ipc_column != SIZE_MAX)
        slot[plan->ipc_column] = ipc(plan, length_s);
}

/* The channels of each type, so that a row meets its own only. */
static size_t *channels_by_type(const mim_stats *stats, const mim_series_plan *plan,
                                size_t **first_of_type)
{
    size_t n_types = mim_stats_n_types(stats), n = 0;
    size_t *order = malloc((plan->n_channels + 1) * sizeof *order);
    size_t *first = malloc((n_types + 1) * sizeof *first);
    if (!order || !first) {
        free(order);
        free(first);
        return NULL;
    }
    for (size_t type = 0; type < n_types; type++) {
        first[type] = n;
        for (size_t i = 0; i < plan->n_channels; i++)
            if (plan->channels[i].type == type)
                order[n++] = i;
    }
    first[n_types] = n;
    *first_of_type = first;
    return order;
}

int mim_series_fill(const mim_stats *stats, mim_series_plan *plan, const size_t *kept,
                    mim_series *series)
{
    size_t *first = NULL, *order = channels_by_type(stats, plan, &first);
    if (!order)
        return mim_fail(MIM_ENOMEM, "channels of the series");
    for (size_t place = 0; place <= series->n_slots; place++) {
        size_t record = kept[place], n_rows = mim_stats_n_rows(stats, record);
        double *slot = place > 0 ? series->values + (place - 1) * series->n_metrics : NULL;
        channels_begin(plan, slot ? series->length_s[place - 1] : 0.0);
        for (size_t i = 0; i < n_rows; i++) {
            mim_row row = mim_stats_row(stats, record, i);
            if (row.type == plan->cpu_type)
                cpu_row(plan, &row, place, slot);
            for (size_t k = first[row.type]; k < first[row.type + 1]; k++)
                channel_row(&plan->channels[order[k]], &row, place, plan->length_s);
        }
        if (slot)
            slot_end(plan, plan->length_s, slot);
    }
    free(order);
    free(first);
    return MIM_OK;
}
