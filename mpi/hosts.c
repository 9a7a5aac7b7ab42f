#define _GNU_SOURCE /* sched_setaffinity */
#include "mpi/hosts.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "mpi/agree.h"
#include "node/pin.h"

int mim_hosts_create(MPI_Comm comm, const char *name, mim_hosts *hosts)
{
    mim_hosts made = {0};
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &made.n_ranks);
    made.names = calloc((size_t)made.n_ranks, sizeof *made.names);
    int rc = made.names ? MIM_OK : mim_fail(MIM_ENOMEM, "hosts of %d ranks", made.n_ranks);
    if ((rc = mim_agree(comm, rc)) != MIM_OK) {
        free(made.names);
        return rc;
    }
    snprintf(made.names[rank], MIM_HOST_BYTES, "%s", name);
    mim_make_one_line(made.names[rank]);
    MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, made.names, MIM_HOST_BYTES, MPI_CHAR, comm);
    for (int r = 0; r < made.n_ranks; r++) {
        if (strcmp(made.names[r], made.names[rank]) != 0)
            continue;
        made.n_here++;
        made.index += r < rank;
    }
    *hosts = made;
    return MIM_OK;
}

void mim_hosts_clear(mim_hosts *hosts)
{
    free(hosts->names);
    *hosts = (mim_hosts){0};
}

static int compare_names(const void *a, const void *b) { return strcmp(a, b); }

int mim_hosts_check_alone(const mim_hosts *hosts)
{
    const size_t n = (size_t)hosts->n_ranks;
    char(*sorted)[MIM_HOST_BYTES] = malloc(n * sizeof *sorted);
    if (!sorted)
        return mim_fail(MIM_ENOMEM, "hosts of %zu ranks", n);
    memcpy(sorted, hosts->names, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_names);
    int rc = MIM_OK;
    for (size_t i = 1; rc == MIM_OK && i < n; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            rc = mim_fail(MIM_EUSAGE, "two ranks are on host %s, expected one a host", sorted[i]);
    free(sorted);
    return rc;
}

void mim_hosts_leave_core(void)
{
    const char *is_bound = getenv("OMPI_MCA_orte_bound_at_launch");
    cpu_set_t all;
    if (!is_bound)
        return;
    CPU_ZERO(&all);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        CPU_SET(i, &all);
    sched_setaffinity(0, sizeof all, &all);
}

/* The CPUs of rank `index` of `n`, of those of the machine. */
static mim_machine share_of(const mim_machine *machine, size_t index, size_t n)
{
    size_t first = index % machine->n_cpus, count = 1;
    if (n <= machine->n_cpus)
        mim_share_of(machine->n_cpus, (int)index, (int)n, &first, &count);
    return (mim_machine){.n_cpus = count, .cpus = machine->cpus + first};
}

int mim_hosts_machine(const mim_hosts *hosts, size_t max_cpus, mim_machine **machine)
{
    mim_machine *made = NULL;
    if (hosts->n_here < 2)
        return mim_machine_create(max_cpus, machine);
    int rc = mim_machine_create(0, &made);
    if (rc != MIM_OK)
        return rc;
    const mim_machine share = share_of(made, hosts->index, hosts->n_here);
    mim_unpin(&share);
    mim_machine_destroy(&made);
    rc = mim_machine_create(max_cpus, &made); /* looks at where it may run */
    if (rc != MIM_OK)
        return rc;
    made->memory_available_bytes /= hosts->n_here;
    *machine = made;
    return MIM_OK;
}
