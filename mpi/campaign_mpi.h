/* The campaign store and the training corpus, written by many ranks through parallel HDF5.
 *
 * Each rank brings its own rows; ranks without any take part. Rows stand in the file in the order
 * of ranks, so that the same rows dealt in order over another number of ranks give the same file.
 */
#ifndef MIM_MPI_CAMPAIGN_MPI_H
#define MIM_MPI_CAMPAIGN_MPI_H

#include <mpi.h>

#include "corpus/campaign.h"
#include "corpus/corpus.h"

typedef struct mim_campaign_mpi mim_campaign_mpi;

/* All collective, the result is agreed; errors as in corpus/campaign.h. Keeps a duplicate of the
 * communicator. The file must be there: rank 0 creates it with mim_campaign_create and closes it.
 */
int mim_campaign_mpi_open(MPI_Comm comm, const char *path, mim_campaign_mpi **campaign);
void mim_campaign_mpi_destroy(mim_campaign_mpi **campaign);
/* Not collective; valid on all ranks. */
const mim_layout *mim_campaign_mpi_layout(const mim_campaign_mpi *campaign);
size_t mim_campaign_mpi_n_rows(const mim_campaign_mpi *campaign); /* committed */
/* Collective. All ranks' plans or none are added. */
int mim_campaign_mpi_append(mim_campaign_mpi *campaign, const mim_campaign_rows *rows);

/* Collective. The samples of all ranks as one corpus, whole or not there: it is written as
 * PATH.part.<pid of rank 0> and renamed. layout, info: the same on all ranks. `write_s` (may be
 * NULL): time of the collective write and its way to the disk. */
int mim_corpus_mpi_write(MPI_Comm comm, const char *path, const mim_layout *layout,
                         const mim_corpus_info *info, const mim_samples *samples, double *write_s);

#endif
