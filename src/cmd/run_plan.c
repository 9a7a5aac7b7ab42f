/* mimesys_run PLAN: from the plan's file to its results. */
#include <math.h>
#include <stdio_ext.h> /* __fpurge */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run_job.h"
#include "core/atomic_file.h"
#include "core/text.h"
#include "node/compat.h"
#include "node/loaded_plan.h"
#include "node/sampler.h"
#include "node/settings.h"
#include "node/start_file.h"

/* ---- before ---- */

static int make_paths(mim_run_job *j)
{
    const char *given = mim_args_value(j->args, "out"), *job_id = mim_args_value(j->args, "job");
    const char *set = mim_config_text(j->config, "run.out"), *out = *set ? set : NULL;
    if (given && !*given)
        return mim_fail(MIM_EUSAGE, "--out: expected a folder, found an empty text");
    if (job_id && (!*job_id || strpbrk(job_id, " \t\r\n\v\f")))
        return mim_fail(MIM_EUSAGE, "--job: expected one word, found \"%s\"", job_id);
    j->name =
        mim_format("%s%s", j->simulated ? "simulated-" : "", mim_basename(mim_args_at(j->args, 0)));
    if (!j->name)
        return mim_fail(MIM_ENOMEM, "output paths");
    size_t n = strlen(j->name);
    if (n > 3 && strcmp(j->name + n - 3, ".h5") == 0)
        j->name[n - 3] = 0;
    j->job_id = mim_strdup(job_id ? job_id : j->name);
    for (char *at = j->job_id; at && *at; at++)
        if (strchr(" \t\r\n\v\f", *at))
            *at = '_';
    char *folder = out ? mim_strdup(out) : mim_format("run-%s", j->name);
    int rc = j->job_id && folder ? mim_run_output_make(j, folder, &j->output)
                                 : mim_fail(MIM_ENOMEM, "output paths");
    free(folder);
    return rc;
}

static int check_settings(const mim_run_job *j)
{
    bool is_repeated = mim_config_int(j->config, "run.repeat_disturbed") > 0;
    if (j->simulated &&
        (j->is_compat || is_repeated || mim_config_bool(j->config, "run.closed_loop") ||
         *mim_config_text(j->config, "run.start_file") ||
         !mim_config_bool(j->config, "run.sample")))
        return mim_fail(MIM_EUSAGE, "run.node=simulated: nothing runs; expected neither --compat "
                                    "nor run.closed_loop, run.start_file or "
                                    "run.repeat_disturbed, and run.sample = true");
    if (is_repeated && *mim_config_text(j->config, "run.start_file"))
        return mim_fail(MIM_EUSAGE, "run.start_file: a plan that is started with another program "
                                    "is not repeated; expected run.repeat_disturbed = 0");
    if (is_repeated && !mim_config_bool(j->config, "run.sample"))
        return mim_fail(MIM_EUSAGE, "run.repeat_disturbed: without run.sample nothing tells which "
                                    "slots were disturbed");
    return MIM_OK;
}

static mim_plan_pace pace_of(const mim_run_job *j)
{
    const double slot_s = mim_config_real(j->config, "run.slot_s");
    const double slot_us = (double)mim_config_int(j->config, "run.slot_us");
    return (mim_plan_pace){
        .slot_s = slot_s > 0.0 ? slot_s : fmax(1e-6 * slot_us, 0.0),
        .usual_slot_s = j->is_compat ? MIM_COMPAT_SLOT_S : 1.0,
        .n_iters = (size_t)mim_config_int(j->config, "run.iters"),
        .idle_slot = mim_config_bool(j->config, "run.idle_slot"),
        .n_runs = 1 + (size_t)mim_config_int(j->config, "run.repeat_disturbed"),
        .before_s = j->is_compat ? mim_config_real(j->config, "run.warm_up_s") : 0.0,
        .has_any_row_sums = j->is_compat,
    };
}

static int load_plan(mim_run_job *j)
{
    const char *path = mim_args_at(j->args, 0);
    const mim_plan_pace pace = pace_of(j);
    mim_actions_node node;
    mim_loaded_plan loaded;
    if (!path)
        return mim_fail(MIM_EUSAGE, "expected: mimesys_run PLAN.h5, or --calibrate");
    mim_actions_node_get(j->config, j->machine, &node);
    int rc = check_settings(j);
    if (rc == MIM_OK)
        rc = mim_loaded_plan_read(path, j->actions, &node, &pace, j->machine,
                                  j->simulated ? NULL : &j->limits, j->log, &loaded);
    if (rc != MIM_OK)
        return rc;
    j->plan = loaded.plan;
    j->need = loaded.need;
    j->slot_s = loaded.slot_s;
    j->duration_s = loaded.duration_s;
    j->longest_s = loaded.longest_s;
    return j->is_compat ? mim_run_compat_costs(j) : MIM_OK;
}

/* What of this node would be read, and why not more. */
static int print_counters(void)
{
    const mim_sampler_options options = {.job = "0"};
    mim_sampler *sampler = NULL;
    int rc = mim_sampler_create(&options, &sampler);
    if (rc == MIM_OK)
        printf("counters: %s\n", mim_sampler_tiers(sampler));
    mim_sampler_destroy(&sampler);
    return rc;
}

static int print_dry_run(mim_run_job *j)
{
    if (j->simulated) {
        printf("would simulate %.0f s in slots of %g s on %s\n", j->duration_s, j->slot_s,
               j->machine->cpu_model);
        return MIM_OK;
    }
    int rc = mim_run_look_ahead(j);
    if (rc != MIM_OK)
        return rc;
    char memory[MIM_BYTES_TEXT_BYTES], scratch[MIM_BYTES_TEXT_BYTES];
    printf("plan %s: %zu windows, %zu threads, %zu stressors\n", mim_args_at(j->args, 0),
           mim_plan_n_windows(j->plan), mim_plan_n_threads(j->plan), mim_plan_n_stressors(j->plan));
    printf("would run %.0f s in slots of %g s on %zu CPUs of %s%s\n", j->duration_s, j->slot_s,
           j->machine->n_cpus, j->machine->cpu_model,
           j->is_compat ? ", with the original's dispatch" : "");
    printf("needs %s of memory and scratch files of %s\n",
           mim_bytes_text((double)j->need.memory_bytes, memory),
           mim_bytes_text((double)j->need.scratch_bytes, scratch));
    rc = print_counters();
    printf("sbatch --nodes=1 --exclusive --time=%d --wrap=\"mimesys_run",
           (int)ceil(j->longest_s / 60.0) + 2);
    mim_args_print(j->args, true, stdout);
    printf("\"\n");
    return rc;
}

/* ---- one run ---- */

/* Cuts what a failed write left after the last whole record, so that the rest can be published. */
static int keep_whole_records(FILE *stats, long n_bytes)
{
    __fpurge(stats);
    clearerr(stats);
    return n_bytes > 0 && ftruncate(fileno(stats), n_bytes) == 0 ? MIM_OK : MIM_EIO;
}

/* Which slots were undisturbed, of the text that was just written; what cannot be read tells
 * nothing. */
static void judge(mim_run_job *j, const mim_run_output *output)
{
    mim_stats *stats = NULL;
    if (j->result->n_slots == 0)
        return;
    if (mim_stats_read(output->stats_path, &stats) != MIM_OK ||
        mim_disturbance_read(stats, j->result->n_slots, &j->result->disturbance) != MIM_OK)
        mim_log_warn(j->log, "run", "whether slots were disturbed is not known: %s", mim_error());
    mim_stats_destroy(&stats);
}

static int execute(mim_run_job *j, FILE *stats, const mim_start_file *start)
{
    int rc = mim_run_contain(j);
    if (rc != MIM_OK)
        return rc;
    const mim_execute_options options = {
        .slot_s = j->slot_s,
        .n_iters = (size_t)mim_config_int(j->config, "run.iters"),
        .idle_slot = mim_config_bool(j->config, "run.idle_slot"),
        .nice = j->limits.nice,
        .seed = (uint64_t)mim_config_int(j->config, "run.seed"),
        .stats = stats,
        .job = j->job_id,
        .agree_start = start ? mim_start_file_agree : NULL,
        .start_context = (void *)start,
        .is_compat = j->is_compat,
        .compat_cost_us = j->compat_cost_us,
        .compat_warm_up_s = mim_config_real(j->config, "run.warm_up_s"),
        .loop_gain = mim_config_bool(j->config, "run.closed_loop")
                         ? mim_config_real(j->config, "run.loop_gain")
                         : 0.0,
        .contained = mim_contain_applied(j->contain),
    };
    rc = mim_execute(j->plan, j->machine, j->calibration, j->scratch, &options, j->log, &j->result);
    mim_contain_leave(j->contain);
    return rc;
}

int mim_run_once(mim_run_job *j, const mim_run_output *output, bool is_first)
{
    mim_atomic_file *file = NULL;
    const mim_start_file start = {.path = mim_config_text(j->config, "run.start_file"),
                                  .timeout_s = mim_config_real(j->config, "run.start_wait_s"),
                                  .log = j->log};
    bool has_stats = mim_config_bool(j->config, "run.sample");
    if (j->simulated)
        return mim_run_simulate(j, output);
    int rc = has_stats ? mim_atomic_file_open(output->stats_path, &file) : MIM_OK;
    if (rc != MIM_OK)
        return rc;
    FILE *stats = has_stats ? mim_atomic_file_stream(file) : NULL;
    rc = execute(j, stats, is_first && *start.path ? &start : NULL);
    if (rc == MIM_OK && j->result->failure &&
        keep_whole_records(stats, j->result->stats_bytes) != MIM_OK)
        rc = mim_fail(MIM_EIO, "%s: %s", output->stats_path, j->result->failure);
    if (rc == MIM_OK)
        unlink(output->summary_path); /* of an earlier run: it comes last and tells all is there */
    if (rc == MIM_OK && has_stats)
        rc = mim_atomic_file_commit(&file);
    else if (rc == MIM_OK)
        unlink(output->stats_path); /* of an earlier run: it does not belong to this one */
    mim_atomic_file_destroy(&file);
    if (rc == MIM_OK && has_stats)
        judge(j, output);
    return rc;
}

/* ---- all of it ---- */

static int prepare(mim_run_job *j)
{
    int rc = mim_run_output_open(j, &j->output);
    if (rc == MIM_OK)
        rc = mim_run_again_clean(j);
    const mim_start_file start = {.path = mim_config_text(j->config, "run.start_file")};
    if (rc == MIM_OK && *start.path)
        rc = mim_start_file_prepare(&start);
    if (rc != MIM_OK || j->simulated)
        return rc;
    rc = mim_run_wait_for_host(j);
    if (rc == MIM_OK && j->need.scratch_bytes > 0)
        rc = mim_run_open_scratch(j);
    return rc == MIM_OK ? mim_run_get_calibration(j) : rc;
}

static int print_end(mim_run_job *j)
{
    const char *status = mim_run_status(j);
    if (mim_args_has(j->args, "json"))
        return mim_summary_print(j->summary, status, stdout);
    printf("%s%s: %zu slots of %g s in %s\n", j->simulated ? "simulated, " : "", status,
           j->result->n_slots, j->slot_s, j->output.folder);
    return MIM_OK;
}

int mim_run_plan(mim_run_job *j)
{
    int rc = load_plan(j);
    if (rc == MIM_OK)
        rc = make_paths(j);
    if (rc == MIM_OK && mim_args_has(j->args, "dry-run"))
        return print_dry_run(j);
    if (rc == MIM_OK)
        rc = prepare(j);
    if (rc == MIM_OK)
        rc = mim_run_once(j, &j->output, true);
    if (rc == MIM_OK)
        rc = mim_run_store(j, &j->output);
    if (rc == MIM_OK)
        rc = mim_run_again(j);
    if (rc == MIM_OK)
        rc = print_end(j);
    return rc == MIM_OK ? mim_run_verdict(j, &j->output) : rc;
}
