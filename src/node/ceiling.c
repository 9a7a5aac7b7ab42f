#define _GNU_SOURCE /* syncfs */
#include "node/ceiling.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"
#include "node/ceiling_internal.h"
#include "node/pin.h"

/* More threads hardly add to what a device gives, but each takes a scratch file. */
enum { MAX_PUSHERS = 16 };
static const double io_seconds = 1.0;
static const int64_t poll_ns = 1000000;

typedef struct crowd {
    const mim_push *push;
    atomic_size_t n_ready, n_done; /* threads set up; threads at the end of the run */
    atomic_size_t n_runs;          /* begun, or SIZE_MAX: go home */
    atomic_llong end_ns;           /* of the run */
} crowd;

typedef struct pusher {
    crowd *crowd;
    mim_kernel_place place;
    atomic_uint_fast64_t n_bytes; /* of the run */
    atomic_llong cpu_ns;          /* of the run */
    int rc;                       /* of its set-up or its first failed operation */
    char error[256];
    pthread_t thread;
} pusher;

static void nap(void) { mim_clock_sleep_until(mim_clock_mono_ns() + poll_ns); }

static void *push(void *argument)
{
    pusher *self = argument;
    crowd *all = self->crowd;
    const mim_kernel *kernel = all->push->kernel;
    void *state = NULL;
    mim_signals_block();
    mim_pin(self->place.cpu);
    int rc = kernel->create(all->push->stressor, &self->place, &state);
    atomic_fetch_add(&all->n_ready, 1);
    for (size_t run = 1; run <= all->push->n_runs; run++) {
        mim_work work = {0};
        size_t begun;
        while ((begun = atomic_load(&all->n_runs)) < run)
            nap();
        if (begun == SIZE_MAX)
            break;
        const int64_t begin_ns = mim_clock_thread_cpu_ns();
        while (rc == MIM_OK && mim_clock_mono_ns() < atomic_load(&all->end_ns))
            rc = kernel->run(state, 1, &work);
        atomic_store(&self->n_bytes, work.n_bytes);
        atomic_store(&self->cpu_ns, mim_clock_thread_cpu_ns() - begin_ns);
        atomic_fetch_add(&all->n_done, 1);
    }
    self->rc = rc;
    if (rc != MIM_OK)
        snprintf(self->error, sizeof self->error, "%.250s", mim_error());
    kernel->destroy(state);
    return NULL;
}

static size_t start(const mim_machine *machine, pusher *pushers, size_t n)
{
    size_t n_started = 0;
    for (; n_started < n; n_started++) {
        pushers[n_started].place.row = n_started;
        pushers[n_started].place.cpu = machine->cpus[n_started].os_index;
        if (pthread_create(&pushers[n_started].thread, NULL, push, &pushers[n_started]) != 0)
            break;
    }
    return n_started;
}

static double run_once(crowd *all, pusher *pushers, size_t n)
{
    double bytes = 0.0, bytes_per_cpu_s = 0.0;
    atomic_store(&all->n_done, 0);
    const int64_t begin_ns = mim_clock_mono_ns();
    atomic_store(&all->end_ns, begin_ns + (int64_t)(all->push->seconds * 1e9));
    atomic_fetch_add(&all->n_runs, 1);
    while (atomic_load(&all->n_done) < n)
        nap();
    if (all->push->settle)
        all->push->settle(all->push->scratch);
    const double spent_s = (double)(mim_clock_mono_ns() - begin_ns) * 1e-9;
    for (size_t i = 0; i < n; i++) {
        const double n_bytes = (double)atomic_load(&pushers[i].n_bytes);
        const double cpu_s = (double)atomic_load(&pushers[i].cpu_ns) * 1e-9;
        bytes += n_bytes;
        bytes_per_cpu_s += cpu_s > 0.0 ? n_bytes / cpu_s : 0.0;
    }
    return all->push->is_cpu_timed ? bytes_per_cpu_s : bytes / spent_s;
}

double mim_push_bytes_per_s(const mim_push *how, const mim_machine *machine, mim_log *log)
{
    crowd all = {.push = how};
    double best = 0.0;
    const size_t n = how->n_threads;
    pusher *pushers = calloc(n, sizeof *pushers);
    if (!pushers)
        return NAN;
    for (size_t i = 0; i < n; i++) {
        pushers[i].crowd = &all;
        pushers[i].place = (mim_kernel_place){.scratch = how->scratch, .seed = 1};
    }
    const size_t n_started = start(machine, pushers, n);
    while (atomic_load(&all.n_ready) < n_started)
        nap();
    for (size_t run = 0; n_started == n && run < how->n_runs; run++)
        best = fmax(best, run_once(&all, pushers, n));
    if (n_started < n)
        atomic_store(&all.n_runs, SIZE_MAX);
    const char *error = n_started < n ? "a thread could not be started" : NULL;
    for (size_t i = 0; i < n_started; i++) {
        pthread_join(pushers[i].thread, NULL);
        error = pushers[i].rc == MIM_OK ? error : pushers[i].error;
    }
    if (error)
        mim_log_warn(log, "calibrate", "ceiling of %s: %s", how->stressor->name, error);
    free(pushers);
    return error || best <= 0.0 ? NAN : best;
}

double mim_ceiling_kbs(const mim_machine *machine, mim_scratch *scratch, const char *stressor_name,
                       mim_log *log)
{
    const mim_stressor *stressor = mim_stressor_find(stressor_name);
    const mim_push how = {
        .stressor = stressor,
        .kernel = stressor ? mim_kernel_find(stressor->kernel) : NULL,
        .scratch = scratch,
        .n_threads = machine->n_cpus < MAX_PUSHERS ? machine->n_cpus : MAX_PUSHERS,
        .seconds = io_seconds,
        .n_runs = 1,
        .settle = mim_scratch_is_direct(scratch) ? NULL : mim_settle_device,
    };
    if (!how.kernel || mim_scratch_is_memory(scratch))
        return NAN;
    return mim_push_bytes_per_s(&how, machine, log) / 1024.0;
}

void mim_settle_device(const mim_scratch *scratch)
{
    int fd = open(mim_scratch_folder(scratch), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        syncfs(fd);
        close(fd);
    }
}
