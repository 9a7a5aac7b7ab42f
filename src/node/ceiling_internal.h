/* Shared by ceiling.c and ceiling_memory.c: many threads that run one kernel at once. */
#ifndef MIM_NODE_CEILING_INTERNAL_H
#define MIM_NODE_CEILING_INTERNAL_H

#include <stdbool.h>

#include "core/log.h"
#include "node/kernel.h"
#include "node/machine.h"

typedef struct mim_push {
    const mim_stressor *stressor;
    const mim_kernel *kernel;
    mim_scratch *scratch;
    size_t n_threads; /* pinned to the machine handle's first CPUs */
    double seconds;   /* of a run; set-up does not count */
    size_t n_runs;
    /* Threads are timed by their own CPU clocks, so that it does not count when others had their
     * CPUs; else all by the wall clock. */
    bool is_cpu_timed;
    void (*settle)(const mim_scratch *scratch); /* before a run's clock is read; NULL = nothing */
} mim_push;

/* Bytes a second of the best run; NaN when a thread could not run (said in the log). */
double mim_push_bytes_per_s(const mim_push *push, const mim_machine *machine, mim_log *log);

#endif
