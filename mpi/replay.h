/* What the parts of mimesys_replay share: the job of one rank, which drives one node. */
#ifndef MIM_MPI_REPLAY_H
#define MIM_MPI_REPLAY_H

#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/args.h"
#include "core/log.h"
#include "core/summary.h"
#include "mpi/hosts.h"
#include "mpi/start_agreement.h"
#include "node/contain.h"
#include "node/executor.h"
#include "node/loaded_plan.h"
#include "trace/accept.h"
#include "trace/series.h"

typedef struct mim_replay {
    MPI_Comm comm;
    int rank, n_ranks;
    const mim_args *args;
    const mim_config *config;
    mim_log *log;

    mim_limits limits;
    mim_plan_pace pace;
    mim_actions *actions; /* of plans that do not name theirs */
    mim_hosts hosts;
    mim_machine *machine;
    char *plan_path, *job_id;
    char *map_line; /* "FILE:LINE" that chose the plan; NULL without a map */
    mim_loaded_plan loaded;
    int host_fd; /* the lock on the host; -1: a rank of the same host has it, or nobody yet */
    mim_scratch *scratch;
    mim_calibration *calibration;
    mim_contain *contain;

    FILE *stats; /* stats text, in memory: on a disk it would be seen in what is measured */
    mim_start start;
    mim_run_result *result;
    int run_rc; /* of this rank's run after the start, with its sentence */
    char *run_error;
    mim_start_report report;
    mim_series *series; /* metrics per slot; NULL when there are none */
    mim_accept *accept;

    const char *folder; /* rank 0's */
    int folder_fd;
    mim_summary *summary; /* rank 0 only */
} mim_replay;

/* Not collective: what the settings alone say. */
int mim_replay_read_settings(mim_replay *r);
/* Not collective: reads a plan for r->machine and checks it against the ceilings. */
int mim_replay_load(mim_replay *r, const char *path);
/* Collective: hosts and plans; nothing is touched. */
int mim_replay_choose_plan(mim_replay *r);
/* Collective: this host is ours, its scratch and calibration are there. */
int mim_replay_prepare(mim_replay *r);
/* Collective: all start at one instant. An error: nobody started. What comes of this rank's run is
 * in r->run_rc and r->result. */
int mim_replay_run(mim_replay *r);
/* Collective: result, stats texts and summary in the folder of rank 0. */
int mim_replay_store(mim_replay *r);
/* Not collective: what the exit status shall tell once everything is stored. */
int mim_replay_verdict(const mim_replay *r);
/* Frees all but what it borrows. */
void mim_replay_clear(mim_replay *r);

#endif
