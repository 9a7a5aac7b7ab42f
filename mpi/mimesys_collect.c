/* mimesys_collect: proposes plans, measures them on the hosts of its ranks, stores what they did.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/clock.h"
#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/collect.h"
#include "mpi/program_mpi.h"
#include "node/settings.h"

static const mim_option collect_options[] = {
    {"collect", "n_plans", MIM_OPTION_INT, "", "200", 0, 1e9, NULL, NULL,
     "plans in all, 0 = as many as max_minutes allows"},
    {"collect", "windows", MIM_OPTION_INT, "", "8", 4, 1000, NULL, NULL,
     "slots of a plan, one after the other; the last is idle"},
    {"collect", "slot_s", MIM_OPTION_REAL, "s", "1", 0.5, 3600, NULL, NULL, "length of a slot"},
    {"collect", "repeats", MIM_OPTION_INT, "", "2", 1, 64, NULL, NULL,
     "undisturbed measurements wanted of every slot"},
    {"collect", "max_tries", MIM_OPTION_INT, "", "3", 1, 1000, NULL, NULL,
     "runs of a plan at most, when slots were disturbed or it failed"},
    {"collect", "max_failures", MIM_OPTION_INT, "", "5", 1, 1e6, NULL, NULL,
     "plans in a row that could not be measured, after which to give up"},
    {"collect", "sweep", MIM_OPTION_REAL, "", "0.3", 0, 1, NULL, NULL,
     "share of plans with one stressor at a time, until that sweep is complete"},
    {"collect", "sweep_counts", MIM_OPTION_INT, "", "0", 0, 4096, NULL, NULL,
     "numbers of threads tried in the sweep, 0 = every one from 1 to all"},
    {"collect", "mixed", MIM_OPTION_REAL, "", "0.25", 0, 1, NULL, NULL,
     "random plans: share of threads with CPU and I/O at once (the original's: 0)"},
    {"collect", "small_io", MIM_OPTION_REAL, "", "0.5", 0, 1, NULL, NULL,
     "random plans: share of I/O weights drawn evenly in their logarithm (the original's: 0)"},
    {"collect", "budget_min", MIM_OPTION_REAL, "", "0.05", 0, 1, NULL, NULL,
     "random plans: smallest load of a busy thread (the original's: 0.2)"},
    {"collect", "io_ceiling", MIM_OPTION_REAL, "", "1", 0.001, 1000, NULL, NULL,
     "I/O a slot may ask for, 1 = all that the disk gives by calibration"},
    {"collect", "threads", MIM_OPTION_INT, "", "0", 0, 4096, NULL, NULL,
     "threads of a plan, 0 = one for each CPU"},
    {"collect", "actions", MIM_OPTION_TEXT, "", "20", 0, 0, NULL, "ACTION_LIST_PATH",
     "action list: " MIM_ACTIONS_WORDS " or a file"},
    {"collect", "seed", MIM_OPTION_INT, "", "1", 0, 9e15, NULL, NULL,
     "seed of the plans and of buffer contents"},
    {"collect", "max_minutes", MIM_OPTION_REAL, "min", "0", 0, 1e6, NULL, NULL,
     "time for this start, 0 = no limit"},
    {"collect", "disk_write", MIM_OPTION_BYTES, "bytes", "0", 0, 0, NULL, NULL,
     "bytes written to scratch disks in this start at most, 0 = no ceiling"},
    {"collect", "grace_s", MIM_OPTION_REAL, "s", "120", 0, 86400, NULL, NULL,
     "a plan is killed when it takes longer than 1.5 times its slots and this"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {
    collect_options,      mim_fleet_settings,     mim_stressor_settings,
    mim_scratch_settings, mim_limits_options,     mim_calibrate_settings,
    mim_contain_options,  mim_simulated_settings, NULL};

static const mim_flag flags[] = {
    {"out", "CAMPAIGN.h5", NULL, false, "the store; results are added to it"},
    {"resume", "auto", NULL, false, "go on with the store when it is there"},
    {"calibration", "FILE", NULL, false, "calibration to use instead of this machine's"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "--config collect.ini --out CAMPAIGN.h5 [--resume auto]",
    "--set fleet.kind=simulated --set simulated.size=2x10 --out CAMPAIGN.h5",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_collect",
    .summary = "measure what stress plans do to this kind of node",
    .synopsis = synopsis,
    .flags = flags,
    .tables = tables,
    .min_arguments = 0,
    .max_arguments = 0,
    .description =
        "Proposes plans (a sweep of single stressors and random mixes, in chains, so that every\n"
        "slot is measured after another one), runs them and stores the metrics of every slot.\n\n"
        "Ranks take plans from rank 0 as they get free; one plan runs on a host at a time, so one\n"
        "rank a host is enough. All hosts must be of the same kind.\n\n"
        "Each host's calibration is taken, or measured, first (mimesys_run --calibrate); one that "
        "is\n"
        "unstable (3) or cannot be measured now (4) ends it, unless calibrate.allow_unstable is\n"
        "true. Each plan is kept within what it needs ([contain], as by mimesys_run).\n\n"
        "Slots during which others used the machine are measured again, up to collect.max_tries\n"
        "times. A plan that crashes or hangs costs itself only.\n\n"
        "A plan is reported (\"stored plan=...\") only when it is on the disk. Killed at any "
        "time,\n"
        "the same command with --resume auto goes on: no plan is measured twice, none is lost.\n"
        "SIGTERM, SIGINT and SIGUSR1 finish the running plans, then end (75); so does\n"
        "collect.max_minutes, unless collect.n_plans is 0: then all is done (0).\n\n"
        "With fleet.kind=simulated plans go to a simulated node of any size instead, for tests at\n"
        "scale and for comparing methods: nothing runs, nothing is loaded or locked, no time "
        "passes.\n"
        "Log, summary, host class and host names then say \"simulated\".",
    .json_keys = "status: done or stopped\n"
                 "figures.n_plans: plans in the store\n"
                 "figures.n_wanted: plans asked for, null for as many as there is time for\n"
                 "figures.n_new: plans stored by this start\n"
                 "figures.n_rows: slots in the store\n"
                 "figures.n_accepted, n_disturbed, n_failed: slots of this start by status\n"
                 "figures.n_tries: runs of plans in this start\n"
                 "figures.written_bytes: written to scratch disks in this start\n"
                 "figures.ended_by: what ended it early, or null\n"
                 "figures.fleet: local or simulated\n"
                 "figures.host_class: kind of host that plans were measured on\n"
                 "figures.campaign: name of the store",
    .files = "CAMPAIGN.h5: the store, a row per slot: plan, action, metrics, spread, status; and\n"
             "  stressors.sizes of all of them, in the attribute stressor_sizes\n"
             "CAMPAIGN-summary.json: how the last start went\n"
             "~/.cache/mimesys/calibration-KEY-Ncpus.json: this machine's calibration, made if\n"
             "  missing\n"
             "/tmp/mimesys-UID.lock: locked by whoever loads a host; MIMESYS_HOST_LOCK names "
             "another",
    .examples = "mimesys_collect --out campaign.h5 --set collect.n_plans=50\n"
                "mpirun -n 4 mimesys_collect --config collect.ini --out campaign.h5 --resume auto\n"
                "srun --ntasks-per-node=1 mimesys_collect --out campaign.h5 --resume auto",
};

/* ---- the store (rank 0) ---------------------------------------------------------------------- */

/* The line of a setting in a section ("[collect]") of an ini text; NULL when it has none. */
static char *setting_line(const char *ini, const char *section, const char *key)
{
    size_t n_key = strlen(key);
    const char *at = strstr(ini, section);
    for (; at && (at = strchr(at, '\n'));) {
        at++;
        if (*at == '[')
            return NULL;
        if (strncmp(at, key, n_key) == 0 && strncmp(at + n_key, " = ", 3) == 0)
            return mim_format("%.*s", (int)strcspn(at, "\n"), at);
    }
    return NULL;
}

/* Ids stand for the same plans only while the settings that shape them are the same; simulated
 * measurements only while the noise is. */
static int check_settings(const mim_collect *c, const char *ini)
{
    static const char *const keys[][2] = {
        {"collect", "windows"},    {"collect", "sweep"},    {"collect", "sweep_counts"},
        {"collect", "mixed"},      {"collect", "small_io"}, {"collect", "budget_min"},
        {"collect", "io_ceiling"}, {"collect", "seed"},     {"simulated", "noise"},
        {"simulated", "seed"},
    };
    const size_t n_plans = 8, n = mim_collect_is_simulated(c) ? n_plans + 2 : n_plans;
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        char section[32];
        snprintf(section, sizeof section, "[%s]", keys[i][0]);
        char *was = setting_line(mim_campaign_config(c->campaign), section, keys[i][1]);
        char *is = setting_line(ini, section, keys[i][1]);
        if (was && is && strcmp(was, is) != 0)
            rc = mim_fail(MIM_EUSAGE, "%s was begun with %s.%s, this start has %s", c->path,
                          keys[i][0], was, is);
        free(was);
        free(is);
    }
    return rc;
}

static int open_store(mim_collect *c)
{
    static const uint64_t most_plans_at_first = 4096;
    const char *resume = mim_args_value(c->args, "resume");
    char *ini = mim_config_text_ini(c->config);
    int rc = ini ? MIM_OK : mim_fail(MIM_ENOMEM, "configuration text");
    /* room to begin with; it grows */
    uint64_t n_plans = c->n_plans < most_plans_at_first ? c->n_plans : most_plans_at_first;
    size_t n_rows = (size_t)n_plans * c->proposer.sweep.n_windows;
    if (rc == MIM_OK && access(c->path, F_OK) != 0) {
        rc = mim_campaign_create(c->path, c->layout, c->measure.seed, ini, n_rows, &c->campaign);
    } else if (rc == MIM_OK && !resume) {
        rc = mim_fail(MIM_EUSAGE, "%s is there already; --resume auto goes on with it", c->path);
    } else if (rc == MIM_OK) {
        rc = mim_campaign_open(c->path, true, &c->campaign);
        if (rc == MIM_OK)
            rc =
                mim_layout_compare(mim_campaign_layout(c->campaign), c->layout, "this start", true);
        if (rc == MIM_OK)
            rc = check_settings(c, ini);
    }
    if (rc == MIM_OK)
        mim_log_info(c->log, "collect", "%s: plans=%zu slots=%zu", c->path,
                     mim_campaign_n_plans(c->campaign), mim_campaign_n_rows(c->campaign));
    free(ini);
    return rc;
}

/* What can be known of the output before anything is measured. */
static int check_output(mim_collect *c)
{
    const char *resume = mim_args_value(c->args, "resume");
    c->path = mim_args_value(c->args, "out");
    if (!c->path || !*c->path)
        return mim_fail(MIM_EUSAGE, "expected --out CAMPAIGN.h5");
    if (resume && strcmp(resume, "auto") != 0)
        return mim_fail(MIM_EUSAGE, "--resume: expected auto, found %s", resume);
    if (access(c->path, F_OK) == 0 && !resume)
        return mim_fail(MIM_EUSAGE, "%s is there already; --resume auto goes on with it", c->path);
    if (c->rank != 0 || mim_args_has(c->args, "dry-run"))
        return MIM_OK;
    mim_atomic_file *probe = NULL;
    int rc = mim_atomic_file_open(c->path, &probe);
    mim_atomic_file_destroy(&probe);
    return rc;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static int report(mim_collect *c, const char *status)
{
    json_t *figures = mim_summary_figures(c->summary);
    char *path = NULL;
    const size_t n = strlen(c->path) - (mim_has_suffix(c->path, ".h5") ? 3 : 0);
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"n_plans", (double)mim_campaign_n_plans(c->campaign)},
        {"n_wanted", c->n_plans == UINT64_MAX ? NAN : (double)c->n_plans},
        {"n_new", (double)c->n_new},
        {"n_rows", (double)mim_campaign_n_rows(c->campaign)},
        {"n_accepted", (double)c->n_accepted},
        {"n_disturbed", (double)c->n_disturbed},
        {"n_failed", (double)c->n_failed},
        {"n_tries", (double)c->n_tries},
        {"written_bytes", c->written_bytes},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(figures, numbers[i].key,
                            isfinite(numbers[i].value) ? json_integer((json_int_t)numbers[i].value)
                                                       : json_null());
    json_object_set_new(figures, "ended_by", c->ended_by ? json_string(c->ended_by) : json_null());
    json_object_set_new(figures, "fleet", json_string(c->fleet_kind->name));
    json_object_set_new(figures, "host_class", json_string(c->layout->host_class));
    json_object_set_new(figures, "campaign", json_string(mim_basename(c->path)));
    if (!(path = mim_format("%.*s-summary.json", (int)n, c->path)))
        return mim_fail(MIM_ENOMEM, "%s", c->path);
    int rc = mim_summary_write(c->summary, status, path);
    free(path);
    if (rc == MIM_OK && mim_args_has(c->args, "json"))
        rc = mim_summary_print(c->summary, status, stdout);
    else if (rc == MIM_OK)
        printf("%s%s: %zu plans, %zu slots in %s; %llu plans new: %zu slots accepted, %zu "
               "disturbed, %zu failed\n",
               mim_collect_is_simulated(c) ? "simulated, " : "", status,
               mim_campaign_n_plans(c->campaign), mim_campaign_n_rows(c->campaign), c->path,
               (unsigned long long)c->n_new, c->n_accepted, c->n_disturbed, c->n_failed);
    return rc;
}

/* All that was asked for is there, or there was time for no more of "as many as there is". */
static bool is_done(const mim_collect *c)
{
    if (c->n_plans == UINT64_MAX)
        return c->ended_by && strcmp(c->ended_by, "collect.max_minutes") == 0;
    for (uint64_t id = 0; id < c->n_plans; id++)
        if (!mim_campaign_has(c->campaign, id))
            return false;
    return true;
}

static int finish(mim_collect *c)
{
    bool done = is_done(c);
    if (done)
        c->ended_by = NULL;
    int rc = report(c, done ? "done" : "stopped");
    if (rc == MIM_OK && !done)
        rc =
            mim_fail(MIM_ESTOPPED, "ended by %s with %zu plans in the store; --resume auto goes on",
                     c->ended_by ? c->ended_by : "a stop", mim_campaign_n_plans(c->campaign));
    return rc;
}

static int print_dry_run(mim_collect *c)
{
    double minutes = mim_config_real(c->config, "collect.max_minutes");
    size_t n_windows = c->proposer.sweep.n_windows;
    int rc = mim_collect_find_machine(c);
    if (rc != MIM_OK)
        return rc;
    const bool is_simulated = mim_collect_is_simulated(c);
    double plan_s = 2 + (double)c->measure.n_repeats * (double)n_windows * c->measure.slot_s;
    size_t n_threads =
        c->proposer.sweep.n_threads ? c->proposer.sweep.n_threads : c->machine->n_cpus;
    if (c->n_plans == UINT64_MAX) {
        printf("would collect for %g minutes\n", minutes);
    } else {
        double all = is_simulated ? 0 : (double)c->n_plans * plan_s / 60;
        minutes = minutes > 0 ? fmin(minutes, all) : all;
        printf("would collect %llu plans, ", (unsigned long long)c->n_plans);
        printf(is_simulated ? "simulated\n"
                            : "some %.1f minutes on one host when nothing disturbs\n",
               all);
    }
    printf("plans of %zu slots of %g s, %zu repeats, %zu threads, %zu stressors, on %s\n",
           n_windows, c->measure.slot_s, c->measure.n_repeats, n_threads, mim_actions_n(c->actions),
           c->machine->cpu_model);
    printf("sbatch --nodes=1 --exclusive --time=%d --wrap=\"srun --ntasks-per-node=1 "
           "mimesys_collect",
           (int)ceil(minutes) + 5);
    mim_args_print(c->args, true, stdout);
    printf("%s\"\n", mim_args_value(c->args, "resume") ? "" : " --resume auto");
    return MIM_OK;
}

static int run(MPI_Comm comm, const mim_args *args, mim_log *log)
{
    mim_collect c = {.comm = comm,
                     .args = args,
                     .config = mim_args_config(args),
                     .log = log,
                     .begin_ns = mim_clock_mono_ns()};
    MPI_Comm_rank(comm, &c.rank);
    MPI_Comm_size(comm, &c.n_ranks);
    int rc = mim_collect_read_settings(&c);
    if (rc == MIM_OK)
        rc = check_output(&c);
    if (rc == MIM_OK && c.rank == 0)
        rc = mim_summary_create(program.name, c.measure.seed, c.n_ranks, c.config, &c.summary);
    rc = mim_agree(comm, rc);
    if (rc == MIM_OK && mim_args_has(args, "dry-run")) {
        rc = c.rank == 0 ? print_dry_run(&c) : MIM_OK;
        mim_collect_clear(&c);
        return rc;
    }
    if (rc == MIM_OK)
        rc = mim_collect_prepare(&c);
    if (rc == MIM_OK)
        rc = mim_agree(comm, c.rank == 0 ? open_store(&c) : MIM_OK);
    if (rc == MIM_OK)
        rc = mim_collect_loop(&c);
    if (rc == MIM_OK && c.rank == 0)
        rc = finish(&c);
    mim_collect_clear(&c);
    return rc;
}

int main(int argc, char **argv) { return mim_program_mpi_main(&program, argc, argv, run); }
