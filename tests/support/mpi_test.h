/* Tests at several ranks: a check is collective and agreed, so that no rank goes on alone when it
 * fails on another; rank 0 reports, in cmocka's words. */
#ifndef MIM_TESTS_MPI_TEST_H
#define MIM_TESTS_MPI_TEST_H

#include <mpi.h>
#include <stdio.h>

typedef struct mpi_test {
    const char *name;
    int (*run)(MPI_Comm comm); /* 0: passed; every rank returns the same */
} mpi_test;

/* Collective: leaves the test on all ranks when it is false on any. */
#define mpi_check(comm, condition)                                                                 \
    do {                                                                                           \
        if (mpi_check_failed((comm), (condition) ? 1 : 0, #condition, __FILE__, __LINE__))         \
            return 1;                                                                              \
    } while (0)

static inline int mpi_check_failed(MPI_Comm comm, int is_true, const char *text, const char *file,
                                   int line)
{
    int rank = 0, all = is_true;
    MPI_Comm_rank(comm, &rank);
    if (!is_true)
        printf("%s:%d: rank %d: not true: %s\n", file, line, rank, text);
    fflush(stdout);
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, comm);
    return !all;
}

static inline int mpi_test_main(int argc, char **argv, size_t n, const mpi_test *tests)
{
    int rank = 0, n_failed = 0;
    MPI_Comm comm;
    MPI_Init(&argc, &argv);
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_rank(comm, &rank);
    for (size_t i = 0; i < n; i++) {
        const int failed = tests[i].run(comm);
        n_failed += failed != 0;
        if (rank == 0)
            printf("[  %s ] %s\n", failed ? "FAILED " : "     OK", tests[i].name);
        fflush(stdout);
        MPI_Barrier(comm);
    }
    MPI_Comm_free(&comm);
    MPI_Finalize();
    return n_failed != 0;
}

#endif
