/* What the parts of mimesys_train share: the training of one rank. */
#ifndef MIM_MPI_TRAIN_JOB_H
#define MIM_MPI_TRAIN_JOB_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/args.h"
#include "core/log.h"
#include "core/summary.h"
#include "diffusion/train_settings.h"
#include "diffusion/train_store.h"
#include "mpi/train_mpi.h"
#include "mpi/train_trial.h"

typedef struct mim_train_job {
    MPI_Comm comm;
    int rank, n_ranks;
    const mim_args *args;
    const mim_config *config;
    mim_log *log;
    const char *folder;
    mim_train_plan plan;
    mim_corpus *corpus;
    mim_lessons *lessons;
    mim_examples train; /* of a corpus in memory */
    mim_order *order;
    mim_feed *feed;
    mim_model *model;
    mim_part part; /* of the parameters, updated here */
    mim_trainer *trainer;
    mim_train_mpi *parallel;
    mim_trial *trial;       /* NULL: plans cannot be tried */
    mim_train_store *store; /* rank 0's */
    mim_summary *summary;
    double begin_s;
    uint64_t first_step; /* of this run */
    bool is_resumed;
    /* Since the last line of figures. */
    double loss_sum, norm_sum, step_s_sum, last_wait_s;
    uint64_t n_summed; /* steps that were not left out */
    uint64_t n_timed;
    /* Of this run's steps, apart from what is done between them. */
    double step_s, step_cpu_s;
    double loss, validation_loss; /* last known, else NaN */
    mim_train_trial tried;        /* the same */
    mim_train_trial floor;        /* of the examples' own plans */
} mim_train_job;

/* Collective. Corpus, the model to begin or go on with. */
int mim_train_job_load(mim_train_job *job);
/* Collective. The folder, the trainer and what feeds it. MIM_ESTOPPED: a stop was asked for before
 * a step could be made, and nothing is saved. */
int mim_train_job_prepare(mim_train_job *job);
/* Collective. MIM_ESTOPPED: a stop was asked for, and the checkpoint is written. */
int mim_train_job_run(mim_train_job *job);
/* Whether no step is left, as all were taken or validations no longer improve. */
bool mim_train_job_is_over(const mim_train_job *job);
bool mim_train_job_ran_out_of_patience(const mim_train_job *job);
double mim_train_job_elapsed_s(const mim_train_job *job);
/* Forward and backward of a step's whole batch. */
double mim_train_job_step_flop(const mim_train_job *job);
void mim_train_job_clear(mim_train_job *job);

#endif
