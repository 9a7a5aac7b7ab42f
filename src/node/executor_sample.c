/* The executor's records in the stats text: one at every slot edge, with x_slot and x_thr rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/text.h"
#include "node/executor_internal.h"

/* x_slot: number of the slot that begins, when it should have begun, how late the record is; CPU
 * time of this process, and what of it was planned for and given to CPU stressors, all so far; the
 * length and the overshoot of the slot that ended. */
static const char *const extra_types[][2] = {
    {"x_slot", "slot begin_us,E late_us own_cpu_us,E planned_cpu_us,E given_cpu_us,E length_us "
               "overshoot_us"},
    {"x_thr", "cpu cpu_us,E paced_cpu_us,E ops,E bytes,E paced_ops,E paced_bytes,E switches,E "
              "forced_switches,E faults,E major_faults,E"},
    {NULL, NULL},
};

enum { N_SLOT_KEYS = 8, N_THREAD_KEYS = 11 };

/* The larger of what all CPUs read and wrote; 0: not measured. */
static double peak_bandwidth_gb_s(const mim_calibration *c)
{
    const double peak = c ? fmax(c->memory_read_max_gb_s, c->memory_write_max_gb_s) : NAN;
    return isnan(peak) ? 0.0 : peak;
}

int mim_execution_open_sampler(mim_execution *x)
{
    if (!x->options->stats)
        return MIM_OK;
    x->sample_rows = calloc(1 + x->n_rows, sizeof *x->sample_rows);
    x->sample_cells = calloc(x->n_rows, N_THREAD_KEYS * sizeof *x->sample_cells);
    x->sample_devices = calloc(x->n_rows, sizeof *x->sample_devices);
    char *machine = mim_format("%s, %zu CPUs used, key %s", x->machine->cpu_model,
                               x->machine->n_cpus, x->machine->key);
    if (!x->sample_rows || !x->sample_cells || !x->sample_devices || !machine) {
        free(machine);
        return mim_fail(MIM_ENOMEM, "sampler");
    }
    for (size_t r = 0; r < x->n_rows; r++) {
        snprintf(x->sample_devices[r], sizeof x->sample_devices[r], "%zu", r);
        x->sample_rows[1 + r] = (mim_sampler_row){"x_thr", x->sample_devices[r], N_THREAD_KEYS,
                                                  x->sample_cells + r * N_THREAD_KEYS};
    }
    const mim_sampler_options options = {
        .job = x->options->job,
        .machine = machine,
        .contained = x->options->contained,
        .extra_types = extra_types,
        .slow_s = MIM_SAMPLER_SLOW_S,
        .peak_bandwidth_gb_s = peak_bandwidth_gb_s(x->calibration),
    };
    int rc = mim_sampler_create(&options, &x->sampler);
    if (rc == MIM_OK)
        rc = mim_sampler_header(x->sampler);
    free(machine);
    return rc;
}

void mim_execution_close_sampler(mim_execution *x)
{
    free(x->sample_rows);
    free(x->sample_cells);
    free(x->sample_devices);
    mim_sampler_destroy(&x->sampler);
}

static uint64_t now(atomic_llong *sum)
{
    return (uint64_t)atomic_load_explicit(sum, memory_order_relaxed);
}

static void fill_thread(mim_row_run *row, uint64_t cells[N_THREAD_KEYS])
{
    mim_row_use *worker = &row->worker.use, *helper = &row->helper.use;
    const uint64_t values[N_THREAD_KEYS] = {
        (uint64_t)atomic_load_explicit(&worker->cpu, memory_order_relaxed),
        now(&worker->cpu_ns) / 1000,
        now(&helper->cpu_ns) / 1000,
        now(&worker->n_ops),
        now(&worker->n_bytes),
        now(&helper->n_ops),
        now(&helper->n_bytes),
        now(&worker->n_switches) + now(&helper->n_switches),
        now(&worker->n_forced_switches) + now(&helper->n_forced_switches),
        now(&worker->n_faults) + now(&helper->n_faults),
        now(&worker->n_major_faults) + now(&helper->n_major_faults),
    };
    for (size_t i = 0; i < N_THREAD_KEYS; i++)
        cells[i] = values[i];
}

static double given_cpu_s(const mim_execution *x)
{
    double sum = 0.0;
    for (size_t r = 0; r < x->n_rows; r++)
        sum += (double)now(&x->rows[r].worker.use.cpu_ns) * 1e-9;
    return sum;
}

/* How far the slowest thread went beyond the slot's end, of those that are done with it. */
static double overshoot_s(const mim_execution *x, size_t slot)
{
    double most = 0.0;
    for (size_t r = 0; r < x->n_rows; r++) {
        mim_row_thread *threads[] = {&x->rows[r].worker, &x->rows[r].helper};
        for (size_t t = 0; t < 2; t++)
            if (atomic_load_explicit(&threads[t]->n_done, memory_order_acquire) > slot &&
                threads[t]->slot_overshoot_s[slot] > most)
                most = threads[t]->slot_overshoot_s[slot];
    }
    return most;
}

int mim_execution_sample(mim_execution *x, size_t edge)
{
    if (!x->sampler)
        return MIM_OK;
    for (size_t r = 0; r < x->n_rows; r++)
        fill_thread(&x->rows[r], x->sample_cells + r * N_THREAD_KEYS);
    char mark[64];
    if (edge == 0)
        snprintf(mark, sizeof mark, "begin %s", x->options->job ? x->options->job : "-");
    else
        snprintf(mark, sizeof mark, "slot %zu", edge - 1);
    int64_t edge_ns = x->schedule.start_ns + (int64_t)edge * x->schedule.slot_ns;
    int64_t late_ns = mim_clock_mono_ns() - edge_ns;
    const uint64_t slot[N_SLOT_KEYS] = {
        edge,
        (uint64_t)(edge_ns / 1000),
        late_ns > 0 ? (uint64_t)late_ns / 1000 : 0,
        (uint64_t)(mim_clock_process_cpu_ns() / 1000),
        (uint64_t)(x->planned_cpu_s * 1e6),
        (uint64_t)(given_cpu_s(x) * 1e6),
        edge ? (uint64_t)(x->result->slot_length_s[edge - 1] * 1e6) : 0,
        edge ? (uint64_t)(overshoot_s(x, edge - 1) * 1e6) : 0,
    };
    x->sample_rows[0] = (mim_sampler_row){"x_slot", "-", N_SLOT_KEYS, slot};
    int rc = mim_sampler_take(x->sampler, mark, 1 + x->n_rows, x->sample_rows);
    if (rc == MIM_OK)
        rc = mim_sampler_flush(x->sampler, x->options->stats);
    if (rc == MIM_OK)
        x->result->stats_bytes = ftell(x->options->stats);
    return rc;
}
