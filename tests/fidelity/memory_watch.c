#define _GNU_SOURCE
#include "tests/fidelity/memory_watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "node/pin.h"

enum {
    N_READINGS = 1 << 16, /* hours */
    FEWEST = 20,
    BUFFER_BYTES = 32 << 20, /* as large as any of the default list */
    PART_BYTES = 256 << 10
};
static const int64_t period_ns = MIM_NS_PER_S / 10, reading_ns = MIM_NS_PER_S / 250;
static const double most_slower = 0.08;

typedef struct reading {
    int64_t at_ns;
    double bytes_per_ns; /* of CPU time */
} reading;

struct memory_watch {
    pthread_t thread;
    bool has_thread;
    int cpu;
    char *buffer;
    reading *all;
    double *sorted; /* work space */
    atomic_size_t n;
    atomic_bool is_on, is_ended;
};

static int64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * MIM_NS_PER_S + t.tv_nsec;
}

/* Half of the buffer to the other half, part after part. */
static double read_rate(memory_watch *w, size_t *offset)
{
    const int64_t begin_ns = thread_cpu_ns();
    int64_t spent_ns;
    double n_bytes = 0;
    do {
        memcpy(w->buffer + BUFFER_BYTES / 2 + *offset, w->buffer + *offset, PART_BYTES);
        __asm__ volatile("" : : "r"(w->buffer) : "memory");
        *offset = (*offset + PART_BYTES) % (BUFFER_BYTES / 2);
        n_bytes += 2 * PART_BYTES;
        spent_ns = thread_cpu_ns() - begin_ns;
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
            const double rate = read_rate(w, &offset);
            w->all[n] = (reading){mim_clock_mono_ns(), rate};
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
        !(made->all = calloc(N_READINGS, sizeof *made->all)) ||
        !(made->sorted = calloc(N_READINGS, sizeof *made->sorted))) {
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
    free(old->all);
    free(old->sorted);
    free(old);
}

void memory_watch_set(memory_watch *w, bool is_on) { atomic_store(&w->is_on, is_on); }

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

bool memory_watch_was_quiet(memory_watch *w, int64_t from_ns, int64_t to_ns)
{
    const size_t n = atomic_load(&w->n);
    double sum = 0;
    size_t n_within = 0;
    for (size_t i = 0; i < n; i++) {
        w->sorted[i] = w->all[i].bytes_per_ns;
        if (w->all[i].at_ns >= from_ns && w->all[i].at_ns < to_ns) {
            sum += w->all[i].bytes_per_ns;
            n_within++;
        }
    }
    if (n < FEWEST || n_within < 2)
        return true;
    qsort(w->sorted, n, sizeof *w->sorted, compare);
    return sum / (double)n_within >= (1.0 - most_slower) * w->sorted[n - 1 - n / 10];
}
