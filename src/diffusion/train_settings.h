/* Settings of training: sections [model] and [train]. */
#ifndef MIM_DIFFUSION_TRAIN_SETTINGS_H
#define MIM_DIFFUSION_TRAIN_SETTINGS_H

#include "core/config.h"
#include "diffusion/model.h"
#include "diffusion/train.h"

extern const mim_option mim_model_settings[], mim_train_settings[];

typedef struct mim_train_plan {
    mim_architecture size; /* what follows from the corpus is not known */
    mim_process process;
    mim_train_options options;
    uint64_t seed, n_steps;
    uint64_t checkpoint_every, validate_every, log_every; /* steps */
    size_t validate_draws;
    double time_limit_s; /* 0: none */
} mim_train_plan;

/* MIM_EUSAGE when settings contradict each other. */
int mim_train_plan_get(const mim_config *config, mim_train_plan *plan);

#endif
