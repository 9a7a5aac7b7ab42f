/* Measuring a calibration: each stressor alone on one CPU, then reads and writes on all. */
#define _GNU_SOURCE /* affinity, syncfs */
#include "node/calibration.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/quantile.h"
#include "core/signals.h"
#include "node/kernel.h"

static const double progress_every_s = 10.0;
/* Written in one repeat: enough operations for a mean, few enough to keep the disk's wear low. */
static const uint64_t max_written_bytes = 64u << 20;
static const double ceiling_seconds = 1.0;
static const int64_t poll_ns = 1000000;
static const char read_stressor[] = "BM_STRESS_NG_HddRead_1MB_NoSleep";
static const char write_stressor[] = "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled";

enum { MAX_REPEATS = 64, MAX_PUSHERS = 256 };

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
    mim_work work = {0, 0};
    size_t n = 0;
    int64_t begin_ns = mim_clock_mono_ns(), cpu_ns = mim_clock_thread_cpu_ns();
    int64_t end_ns = begin_ns + (int64_t)(seconds * 1e9), now;
    bool is_write = stressor->stress_class == MIM_STRESS_WRITE;
    do {
        int rc = kernel->run(state, 1, &work);
        if (rc != MIM_OK)
            return mim_fail_in(rc, "%s", stressor->name);
        n++;
        now = mim_clock_mono_ns();
    } while (now < end_ns && (!is_write || work.n_bytes < max_written_bytes));
    double cpu_s = (double)(mim_clock_thread_cpu_ns() - cpu_ns) * 1e-9;
    double wall_s = stressor->is_paced ? (double)(now - begin_ns) * 1e-9 : cpu_s;
    out->op_s = wall_s / (double)n;
    out->cpu_s = cpu_s / (double)n;
    out->bytes_per_s = (double)work.n_bytes / wall_s;
    out->n_ops = n;
    return MIM_OK;
}

/* Everything this process wrote so far is on the device and in its counters. */
static void settle_device(const mim_scratch *scratch)
{
    int fd = open(mim_scratch_folder(scratch), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        syncfs(fd);
        close(fd);
    }
}

static bool is_io(const mim_stressor *stressor)
{
    return stressor->stress_class == MIM_STRESS_READ || stressor->stress_class == MIM_STRESS_WRITE;
}

/* Device bytes of one operation. Where no device is seen (tmpfs) NaN; where others use the device
 * at the same time the count says nothing, and an operation is taken for its own size. */
static double per_op(const mim_stressor *stressor, bool has_device, double device, double n_ops)
{
    if (!is_io(stressor) || !has_device || n_ops <= 0.0)
        return NAN;
    double ratio = device / n_ops / (double)stressor->op_bytes;
    return (double)stressor->op_bytes * (ratio > 0.5 && ratio < 1.5 ? ratio : 1.0);
}

static int measure_state(const mim_stressor *stressor, const mim_kernel *kernel, void *state,
                         mim_scratch *scratch, const mim_calibrate_options *options, mim_cost *cost)
{
    repeat repeats[MAX_REPEATS];
    size_t n = options->n_repeats < MAX_REPEATS ? options->n_repeats : MAX_REPEATS;
    double before = 0.0, after = 0.0, n_ops = 0.0;
    int rc = MIM_OK;
    mim_work warm = {0, 0};
    for (int i = 0; rc == MIM_OK && i < 3; i++)
        rc = kernel->run(state, 1, &warm);
    bool has_device = is_io(stressor) && !mim_scratch_is_memory(scratch);
    if (has_device) {
        settle_device(scratch);
        has_device = device_bytes(mim_scratch_folder(scratch), &before);
    }
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        rc = measure_once(kernel, stressor, state, options->seconds_each / (double)n, &repeats[i]);
        n_ops += (double)repeats[i].n_ops;
    }
    if (rc != MIM_OK)
        return rc;
    if (has_device) {
        settle_device(scratch);
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
    cost->device_bytes_per_op = per_op(stressor, has_device, after - before, n_ops);
    return rc;
}

static int measure(const mim_stressor *stressor, const mim_kernel *kernel, int cpu,
                   mim_scratch *scratch, const mim_calibrate_options *options, mim_cost *cost)
{
    void *state = NULL;
    const mim_kernel_place place = {.row = 0, .cpu = cpu, .scratch = scratch, .seed = 1};
    int rc = kernel->create(stressor, &place, &state);
    if (rc == MIM_OK)
        rc = measure_state(stressor, kernel, state, scratch, options, cost);
    if (rc == MIM_OK && kernel->verify)
        rc = kernel->verify(state);
    if (rc != MIM_OK)
        rc = mim_fail_in(rc, "%s", stressor->name);
    kernel->destroy(state);
    return rc;
}

/* ---- ceilings: one stressor on all CPUs at once -----------------------------------------------
 */

typedef struct crowd {
    atomic_size_t n_ready;
    atomic_llong end_ns; /* 0 = not started yet */
} crowd;

typedef struct pusher {
    crowd *crowd;
    const mim_stressor *stressor;
    const mim_kernel *kernel;
    mim_kernel_place place;
    double n_bytes;
    pthread_t thread;
} pusher;

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void *push(void *argument)
{
    pusher *self = argument;
    void *state = NULL;
    mim_work work = {0, 0};
    mim_signals_block();
    pin(self->place.cpu);
    int rc = self->kernel->create(self->stressor, &self->place, &state);
    atomic_fetch_add(&self->crowd->n_ready, 1);
    while (atomic_load(&self->crowd->end_ns) == 0)
        mim_clock_sleep_until(mim_clock_mono_ns() + poll_ns);
    while (rc == MIM_OK && mim_clock_mono_ns() < atomic_load(&self->crowd->end_ns))
        rc = self->kernel->run(state, 1, &work);
    self->n_bytes = (double)work.n_bytes;
    self->kernel->destroy(state);
    return NULL;
}

/* KB/s of all threads together; NaN when the kernel is missing or could not run. */
static double ceiling(const mim_machine *machine, mim_scratch *scratch, const char *name)
{
    const mim_stressor *stressor = mim_stressor_find(name);
    const mim_kernel *kernel = stressor ? mim_kernel_find(stressor->kernel) : NULL;
    pusher pushers[MAX_PUSHERS];
    crowd all = {0, 0};
    size_t n = machine->n_cpus < MAX_PUSHERS ? machine->n_cpus : MAX_PUSHERS, n_started = 0;
    double bytes = 0.0;
    for (; kernel && n_started < n; n_started++) {
        pusher *self = &pushers[n_started];
        *self = (pusher){.crowd = &all, .stressor = stressor, .kernel = kernel};
        self->place = (mim_kernel_place){n_started, machine->cpus[n_started].os_index, scratch, 1};
        if (pthread_create(&self->thread, NULL, push, self) != 0)
            break;
    }
    while (atomic_load(&all.n_ready) < n_started)
        mim_clock_sleep_until(mim_clock_mono_ns() + poll_ns);
    int64_t begin_ns = mim_clock_mono_ns();
    atomic_store(&all.end_ns, begin_ns + (int64_t)(ceiling_seconds * 1e9));
    for (size_t i = 0; i < n_started; i++) {
        pthread_join(pushers[i].thread, NULL);
        bytes += pushers[i].n_bytes;
    }
    if (!mim_scratch_is_direct(scratch))
        settle_device(scratch);
    double seconds = (double)(mim_clock_mono_ns() - begin_ns) * 1e-9;
    return bytes > 0.0 ? bytes / 1024.0 / seconds : NAN;
}

static void describe(const mim_machine *machine, const mim_scratch *scratch, mim_calibration *c)
{
    snprintf(c->machine_key, sizeof c->machine_key, "%s", machine->key);
    snprintf(c->cpu_model, sizeof c->cpu_model, "%s", machine->cpu_model);
    snprintf(c->kernel, sizeof c->kernel, "%s", machine->kernel);
    snprintf(c->scratch_folder, sizeof c->scratch_folder, "%s", mim_scratch_folder(scratch));
    snprintf(c->io_mode, sizeof c->io_mode, "%s",
             mim_scratch_is_direct(scratch) ? "direct" : "buffered");
    c->measured_real_s = (double)mim_clock_real_ns() * 1e-9;
    c->n_cpus = machine->n_cpus;
    c->n_sockets = machine->n_sockets;
}

static int measure_all(const mim_machine *machine, const mim_actions *actions, mim_scratch *scratch,
                       const mim_calibrate_options *options, mim_log *log, mim_calibration *c)
{
    mim_progress *progress = NULL;
    size_t n = mim_actions_n(actions);
    int rc = mim_progress_create(log, "calibrate", n, progress_every_s, &progress);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        const mim_stressor *stressor = mim_actions_stressor(actions, i);
        const mim_kernel *kernel = stressor ? mim_kernel_find(stressor->kernel) : NULL;
        if (!kernel)
            continue;
        if (mim_signals_stop()) {
            rc = mim_fail(MIM_ESTOPPED, "calibration stopped by a signal; nothing was stored");
            break;
        }
        mim_cost *cost = &c->costs[c->n_costs];
        rc = measure(stressor, kernel, machine->cpus[0].os_index, scratch, options, cost);
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
    cpu_set_t before;
    mim_calibration *made = calloc(1, sizeof *made);
    if (!made || !(made->costs = calloc(mim_actions_n(actions), sizeof *made->costs))) {
        mim_calibration_destroy(&made);
        return mim_fail(MIM_ENOMEM, "calibration");
    }
    describe(machine, scratch, made);
    sched_getaffinity(0, sizeof before, &before);
    pin(machine->cpus[0].os_index);
    int rc = measure_all(machine, actions, scratch, options, log, made);
    sched_setaffinity(0, sizeof before, &before);
    if (rc == MIM_OK) {
        made->io_read_max_kbs = ceiling(machine, scratch, read_stressor);
        made->io_write_max_kbs = ceiling(machine, scratch, write_stressor);
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
