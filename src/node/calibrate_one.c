/* One stressor alone on one CPU: repeats of a moment each, with an eye on who else is at work. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/signals.h"
#include "node/calibrate_internal.h"
#include "node/ceiling.h"
#include "node/kernel.h"

/* Written in one repeat: enough operations for a mean, few enough to keep the disk's wear low. */
static const uint64_t max_written_bytes = 64u << 20;

/* How long a flush takes is up to the device's own housekeeping: repeats differ by their nature. */
static const double flush_spread = 10.0;

enum { WARM_UPS = 3, default_tries = 3 };

typedef struct bench {
    const mim_stressor *stressor;
    const mim_kernel *kernel;
    void *state;
    const char *folder; /* on the device to watch; NULL = none */
    double seconds;     /* of a repeat */
    bool is_watched;    /* the device's counters follow each operation at once */
    double n_bytes;     /* asked of the device in all */
    mim_quiet_reading round;
} bench;

bool mim_calibrate_is_io(const mim_stressor *stressor)
{
    return !isnan(mim_stressor_read_share(stressor));
}

/* Operations (or batches) back to back. CPU kernels are timed by their thread's CPU clock, so that
 * other load on their CPU does not show. */
static int operate(bench *b, mim_repeat *out)
{
    mim_work work = {0};
    size_t n = 0;
    const int64_t begin_ns = mim_clock_mono_ns(), cpu_ns = mim_clock_thread_cpu_ns();
    const int64_t end_ns = begin_ns + (int64_t)(b->seconds * 1e9);
    const bool is_write = mim_stressor_read_share(b->stressor) < 1.0; /* NaN: no */
    int64_t now;
    do {
        const int rc = b->kernel->run(b->state, 1, &work);
        if (rc != MIM_OK)
            return mim_fail_in(rc, "%s", b->stressor->name);
        n++;
        now = mim_clock_mono_ns();
    } while (now < end_ns && (!is_write || work.n_bytes < max_written_bytes));
    const double cpu_s =
        (double)(mim_clock_thread_cpu_ns() - cpu_ns) * 1e-9 + (double)work.extra_cpu_ns * 1e-9;
    const double wall_s = b->stressor->is_paced ? (double)(now - begin_ns) * 1e-9 : cpu_s;
    out->op_s = wall_s / (double)n;
    out->cpu_s = cpu_s / (double)n;
    out->bytes_per_s = (double)work.n_bytes / wall_s;
    b->n_bytes += (double)work.n_bytes;
    return MIM_OK;
}

static bool was_disturbed_since(const bench *b, const mim_quiet_reading *before)
{
    mim_quiet_reading now;
    mim_quiet quiet;
    mim_quiet_read("", b->is_watched ? b->folder : NULL, &now);
    mim_quiet_between(before, &now, &quiet);
    return mim_quiet_is_disturbed(&quiet, mim_calibrate_is_io(b->stressor));
}

static int repeat(void *context, mim_repeat *out)
{
    bench *b = context;
    mim_quiet_reading before;
    if (mim_signals_stop())
        return mim_fail(MIM_ESTOPPED, "calibration stopped by a signal; nothing was stored");
    mim_quiet_read("", b->is_watched ? b->folder : NULL, &before);
    const int rc = operate(b, out);
    if (rc == MIM_OK)
        out->is_disturbed = was_disturbed_since(b, &before);
    return rc;
}

static void begin_round(void *context)
{
    bench *b = context;
    mim_quiet_read("", b->is_watched ? b->folder : NULL, &b->round);
}

static bool was_round_disturbed(void *context)
{
    const bench *b = context;
    return was_disturbed_since(b, &b->round);
}

static bool is_flush_bound(const mim_stressor *stressor)
{
    return stressor->stress_class == MIM_STRESS_METADATA ||
           strcmp(stressor->kernel, "hdd_file") == 0 || strcmp(stressor->kernel, "fallocate") == 0;
}

static int measure(bench *b, mim_scratch *scratch, const mim_calibrate_options *options,
                   mim_measured *measured)
{
    const mim_steady_source source = {b, repeat, begin_round, was_round_disturbed};
    const mim_steady_options how = {
        .n_repeats = options->n_repeats < MIM_STEADY_MAX_REPEATS ? options->n_repeats
                                                                 : MIM_STEADY_MAX_REPEATS,
        .n_tries = options->n_tries > 0 ? options->n_tries : default_tries,
        .max_spread = options->max_spread * (is_flush_bound(b->stressor) ? flush_spread : 1.0)};
    mim_quiet_reading before, after;
    mim_work warm = {0};
    int rc = MIM_OK;
    for (int i = 0; rc == MIM_OK && i < WARM_UPS; i++)
        rc = b->kernel->run(b->state, 1, &warm);
    if (b->folder)
        mim_settle_device(scratch);
    mim_quiet_read("", b->folder, &before);
    if (rc == MIM_OK)
        rc = mim_steady_measure(&how, &source, &measured->steady);
    if (b->folder)
        mim_settle_device(scratch);
    mim_quiet_read("", b->folder, &after);
    if (rc != MIM_OK)
        return rc;
    mim_quiet_between(&before, &after, &measured->quiet);
    measured->device_ratio = (after.device_bytes - before.device_bytes) / b->n_bytes;
    measured->own_ratio = (after.own_device_bytes - before.own_device_bytes) / b->n_bytes;
    return MIM_OK;
}

int mim_calibrate_one(const mim_stressor *stressor, int cpu, mim_scratch *scratch,
                      const mim_calibrate_options *options, mim_measured *measured)
{
    const mim_kernel_place place = {.row = 0, .cpu = cpu, .scratch = scratch, .seed = 1};
    const bool has_device = mim_calibrate_is_io(stressor) && !mim_scratch_is_memory(scratch);
    bench b = {
        .stressor = stressor,
        .folder = has_device ? mim_scratch_folder(scratch) : NULL,
        .seconds = options->seconds_each / (double)options->n_repeats,
        .is_watched = has_device && mim_scratch_is_direct(scratch),
    };
    int rc = mim_kernel_for(stressor, scratch, &b.kernel);
    if (rc != MIM_OK)
        return rc;
    rc = b.kernel->create(stressor, &place, &b.state);
    if (rc == MIM_OK)
        rc = measure(&b, scratch, options, measured);
    if (rc == MIM_OK && b.kernel->verify)
        rc = b.kernel->verify(b.state);
    if (rc != MIM_OK && rc != MIM_ESTOPPED)
        rc = mim_fail_in(rc, "%s", stressor->name);
    b.kernel->destroy(b.state);
    return rc;
}
