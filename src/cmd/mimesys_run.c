/* mimesys_run: runs a plan on this node, or calibrates the node. */
#include <stdlib.h>

#include "cmd/program_main.h"
#include "cmd/run_job.h"
#include "fleet/settings.h"
#include "node/host_lock.h"
#include "node/settings.h"

static const mim_option run_options[] = {
    {"run", "slot_s", MIM_OPTION_REAL, "s", "0", 0, 86400, NULL, NULL,
     "length of a slot, 0 = run.slot_us, else what the plan says, else 1 (--compat: 2)"},
    {"run", "slot_us", MIM_OPTION_INT, "us", "0", -9e15, 8.64e10, NULL, "MIMESYS_SLOT_US",
     "the same in microseconds; 0 and below are ignored"},
    {"run", "iters", MIM_OPTION_INT, "", "1", 1, 1000000, NULL, "MIMESYS_ITERS",
     "passes over the plan's windows"},
    {"run", "idle_slot", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, "MIMESYS_SLEEP",
     "one idle slot after each pass (--compat: true unless set)"},
    {"run", "seed", MIM_OPTION_INT, "", "1", 0, 9e15, NULL, NULL,
     "seed of buffer contents and offsets, and of --compat's shuffle"},
    {"run", "actions", MIM_OPTION_TEXT, "", "20", 0, 0, NULL, "ACTION_LIST_PATH",
     "action list of plans that do not name theirs: " MIM_ACTIONS_WORDS " or a file"},
    {"run", "node", MIM_OPTION_CHOICE, "", "this", 0, 0, "this|simulated", NULL,
     "where the plan runs: on this node, or on a simulated one (nothing runs)"},
    {"run", "out", MIM_OPTION_TEXT, "", "", 0, 0, NULL, "PROFILED_STATS_DIR",
     "folder for the results, empty = ./run-<plan>"},
    {"run", "sample", MIM_OPTION_BOOL, "", "true", 0, 0, NULL, "MIMESYS_INTERNAL_PROFILING",
     "record this node's counters at every slot edge"},
    {"run", "wait_s", MIM_OPTION_REAL, "s", "3600", 0, 1e9, NULL, NULL,
     "wait so long for other programs that load this host, 0 = not at all"},
    {"run", "start_file", MIM_OPTION_TEXT, "", "", 0, 0, NULL, NULL,
     "start together with another program: write 1 into this file when ready, wait for its 2"},
    {"run", "start_wait_s", MIM_OPTION_REAL, "s", "300", 0, 1e9, NULL, NULL,
     "wait so long for the 2"},
    {"run", "repeat_disturbed", MIM_OPTION_INT, "", "0", 0, 1000, NULL, NULL,
     "more runs at most until every window has an undisturbed slot"},
    {"run", "closed_loop", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "take less of a CPU where others use it, so that it is busy as planned"},
    {"run", "loop_gain", MIM_OPTION_REAL, "", "0.5", 0.01, 1, NULL, NULL,
     "closed loop: part of the last slot's error that the next slot corrects"},
    {"run", "compat", MIM_OPTION_BOOL, "", "false", 0, 0, NULL, NULL,
     "the original's dispatch instead of metered shares"},
    {"run", "warm_up_s", MIM_OPTION_REAL, "s", "5", 0, 3600, NULL, NULL,
     "--compat: run the first window so long before slot 0"},
    {"run", "cost_folder", MIM_OPTION_TEXT, "", "profiled_stats", 0, 0, NULL,
     "ACTION_PROFILING_CACHE_DIR", "--compat: folder of the cost file profiling_cache.txt"},
    {NULL, NULL, MIM_OPTION_TEXT, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const mim_option *const tables[] = {run_options,
                                           mim_stressor_settings,
                                           mim_scratch_settings,
                                           mim_limits_options,
                                           mim_calibrate_settings,
                                           mim_contain_options,
                                           mim_simulated_settings,
                                           NULL};

static const mim_flag flags[] = {
    {"slot", "SECONDS", "run.slot_s", false, "length of a slot"},
    {"iters", "N", "run.iters", false, "passes over the plan's windows"},
    {"seed", "N", "run.seed", false, "seed of buffer contents and offsets, and of the shuffle"},
    {"out", "DIR", "run.out", false, "folder for the results (default ./run-<plan>)"},
    {"compat", NULL, "run.compat", false, "the original's dispatch instead of metered shares"},
    {"job", "ID", NULL, false, "job id in the stats text (default the plan's name)"},
    {"calibration", "FILE", NULL, false, "calibration to use or to write"},
    {"calibrate", NULL, NULL, false, "measure this machine instead of running a plan"},
    {"check", NULL, NULL, false, "with --calibrate: only see whether the stored one holds"},
    {NULL, NULL, NULL, false, NULL},
};

static const char *const synopsis[] = {
    "PLAN.h5 [--out DIR] [--slot S] [--iters N] [--compat] [--seed N]",
    "--calibrate [--calibration FILE] [--check]",
    "PLAN.h5 --set run.node=simulated [--set simulated.size=2x10]",
    NULL,
};

static const mim_topic topics[] = {
    {"CALIBRATION",
     "I/O stressors need to know how fast this machine is: --calibrate measures and keeps it\n"
     "under ~/.cache/mimesys. Without one that is of this machine, kernel and scratch folder "
     "and\n"
     "not stale ([calibrate]), a run measures what it needs first. A stressor whose repeats do\n"
     "not agree (3), or that others disturbed all the time (4), is refused, unless\n"
     "calibrate.allow_unstable is true. With --check two stressors are measured again and\n"
     "compared with what is stored: 0 it holds, 3 it does not, 4 it cannot be told now."},
    {"STRESSORS",
     "A plan's columns are the stressors of an action list: 20 (the default), its forerunners\n"
     "19, 13 and 13b, or extended: every stressor of the original and, named MIM_, those it\n"
     "lacks: memory by cache level and to another NUMA node, page faults, mappings, context\n"
     "switches, page cache, file names, mixed I/O, TCP streams. ini/actions-extended.txt tells\n"
     "what each is. What a node cannot run (no second NUMA node, no stressors.network_peer, no\n"
     "O_DIRECT) is left out of a calibration; a plan that uses it is refused (4).\n\n"
     "stressors.sizes = node gives the original's cache-level stressors working sets by this\n"
     "node's caches; such a calibration is kept apart, and other sizes never use it."},
    {"DISTURBED SLOTS",
     "Each slot is marked in the result as undisturbed or not: steal at most 1 % and no more\n"
     "than 2 % of the CPUs' time used by others. With run.repeat_disturbed = N the plan runs\n"
     "up to N more times, whole, until every window has an undisturbed slot in some run; the\n"
     "summary lists the windows that still lack one.\n\n"
     "With run.closed_loop each CPU's stressors take less of it by what others were seen to\n"
     "use in the slots before, so that its utilisation, not the stressors' own share, is the\n"
     "planned one. That helps on a node with a steady load of its own (daemons, a file\n"
     "server, a neighbour job); on a quiet node it changes nothing, and a load that comes and\n"
     "goes from slot to slot is met one slot late."},
    {"STARTING WITH ANOTHER PROGRAM",
     "With run.start_file the run starts together with another program: 0 is written there\n"
     "at once, 1 when everything is ready, and slot 0 begins when the other side has written\n"
     "2. A signal or run.start_wait_s ends the waiting; then 0 stands there again."},
    {"THE ORIGINAL'S DISPATCH",
     "--compat dispatches as the original does: weights become counts of entries by a table\n"
     "of costs, one shuffle by --seed, equal slices of wall time in one pass, sleeps that are\n"
     "not cut, slots that end when the slowest thread comes back and are shortened when that\n"
     "was late. Shares then are the weights only where all costs of a row are equal, and the\n"
     "size of a burst leaks into later stressors of its thread, as there. Its defaults are\n"
     "the original's: slots of 2 s, an idle slot after each pass, mimesys_actions.txt if it\n"
     "is here, rows of any sum, 5 s of warm-up. Costs are those of profiling_cache.txt in\n"
     "run.cost_folder, one whole number of microseconds a line, else the original's 20\n"
     "shipped ones, which are written there if the folder exists. Only the plan's own\n"
     "stressors are prepared, and all before the first slot. Differing from the original,\n"
     "counters are recorded unless run.sample (MIMESYS_INTERNAL_PROFILING) is false; its\n"
     "collector, TACC_STATS_DIR, TACC_STATS_LOG_DIR and PQOS_CPUS are not needed."},
    {"SIMULATED NODES",
     "With run.node=simulated nothing runs: a simulated node, described in [simulated], tells\n"
     "what its counters would have shown. Its files' names and what is printed say so.\n"
     "[limits], [scratch] and calibrations do not matter then; --seed chooses other noise."},
    {NULL, NULL},
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
        "While it runs, the program keeps itself within what the plan needs ([contain]): by a\n"
        "control group of its own where one can be made (root, a delegated scope such as\n"
        "systemd-run --user --scope -p Delegate=yes, a batch job that was given its group),\n"
        "and by resource limits everywhere.\n"
        "SIGTERM, SIGINT and SIGUSR1 end the run; what was measured so far is stored (75).\n\n"
        "One program of a user loads a host at a time: a run and a calibration wait for others,\n"
        "and for mimesys_collect's plan, up to run.wait_s (then 4); the log says for whom.\n\n"
        "A CPU that is taken away during a run is told in the log and the result; its thread\n"
        "goes on where the system puts it. --log-level debug tells every slot's dispatch,\n"
        "overrun and lateness.",
    .topics = topics,
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
                 "figures.n_accepted: slots that nobody disturbed, null when not known\n"
                 "figures.n_runs: runs of the plan, the repetitions included\n"
                 "figures.windows_lacking: windows without such a slot in any run, null when not "
                 "known\n"
                 "figures.note: why a ceiling stopped some of the I/O, or null\n"
                 "figures.cpu_note: CPUs that were taken away during the run, or null\n"
                 "figures.node: name of the node, simulated-SIZE when nothing ran\n"
                 "figures.contain.applied: what the run was kept within\n"
                 "figures.contain.missing: why not more, or null\n"
                 "figures.stats, figures.result: names of the files\n"
                 "with --calibrate:\n"
                 "figures.calibration: name of the file\n"
                 "figures.n_stressors, figures.n_unstable: measured, and kept although unstable\n"
                 "figures.io_read_max_kbs, io_write_max_kbs: what the disk gives to all CPUs\n"
                 "figures.memory_read_max_gb_s, memory_write_max_gb_s: what memory gives to them\n"
                 "with --calibrate --check:\n"
                 "figures.holds: true, false, or null when it cannot be told now\n"
                 "figures.why: what differs, or null",
    .files = "DIR/stats-PLAN.txt: this node's counters at every slot edge (stats text)\n"
             "DIR/result-PLAN.h5: planned and given shares, operations, overshoot, disturbance\n"
             "DIR/summary.json: how it went\n"
             "DIR/again-1, DIR/again-2 ...: the same of repeated runs, each with its plan\n"
             "profiled_stats/profiling_cache.txt: costs of --compat\n"
             "DIR/stats-simulated-PLAN.txt, DIR/result-simulated-PLAN.h5: the same of a simulated\n"
             "  node (DIR is ./run-simulated-PLAN then)\n"
             "~/.cache/mimesys/calibration-KEY-Ncpus.json: this machine's calibration; "
             "calibration-KEY-Ncpus-node.json with stressors.sizes = node\n"
             "/tmp/mimesys-UID.lock: locked by whoever loads this host; MIMESYS_HOST_LOCK names "
             "another",
    .examples = "mimesys_run --calibrate\n"
                "mimesys_run --calibrate --set run.actions=extended\n"
                "mimesys_run --calibrate --check || mimesys_run --calibrate\n"
                "mimesys_run plan.h5 --out run1\n"
                "mimesys_run plan.h5 --set limits.disk_write=64G --set limits.cpus=1\n"
                "mimesys_run plan.h5 --compat --seed 7 --out run-compat\n"
                "mimesys_run plan.h5 --set run.repeat_disturbed=3\n"
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
    mim_contain_destroy(&j->contain);
    mim_summary_destroy(&j->summary);
    mim_simulated_destroy(&j->simulated);
    mim_config_destroy(&j->config);
    mim_run_output_clear(&j->output);
    free(j->compat_cost_us);
    free(j->name);
    free(j->job_id);
    mim_host_lock_release(&j->host_fd);
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
    mim_run_job j = {.program = program.name,
                     .args = args,
                     .log = log,
                     .host_fd = -1,
                     .output = {.lock_fd = -1}};
    int rc = mim_config_copy(mim_args_config(args), &j.config);
    if (rc == MIM_OK) {
        mim_limits_get(j.config, &j.limits);
        j.is_compat = mim_config_bool(j.config, "run.compat");
        rc = j.is_compat ? mim_run_compat_defaults(&j) : MIM_OK;
    }
    if (rc == MIM_OK)
        rc = mim_run_find_machine(&j);
    if (rc == MIM_OK)
        rc = open_actions(&j);
    if (rc == MIM_OK)
        rc = mim_summary_create(program.name, (uint64_t)mim_config_int(j.config, "run.seed"), 1,
                                j.config, &j.summary);
    if (rc == MIM_OK && mim_args_has(args, "check") && !mim_args_has(args, "calibrate"))
        rc = mim_fail(MIM_EUSAGE, "--check: expected together with --calibrate");
    if (rc == MIM_OK)
        rc = mim_args_has(args, "calibrate") ? mim_run_calibrate(&j) : mim_run_plan(&j);
    job_clear(&j);
    return rc;
}

int main(int argc, char **argv) { return mim_program_main(&program, argc, argv, run); }
