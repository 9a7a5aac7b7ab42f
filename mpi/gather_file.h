/* A file of every rank, brought to rank 0 without a common file system. */
#ifndef MIM_MPI_GATHER_FILE_H
#define MIM_MPI_GATHER_FILE_H

#include <mpi.h>
#include <stdint.h>

#include "core/error.h"

/* Collective. The first n_bytes behind the descriptor `fd` of each rank become the file `path` of
 * that rank (on rank 0's file system, a name of its own), whole or not at all, rank by rank in
 * blocks of 1 MiB. The descriptor's position stays. The result is agreed. */
int mim_gather_file(MPI_Comm comm, int fd, uint64_t n_bytes, const char *path);

#endif
