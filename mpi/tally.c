#include "mpi/tally.h"

/* Minimum, maximum and sums of whole numbers do not depend on the order. */
void mim_tally_reduce(MPI_Comm comm, mim_tally *t)
{
    const int n_metrics = (int)t->n_metrics; /* both are small: see MIM_LAYOUT_MAX_METRICS, */
    const int n_digests = (int)(t->n_blocks * MIM_CORPUS_N_COLUMNS); /* mim_corpus_block_rows() */
    MPI_Allreduce(MPI_IN_PLACE, t->min, n_metrics, MPI_DOUBLE, MPI_MIN, comm);
    MPI_Allreduce(MPI_IN_PLACE, t->max, n_metrics, MPI_DOUBLE, MPI_MAX, comm);
    if (t->digests)
        MPI_Allreduce(MPI_IN_PLACE, t->digests, n_digests, MPI_UINT64_T, MPI_SUM, comm);
}
