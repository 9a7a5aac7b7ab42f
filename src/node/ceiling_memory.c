/* Peaks of memory: every CPU sums, or sets, a buffer of its own that no cache holds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/ceiling.h"
#include "node/ceiling_internal.h"
#include "node/kernel_family.h"

enum { PART_BYTES = 1 << 20, RUNS = 5 };
static const double run_seconds = 0.1;
static const uint64_t least_bytes = UINT64_C(32) << 20, most_bytes = UINT64_C(512) << 20;
/* Four times what the caches of all sockets hold: a fifth of it or less is found there. */
static const uint64_t cache_factor = 4;
static const uint64_t memory_share = 4; /* of what is available, at most a fourth is taken */

typedef struct sweep {
    unsigned char *buffer;
    uint64_t n_bytes, offset;
    uint64_t sum; /* of what was read, so that reading is not left out */
} sweep;

static void destroy(void *state)
{
    sweep *s = state;
    if (s)
        free(s->buffer);
    free(s);
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    void *buffer = NULL;
    sweep *s = calloc(1, sizeof *s);
    (void)place;
    if (!s)
        return mim_fail(MIM_ENOMEM, "memory peak");
    s->n_bytes = stressor->memory_bytes;
    const int rc = mim_kernel_buffer(s->n_bytes, 1, &buffer);
    if (rc != MIM_OK) {
        free(s);
        return rc;
    }
    s->buffer = buffer;
    *state = s;
    return MIM_OK;
}

static void advance(sweep *s, mim_work *work)
{
    s->offset = s->offset + 2 * PART_BYTES <= s->n_bytes ? s->offset + PART_BYTES : 0;
    work->n_ops++;
    work->n_bytes += PART_BYTES;
}

/* Eight sums, so that none waits for another. */
static int read_part(void *state, size_t n, mim_work *work)
{
    enum { LANES = 8 };
    sweep *s = state;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *words = (const uint64_t *)(const void *)(s->buffer + s->offset);
        uint64_t sums[LANES] = {0};
        for (size_t at = 0; at < PART_BYTES / sizeof *words; at += LANES)
            for (size_t lane = 0; lane < LANES; lane++)
                sums[lane] += words[at + lane];
        for (size_t lane = 0; lane < LANES; lane++)
            s->sum += sums[lane];
        MIM_KEEP(&s->sum);
        advance(s, work);
    }
    return MIM_OK;
}

static int set_part(void *state, size_t n, mim_work *work)
{
    sweep *s = state;
    for (size_t i = 0; i < n; i++) {
        memset(s->buffer + s->offset, (int)(work->n_ops & 0xff), PART_BYTES);
        MIM_KEEP(s->buffer);
        advance(s, work);
    }
    return MIM_OK;
}

static const mim_kernel read_kernel = {
    .name = "memory_read_peak", .create = create, .destroy = destroy, .run = read_part};
static const mim_kernel write_kernel = {
    .name = "memory_write_peak", .create = create, .destroy = destroy, .run = set_part};

static uint64_t buffer_bytes(const mim_machine *machine)
{
    const uint64_t cached = cache_factor * machine->l3_bytes * machine->n_sockets;
    uint64_t bytes = cached / machine->n_cpus;
    bytes = bytes < least_bytes ? least_bytes : bytes > most_bytes ? most_bytes : bytes;
    return bytes / PART_BYTES * PART_BYTES;
}

double mim_ceiling_memory_bytes_per_s(const mim_machine *machine, mim_memory_direction direction,
                                      mim_log *log)
{
    const bool is_read = direction == MIM_MEMORY_READ;
    const mim_stressor stressor = {.name = is_read ? "memory reads" : "memory writes",
                                   .memory_bytes = buffer_bytes(machine)};
    const mim_push how = {
        .stressor = &stressor,
        .kernel = is_read ? &read_kernel : &write_kernel,
        .n_threads = machine->n_cpus,
        .seconds = run_seconds,
        .n_runs = RUNS,
        .is_cpu_timed = true,
    };
    if (stressor.memory_bytes * machine->n_cpus > machine->memory_available_bytes / memory_share) {
        mim_log_warn(log, "calibrate", "ceiling of %s: less memory is available than it takes",
                     stressor.name);
        return NAN;
    }
    return mim_push_bytes_per_s(&how, machine, log);
}
