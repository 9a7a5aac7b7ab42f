/* Ranks that end together: no rank leaves a collective sequence alone.
 *
 * After any step that can fail on one rank, all ranks call mim_agree before the next collective
 * call; whoever failed first decides for all. */
#ifndef MIM_MPI_AGREE_H
#define MIM_MPI_AGREE_H

#include <mpi.h>
#include <stddef.h>

#include "core/error.h"

/* Collective. Returns MIM_OK when `local` is MIM_OK on all ranks. Otherwise all ranks return the
 * code of the lowest rank that failed, and mim_error() is its sentence on all of them; a rank that
 * only was stopped (MIM_ESTOPPED) decides when no other failed. */
int mim_agree(MPI_Comm comm, int local);

/* Collective. `*text` of rank `root` (not NULL there) becomes a new string in `*text` of all other
 * ranks, which must pass NULL in it; their caller frees it. MIM_ENOMEM, the same on all ranks. */
int mim_share_text(MPI_Comm comm, int root, char **text);

/* Collective. The texts of all ranks, in order, on rank 0: `*texts` is [ranks] new strings, which
 * the caller frees one by one and then the array; other ranks get NULL. The result is agreed. */
int mim_gather_texts(MPI_Comm comm, const char *text, char ***texts);

/* Collective. The lines of all ranks' texts, none twice, in the order of ranks and lines where they
 * stand first; the same new string on all ranks, which the caller frees. The result is agreed. */
int mim_union_lines(MPI_Comm comm, const char *text, char **lines);

/* The part of n items that belongs to a rank: [*first, *first + *count), in order of ranks, sizes
 * differing by at most 1. Not collective. */
void mim_share_of(size_t n, int rank, int n_ranks, size_t *first, size_t *count);

#endif
