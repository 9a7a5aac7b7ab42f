/* mimesys_run on a simulated node (run.node=simulated): nothing runs, the same files come of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run_job.h"
#include "core/atomic_file.h"
#include "core/text.h"
#include "fleet/settings.h"

int mim_run_find_machine(mim_run_job *j)
{
    mim_simulated_options options;
    if (strcmp(mim_config_text(j->config, "run.node"), "simulated") != 0)
        return mim_machine_create(j->limits.max_cpus, &j->machine);
    if (mim_args_has(j->args, "calibrate") || mim_args_has(j->args, "calibration"))
        return mim_fail(MIM_EUSAGE, "run.node=simulated: a simulated node needs no calibration");
    int rc = mim_simulated_options_get(j->config, &options);
    if (rc == MIM_OK)
        rc = mim_simulated_create(&options, &j->simulated);
    return rc == MIM_OK ? mim_simulated_machine(j->simulated, &j->machine) : rc;
}

/* Noise is the plan's, by its name, and the seed's. */
static uint64_t plan_id(const mim_run_job *j)
{
    char seed[32];
    snprintf(seed, sizeof seed, " %" PRId64, mim_config_int(j->config, "run.seed"));
    return mim_hash_text(mim_hash_text(MIM_HASH_START, j->name, strlen(j->name)), seed,
                         strlen(seed));
}

int mim_run_simulate(mim_run_job *j)
{
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(j->stats_path, &file);
    if (rc != MIM_OK)
        return rc;
    const mim_simulated_task task = {
        .plan_id = plan_id(j),
        .plan = j->plan,
        .slot_s = j->slot_s,
        .n_iters = (size_t)mim_config_int(j->config, "run.iters"),
        .idle_slot = mim_config_bool(j->config, "run.idle_slot"),
        .job = j->job_id,
    };
    const mim_simulated_outputs outputs = {.result = &j->result,
                                           .stats = mim_atomic_file_stream(file)};
    rc = mim_simulated_run(j->simulated, &task, &outputs);
    if (rc == MIM_EIO)
        mim_fail_in(rc, "%s", j->stats_path);
    if (rc == MIM_OK) {
        unlink(j->summary_path); /* of an earlier run: it comes last and tells that all is there */
        rc = mim_atomic_file_commit(&file);
    }
    mim_atomic_file_destroy(&file);
    return rc;
}
