/* The machine a program runs on: what it may use, and its identity for calibrations. */
#ifndef MIM_NODE_MACHINE_H
#define MIM_NODE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "plan/stressor.h"

typedef struct mim_cpu {
    int os_index; /* number in /proc/stat and for affinity */
    int socket;   /* 0.. */
    int numa_node;
} mim_cpu;

typedef struct mim_machine {
    size_t n_cpus; /* CPUs this process may use (affinity, cpuset, Slurm) */
    mim_cpu *cpus; /* [n_cpus], by socket then number */
    size_t n_sockets;
    char cpu_model[128];
    uint64_t l1d_bytes, l2_bytes, l3_bytes; /* of one core / shared; 0 = unknown */
    uint32_t l3_sharers;                    /* CPUs that share one L3; 0 = unknown */
    uint64_t memory_bytes;
    uint64_t memory_available_bytes; /* free or quickly freed, and within the job's memory limit */
    char kernel[128];                /* uname -r */
    char hostname[128];
    char key[17]; /* 16 hex digits over model, CPUs, caches, kernel: names calibrations */
} mim_machine;

/* Topology through hwloc. `max_cpus` 0 = all allowed; else the first ones. */
int mim_machine_create(size_t max_cpus, mim_machine **machine);
void mim_machine_destroy(mim_machine **machine);
mim_caches mim_machine_caches(const mim_machine *machine);

#endif
