#include "tests/fidelity/memory_watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/quantile.h"
#include "node/pin.h"

enum {
    N_READINGS = 1 << 16, /* hours */
    FEWEST = 20,
    BUFFER_BYTES = 32 << 20, /* as large as any of the default list */
    PART_BYTES = 256 << 10
};
static const int64_t period_ns = MIM_NS_PER_S / 10, reading_ns = MIM_NS_PER_S / 250;
static const double most_slower = 0.08;

struct memory_watch {
    pthread_t thread;
    bool has_thread;
    int cpu;
    char *buffer;
    int64_t *at_ns; /* [N_READINGS] */
    double *rate;   /* [N_READINGS] bytes a nanosecond of CPU time */
    atomic_size_t n;
    atomic_bool is_on, is_ended;
};

/* Half of the buffer to the other half, part after part. */
static double read_rate(memory_watch *w, size_t *offset)
{
    const int64_t begin_ns = mim_clock_thread_cpu_ns();
    int64_t spent_ns;
    double n_bytes = 0;
    do {
        memcpy(w->buffer + BUFFER_BYTES / 2 + *offset, w->buffer + *offset, PART_BYTES);
        __asm__ volatile("" : : "r"(w->buffer) : "memory");
        *offset = (*offset + PART_BYTES) % (BUFFER_BYTES / 2);
        n_bytes += 2 * PART_BYTES;
        spent_ns = mim_clock_thread_cpu_ns() - begin_ns;
    } while (spent_ns < reading_ns);
    return n_bytes / (double)spent_ns;
}

static void *work(void *context)
{
    memory_watch *w = context;
    size_t offset = 0;
    int64_t at_ns = mim_clock_mono_ns();
    mim_pin(w->cpu);
    while (!atomic_load(&w->is_ended)) {
        const size_t n = atomic_load(&w->n);
        if (atomic_load(&w->is_on) && n < N_READINGS) {
            w->rate[n] = read_rate(w, &offset);
            w->at_ns[n] = mim_clock_mono_ns();
            atomic_store(&w->n, n + 1);
        }
        at_ns += period_ns;
        if (at_ns < mim_clock_mono_ns())
            at_ns = mim_clock_mono_ns() + period_ns;
        mim_clock_sleep_until(at_ns);
    }
    return NULL;
}

int memory_watch_create(const mim_machine *machine, memory_watch **watch)
{
    memory_watch *made = calloc(1, sizeof *made);
    if (!made || !(made->buffer = malloc(BUFFER_BYTES)) ||
        !(made->at_ns = calloc(N_READINGS, sizeof *made->at_ns)) ||
        !(made->rate = calloc(N_READINGS, sizeof *made->rate))) {
        memory_watch_destroy(&made);
        return mim_fail(MIM_ENOMEM, "watch of the memory");
    }
    memset(made->buffer, 1, BUFFER_BYTES);
    if (machine->n_cpus > 1) {
        made->cpu = machine->cpus[machine->n_cpus - 1].os_index;
        made->has_thread = pthread_create(&made->thread, NULL, work, made) == 0;
    }
    *watch = made;
    return MIM_OK;
}

void memory_watch_destroy(memory_watch **watch)
{
    memory_watch *old = *watch;
    if (!old)
        return;
    *watch = NULL;
    atomic_store(&old->is_ended, true);
    if (old->has_thread)
        pthread_join(old->thread, NULL);
    free(old->buffer);
    free(old->at_ns);
    free(old->rate);
    free(old);
}

void memory_watch_set(memory_watch *w, bool is_on) { atomic_store(&w->is_on, is_on); }

bool memory_watch_was_quiet(memory_watch *w, int64_t from_ns, int64_t to_ns)
{
    const size_t n = atomic_load(&w->n);
    double sum = 0, usual = 0;
    size_t n_within = 0;
    for (size_t i = 0; i < n; i++)
        if (w->at_ns[i] >= from_ns && w->at_ns[i] < to_ns) {
            sum += w->rate[i];
            n_within++;
        }
    if (n < FEWEST || n_within < 2 || mim_quantile(w->rate, n, 0.9, &usual) != MIM_OK)
        return true;
    return sum / (double)n_within >= (1.0 - most_slower) * usual;
}
