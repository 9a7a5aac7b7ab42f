/* mimesys_run: runs a plan on this node, or calibrates the node. */
#include <errno.h>
#include <math.h>
#include <stdio_ext.h> /* __fpurge */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/program_main.h"
#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/summary.h"
#include "core/text.h"
#include "node/calibration.h"
#include "node/executor.h"
#include "node/limits.h"

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
     "action list of plans that do not name theirs: 20, 19, 13, 13b or a file"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option scratch_options[] = {
    {"scratch", "folder", MIM_OPTION_TEXT, "", "", 0, 0, NULL, "MIMESYS_SCRATCH",
     "folder for scratch files, empty = /var/tmp"},
    {"scratch", "io_mode", MIM_OPTION_CHOICE, "", "auto", 0, 0, "auto|direct|buffered", NULL,
     "past the page cache (direct) or through it; auto = direct where the file system can"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option calibrate_options[] = {
    {"calibrate", "seconds_each", MIM_OPTION_REAL, "s", "0.7", 0.05, 60, NULL, NULL,
     "measuring time of one stressor"},
    {"calibrate", "repeats", MIM_OPTION_INT, "", "7", 3, 64, NULL, NULL,
     "repeats of which the median is kept"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {run_options, scratch_options, mim_limits_options,
                                           calibrate_options, NULL};

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
        "I/O stressors need to know how fast this machine is: --calibrate measures and keeps it\n"
        "under ~/.cache/mimesys. Without one, a run measures what it needs first.",
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
                 "figures.stats, figures.result: names of the files",
    .files = "DIR/stats-PLAN.txt: this node's counters at every slot edge (stats text)\n"
             "DIR/result-PLAN.h5: planned and given shares, operations, overshoot per slot\n"
             "DIR/summary.json: how it went\n"
             "~/.cache/mimesys/calibration-KEY-Ncpus.json: this machine's calibration",
    .examples = "mimesys_run --calibrate\n"
                "mimesys_run plan.h5 --out run1\n"
                "mimesys_run plan.h5 --set limits.disk_write=64G --set limits.cpus=1",
};

typedef struct job {
    const mim_args *args;
    const mim_config *config;
    mim_log *log;
    mim_limits limits;
    mim_machine *machine;
    mim_actions *actions;
    mim_scratch *scratch;
    mim_plan *plan;
    mim_plan_need need;
    mim_calibration *calibration;
    mim_run_result *result;
    mim_summary *summary;
    double slot_s;
    char *name; /* of the plan, without folder and .h5 */
    char *folder, *stats_path, *result_path, *summary_path;
} job;

static void job_clear(job *j)
{
    mim_machine_destroy(&j->machine);
    mim_actions_destroy(&j->actions);
    mim_scratch_destroy(&j->scratch);
    mim_plan_destroy(&j->plan);
    mim_plan_need_clear(&j->need);
    mim_calibration_destroy(&j->calibration);
    mim_run_result_destroy(&j->result);
    mim_summary_destroy(&j->summary);
    free(j->name);
    free(j->folder);
    free(j->stats_path);
    free(j->result_path);
    free(j->summary_path);
}

static int open_scratch(job *j)
{
    const char *folder = mim_config_text(j->config, "scratch.folder");
    const char *mode = mim_config_text(j->config, "scratch.io_mode");
    const mim_scratch_options options = {
        .folder = *folder ? folder : "/var/tmp",
        .min_free_bytes = j->limits.min_free_bytes,
        .max_written_bytes = j->limits.max_written_bytes,
        .io_mode = strcmp(mode, "direct") == 0     ? MIM_IO_DIRECT
                   : strcmp(mode, "buffered") == 0 ? MIM_IO_BUFFERED
                                                   : MIM_IO_AUTO,
    };
    int rc = mim_scratch_create(&options, &j->scratch);
    if (rc == MIM_OK && mim_scratch_is_memory(j->scratch))
        mim_log_warn(j->log, "scratch",
                     "%s is in memory: I/O stressors will cause no block I/O; set scratch.folder",
                     options.folder);
    return rc;
}

static int calibration_path(const job *j, char **path)
{
    const char *named = mim_args_value(j->args, "calibration");
    if (!named)
        return mim_calibration_path(j->machine, path);
    *path = mim_strdup(named);
    return *path ? MIM_OK : mim_fail(MIM_ENOMEM, "%s", named);
}

/* ---- calibrate --------------------------------------------------------------------------------
 */

static int measure(job *j, const mim_actions *actions, bool has_ceilings)
{
    const mim_calibrate_options options = {
        .seconds_each = mim_config_real(j->config, "calibrate.seconds_each"),
        .n_repeats = (size_t)mim_config_int(j->config, "calibrate.repeats"),
        .has_ceilings = has_ceilings,
    };
    return mim_calibrate(j->machine, actions, j->scratch, &options, j->log, &j->calibration);
}

static void print_calibration(const mim_calibration *c, const char *path)
{
    printf("%-90s %10s %12s %10s %8s\n", "stressor", "op ms", "full op/s", "MB/s", "spread");
    for (size_t i = 0; i < c->n_costs; i++)
        printf("%-90s %10.4f %12.1f %10.0f %7.1f%%\n", c->costs[i].stressor, 1e3 * c->costs[i].op_s,
               c->costs[i].ops_per_s, c->costs[i].bytes_per_s / 1e6, 100.0 * c->costs[i].spread);
    printf("all %zu CPUs: reads %.0f KB/s, writes %.0f KB/s (%s, %s)\nstored in %s\n", c->n_cpus,
           c->io_read_max_kbs, c->io_write_max_kbs, c->scratch_folder, c->io_mode, path);
}

static int calibrate(job *j)
{
    char *path = NULL, *folder = NULL;
    int rc = calibration_path(j, &path);
    if (rc == MIM_OK && mim_args_n(j->args) > 0)
        rc = mim_fail(MIM_EUSAGE, "--calibrate: expected no plan, found %s",
                      mim_args_at(j->args, 0));
    if (rc == MIM_OK && mim_args_has(j->args, "dry-run")) {
        printf("would measure %zu stressors on %s and store %s\n", mim_actions_n(j->actions),
               j->machine->cpu_model, path);
        goto done;
    }
    if (rc == MIM_OK && !(folder = mim_strdup(path)))
        rc = mim_fail(MIM_ENOMEM, "%s", path);
    if (rc == MIM_OK && strchr(path, '/')) {
        *strrchr(folder, '/') = 0;
        rc = *folder ? mim_make_folder(folder) : MIM_OK;
    }
    if (rc == MIM_OK)
        rc = open_scratch(j);
    if (rc == MIM_OK)
        rc = measure(j, j->actions, true);
    if (rc == MIM_OK)
        rc = mim_calibration_write(j->calibration, path);
    if (rc == MIM_OK) {
        json_t *figures = mim_summary_figures(j->summary);
        json_object_set_new(figures, "calibration", json_string(path));
        json_object_set_new(figures, "n_stressors",
                            json_integer((json_int_t)j->calibration->n_costs));
        json_object_set_new(figures, "io_read_max_kbs",
                            mim_json_real(j->calibration->io_read_max_kbs));
        json_object_set_new(figures, "io_write_max_kbs",
                            mim_json_real(j->calibration->io_write_max_kbs));
        if (mim_args_has(j->args, "json"))
            rc = mim_summary_print(j->summary, "done", stdout);
        else
            print_calibration(j->calibration, path);
    }
done:
    free(path);
    free(folder);
    return rc;
}

/* ---- run --------------------------------------------------------------------------------------
 */

/* The plan's paced stressors as a list; NULL when there are none. */
static int paced_actions(const job *j, mim_actions **paced)
{
    size_t n = mim_plan_n_stressors(j->plan), n_paced = 0;
    const char **names = calloc(n, sizeof *names);
    if (!names)
        return mim_fail(MIM_ENOMEM, "%zu names", n);
    for (size_t s = 0; s < n; s++) {
        bool is_used = false;
        const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(j->plan), s);
        for (size_t t = 0; t < mim_plan_n_threads(j->plan); t++)
            is_used = is_used || j->need.uses[t * n + s];
        if (is_used && stressor && stressor->is_paced)
            names[n_paced++] = stressor->name;
    }
    int rc = n_paced ? mim_actions_from_names(n_paced, names, paced) : MIM_OK;
    free(names);
    return rc;
}

static bool covers(const mim_calibration *calibration, const mim_actions *actions)
{
    for (size_t i = 0; i < mim_actions_n(actions); i++)
        if (!mim_calibration_cost(calibration, mim_actions_name(actions, i)))
            return false;
    return true;
}

/* Whether the calibration speaks of this machine and this scratch; the log says what differs. */
static bool fits(const job *j, const mim_calibration *c, const char *path)
{
    const char *mode = j->scratch && mim_scratch_is_direct(j->scratch) ? "direct" : "buffered";
    const char *folder = j->scratch ? mim_scratch_folder(j->scratch) : c->scratch_folder;
    if (strcmp(c->machine_key, j->machine->key) != 0)
        mim_log_warn(j->log, "calibration", "%s is of machine %s, this is %s", path, c->machine_key,
                     j->machine->key);
    else if (j->scratch && strcmp(c->io_mode, mode) != 0)
        mim_log_warn(j->log, "calibration", "%s is of %s I/O, this run's is %s", path, c->io_mode,
                     mode);
    else if (strcmp(c->scratch_folder, folder) != 0)
        mim_log_warn(j->log, "calibration", "%s is of scratch folder %s, this run's is %s", path,
                     c->scratch_folder, folder);
    else
        return true;
    return false;
}

/* The stored calibration if it is this machine's and holds what is needed, else a fresh one of the
 * paced stressors for this run only. */
static int get_calibration(job *j)
{
    char *path = NULL;
    mim_actions *paced = NULL;
    int rc = paced_actions(j, &paced);
    if (rc != MIM_OK || !paced)
        return rc;
    bool is_named = mim_args_has(j->args, "calibration");
    rc = calibration_path(j, &path);
    if (rc == MIM_OK && (is_named || access(path, R_OK) == 0))
        rc = mim_calibration_read(path, &j->calibration);
    else if (rc == MIM_EUSAGE)
        rc = MIM_OK; /* nowhere to look: measure */
    if (rc == MIM_OK && j->calibration && !fits(j, j->calibration, path) && !is_named)
        mim_calibration_destroy(&j->calibration);
    if (rc == MIM_OK && j->calibration && !covers(j->calibration, paced)) {
        mim_log_warn(j->log, "calibration", "%s lacks stressors of the plan", path);
        mim_calibration_destroy(&j->calibration);
    }
    if (rc == MIM_OK && !j->calibration) {
        mim_log_info(j->log, "calibration",
                     "measuring %zu I/O stressors for this run; --calibrate would keep it",
                     mim_actions_n(paced));
        rc = measure(j, paced, false);
    }
    mim_actions_destroy(&paced);
    free(path);
    return rc;
}

static int make_paths(job *j)
{
    const char *out = mim_args_value(j->args, "out");
    j->name = mim_strdup(mim_basename(mim_args_at(j->args, 0)));
    if (j->name) {
        size_t n = strlen(j->name);
        if (n > 3 && strcmp(j->name + n - 3, ".h5") == 0)
            j->name[n - 3] = 0;
        j->folder = out ? mim_strdup(out) : mim_format("run-%s", j->name);
        j->stats_path = mim_format("%s/stats-%s.txt", j->folder, j->name);
        j->result_path = mim_format("%s/result-%s.h5", j->folder, j->name);
        j->summary_path = mim_format("%s/summary.json", j->folder);
    }
    if (!j->name || !j->folder || !j->stats_path || !j->result_path || !j->summary_path)
        return mim_fail(MIM_ENOMEM, "output paths");
    return MIM_OK;
}

static double duration_s(const job *j)
{
    double passes = (double)mim_config_int(j->config, "run.iters");
    double idle = mim_config_bool(j->config, "run.idle_slot") ? 1.0 : 0.0;
    return passes * (j->need.n_slots + idle) * j->slot_s;
}

static int load_plan(job *j)
{
    const char *path = mim_args_at(j->args, 0);
    if (!path)
        return mim_fail(MIM_EUSAGE, "expected: mimesys_run PLAN.h5, or --calibrate");
    int rc = mim_plan_read(path, j->actions, &j->plan);
    if (rc == MIM_OK)
        rc = mim_plan_needs(j->plan, &j->need);
    if (rc != MIM_OK)
        return rc;
    j->slot_s = mim_config_real(j->config, "run.slot_s");
    if (j->slot_s == 0.0)
        j->slot_s = mim_plan_slot_s(j->plan) > 0.0 ? mim_plan_slot_s(j->plan) : 1.0;
    if (j->slot_s < 0.01)
        return mim_fail(MIM_EUSAGE, "run.slot_s: expected at least 0.01 s, found %g", j->slot_s);
    double result_bytes = mim_run_result_bytes(j->plan, duration_s(j) / j->slot_s);
    j->need.memory_bytes += result_bytes < 9e18 ? (uint64_t)result_bytes : UINT64_MAX / 2;
    if (j->need.cpu_s_per_slot_s > (double)j->machine->n_cpus)
        mim_log_warn(j->log, "plan",
                     "its threads ask for %.1f CPUs at once, this run may use %zu: they share, and "
                     "get less than their weights",
                     j->need.cpu_s_per_slot_s, j->machine->n_cpus);
    return mim_limits_check(&j->limits, j->machine, &j->need, duration_s(j));
}

static int print_dry_run(const job *j)
{
    char memory[MIM_BYTES_TEXT_BYTES], scratch[MIM_BYTES_TEXT_BYTES];
    printf("plan %s: %zu windows, %zu threads, %zu stressors\n", mim_args_at(j->args, 0),
           mim_plan_n_windows(j->plan), mim_plan_n_threads(j->plan), mim_plan_n_stressors(j->plan));
    printf("would run %.0f s in slots of %g s on %zu CPUs of %s\n", duration_s(j), j->slot_s,
           j->machine->n_cpus, j->machine->cpu_model);
    printf("needs %s of memory and scratch files of %s\n",
           mim_bytes_text((double)j->need.memory_bytes, memory),
           mim_bytes_text((double)j->need.scratch_bytes, scratch));
    printf("sbatch --nodes=1 --exclusive --time=%d --wrap='mimesys_run %s'\n",
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

static int execute(job *j)
{
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(j->stats_path, &file);
    if (rc != MIM_OK)
        return rc;
    const char *job_id = mim_args_value(j->args, "job");
    const mim_execute_options options = {
        .slot_s = j->slot_s,
        .n_iters = (size_t)mim_config_int(j->config, "run.iters"),
        .idle_slot = mim_config_bool(j->config, "run.idle_slot"),
        .nice = j->limits.nice,
        .seed = (uint64_t)mim_config_int(j->config, "run.seed"),
        .stats = mim_atomic_file_stream(file),
        .job = job_id ? job_id : j->name,
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

static int add_figures(job *j)
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
    json_object_set_new(figures, "stats", json_string(mim_basename(j->stats_path)));
    json_object_set_new(figures, "result", json_string(mim_basename(j->result_path)));
    return MIM_OK;
}

static int store(job *j)
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
        printf("%s: %zu slots of %g s in %s\n", status, j->result->n_slots, j->slot_s, j->folder);
    return rc;
}

/* What the exit status shall tell once everything is stored. */
static int verdict(const job *j)
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

static int run_plan(job *j)
{
    int rc = load_plan(j);
    if (rc == MIM_OK && mim_args_has(j->args, "dry-run"))
        return print_dry_run(j);
    if (rc == MIM_OK)
        rc = make_paths(j);
    if (rc == MIM_OK)
        rc = mim_make_folder(j->folder);
    if (rc == MIM_OK && j->need.scratch_bytes > 0)
        rc = open_scratch(j);
    if (rc == MIM_OK)
        rc = get_calibration(j);
    if (rc == MIM_OK)
        rc = execute(j);
    if (rc == MIM_OK)
        rc = store(j);
    return rc == MIM_OK ? verdict(j) : rc;
}

static int run(const mim_args *args, mim_log *log)
{
    job j = {.args = args, .config = mim_args_config(args), .log = log};
    mim_limits_get(j.config, &j.limits);
    int rc = mim_machine_create(j.limits.max_cpus, &j.machine);
    if (rc == MIM_OK)
        rc = mim_actions_open(mim_config_text(j.config, "run.actions"), &j.actions);
    if (rc == MIM_OK)
        rc = mim_summary_create(program.name, (uint64_t)mim_config_int(j.config, "run.seed"), 1,
                                j.config, &j.summary);
    if (rc == MIM_OK)
        rc = mim_args_has(args, "calibrate") ? calibrate(&j) : run_plan(&j);
    job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
