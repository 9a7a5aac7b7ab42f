/* Parts of checkpoint files. */
#ifndef MIM_DIFFUSION_CHECKPOINT_INTERNAL_H
#define MIM_DIFFUSION_CHECKPOINT_INTERNAL_H

#include "core/h5.h"
#include "diffusion/architecture.h"

/* The dataset `network`. */
int mim_checkpoint_put_architecture(mim_h5 *file, const mim_architecture *architecture);
/* The same, or of files of version 1 their sizes of a thread_token network; checked by
 * mim_network_check(). MIM_EDATA names the file. */
int mim_checkpoint_get_architecture(mim_h5 *file, const char *path, int version,
                                    mim_architecture *architecture);

/* n counts of rank 0 or 1. */
int mim_checkpoint_get_counts(mim_h5 *file, const char *path, const char *name, size_t rank,
                              size_t n, uint64_t *out);

#endif
