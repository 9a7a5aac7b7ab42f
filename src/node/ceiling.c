#define _GNU_SOURCE /* syncfs */
#include "node/ceiling.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/signals.h"
#include "node/kernel.h"
#include "node/pin.h"

/* More threads hardly add to what a device gives, but each takes a scratch file. */
enum { MAX_PUSHERS = 16 };
static const double seconds = 1.0;
static const int64_t poll_ns = 1000000;

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
    int rc; /* of its set-up or its first failed operation */
    char error[256];
    pthread_t thread;
} pusher;

static void *push(void *argument)
{
    pusher *self = argument;
    void *state = NULL;
    mim_work work = {0};
    mim_signals_block();
    mim_pin(self->place.cpu);
    int rc = self->kernel->create(self->stressor, &self->place, &state);
    atomic_fetch_add(&self->crowd->n_ready, 1);
    while (atomic_load(&self->crowd->end_ns) == 0)
        mim_clock_sleep_until(mim_clock_mono_ns() + poll_ns);
    while (rc == MIM_OK && mim_clock_mono_ns() < atomic_load(&self->crowd->end_ns))
        rc = self->kernel->run(state, 1, &work);
    self->n_bytes = (double)work.n_bytes;
    self->rc = rc;
    if (rc != MIM_OK)
        snprintf(self->error, sizeof self->error, "%.250s", mim_error());
    self->kernel->destroy(state);
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

double mim_ceiling_kbs(const mim_machine *machine, mim_scratch *scratch, const char *stressor_name,
                       mim_log *log)
{
    const mim_stressor *stressor = mim_stressor_find(stressor_name);
    const mim_kernel *kernel = stressor ? mim_kernel_find(stressor->kernel) : NULL;
    pusher pushers[MAX_PUSHERS];
    crowd all = {0, 0};
    size_t n = machine->n_cpus < MAX_PUSHERS ? machine->n_cpus : MAX_PUSHERS;
    double bytes = 0.0;
    if (!kernel || mim_scratch_is_memory(scratch))
        return NAN;
    for (size_t i = 0; i < n; i++)
        pushers[i] = (pusher){.crowd = &all,
                              .stressor = stressor,
                              .kernel = kernel,
                              .place = {.scratch = scratch, .seed = 1}};
    size_t n_started = start(machine, pushers, n);
    while (atomic_load(&all.n_ready) < n_started)
        mim_clock_sleep_until(mim_clock_mono_ns() + poll_ns);
    int64_t begin_ns = mim_clock_mono_ns();
    atomic_store(&all.end_ns, begin_ns + (int64_t)(seconds * 1e9));
    const char *error = n_started < n ? "a thread could not be started" : NULL;
    for (size_t i = 0; i < n_started; i++) {
        pthread_join(pushers[i].thread, NULL);
        bytes += pushers[i].n_bytes;
        error = pushers[i].rc == MIM_OK ? error : pushers[i].error;
    }
    if (!mim_scratch_is_direct(scratch))
        mim_settle_device(scratch);
    double spent_s = (double)(mim_clock_mono_ns() - begin_ns) * 1e-9;
    if (error)
        mim_log_warn(log, "calibrate", "ceiling of %s: %s", stressor_name, error);
    return error || bytes <= 0.0 ? NAN : bytes / 1024.0 / spent_s;
}

void mim_settle_device(const mim_scratch *scratch)
{
    int fd = open(mim_scratch_folder(scratch), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        syncfs(fd);
        close(fd);
    }
}
