/* mimesys_replay: plans on many nodes at once, from one agreed start. */
#define _DEFAULT_SOURCE /* flock */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/program_mpi.h"
#include "mpi/replay.h"
#include "mpi/replay_map.h"
#include "node/settings.h"

static const mim_option replay_options[] = {
    {"replay", "slot_s", MIM_OPTION_REAL, "s", "0", 0, 86400, NULL, NULL,
     "length of a slot, 0 = what the plans say, else 1"},
    {"replay", "iters", MIM_OPTION_INT, "", "1", 1, 1000000, NULL, "MIMESYS_ITERS",
     "passes over a plan's windows"},
    {"replay", "idle_slot", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, "MIMESYS_SLEEP",
     "one idle slot after each pass"},
    {"replay", "seed", MIM_OPTION_INT, "", "1", 0, 9e15, NULL, NULL,
     "seed of buffer contents and offsets"},
    {"replay", "actions", MIM_OPTION_TEXT, "", "20", 0, 0, NULL, "ACTION_LIST_PATH",
     "action list of plans that do not name theirs: " MIM_ACTIONS_WORDS " or a file"},
    {"replay", "nodes", MIM_OPTION_INT, "", "0", 0, 1e6, NULL, NULL,
     "ranks that there must be, 0 = any number"},
    {"replay", "lead_s", MIM_OPTION_REAL, "s", "0.2", 0.01, 3600, NULL, NULL,
     "from the moment when all are ready to the start"},
    {"replay", "share_host", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "ranks on one host share out its CPUs and memory, instead of being refused"},
    {"replay", "wait_s", MIM_OPTION_REAL, "s", "3600", 0, 1e9, NULL, NULL,
     "wait so long for other programs that load a host, 0 = not at all"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {replay_options,
                                           mim_stressor_settings,
                                           mim_scratch_settings,
                                           mim_limits_options,
                                           mim_calibrate_settings,
                                           mim_contain_options,
                                           NULL};

static const mim_flag flags[] = {
    {"out", "FOLDER", NULL, false, "folder for the results"},
    {"map", "FILE", NULL, false, "lines \"RANK-OR-HOST PLAN\": which node replays which plan"},
    {"slot", "SECONDS", "replay.slot_s", false, "length of a slot"},
    {"iters", "N", "replay.iters", false, "passes over a plan's windows"},
    {"seed", "N", "replay.seed", false, "seed of buffer contents and offsets"},
    {"calibration", "FILE", NULL, false, "calibration to use instead of each machine's"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "PLAN.h5 --out FOLDER [--slot S] [--iters N]",
    "PLAN.h5 PLAN.h5 ... --out FOLDER",
    "--map FILE --out FOLDER",
    NULL,
};

static const mim_program program = {
    .name = "mimesys_replay",
    .summary = "run stress plans on many nodes from one agreed start",
    .synopsis = synopsis,
    .flags = flags,
    .tables = tables,
    .min_arguments = 0,
    .max_arguments = 1000000,
    .description =
        "Runs the same plan on all nodes, or one a node: given as a list in the order of ranks, "
        "or\n"
        "by --map. Start it with one rank a node (mpirun, srun --ntasks-per-node=1). Slots are of\n"
        "the same length everywhere; plans may differ in all else.\n\n"
        "When all nodes are ready their clocks are compared by messages, and slot 0 begins on all\n"
        "of them at one instant. After the run the clocks are compared once more, so that what is\n"
        "told of the start allows for their drift. The skew is the time between the first threads\n"
        "of the first and of the last node; the true one is at most skew_most_s, as the fastest\n"
        "round trip bounds the error of a clock. During the run no rank spins.\n\n"
        "When a node cannot be made ready, nobody starts, and all end with its sentence. SIGTERM,\n"
        "SIGINT and SIGUSR1 to any rank end the run on all nodes at the end of the same slot; "
        "what\n"
        "was measured so far is stored (75). A replay is not resumed: it starts anew. A node that\n"
        "dies ends the job: mpirun sees to that by itself, srun with --wait=60.\n\n"
        "Each node is protected by the settings in [limits]; a plan beyond them is refused (4),\n"
        "and kept within what its plan needs ([contain]).\n"
        "One program of a user loads a host at a time: others are waited for up to replay.wait_s.\n"
        "Two ranks on one host are refused, unless replay.share_host gives each its share of the\n"
        "CPUs (for trials; their slots then count as disturbed by each other).\n\n"
        "Plans must be readable on every node. FOLDER is rank 0's: results come there also "
        "without\n"
        "a file system that all nodes share.",
    .json_keys = "status: done or stopped\n"
                 "figures.n_nodes: nodes\n"
                 "figures.n_slots: slots that ran to their end on every node\n"
                 "figures.slot_s: length of a slot\n"
                 "figures.skew_s: between the first threads of the first and the last node\n"
                 "figures.skew_most_s: the same if the clocks were wrong in the worst way\n"
                 "figures.spread_s: from the first thread of the first node to the last thread of "
                 "the last\n"
                 "figures.clock_uncertainty_s: of the node's clock that is known least\n"
                 "figures.nodes: one object a node: host, plan, stats (file), n_threads, n_slots, "
                 "n_accepted (null: cannot be told), n_failed, share_error_mean, share_error_p95, "
                 "ops_ratio, overshoot_p99, overshoot_max, drift_s, cpu_s, written_bytes as of "
                 "mimesys_run; ready_s, first_begin_s, last_begin_s (after the agreed start, by "
                 "node 0's clock), clock_offset_s, clock_uncertainty_s, clock_drift, "
                 "clock_drift_uncertainty (against node 0's), note\n"
                 "figures.result: name of the HDF5 file",
    .files = "FOLDER/result.h5: a row a slot and node: planned and given shares, operations, "
             "lateness, metrics\n"
             "FOLDER/stats-HOST.txt: a node's counters at every slot edge (stats text); "
             "stats-HOST-N.txt of several ranks a host\n"
             "FOLDER/summary.json: how it went\n"
             "~/.cache/mimesys/calibration-KEY-Ncpus.json: each machine's calibration, made if "
             "missing\n"
             "/tmp/mimesys-UID.lock: locked by whoever loads a host; MIMESYS_HOST_LOCK names "
             "another",
    .examples =
        "srun --ntasks-per-node=1 --mpi=pmix --cpu-bind=none --wait=60 mimesys_replay plan.h5 "
        "--out replay1\n"
        "mpirun -n 2 --host n1,n2 mimesys_replay a.h5 b.h5 --out replay2\n"
        "mimesys_replay --map nodes.txt --out replay3 --dry-run",
};

/* ---- what it would do ------------------------------------------------------------------------ */

/* The plans to look at: those of the map, else the arguments. */
static int list_plans(const mim_args *args, size_t *n, mim_replay_map **map)
{
    const char *path = mim_args_value(args, "map");
    char *text = NULL;
    size_t n_bytes = 0;
    *n = mim_args_n(args);
    if (!path)
        return *n ? MIM_OK : mim_fail(MIM_EUSAGE, "expected a plan, or --map FILE");
    if (*n)
        return mim_fail(MIM_EUSAGE, "--map %s: expected no plan beside it, found %s", path,
                        mim_args_at(args, 0));
    int rc = mim_read_file(path, MIM_REPLAY_MAP_BYTES, &text, &n_bytes);
    if (rc == MIM_OK)
        rc = mim_replay_map_create(path, text, map);
    if (rc == MIM_OK)
        *n = mim_replay_map_n(*map);
    free(text);
    return rc;
}

/* Looks at one plan as a node like this one would; a line about it goes to `out`. */
static int look_at(const char *path, mim_replay *r, FILE *out)
{
    char memory[MIM_BYTES_TEXT_BYTES], scratch[MIM_BYTES_TEXT_BYTES];
    const double first_s = r->loaded.slot_s;
    mim_loaded_plan_clear(&r->loaded);
    int rc = mim_replay_load(r, path);
    if (rc != MIM_OK)
        return mim_fail_in(rc, "%s", path);
    if (first_s > 0.0 && r->loaded.slot_s != first_s)
        return mim_fail(MIM_EUSAGE,
                        "%s: has slots of %g s, the one before of %g s; --slot sets one for all",
                        path, r->loaded.slot_s, first_s);
    fprintf(
        out,
        "plan %s: %zu windows, %zu threads, %zu stressors, %.0f s in slots of %g s; needs %s of "
        "memory and scratch files of %s\n",
        path, mim_plan_n_windows(r->loaded.plan), mim_plan_n_threads(r->loaded.plan),
        mim_plan_n_stressors(r->loaded.plan), r->loaded.duration_s, r->loaded.slot_s,
        mim_bytes_text((double)r->loaded.need.memory_bytes, memory),
        mim_bytes_text((double)r->loaded.need.scratch_bytes, scratch));
    return MIM_OK;
}

/* The command that submits just this, to be pasted into a shell. */
static void print_sbatch(const mim_args *args, long long n_nodes, double duration_s)
{
    printf("sbatch --nodes=%lld --ntasks-per-node=1 --exclusive --time=%d --wrap=\"srun "
           "--mpi=pmix --cpu-bind=none --wait=60 mimesys_replay",
           n_nodes, (int)ceil(duration_s / 60.0) + 5);
    mim_args_print(args, true, stdout);
    printf("\"\n");
}

static void print_dry_run(const mim_replay *r, const char *plans, size_t n_plans, double longest_s)
{
    const long long asked = mim_config_int(r->config, "replay.nodes");
    const long long n_nodes = asked > 0 ? asked : (long long)n_plans;
    printf("%swould run %.0f s on %lld node%s like this one (%zu CPUs of %s)\n", plans, longest_s,
           n_nodes, n_nodes == 1 ? "" : "s", r->machine->n_cpus, r->machine->cpu_model);
    print_sbatch(r->args, n_nodes, longest_s);
}

static int check_plans(mim_replay *r, size_t n, const mim_replay_map *map)
{
    double longest_s = 0;
    char *lines = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&lines, &n_bytes);
    int rc = out ? mim_machine_create(r->limits.max_cpus, &r->machine)
                 : mim_fail(MIM_ENOMEM, "a line a plan");
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        rc = look_at(map ? mim_replay_map_plan(map, i) : mim_args_at(r->args, i), r, out);
        if (rc != MIM_OK && map)
            mim_fail_in(rc, "%s:%zu", mim_args_value(r->args, "map"), mim_replay_map_line(map, i));
        longest_s = fmax(longest_s, r->loaded.duration_s);
    }
    if (out && fclose(out) != 0 && rc == MIM_OK)
        rc = mim_fail(MIM_ENOMEM, "a line a plan");
    if (rc == MIM_OK)
        print_dry_run(r, lines, n, longest_s);
    free(lines);
    return rc;
}

static int dry_run(const mim_args *args, mim_log *log)
{
    mim_replay r = {
        .args = args, .config = mim_args_config(args), .log = log, .host_fd = -1, .folder_fd = -1};
    mim_replay_map *map = NULL;
    size_t n = 0;
    const long long n_nodes = mim_config_int(r.config, "replay.nodes");
    int rc = mim_replay_read_settings(&r);
    if (rc == MIM_OK)
        rc = list_plans(args, &n, &map);
    if (rc == MIM_OK && !map && n > 1 && n_nodes > 0 && n_nodes != (long long)n)
        rc = mim_fail(MIM_EUSAGE, "expected one plan, or one for each of %lld ranks, found %zu",
                      n_nodes, n);
    if (rc == MIM_OK)
        rc = check_plans(&r, n, map);
    mim_replay_map_destroy(&map);
    mim_replay_clear(&r);
    return rc;
}

/* ---- what it does ---------------------------------------------------------------------------- */

/* Rank 0: makes the folder, keeps other replays out of it, and sees that it can be written. */
static int open_folder(mim_replay *r)
{
    char *summary = NULL;
    mim_atomic_file *probe = NULL;
    int rc = mim_make_folder(r->folder);
    if (rc != MIM_OK)
        return rc;
    r->folder_fd = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->folder_fd >= 0 && flock(r->folder_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return mim_fail(MIM_EIO, "%s: another run is writing there", r->folder);
    if (!(summary = mim_join_path(r->folder, "summary.json")))
        return mim_fail(MIM_ENOMEM, "a path");
    rc = mim_atomic_file_open(summary, &probe);
    mim_atomic_file_destroy(&probe);
    free(summary);
    return rc;
}

static int begin(mim_replay *r)
{
    int rc = mim_replay_read_settings(r);
    if (rc == MIM_OK && r->rank == 0)
        rc = mim_summary_create(program.name, (uint64_t)mim_config_int(r->config, "replay.seed"),
                                r->n_ranks, r->config, &r->summary);
    return mim_agree(r->comm, rc);
}

static int run(MPI_Comm comm, const mim_args *args, mim_log *log)
{
    mim_replay r = {.comm = comm,
                    .args = args,
                    .config = mim_args_config(args),
                    .log = log,
                    .host_fd = -1,
                    .folder_fd = -1};
    MPI_Comm_rank(comm, &r.rank);
    MPI_Comm_size(comm, &r.n_ranks);
    int rc = begin(&r);
    if (rc == MIM_OK)
        rc = mim_replay_choose_plan(&r);
    if (rc == MIM_OK)
        rc = mim_agree(comm, r.rank == 0 ? open_folder(&r) : MIM_OK);
    if (rc == MIM_OK)
        rc = mim_replay_prepare(&r);
    if (rc == MIM_OK)
        rc = mim_replay_run(&r);
    if (rc == MIM_OK)
        rc = mim_replay_store(&r);
    if (rc == MIM_OK)
        rc = mim_replay_verdict(&r);
    mim_replay_clear(&r);
    return rc;
}

int main(int argc, char **argv)
{
    return mim_program_mpi_main_dry(&program, argc, argv, run, dry_run);
}
