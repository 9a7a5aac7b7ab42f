/* Property lists that make corpus/table_internal.h's calls collective. */
#ifndef MIM_MPI_PARALLEL_H5_H
#define MIM_MPI_PARALLEL_H5_H

#include <hdf5.h>
#include <mpi.h>

#include "core/error.h"

typedef struct mim_parallel_h5 {
    hid_t access, transfer; /* 0: none */
} mim_parallel_h5;

/* Metadata is read by one rank for all; transfers are collective. Not collective by itself. */
int mim_parallel_h5_create(MPI_Comm comm, mim_parallel_h5 *lists);
void mim_parallel_h5_clear(mim_parallel_h5 *lists);

#endif
