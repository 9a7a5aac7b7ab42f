/* What the parts of the scratch share. */
#ifndef MIM_NODE_SCRATCH_INTERNAL_H
#define MIM_NODE_SCRATCH_INTERNAL_H

#include "node/scratch.h"

/* Names of files and rooms: the prefix, the owner's process number, a dot, six letters. */
#define MIM_SCRATCH_PREFIX "mimesys-scratch."

/* Removes what dead processes of this user left in the folder. Best effort: a folder that cannot be
 * listed can still be written to. */
void mim_scratch_sweep(const char *folder);

/* MIM_EINVAL: not a positive multiple of 4096; MIM_EUNSUP: above the process's own limit. */
int mim_scratch_check_size(uint64_t n_bytes);

#endif
