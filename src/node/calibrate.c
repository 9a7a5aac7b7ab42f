/* Measuring a calibration: each stressor alone on one CPU, then reads and writes on all. */
#include "node/calibration.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h> /* major, minor */

#include "core/clock.h"
#include "core/quantile.h"
#include "core/signals.h"
#include "node/ceiling.h"
#include "node/kernel.h"
#include "node/pin.h"

static const double progress_every_s = 10.0;
/* Written in one repeat: enough operations for a mean, few enough to keep the disk's wear low. */
static const uint64_t max_written_bytes = 64u << 20;
static const double max_added_bytes = 64 << 10;
static const char read_stressor[] = "BM_STRESS_NG_HddRead_1MB_NoSleep";
static const char write_stressor[] = "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled";

enum { MAX_REPEATS = 64 };

typedef struct repeat {
    double op_s, cpu_s, bytes_per_s;
    size_t n_ops;
} repeat;

/* Sectors read and written so far by the block device under the folder; false if it has none. */
static bool device_bytes(const char *folder, double *bytes)
{
    struct stat status;
    char path[64];
    unsigned long long rd = 0, wr = 0;
    if (stat(folder, &status) != 0)
        return false;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(status.st_dev),
             minor(status.st_dev));
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    int n = fscanf(file, "%*u %*u %llu %*u %*u %*u %llu", &rd, &wr);
    fclose(file);
    *bytes = 512.0 * (double)(rd + wr);
    return n == 2;
}

/* Median over the repeats of the double at `offset`; spread: interquartile range / median. */
static int median_of(const repeat *repeats, size_t n, size_t offset, double *median, double *spread)
{
    double values[MAX_REPEATS], low = NAN, high = NAN;
    for (size_t i = 0; i < n; i++)
        memcpy(&values[i], (const char *)&repeats[i] + offset, sizeof values[i]);
    int rc = mim_quantile(values, n, 0.5, median);
    if (rc == MIM_OK && spread) {
        rc = mim_quantile(values, n, 0.25, &low);
        if (rc == MIM_OK)
            rc = mim_quantile(values, n, 0.75, &high);
        *spread = (high - low) / *median;
    }
    return rc;
}

/* Operations (or batches) back to back for `seconds`. CPU kernels are timed by their thread's CPU
 * clock, so that other load on the machine does not show. */
static int measure_once(const mim_kernel *kernel, const mim_stressor *stressor, void *state,
                        double seconds, repeat *out)
{
    mim_work work = {0};
    size_t n = 0;
    int64_t begin_ns = mim_clock_mono_ns(), cpu_ns = mim_clock_thread_cpu_ns();
    int64_t end_ns = begin_ns + (int64_t)(seconds * 1e9), now;
    bool is_write = mim_stressor_read_share(stressor) < 1.0; /* NaN: no */
    do {
        int rc = kernel->run(state, 1, &work);
        if (rc != MIM_OK)
            return mim_fail_in(rc, "%s", stressor->name);
        n++;
        now = mim_clock_mono_ns();
    } while (now < end_ns && (!is_write || work.n_bytes < max_written_bytes));
    double cpu_s = (double)(mim_clock_thread_cpu_ns() - cpu_ns + (int64_t)work.extra_cpu_ns) * 1e-9;
    double wall_s = stressor->is_paced ? (double)(now - begin_ns) * 1e-9 : cpu_s;
    out->op_s = wall_s / (double)n;
    out->cpu_s = cpu_s / (double)n;
    out->bytes_per_s = (double)work.n_bytes / wall_s;
    out->n_ops = n;
    return MIM_OK;
}

static bool is_io(const mim_stressor *stressor)
{
    return !isnan(mim_stressor_read_share(stressor));
}

/* Device bytes of one operation. In memory NaN: no device will see anything. Where the device is
 * not known by number (overlays, network file systems) or others used it meanwhile, an operation
 * is taken for its own size, and the log says so. What a file system adds to a flush (inodes,
 * journal) is no such thing: it belongs to the operation. */
static double per_op(const mim_stressor *stressor, const mim_scratch *scratch, bool has_device,
                     double ratio, mim_log *log)
{
    if (!is_io(stressor) || mim_scratch_is_memory(scratch))
        return NAN;
    if (!has_device) {
        mim_log_warn(
            log, "calibrate", "%s: block device of %s not found, an operation counts as %u KB",
            stressor->name, mim_scratch_folder(scratch), (unsigned)(stressor->op_bytes / 1024));
        ratio = 1.0;
    } else if (!(ratio > 0.5 &&
                 (ratio < 1.5 || (ratio - 1.0) * (double)stressor->op_bytes <= max_added_bytes))) {
        mim_log_warn(log, "calibrate",
                     "%s: the device moved %.2f times the bytes asked for; other I/O, or a file "
                     "system that merges or compresses: an operation counts as its own size",
                     stressor->name, ratio);
        ratio = 1.0;
    }
    return ratio * (double)stressor->op_bytes;
}

static int measure_state(const mim_stressor *stressor, const mim_kernel *kernel, void *state,
                         mim_scratch *scratch, const mim_calibrate_options *options, mim_log *log,
                         mim_cost *cost)
{
    repeat repeats[MAX_REPEATS];
    size_t n = options->n_repeats < MAX_REPEATS ? options->n_repeats : MAX_REPEATS;
    double before = 0.0, after = 0.0, n_ops = 0.0;
    int rc = MIM_OK;
    mim_work warm = {0};
    for (int i = 0; rc == MIM_OK && i < 3; i++)
        rc = kernel->run(state, 1, &warm);
    bool has_device = is_io(stressor) && !mim_scratch_is_memory(scratch);
    if (has_device) {
        mim_settle_device(scratch);
        has_device = device_bytes(mim_scratch_folder(scratch), &before);
    }
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        rc = measure_once(kernel, stressor, state, options->seconds_each / (double)n, &repeats[i]);
        n_ops += (double)repeats[i].n_ops;
    }
    if (rc != MIM_OK)
        return rc;
    if (has_device) {
        mim_settle_device(scratch);
        has_device = device_bytes(mim_scratch_folder(scratch), &after);
    }
    snprintf(cost->stressor, sizeof cost->stressor, "%s", stressor->name);
    cost->n_repeats = n;
    double bytes_per_s = NAN;
    rc = median_of(repeats, n, offsetof(repeat, op_s), &cost->op_s, &cost->spread);
    if (rc == MIM_OK)
        rc = median_of(repeats, n, offsetof(repeat, cpu_s), &cost->cpu_s_per_op, NULL);
    if (rc == MIM_OK)
        rc = median_of(repeats, n, offsetof(repeat, bytes_per_s), &bytes_per_s, NULL);
    cost->ops_per_s = 1.0 / (cost->op_s + 1e-6 * stressor->sleep_us);
    cost->bytes_per_s = bytes_per_s * cost->op_s * cost->ops_per_s;
    double ratio = (after - before) / n_ops / (double)stressor->op_bytes;
    cost->device_bytes_per_op = per_op(stressor, scratch, has_device, ratio, log);
    return rc;
}

static int measure(const mim_stressor *stressor, const mim_kernel *kernel, int cpu,
                   mim_scratch *scratch, const mim_calibrate_options *options, mim_log *log,
                   mim_cost *cost)
{
    void *state = NULL;
    const mim_kernel_place place = {.row = 0, .cpu = cpu, .scratch = scratch, .seed = 1};
    int rc = kernel->create(stressor, &place, &state);
    if (rc == MIM_OK)
        rc = measure_state(stressor, kernel, state, scratch, options, log, cost);
    if (rc == MIM_OK && kernel->verify)
        rc = kernel->verify(state);
    if (rc != MIM_OK)
        rc = mim_fail_in(rc, "%s", stressor->name);
    kernel->destroy(state);
    return rc;
}

static void describe(const mim_machine *machine, const mim_actions *actions,
                     const mim_scratch *scratch, mim_calibration *c)
{
    snprintf(c->sizes, sizeof c->sizes, "%s", mim_actions_sizes(actions));
    snprintf(c->machine_key, sizeof c->machine_key, "%s", machine->key);
    snprintf(c->cpu_model, sizeof c->cpu_model, "%s", machine->cpu_model);
    snprintf(c->kernel, sizeof c->kernel, "%s", machine->kernel);
    snprintf(c->scratch_folder, sizeof c->scratch_folder, "%s",
             scratch ? mim_scratch_folder(scratch) : "");
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
            rc = measure(stressor, kernel, machine->cpus[0].os_index, scratch, options, log, cost);
        if (rc == MIM_OK && cost->spread > 0.1)
            mim_log_warn(log, "calibrate", "%s: spread of repeats %.0f %%, the machine was busy",
                         stressor->name, 100.0 * cost->spread);
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
    if (rc == MIM_OK && options->has_ceilings) {
        made->io_read_max_kbs = mim_ceiling_kbs(machine, scratch, read_stressor, log);
        made->io_write_max_kbs = mim_ceiling_kbs(machine, scratch, write_stressor, log);
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
