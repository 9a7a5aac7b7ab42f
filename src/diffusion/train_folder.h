/* The folder of a training: checkpoints (diffusion/train_store.h writes them), and the log of
 * figures.
 *
 * checkpoint-STEP.h5 (12 digits) to resume from; metrics.jsonl, one JSON object a line; model.h5
 * when the training is done: what generating plans takes, and no more. */
#ifndef MIM_DIFFUSION_TRAIN_FOLDER_H
#define MIM_DIFFUSION_TRAIN_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/error.h"
#include "core/log.h"
#include "diffusion/model.h"

/* Steps of the checkpoints in the folder, newest first; the caller frees them. A folder that is not
 * there has none. */
int mim_train_folder_steps(const char *folder, size_t *n, uint64_t **steps);
/* Name of a step's checkpoint, a new string; NULL when out of memory. */
char *mim_train_folder_checkpoint(const char *folder, uint64_t step);
/* The newest checkpoint that can be read, `path` is new memory and NULL when there is none;
 * unreadable ones are passed over with a warning. MIM_EDATA when none of several can be read. */
int mim_train_folder_newest(const char *folder, mim_log *log, char **path);

/* Whether files can be written there. MIM_EIO. */
int mim_train_folder_check(const char *folder);
/* Appends a line to metrics.jsonl; takes `line` over. */
int mim_train_folder_log(const char *folder, json_t *line);
/* Leaves out lines of later steps, as when the training went on behind its last checkpoint. */
int mim_train_folder_cut_log(const char *folder, uint64_t step);

#endif
