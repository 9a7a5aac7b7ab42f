/* Looking through a campaign store or a training corpus, its rows shared by the ranks. */
#ifndef MIM_MPI_CHECK_H
#define MIM_MPI_CHECK_H

#include <mpi.h>

#include "core/error.h"

/* Collective; the result is agreed. MIM_EDATA: damaged (naming dataset and rows), or not such a
 * file; MIM_ECHECK: holds what such a file may not hold. `verdict`: on rank 0 a new sentence about
 * a sound file, which the caller frees; NULL elsewhere. */
int mim_check_file(MPI_Comm comm, const char *path, char **verdict);

#endif
