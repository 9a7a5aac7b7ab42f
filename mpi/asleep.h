/* Waiting for other ranks without spinning: a rank that spins in MPI would be seen in what is
 * measured beside it, and would take the CPU from ranks that share its host. */
#ifndef MIM_MPI_ASLEEP_H
#define MIM_MPI_ASLEEP_H

#include <mpi.h>

/* Until the request is complete; a look every 10 ms. */
void mim_wait_asleep(MPI_Request *request);
/* Collective. A barrier, before collective calls that would spin. */
void mim_barrier_asleep(MPI_Comm comm);
/* Until a message of `source` with `tag` can be received; a look every millisecond. */
void mim_probe_asleep(MPI_Comm comm, int source, int tag, MPI_Status *status);

#endif
