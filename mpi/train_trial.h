/* Plans of a model tried on the simulated node of its corpus, shared out to ranks: normalised L1
 * between what was wanted and what the node measures, as report/compare.h defines it. */
#ifndef MIM_MPI_TRAIN_TRIAL_H
#define MIM_MPI_TRAIN_TRIAL_H

#include <jansson.h>
#include <mpi.h>

#include <stdbool.h>

#include "diffusion/trial.h"
#include "trace/metric.h"

typedef struct mim_train_trial {
    double nl1[MIM_N_FAMILIES]; /* NaN for families without metrics */
    double nl1_mean;            /* over target families */
} mim_train_trial;

/* Collective. Tries all plans of the trial, which all ranks have alike; the result is the same on
 * all of them and at any number of them. are_own: the plans that the examples are of instead of the
 * model's. MIM_ESTOPPED: a stop was asked for meanwhile. */
int mim_train_mpi_try(MPI_Comm comm, mim_trial *trial, const mim_domain *domain, bool are_own,
                      mim_train_trial *result);

/* {"nl1_mean": number, "nl1": {family: number}}, new, the keys beginning with `key` instead of nl1;
 * NULL: both null. */
json_t *mim_train_trial_json(const char *key, const mim_train_trial *result);

#endif
