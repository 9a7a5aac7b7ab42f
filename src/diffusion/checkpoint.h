/* Checkpoints: a whole model in one HDF5 file, schema "mimesys_checkpoint".
 *
 * Datasets: values, ema, moment_1, moment_2 [n_values] (float32 numbers) with tensor_names and
 * tensor_shapes [n_tensors][4] (unused extents 0), found by name, so in any order; metric_names,
 * range_min, range_max, thread_metric (index, or n_metrics for none), thread_socket, action_names;
 * network, the fields of the architecture as texts "name value" (diffusion/architecture.h);
 * n_timesteps, step, seed, corpus_hash as counts; n_skipped, best_step, n_since_best and the
 * attribute best_loss (optional, see mim_course); best_ema, the average at best_step (optional,
 * where training may end with it); response_mean, response_deviation (optional, see
 * diffusion/response.h); attributes host_class, schedule, prediction, config, and output,
 * normalisation and stressor_sizes (of the working sets, see plan/actions.h), without which they
 * are free, linear and original. Files of version 1 have instead of network the sizes of a
 * thread_token network as counts. Nothing else is needed to generate plans or to resume a training.
 * A released file may leave out the optimiser's moments and the values: `ema` alone is required. */
#ifndef MIM_DIFFUSION_CHECKPOINT_H
#define MIM_DIFFUSION_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "diffusion/model.h"

#define MIM_CHECKPOINT_SCHEMA "mimesys_checkpoint"

enum { MIM_CHECKPOINT_VERSION = 2, MIM_CHECKPOINT_MAX_VALUES = 1 << 28 };

/* Atomic. is_slim leaves out what only training needs. */
int mim_checkpoint_write(const mim_model *model, bool is_slim, const char *path);
/* What would be written to `path`, which is for sentences only; the caller ends it with
 * mim_h5_release_image. */
int mim_checkpoint_image(const mim_model *model, bool is_slim, const char *path, void **image,
                         size_t *n_bytes);
/* MIM_EIO; MIM_EDATA: no checkpoint, another version, sizes, names, shapes or values that do not
 * belong together, a number that is not finite. for_training: a slim file is MIM_EDATA, too;
 * otherwise the values of a slim one are its ema. */
int mim_checkpoint_read(const char *path, bool for_training, mim_model **model);
/* For training by an instance that updates this part of the values only, with the memory of that
 * (nn/params.h). What is written must be whole again. */
int mim_checkpoint_read_part(const char *path, const mim_part *part, mim_model **model);

#endif
