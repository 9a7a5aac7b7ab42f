/* What the parts of mimesys_run share: the job, its plan, its calibration, one run and its files.
 */
#ifndef MIM_CMD_RUN_JOB_H
#define MIM_CMD_RUN_JOB_H

#include "core/args.h"
#include "core/log.h"
#include "core/summary.h"
#include "node/calibration.h"
#include "node/contain.h"
#include "node/executor.h"
#include "node/limits.h"
#include "node/simulated.h"

/* Where one run's results go. */
typedef struct mim_run_output {
    char *folder, *stats_path, *result_path, *summary_path;
    int lock_fd; /* of the folder, -1 = none */
} mim_run_output;

typedef struct mim_run_job {
    const char *program; /* its name */
    const mim_args *args;
    mim_config *config; /* the program's, with what follows from --compat */
    mim_log *log;
    mim_limits limits;
    mim_simulated *simulated; /* NULL: plans run on this node */
    mim_machine *machine;
    mim_actions *actions;
    mim_scratch *scratch;
    mim_plan *plan;
    mim_plan_need need;
    mim_calibration *calibration;
    mim_run_result *result; /* of the run at hand */
    mim_contain *contain;   /* likewise */
    mim_summary *summary;
    double slot_s, duration_s, longest_s; /* of a slot, of one run, of all that there may be */
    bool is_compat;
    uint32_t *compat_cost_us; /* [stressors of the plan] */
    char *name;               /* of the plan, without folder and .h5 */
    char *job_id;             /* in the stats text: one word */
    int host_fd;              /* of the lock on this host */
    mim_run_output output;    /* of the first run */
} mim_run_job;

/* run_calibration.c */

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
int mim_run_simulate(mim_run_job *j, const mim_run_output *output);
/* Keeps this process within what the plan needs (run_contain.c), for the time of the run. */
int mim_run_contain(mim_run_job *j);
/* What was applied and what was not, as an object. */
json_t *mim_run_contain_json(const mim_run_job *j);

/* What a run would find: scratch folder and calibration, without touching either. */
int mim_run_look_ahead(mim_run_job *j);

/* run_compat.c */

/* The original's defaults where nothing else was said; its action list. */
int mim_run_compat_defaults(mim_run_job *j);
/* Costs of the plan's stressors: the file if there is one, else those that are built in, which are
 * then written if the folder is there (not in a dry run). The log tells of weights that vanish. */
int mim_run_compat_costs(mim_run_job *j);

/* run_store.c */

/* The names of what a run leaves in `folder`. */
int mim_run_output_make(const mim_run_job *j, const char *folder, mim_run_output *output);
void mim_run_output_clear(mim_run_output *output);
/* Makes the folder, keeps other runs out of it, and sees that the results can be written. */
int mim_run_output_open(const mim_run_job *j, mim_run_output *output);
/* Result and summary of the run at hand. */
int mim_run_store(mim_run_job *j, const mim_run_output *output);
/* Adds the figures of the run at hand. */
int mim_run_add_figures(const mim_run_job *j, const mim_run_output *output, json_t *figures);
const char *mim_run_status(const mim_run_job *j);
/* What the exit status shall tell once everything is stored. */
int mim_run_verdict(const mim_run_job *j, const mim_run_output *output);

/* run_plan.c */

int mim_run_plan(mim_run_job *j);
/* Runs the plan once into the output's stats text; the result is the job's. */
int mim_run_once(mim_run_job *j, const mim_run_output *output, bool is_first);

/* run_again.c */

/* After the first run: the plan again, up to run.repeat_disturbed times, until every window has an
 * accepted slot in some run; each in a folder of its own below the first one's. Then the figures of
 * all runs stand in the summary. */
int mim_run_again(mim_run_job *j);
/* Removes what an earlier job left of such runs. */
int mim_run_again_clean(const mim_run_job *j);

#endif
