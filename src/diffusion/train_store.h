/* Where a training's checkpoints go: they are written in the background, and old ones removed.
 *
 * The last two stay, and milestones: those of multiples of a number of steps. One is removed only
 * after a newer one is published whole, so up to three lie there while training goes on, and what a
 * failed or killed write leaves behind is what was there before it. */
#ifndef MIM_DIFFUSION_TRAIN_STORE_H
#define MIM_DIFFUSION_TRAIN_STORE_H

#include <stdint.h>

#include "core/error.h"
#include "diffusion/model.h"

typedef struct mim_train_store mim_train_store;

/* milestone_every: steps, 0 = none are milestones. The folder is there, and locked until the end:
 * MIM_EIO when another training has it. */
int mim_train_store_create(const char *folder, uint64_t milestone_every, mim_train_store **store);
/* Begins to write the model as it is now; it may be changed when this returns. Waits for the
 * checkpoint before, whose error is returned instead. HDF5 is used here, and not by the thread that
 * writes. MIM_ECHECK: a number of the model is not finite; those before stay. */
int mim_train_store_put(mim_train_store *store, const mim_model *model);
/* Waits for the checkpoint that is being written, if any, and gives its error. */
int mim_train_store_wait(mim_train_store *store);
/* The checkpoint that was published last, as known from put and wait; NULL before the first. */
const char *mim_train_store_newest(const mim_train_store *store);
void mim_train_store_destroy(mim_train_store **store); /* waits, too */

#endif
