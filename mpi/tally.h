/* What the samples of all ranks add up to. */
#ifndef MIM_MPI_TALLY_H
#define MIM_MPI_TALLY_H

#include <mpi.h>

#include "corpus/corpus_internal.h"

/* Collective. Makes each rank's tally that of all ranks; the same for any number of them. It is not
 * to be finished yet. */
void mim_tally_reduce(MPI_Comm comm, mim_tally *tally);

#endif
