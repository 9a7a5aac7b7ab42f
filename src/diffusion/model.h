/* A learned model: everything that using it, or training it further, takes. A checkpoint file holds
 * exactly this (diffusion/checkpoint.h). */
#ifndef MIM_DIFFUSION_MODEL_H
#define MIM_DIFFUSION_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "diffusion/domain.h"
#include "diffusion/network.h"
#include "diffusion/response.h"
#include "diffusion/schedule.h"
#include "diffusion/simplex.h"

/* The noise process a model is trained for, and what its network's numbers mean. */
typedef struct mim_process {
    mim_schedule_kind schedule; /* of a prediction of flow MIM_SCHEDULE_FLOW, else not that */
    size_t n_timesteps;
    mim_prediction prediction;
    mim_output output;
} mim_process;

/* What solvers are given: the predicted quantity, or of a simplex x_0. */
mim_prediction mim_process_answer(const mim_process *process);

/* How a training has gone beside its parameters: what going on from a checkpoint takes. */
typedef struct mim_course {
    uint64_t n_skipped;    /* steps left out as their gradient was not finite */
    uint64_t best_step;    /* of the best validation so far, 0: none */
    uint64_t n_since_best; /* validations after it */
    double best_loss;
} mim_course;

typedef struct mim_model {
    mim_domain *domain;
    mim_architecture architecture;
    mim_process process;
    mim_params_f *params;
    float *best_ema;        /* [n_values] moving average at course.best_step; NULL: not kept */
    mim_response *response; /* how the node answers plans; NULL = not known */
    uint64_t seed;          /* of initial values and of everything drawn in training */
    uint64_t step;          /* training steps taken, with the skipped ones */
    mim_course course;
    uint64_t corpus_hash; /* of what it is trained on, 0 = not known */
    char *config;         /* resolved configuration of the training, "" if none */
} mim_model;

/* MIM_EINVAL: schedule and prediction do not go together, or sizes are out of range.
 * Width, depth and so on of `size`; what follows from the domain is filled in. Takes the domain
 * over (also on failure) and nulls the caller's pointer. Fresh values from `seed`. */
int mim_model_create(mim_domain **domain, const mim_architecture *size, const mim_process *process,
                     uint64_t seed, mim_model **model);
/* For an instance that updates this part of the parameters only, with the memory of that
 * (nn/params.h). */
int mim_model_create_part(mim_domain **domain, const mim_architecture *size,
                          const mim_process *process, uint64_t seed, const mim_part *part,
                          mim_model **model);
void mim_model_destroy(mim_model **model);

#endif
