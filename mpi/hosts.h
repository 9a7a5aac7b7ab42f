/* Which ranks share a host, and what a rank may use of it. */
#ifndef MIM_MPI_HOSTS_H
#define MIM_MPI_HOSTS_H

#include <mpi.h>
#include <stddef.h>

#include "core/error.h"
#include "node/machine.h"

enum { MIM_HOST_BYTES = 128 };

typedef struct mim_hosts {
    int n_ranks;
    char (*names)[MIM_HOST_BYTES]; /* [n_ranks] */
    size_t index, n_here;          /* this rank is number `index` of the n_here of its host */
} mim_hosts;

/* Collective. `name`: of this rank's host. Names longer than MIM_HOST_BYTES - 1 bytes are cut,
 * control characters become '?'. The result is agreed. */
int mim_hosts_create(MPI_Comm comm, const char *name, mim_hosts *hosts);
void mim_hosts_clear(mim_hosts *hosts);

/* MIM_EUSAGE, naming the host, when two ranks are on one. Not collective, the same on all ranks. */
int mim_hosts_check_alone(const mim_hosts *hosts);

/* Open MPI's launcher ties a rank to a core unless it is told not to; a plan is for all CPUs that
 * the job has. Undoes that; what Slurm or cpusets allow stays. Before threads are started. */
void mim_hosts_leave_core(void);

/* The machine as this rank may use it: all of it, or among several ranks of the host its share of
 * CPUs (at least one, the same for several ranks when there are too few) and of the available
 * memory. The calling thread and those it starts stay on these CPUs. `max_cpus` as in
 * mim_machine_create. Not collective. */
int mim_hosts_machine(const mim_hosts *hosts, size_t max_cpus, mim_machine **machine);

#endif
