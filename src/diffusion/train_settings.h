/* Settings of training: sections [model], [train], [examples] and [validate]. */
#ifndef MIM_DIFFUSION_TRAIN_SETTINGS_H
#define MIM_DIFFUSION_TRAIN_SETTINGS_H

#include "core/config.h"
#include "diffusion/generator.h"
#include "diffusion/lessons.h"
#include "diffusion/model.h"
#include "diffusion/train.h"

extern const mim_option mim_model_settings[], mim_train_settings[], mim_examples_settings[],
    mim_validate_settings[];

/* Threads of samples that are enough to fit how a node answers (diffusion/response.h); the time it
 * takes grows with them. */
enum { MIM_TRAIN_MAX_FIT_ROWS = 1 << 18 };

/* Weights below are 0 in plans that are tried. */
#define MIM_TRAIN_TRIAL_SMALLEST 0.005

typedef struct mim_train_plan {
    mim_architecture size; /* what follows from the corpus is not known */
    mim_process process;
    mim_normalisation normalisation;
    mim_train_options options;
    mim_weighting weighting;
    mim_lessons_options lessons;
    bool shards_optimizer;
    size_t bucket_bytes; /* of the sums that ranks share at a time, 0: all at once */
    size_t n_ahead;      /* steps read ahead of a corpus that is not in memory */
    uint64_t seed, n_steps;
    uint64_t checkpoint_every, validate_every, log_every; /* steps */
    uint64_t milestone_every;                             /* 0: none */
    size_t validate_draws;
    size_t n_trials; /* plans that are tried at a validation, where they can be */
    mim_generation trial;
    uint64_t patience; /* validations, 0: without end */
    double min_improvement;
    double time_limit_s; /* 0: none */
} mim_train_plan;

/* MIM_EUSAGE when settings contradict each other. */
int mim_train_plan_get(const mim_config *config, mim_train_plan *plan);

#endif
