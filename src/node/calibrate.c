/* Measuring a calibration: each stressor alone on one CPU, then reads and writes on all. */
#include "node/calibrate_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/signals.h"
#include "node/ceiling.h"
#include "node/kernel.h"
#include "node/pin.h"

static const double progress_every_s = 10.0;
/* Of the device's bytes against those asked for: what journals and metadata may add, as a share or,
 * to a small operation that is flushed, in bytes. */
static const double max_device_error = 0.1, max_added_bytes = 64 << 10;
static const char read_stressor[] = "BM_STRESS_NG_HddRead_1MB_NoSleep";
static const char write_stressor[] = "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled";

/* What is wrong with how it was measured, to the log. */
static void warn(const mim_measured *m, const mim_stressor *stressor, mim_log *log)
{
    char text[MIM_QUIET_TEXT_BYTES];
    if (m->steady.is_disturbed)
        mim_log_warn(log, "calibrate",
                     "%s: spread of %zu repeats %.0f %%, %zu of %zu disturbed: %s", stressor->name,
                     m->steady.n_repeats, 100.0 * m->steady.spread, m->steady.n_disturbed,
                     m->steady.n_taken, mim_quiet_text(&m->quiet, text));
    else if (m->steady.is_unstable)
        mim_log_warn(log, "calibrate", "%s: spread of %zu repeats %.0f %%", stressor->name,
                     m->steady.n_repeats, 100.0 * m->steady.spread);
}

/* Device bytes of one operation. In memory NaN: no device will see anything. The log says when they
 * are not those asked for. Where the device is not known by number (overlays, network file systems)
 * or moved something else altogether, an operation is taken for its own size. */
static double per_op(const mim_stressor *stressor, const mim_scratch *scratch,
                     const mim_measured *m, mim_log *log)
{
    const double all = m->device_ratio, own = m->own_ratio;
    if (!mim_calibrate_is_io(stressor) || mim_scratch_is_memory(scratch))
        return NAN;
    if (isnan(all)) {
        mim_log_warn(
            log, "calibrate", "%s: block device of %s not found, an operation counts as %u KB",
            stressor->name, mim_scratch_folder(scratch), (unsigned)(stressor->op_bytes / 1024));
        return (double)stressor->op_bytes;
    }
    if (fabs(all - 1.0) <= max_device_error ||
        (all > 1.0 && (all - 1.0) * (double)stressor->op_bytes <= max_added_bytes))
        return all * (double)stressor->op_bytes;
    const bool are_others = fabs(own - 1.0) <= max_device_error && all > own;
    const double ratio = are_others ? own : all > 0.5 && all < 1.5 ? all : 1.0;
    mim_log_warn(log, "calibrate",
                 "%s: the device moved %.2f times the bytes asked for (%s); an operation counts as "
                 "%.0f KB",
                 stressor->name, all,
                 are_others ? "others used it, too"
                            : "a file system or cache that merges, compresses or adds",
                 ratio * (double)stressor->op_bytes / 1024.0);
    return ratio * (double)stressor->op_bytes;
}

static int measure(const mim_stressor *stressor, int cpu, mim_scratch *scratch,
                   const mim_calibrate_options *options, mim_log *log, mim_cost *cost)
{
    mim_measured m = {0};
    char text[MIM_QUIET_TEXT_BYTES];
    const int rc = mim_calibrate_one(stressor, cpu, scratch, options, &m);
    if (rc != MIM_OK)
        return rc;
    warn(&m, stressor, log);
    if (m.steady.is_disturbed && options->max_spread > 0.0 && !options->allow_unstable)
        return mim_fail(MIM_EUNSUP,
                        "%s: not measurable now: %s; calibrate.allow_unstable = true takes it all "
                        "the same",
                        stressor->name, mim_quiet_text(&m.quiet, text));
    snprintf(cost->stressor, sizeof cost->stressor, "%s", stressor->name);
    cost->n_repeats = m.steady.n_repeats;
    cost->spread = m.steady.spread;
    cost->op_s = m.steady.op_s;
    cost->cpu_s_per_op = m.steady.cpu_s;
    cost->ops_per_s = 1.0 / (cost->op_s + 1e-6 * stressor->sleep_us);
    cost->bytes_per_s = m.steady.bytes_per_s * cost->op_s * cost->ops_per_s;
    cost->device_bytes_per_op = per_op(stressor, scratch, &m, log);
    cost->is_unstable =
        options->max_spread > 0.0 && (m.steady.is_unstable || m.steady.is_disturbed);
    return MIM_OK;
}

/* All that do not agree with themselves are known before the worst of them is told. */
static int judge(const mim_calibration *c, const mim_calibrate_options *options)
{
    size_t n = 0;
    const mim_cost *worst = NULL;
    for (size_t i = 0; i < c->n_costs; i++) {
        if (!c->costs[i].is_unstable)
            continue;
        n++;
        if (!worst || c->costs[i].spread > worst->spread)
            worst = &c->costs[i];
    }
    if (!worst || options->allow_unstable)
        return MIM_OK;
    return mim_fail(MIM_ECHECK,
                    "%s: unstable: spread of %zu repeats %.0f %%, expected at most %.0f %% "
                    "(calibrate.max_spread), as of %zu more of %zu stressors; "
                    "calibrate.allow_unstable = true takes it all the same",
                    worst->stressor, worst->n_repeats, 100.0 * worst->spread,
                    100.0 * options->max_spread, n - 1, c->n_costs);
}

static void describe(const mim_machine *machine, const mim_actions *actions,
                     const mim_scratch *scratch, mim_calibration *c)
{
    snprintf(c->machine_key, sizeof c->machine_key, "%s", machine->key);
    snprintf(c->cpu_model, sizeof c->cpu_model, "%s", machine->cpu_model);
    snprintf(c->kernel, sizeof c->kernel, "%s", machine->kernel);
    snprintf(c->scratch_folder, sizeof c->scratch_folder, "%s",
             scratch ? mim_scratch_folder(scratch) : "");
    snprintf(c->sizes, sizeof c->sizes, "%s", mim_actions_sizes(actions));
    snprintf(c->io_mode, sizeof c->io_mode, "%s",
             scratch && mim_scratch_is_direct(scratch) ? "direct" : "buffered");
    c->measured_real_s = (double)mim_clock_real_ns() * 1e-9;
    c->n_cpus = machine->n_cpus;
    c->n_sockets = machine->n_sockets;
}

/* From the figures of an earlier one in the list that does the same, but for the pause. */
static bool derive(const mim_actions *actions, size_t i, const mim_calibration *c, mim_cost *cost)
{
    const mim_stressor *stressor = mim_actions_stressor(actions, i);
    for (size_t k = 0; k < i; k++) {
        const mim_stressor *other = mim_actions_stressor(actions, k);
        const mim_cost *known = other ? mim_calibration_cost(c, other->name) : NULL;
        if (!known || !mim_stressor_is_same_operation(other, stressor))
            continue;
        *cost = *known;
        snprintf(cost->stressor, sizeof cost->stressor, "%s", stressor->name);
        cost->ops_per_s = 1.0 / (cost->op_s + 1e-6 * stressor->sleep_us);
        cost->bytes_per_s = known->bytes_per_s / known->ops_per_s * cost->ops_per_s;
        return true;
    }
    return false;
}

static int measure_all(const mim_machine *machine, const mim_actions *actions, mim_scratch *scratch,
                       const mim_calibrate_options *options, mim_log *log, mim_calibration *c)
{
    mim_progress *progress = NULL;
    size_t n = mim_actions_n(actions);
    int rc = mim_progress_create(log, "calibrate", n, progress_every_s, &progress);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        const mim_stressor *stressor = mim_actions_stressor(actions, i);
        const mim_kernel *kernel = NULL;
        if (!stressor || !mim_kernel_find(stressor->kernel))
            continue;
        rc = mim_kernel_for(stressor, scratch, &kernel);
        if (rc == MIM_EUNSUP) {
            mim_log_warn(log, "calibrate", "left out: %s", mim_error());
            rc = MIM_OK;
            continue;
        }
        if (rc != MIM_OK)
            break;
        if (mim_signals_stop()) {
            rc = mim_fail(MIM_ESTOPPED, "calibration stopped by a signal; nothing was stored");
            break;
        }
        mim_cost *cost = &c->costs[c->n_costs];
        if (!derive(actions, i, c, cost))
            rc = measure(stressor, machine->cpus[0].os_index, scratch, options, log, cost);
        c->n_costs += rc == MIM_OK;
        mim_progress_step(progress, i + 1);
    }
    mim_progress_destroy(&progress);
    return rc;
}

int mim_calibrate(const mim_machine *machine, const mim_actions *actions, mim_scratch *scratch,
                  const mim_calibrate_options *options, mim_log *log, mim_calibration **calibration)
{
    mim_calibration *made = calloc(1, sizeof *made);
    if (!made || !(made->costs = calloc(mim_actions_n(actions), sizeof *made->costs))) {
        mim_calibration_destroy(&made);
        return mim_fail(MIM_ENOMEM, "calibration");
    }
    describe(machine, actions, scratch, made);
    mim_pin(machine->cpus[0].os_index);
    int rc = measure_all(machine, actions, scratch, options, log, made);
    mim_unpin(machine);
    made->io_read_max_kbs = made->io_write_max_kbs = NAN;
    made->memory_read_max_gb_s = made->memory_write_max_gb_s = NAN;
    if (rc == MIM_OK)
        rc = judge(made, options);
    if (rc == MIM_OK && options->has_ceilings) {
        made->io_read_max_kbs = mim_ceiling_kbs(machine, scratch, read_stressor, log);
        made->io_write_max_kbs = mim_ceiling_kbs(machine, scratch, write_stressor, log);
        made->memory_read_max_gb_s =
            1e-9 * mim_ceiling_memory_bytes_per_s(machine, MIM_MEMORY_READ, log);
        made->memory_write_max_gb_s =
            1e-9 * mim_ceiling_memory_bytes_per_s(machine, MIM_MEMORY_WRITE, log);
        if (mim_scratch_refusal(scratch))
            rc = mim_fail(MIM_EUNSUP, "calibration: %s", mim_scratch_refusal(scratch));
    }
    if (rc == MIM_OK) {
        *calibration = made;
        made = NULL;
    }
    mim_calibration_destroy(&made);
    return rc;
}
