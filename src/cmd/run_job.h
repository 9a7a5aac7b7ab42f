/* What the two halves of mimesys_run share: the job, and its calibration. */
#ifndef MIM_CMD_RUN_JOB_H
#define MIM_CMD_RUN_JOB_H

#include "core/args.h"
#include "core/log.h"
#include "core/summary.h"
#include "node/calibration.h"
#include "node/executor.h"
#include "node/limits.h"
#include "node/simulated.h"

typedef struct mim_run_job {
    const mim_args *args;
    const mim_config *config;
    mim_log *log;
    mim_limits limits;
    mim_simulated *simulated; /* NULL: plans run on this node */
    mim_machine *machine;
    mim_actions *actions;
    mim_scratch *scratch;
    mim_plan *plan;
    mim_plan_need need;
    mim_calibration *calibration;
    mim_run_result *result;
    mim_summary *summary;
    double slot_s;
    char *name;   /* of the plan, without folder and .h5 */
    char *job_id; /* in the stats text: one word */
    int lock_fd;  /* of the output folder */
    int host_fd;  /* of the lock on this host */
    char *folder, *stats_path, *result_path, *summary_path;
} mim_run_job;

/* Nobody else shall load this host now; kept until the end of the job. */
int mim_run_wait_for_host(mim_run_job *j);
int mim_run_open_scratch(mim_run_job *j);
/* --calibrate: measures and stores. */
int mim_run_calibrate(mim_run_job *j);
/* The stored calibration if it is this machine's and holds what the plan needs, else a fresh one of
 * its paced stressors for this run only. */
int mim_run_get_calibration(mim_run_job *j);
/* The machine to run on: this one, or what run.node and [simulated] say. */
int mim_run_find_machine(mim_run_job *j);
/* In place of the executor: result and stats text of the simulated node. */
int mim_run_simulate(mim_run_job *j);
/* What a run would find: scratch folder and calibration, without touching either. */
int mim_run_look_ahead(mim_run_job *j);

#endif
