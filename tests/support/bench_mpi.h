/* The frame of a parallel benchmark: its one argument says how often it measures. */
#ifndef MIM_TESTS_SUPPORT_BENCH_MPI_H
#define MIM_TESTS_SUPPORT_BENCH_MPI_H

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>

#include "core/text.h"

/* `counted`: what the argument is called in errors; `run` is collective. */
static inline int bench_mpi_main(int argc, char **argv, const char *name, const char *counted,
                                 const int64_t range[2], int64_t n,
                                 int (*run)(MPI_Comm comm, int rank, int n_ranks, size_t n))
{
    int rank = 0, n_ranks = 0, rc = MIM_OK;
    MPI_Comm comm;
    MPI_Init(&argc, &argv);
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    if (argc > 1)
        rc = mim_parse_i64(counted, argv[1], range[0], range[1], &n);
    if (rc == MIM_OK)
        rc = run(comm, rank, n_ranks, (size_t)n);
    if (rc != MIM_OK && rank == 0)
        fprintf(stderr, "%s: %s\n", name, mim_error());
    MPI_Comm_free(&comm);
    MPI_Finalize();
    return mim_exit_status(rc);
}

#endif
