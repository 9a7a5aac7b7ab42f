/* mimesys_run: runs a plan on this node, or calibrates the node. */
#define _DEFAULT_SOURCE /* flock */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio_ext.h> /* __fpurge */
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/program_main.h"
#include "cmd/run_job.h"
#include "core/atomic_file.h"
#include "core/text.h"
#include "fleet/settings.h"
#include "node/host_lock.h"
#include "node/settings.h"

static const mim_option run_options[] = {
    {"run", "slot_s", MIM_OPTION_REAL, "s", "0", 0, 86400, NULL, NULL,
     "length of a slot, 0 = what the plan says, else 1"},
    {"run", "iters", MIM_OPTION_INT, "", "1", 1, 1000000, NULL, "MIMESYS_ITERS",
     "passes over the plan's windows"},
    {"run", "idle_slot", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, "MIMESYS_SLEEP",
     "one idle slot after each pass"},
    {"run", "seed", MIM_OPTION_INT, "", "1", 0, 9e15, NULL, NULL,
     "seed of buffer contents and offsets"},
    {"run", "actions", MIM_OPTION_TEXT, "", "20", 0, 0, NULL, "ACTION_LIST_PATH",
     "action list of plans that do not name theirs: " MIM_ACTIONS_WORDS " or a file"},
    {"run", "node", MIM_OPTION_CHOICE, "", "this", 0, 0, "this|simulated", NULL,
     "where the plan runs: on this node, or on a simulated one (nothing runs)"},
    {"run", "wait_s", MIM_OPTION_REAL, "s", "3600", 0, 1e9, NULL, NULL,
     "wait so long for other programs that load this host, 0 = not at all"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {run_options,
                                           mim_stressor_settings,
                                           mim_scratch_settings,
                                           mim_limits_options,
                                           mim_calibrate_settings,
                                           mim_simulated_settings,
                                           NULL};

static const mim_flag flags[] = {
    {"slot", "SECONDS", "run.slot_s", false, "length of a slot"},
    {"iters", "N", "run.iters", false, "passes over the plan's windows"},
    {"seed", "N", "run.seed", false, "seed of buffer contents and offsets"},
    {"out", "DIR", NULL, false, "folder for the results (default ./run-<plan>)"},
    {"job", "ID", NULL, false, "job id in the stats text (default the plan's name)"},
    {"calibration", "FILE", NULL, false, "calibration to use or to write"},
    {"calibrate", NULL, NULL, false, "measure this machine instead of running a plan"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "PLAN.h5 [--out DIR] [--slot S] [--iters N]",
    "--calibrate [--calibration FILE]",
    "PLAN.h5 --set run.node=simulated [--set simulated.size=2x10]",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_run",
    .summary = "run a stress plan on this node, or calibrate it",
    .synopsis = synopsis,
    .flags = flags,
    .tables = tables,
    .min_arguments = 0,
    .max_arguments = 1,
    .description =
        "Runs the windows of a plan, one a slot, on an absolute schedule: each thread of the plan\n"
        "is pinned to a CPU and gives every stressor its share of CPU time or of operations.\n"
        "A record of this node's counters is written at every slot edge.\n\n"
        "The node is protected by the settings in [limits]; a plan beyond them is refused (4).\n"
        "SIGTERM, SIGINT and SIGUSR1 end the run; what was measured so far is stored (75).\n\n"
        "One program of a user loads a host at a time: a run and a calibration wait for others,\n"
        "and for mimesys_collect's plan, up to run.wait_s (then 4); the log says for whom.\n\n"
        "I/O stressors need to know how fast this machine is: --calibrate measures and keeps it\n"
        "under ~/.cache/mimesys. Without one, a run measures what it needs first.\n\n"
        "With run.node=simulated nothing runs: a simulated node, described in [simulated], tells\n"
        "what its counters would have shown. Its files' names and what is printed say so.\n"
        "[limits], [scratch] and calibrations do not matter then; --seed chooses other noise.\n\n"
        "A plan's columns are the stressors of an action list: 20 (the default), its forerunners\n"
        "19, 13 and 13b, or extended: every stressor of the original and, named MIM_, those it\n"
        "lacks: memory by cache level and to another NUMA node, page faults, mappings, context\n"
        "switches, page cache, file names, mixed I/O, TCP streams. ini/actions-extended.txt tells\n"
        "what each is. What a node cannot run (no second NUMA node, no stressors.network_peer, no\n"
        "O_DIRECT) is left out of a calibration; a plan that uses it is refused (4).\n\n"
        "stressors.sizes = node gives the original's cache-level stressors working sets by this\n"
        "node's caches; such a calibration is kept apart, and other sizes never use it.",
    .json_keys = "status: done or stopped\n"
                 "figures.n_slots: slots that ran to their end\n"
                 "figures.share_error_mean: mean error of a thread's CPU shares (1 = the slot)\n"
                 "figures.share_error_p95: its 95 % quantile\n"
                 "figures.ops_ratio: I/O operations done / due\n"
                 "figures.overshoot_p99: end of work past the slot's end, share of the slot\n"
                 "figures.overshoot_max: its maximum\n"
                 "figures.drift_s: start of the last slot against the schedule\n"
                 "figures.cpu_s: CPU time of all stressors\n"
                 "figures.written_bytes: bytes written by stressors\n"
                 "figures.note: why a ceiling stopped some of the I/O, or null\n"
                 "figures.node: name of the node, simulated-SIZE when nothing ran\n"
                 "figures.stats, figures.result: names of the files",
    .files = "DIR/stats-PLAN.txt: this node's counters at every slot edge (stats text)\n"
             "DIR/result-PLAN.h5: planned and given shares, operations, overshoot per slot\n"
             "DIR/summary.json: how it went\n"
             "DIR/stats-simulated-PLAN.txt, DIR/result-simulated-PLAN.h5: the same of a simulated\n"
             "node (DIR is ./run-simulated-PLAN then)\n"
             "~/.cache/mimesys/calibration-KEY-Ncpus.json: this machine's calibration; "
             "calibration-KEY-Ncpus-node.json with stressors.sizes = node\n"
             "/tmp/mimesys-UID.lock: locked by whoever loads this host; MIMESYS_HOST_LOCK names "
             "another",
    .examples = "mimesys_run --calibrate\n"
                "mimesys_run --calibrate --set run.actions=extended\n"
                "mimesys_run plan.h5 --out run1\n"
                "mimesys_run plan.h5 --set limits.disk_write=64G --set limits.cpus=1\n"
                "mimesys_run plan.h5 --set run.node=simulated --set simulated.size=2x96",
};

static void job_clear(mim_run_job *j)
{
    mim_machine_destroy(&j->machine);
    mim_actions_destroy(&j->actions);
    mim_scratch_destroy(&j->scratch);
    mim_plan_destroy(&j->plan);
    mim_plan_need_clear(&j->need);
    mim_calibration_destroy(&j->calibration);
    mim_run_result_destroy(&j->result);
    mim_summary_destroy(&j->summary);
    mim_simulated_destroy(&j->simulated);
    free(j->name);
    free(j->job_id);
    if (j->lock_fd >= 0)
        close(j->lock_fd);
    mim_host_lock_release(&j->host_fd);
    free(j->folder);
    free(j->stats_path);
    free(j->result_path);
    free(j->summary_path);
}

static int make_paths(mim_run_job *j)
{
    const char *out = mim_args_value(j->args, "out"), *job_id = mim_args_value(j->args, "job");
    if (out && !*out)
        return mim_fail(MIM_EUSAGE, "--out: expected a folder, found an empty text");
    if (job_id && (!*job_id || strpbrk(job_id, " \t\r\n\v\f")))
        return mim_fail(MIM_EUSAGE, "--job: expected one word, found \"%s\"", job_id);
    j->name =
        mim_format("%s%s", j->simulated ? "simulated-" : "", mim_basename(mim_args_at(j->args, 0)));
    if (j->name) {
        size_t n = strlen(j->name);
        if (n > 3 && strcmp(j->name + n - 3, ".h5") == 0)
            j->name[n - 3] = 0;
        j->job_id = mim_strdup(job_id ? job_id : j->name);
        for (char *at = j->job_id; at && *at; at++)
            if (strchr(" \t\r\n\v\f", *at))
                *at = '_';
        j->folder = out ? mim_strdup(out) : mim_format("run-%s", j->name);
        j->stats_path = mim_format("%s/stats-%s.txt", j->folder, j->name);
        j->result_path = mim_format("%s/result-%s.h5", j->folder, j->name);
        j->summary_path = mim_format("%s/summary.json", j->folder);
    }
    if (!j->name || !j->job_id || !j->folder || !j->stats_path || !j->result_path ||
        !j->summary_path)
        return mim_fail(MIM_ENOMEM, "output paths");
    return MIM_OK;
}

static double duration_s(const mim_run_job *j)
{
    double passes = (double)mim_config_int(j->config, "run.iters");
    double idle = mim_config_bool(j->config, "run.idle_slot") ? 1.0 : 0.0;
    return passes * (j->need.n_slots + idle) * j->slot_s;
}

static int load_plan(mim_run_job *j)
{
    const char *path = mim_args_at(j->args, 0);
    if (!path)
        return mim_fail(MIM_EUSAGE, "expected: mimesys_run PLAN.h5, or --calibrate");
    mim_actions_node node;
    int rc = mim_plan_read(path, j->actions, &j->plan);
    mim_actions_node_get(j->config, j->machine, &node);
    if (rc == MIM_OK)
        rc = mim_plan_fit(j->plan, &node);
    if (rc == MIM_OK)
        rc = mim_plan_needs(j->plan, &j->need);
    if (rc != MIM_OK)
        return rc;
    j->slot_s = mim_config_real(j->config, "run.slot_s");
    if (j->slot_s == 0.0)
        j->slot_s = mim_plan_slot_s(j->plan) > 0.0 ? mim_plan_slot_s(j->plan) : 1.0;
    if (j->slot_s < 0.01)
        return mim_fail(MIM_EUSAGE, "run.slot_s: expected 0 or at least 0.01 s, found %g",
                        j->slot_s);
    double result_bytes = mim_run_result_bytes(j->plan, duration_s(j) / j->slot_s);
    j->need.memory_bytes += result_bytes < 9e18 ? (uint64_t)result_bytes : UINT64_MAX / 2;
    if (j->need.cpu_s_per_slot_s > (double)j->machine->n_cpus)
        mim_log_warn(j->log, "plan",
                     "its threads ask for %.1f CPUs at once, this run may use %zu: they share, and "
                     "get less than their weights",
                     j->need.cpu_s_per_slot_s, j->machine->n_cpus);
    return j->simulated ? MIM_OK
                        : mim_limits_check(&j->limits, j->machine, &j->need, duration_s(j));
}

static int print_dry_run(mim_run_job *j)
{
    if (j->simulated) {
        printf("would simulate %.0f s in slots of %g s on %s\n", duration_s(j), j->slot_s,
               j->machine->cpu_model);
        return MIM_OK;
    }
    int rc = mim_run_look_ahead(j);
    if (rc != MIM_OK)
        return rc;
    char memory[MIM_BYTES_TEXT_BYTES], scratch[MIM_BYTES_TEXT_BYTES];
    printf("plan %s: %zu windows, %zu threads, %zu stressors\n", mim_args_at(j->args, 0),
           mim_plan_n_windows(j->plan), mim_plan_n_threads(j->plan), mim_plan_n_stressors(j->plan));
    printf("would run %.0f s in slots of %g s on %zu CPUs of %s\n", duration_s(j), j->slot_s,
           j->machine->n_cpus, j->machine->cpu_model);
    printf("needs %s of memory and scratch files of %s\n",
           mim_bytes_text((double)j->need.memory_bytes, memory),
           mim_bytes_text((double)j->need.scratch_bytes, scratch));
    printf("sbatch --nodes=1 --exclusive --time=%d --wrap=\"mimesys_run '%s'\"\n",
           (int)ceil(duration_s(j) / 60.0) + 2, mim_args_at(j->args, 0));
    return MIM_OK;
}

/* Cuts what a failed write left after the last whole record, so that the rest can be published. */
static int keep_whole_records(FILE *stats, long n_bytes)
{
    __fpurge(stats);
    clearerr(stats);
    return n_bytes > 0 && ftruncate(fileno(stats), n_bytes) == 0 ? MIM_OK : MIM_EIO;
}

/* Makes the output folder, keeps other runs out of it, and sees that the results can be written. */
static int open_folder(mim_run_job *j)
{
    int rc = mim_make_folder(j->folder);
    if (rc != MIM_OK)
        return rc;
    j->lock_fd = open(j->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->lock_fd >= 0 && flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return mim_fail(MIM_EIO, "%s: another run is writing there", j->folder);
    const char *const paths[] = {j->stats_path, j->result_path, j->summary_path};
    for (size_t i = 0; rc == MIM_OK && i < sizeof paths / sizeof *paths; i++) {
        mim_atomic_file *probe = NULL;
        rc = mim_atomic_file_open(paths[i], &probe);
        mim_atomic_file_destroy(&probe);
    }
    return rc;
}

static int execute(mim_run_job *j)
{
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(j->stats_path, &file);
    if (rc != MIM_OK)
        return rc;
    const mim_execute_options options = {
        .slot_s = j->slot_s,
        .n_iters = (size_t)mim_config_int(j->config, "run.iters"),
        .idle_slot = mim_config_bool(j->config, "run.idle_slot"),
        .nice = j->limits.nice,
        .seed = (uint64_t)mim_config_int(j->config, "run.seed"),
        .stats = mim_atomic_file_stream(file),
        .job = j->job_id,
    };
    rc = mim_execute(j->plan, j->machine, j->calibration, j->scratch, &options, j->log, &j->result);
    if (rc == MIM_OK && j->result->failure &&
        keep_whole_records(options.stats, j->result->stats_bytes) != MIM_OK)
        rc = mim_fail(MIM_EIO, "%s: %s", j->stats_path, j->result->failure);
    if (rc == MIM_OK) {
        unlink(j->summary_path); /* of an earlier run: it comes last and tells that all is there */
        rc = mim_atomic_file_commit(&file);
    }
    mim_atomic_file_destroy(&file);
    return rc;
}

static int add_figures(mim_run_job *j)
{
    mim_run_figures f;
    json_t *figures = mim_summary_figures(j->summary);
    int rc = mim_run_result_figures(j->result, j->plan, &f);
    if (rc != MIM_OK)
        return rc;
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"slot_s", j->slot_s},
        {"share_error_mean", f.share_error_mean},
        {"share_error_p95", f.share_error_p95},
        {"ops_ratio", f.ops_ratio},
        {"overshoot_p99", f.overshoot_p99},
        {"overshoot_max", f.overshoot_max},
        {"drift_s", f.drift_s},
        {"cpu_s", f.cpu_s},
        {"written_bytes", f.written_bytes},
    };
    json_object_set_new(figures, "n_slots", json_integer((json_int_t)j->result->n_slots));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(figures, numbers[i].key, mim_json_real(numbers[i].value));
    json_object_set_new(figures, "note",
                        j->result->note ? json_string(j->result->note) : json_null());
    json_object_set_new(figures, "node", json_string(j->machine->hostname));
    json_object_set_new(figures, "stats", json_string(mim_basename(j->stats_path)));
    json_object_set_new(figures, "result", json_string(mim_basename(j->result_path)));
    return MIM_OK;
}

static int store(mim_run_job *j)
{
    const char *status = j->result->is_stopped ? "stopped" : "done";
    char *ini = mim_config_text_ini(j->config);
    int rc = ini ? mim_run_result_write(j->result, j->plan, ini, j->result_path)
                 : mim_fail(MIM_ENOMEM, "configuration text");
    free(ini);
    if (rc == MIM_OK)
        rc = add_figures(j);
    if (rc == MIM_OK)
        rc = mim_summary_write(j->summary, status, j->summary_path);
    if (rc == MIM_OK && mim_args_has(j->args, "json"))
        rc = mim_summary_print(j->summary, status, stdout);
    else if (rc == MIM_OK)
        printf("%s%s: %zu slots of %g s in %s\n", j->simulated ? "simulated, " : "", status,
               j->result->n_slots, j->slot_s, j->folder);
    return rc;
}

/* What the exit status shall tell once everything is stored. */
static int verdict(const mim_run_job *j)
{
    const mim_run_result *r = j->result;
    if (r->failure)
        return mim_fail(MIM_EIO, "%s: %s; %zu slots are stored", j->stats_path, r->failure,
                        r->n_slots);
    if (!r->n_failed && !r->is_verified)
        return mim_fail(MIM_ECHECK, "a stressor's verification failed (see the log)");
    if (r->is_stopped)
        return mim_fail(MIM_ESTOPPED, "stopped by a signal after %zu slots; results are in %s",
                        r->n_slots, j->folder);
    if (r->n_failed)
        return mim_fail(MIM_EIO, "%zu stressors failed during the run (see the log)", r->n_failed);
    if (r->note)
        return mim_fail(MIM_EUNSUP, "some I/O was not done: %s", r->note);
    return MIM_OK;
}

static int run_plan(mim_run_job *j)
{
    int rc = load_plan(j);
    if (rc == MIM_OK)
        rc = make_paths(j);
    if (rc == MIM_OK && mim_args_has(j->args, "dry-run"))
        return print_dry_run(j);
    if (rc == MIM_OK)
        rc = open_folder(j);
    if (rc == MIM_OK && !j->simulated)
        rc = mim_run_wait_for_host(j);
    if (rc == MIM_OK && !j->simulated && j->need.scratch_bytes > 0)
        rc = mim_run_open_scratch(j);
    if (rc == MIM_OK && !j->simulated)
        rc = mim_run_get_calibration(j);
    if (rc == MIM_OK)
        rc = j->simulated ? mim_run_simulate(j) : execute(j);
    if (rc == MIM_OK)
        rc = store(j);
    return rc == MIM_OK ? verdict(j) : rc;
}

static int open_actions(mim_run_job *j)
{
    mim_actions_node node;
    mim_actions_node_get(j->config, j->machine, &node);
    int rc = mim_actions_open(mim_config_text(j->config, "run.actions"), &j->actions);
    return rc == MIM_OK ? mim_actions_fit(j->actions, &node) : rc;
}

static int run(const mim_args *args, mim_log *log)
{
    mim_run_job j = {
        .args = args, .config = mim_args_config(args), .log = log, .lock_fd = -1, .host_fd = -1};
    mim_limits_get(j.config, &j.limits);
    int rc = mim_run_find_machine(&j);
    if (rc == MIM_OK)
        rc = open_actions(&j);
    if (rc == MIM_OK)
        rc = mim_summary_create(program.name, (uint64_t)mim_config_int(j.config, "run.seed"), 1,
                                j.config, &j.summary);
    if (rc == MIM_OK)
        rc = mim_args_has(args, "calibrate") ? mim_run_calibrate(&j) : run_plan(&j);
    job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
