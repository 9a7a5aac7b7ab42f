/* Sources dealt over ranks, read, and written as one training corpus. */
#ifndef MIM_MPI_DATASET_H
#define MIM_MPI_DATASET_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/log.h"
#include "corpus/import.h"

typedef struct mim_dataset_options {
    mim_import_options import;
    bool mixed_hosts;
    uint64_t split_seed;
    double validation_share;
    const char *config; /* resolved configuration, kept in the file */
} mim_dataset_options;

/* Sums over all ranks, valid on all. */
typedef struct mim_dataset_figures {
    uint64_t n_sources; /* runs and campaign rows */
    uint64_t n_samples, n_validation;
    uint64_t n_slots, n_disturbed, n_lost; /* see mim_part */
    uint64_t n_unchecked;                  /* runs that do not tell about disturbance */
    uint64_t bytes_in, bytes_out;
    double read_s, write_s; /* of the slowest rank */
} mim_dataset_figures;

/* Collective. sources: campaign files and folders of runs, in the order their samples shall stand;
 * the corpus is the same for any number of ranks. Errors name the file; MIM_EUSAGE when one is
 * among the sources twice, whatever it is called; MIM_ESTOPPED after a stop request, nothing is
 * written then. */
int mim_dataset_build(MPI_Comm comm, size_t n_sources, const char *const *sources, const char *out,
                      const mim_dataset_options *options, mim_log *log,
                      mim_dataset_figures *figures);

/* Rank 0's part of --dry-run. Not collective: the number of runs or rows in the sources. */
int mim_dataset_count(size_t n_sources, const char *const *sources, size_t *n_units);

#endif
