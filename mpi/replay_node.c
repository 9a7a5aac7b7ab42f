/* mimesys_replay: the node of a rank, from its plan to the end of the run. */
#define _GNU_SOURCE /* memfd_create */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "core/signals.h"
#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/asleep.h"
#include "mpi/joint.h"
#include "mpi/replay.h"
#include "mpi/replay_map.h"
#include "node/host_lock.h"
#include "node/known_node.h"
#include "node/settings.h"

/* ---- settings and plans ---------------------------------------------------------------------- */

int mim_replay_read_settings(mim_replay *r)
{
    const mim_config *k = r->config;
    const int64_t n_nodes = mim_config_int(k, "replay.nodes");
    mim_limits_get(k, &r->limits);
    r->pace = (mim_plan_pace){
        .slot_s = mim_config_real(k, "replay.slot_s"),
        .n_iters = (size_t)mim_config_int(k, "replay.iters"),
        .idle_slot = mim_config_bool(k, "replay.idle_slot"),
        .usual_slot_s = 1.0,
        .n_runs = 1,
    };
    r->folder = mim_args_value(r->args, "out");
    if (!r->folder || !*r->folder)
        return mim_fail(MIM_EUSAGE, "expected --out FOLDER");
    if (n_nodes > 0 && r->n_ranks > 0 && n_nodes != r->n_ranks)
        return mim_fail(MIM_EUSAGE, "replay.nodes: expected %lld nodes, found %d ranks",
                        (long long)n_nodes, r->n_ranks);
    return mim_actions_open(mim_config_text(k, "replay.actions"), &r->actions);
}

/* Rank 0's map is everyone's. */
static int plan_of_map(mim_replay *r, const char *map_path)
{
    char *text = NULL;
    size_t n_bytes = 0, entry = 0;
    mim_replay_map *map = NULL;
    int rc = r->rank == 0 ? mim_read_file(map_path, MIM_REPLAY_MAP_BYTES, &text, &n_bytes) : MIM_OK;
    if ((rc = mim_agree(r->comm, rc)) == MIM_OK)
        rc = mim_share_text(r->comm, 0, &text);
    if (rc == MIM_OK)
        rc = mim_replay_map_create(map_path, text, &map);
    if (rc == MIM_OK)
        rc = mim_replay_map_choose(map, &r->hosts, r->rank, &entry);
    if (rc == MIM_OK &&
        (!(r->plan_path = mim_strdup(mim_replay_map_plan(map, entry))) ||
         !(r->map_line = mim_format("%s:%zu", map_path, mim_replay_map_line(map, entry)))))
        rc = mim_fail(MIM_ENOMEM, "%s", mim_replay_map_plan(map, entry));
    mim_replay_map_destroy(&map);
    free(text);
    return mim_agree(r->comm, rc);
}

static int plan_of_list(mim_replay *r)
{
    const size_t n = mim_args_n(r->args);
    int rc = MIM_OK;
    if (n != 1 && n != (size_t)r->n_ranks)
        rc = mim_fail(MIM_EUSAGE, "expected one plan, or one for each of %d ranks, found %zu",
                      r->n_ranks, n);
    else if (!(r->plan_path = mim_strdup(mim_args_at(r->args, n == 1 ? 0 : (size_t)r->rank))))
        rc = mim_fail(MIM_ENOMEM, "plan");
    return mim_agree(r->comm, rc);
}

/* Memory of the stats text, which a machine of many CPUs fills faster. */
static double stats_bytes(const mim_replay *r)
{
    static const double record_bytes = 8192, cpu_bytes = 256;
    return (r->loaded.duration_s / r->loaded.slot_s + 2) *
           (record_bytes + cpu_bytes * (double)r->machine->n_cpus);
}

int mim_replay_load(mim_replay *r, const char *path)
{
    mim_actions_node node;
    mim_actions_node_get(r->config, r->machine, &node);
    int rc = mim_loaded_plan_read(path, r->actions, &node, &r->pace, r->machine, &r->limits, r->log,
                                  &r->loaded);
    if (rc != MIM_OK)
        return rc;
    r->loaded.need.memory_bytes += (uint64_t)stats_bytes(r);
    return mim_limits_check(&r->limits, r->machine, &r->loaded.need, r->loaded.duration_s);
}

/* The plan's name as one word, for the stats text. */
static int name_job(mim_replay *r)
{
    if (!(r->job_id = mim_strdup(mim_basename(r->plan_path))))
        return mim_fail(MIM_ENOMEM, "job id");
    if (mim_has_suffix(r->job_id, ".h5"))
        r->job_id[strlen(r->job_id) - 3] = 0;
    for (char *at = r->job_id; *at; at++)
        if (strchr(" \t\r\n\v\f", *at))
            *at = '_';
    return MIM_OK;
}

/* What is wrong with the plan, told with the line of the map that names it. */
static int fail_of_plan(const mim_replay *r, int rc)
{
    return rc != MIM_OK && r->map_line ? mim_fail_in(rc, "%s", r->map_line) : rc;
}

static int load_plan(mim_replay *r)
{
    int rc = mim_hosts_machine(&r->hosts, r->limits.max_cpus, &r->machine);
    if (rc == MIM_OK)
        rc = fail_of_plan(r, mim_replay_load(r, r->plan_path));
    if (rc == MIM_OK)
        rc = name_job(r);
    return rc == MIM_OK ? rc : mim_fail_in(rc, "%s", r->hosts.names[r->rank]);
}

/* Slots are one after the other on all nodes at once. */
static int check_slots(mim_replay *r)
{
    double first_s = r->loaded.slot_s;
    MPI_Bcast(&first_s, 1, MPI_DOUBLE, 0, r->comm);
    int rc = MIM_OK;
    if (first_s != r->loaded.slot_s)
        rc = mim_fail(MIM_EUSAGE,
                      "%s: has slots of %g s, the plan of rank 0 of %g s; --slot sets one for all",
                      r->plan_path, r->loaded.slot_s, first_s);
    return mim_agree(r->comm, fail_of_plan(r, rc));
}

static int find_hosts(mim_replay *r)
{
    char name[MIM_HOST_BYTES] = "";
    int rc = gethostname(name, sizeof name - 1) == 0
                 ? MIM_OK
                 : mim_fail(MIM_EIO, "host name: %s", strerror(errno));
    if ((rc = mim_agree(r->comm, rc)) == MIM_OK)
        rc = mim_hosts_create(r->comm, name, &r->hosts);
    if (rc != MIM_OK || mim_config_bool(r->config, "replay.share_host"))
        return rc;
    rc = mim_agree(r->comm, mim_hosts_check_alone(&r->hosts));
    return rc == MIM_EUSAGE ? mim_fail_in(rc, "replay.share_host = false") : rc;
}

int mim_replay_choose_plan(mim_replay *r)
{
    const char *map = mim_args_value(r->args, "map");
    mim_hosts_leave_core();
    int rc = find_hosts(r);
    if (rc == MIM_OK && map && mim_args_n(r->args) > 0)
        rc = mim_fail(MIM_EUSAGE, "--map %s: expected no plan beside it, found %s", map,
                      mim_args_at(r->args, 0));
    if (rc == MIM_OK)
        rc = map ? plan_of_map(r, map) : plan_of_list(r);
    if (rc == MIM_OK)
        rc = mim_agree(r->comm, load_plan(r));
    return rc == MIM_OK ? check_slots(r) : rc;
}

/* ---- the host -------------------------------------------------------------------------------- */

static bool uses_paced(const mim_loaded_plan *loaded)
{
    const size_t n = mim_plan_n_stressors(loaded->plan);
    for (size_t i = 0; i < n * mim_plan_n_threads(loaded->plan); i++) {
        const mim_stressor *s = mim_actions_stressor(mim_plan_actions(loaded->plan), i % n);
        if (loaded->need.uses[i] && s && s->is_paced)
            return true;
    }
    return false;
}

/* The first rank of a host holds it for all of them. */
static int take_host(mim_replay *r)
{
    const double wait_s = mim_config_real(r->config, "replay.wait_s");
    int rc = MIM_OK;
    if (r->hosts.index == 0)
        rc = mim_host_lock_obtain(wait_s, r->log, &r->host_fd);
    if (rc == MIM_EUNSUP)
        rc = mim_fail_in(rc, "%s: gave up after replay.wait_s = %g s", r->hosts.names[r->rank],
                         wait_s);
    mim_barrier_asleep(r->comm);
    return mim_agree(r->comm, rc);
}

static int open_scratch(mim_replay *r)
{
    mim_scratch_options options;
    mim_scratch_options_get(r->config, &r->limits, &options);
    if (r->loaded.need.scratch_bytes == 0 && !uses_paced(&r->loaded))
        return MIM_OK;
    int rc = mim_scratch_create(&options, &r->scratch);
    if (rc == MIM_OK && mim_scratch_is_memory(r->scratch))
        mim_log_warn(r->log, "scratch",
                     "%s is in memory: I/O stressors will cause no block I/O; set scratch.folder",
                     options.folder);
    return rc;
}

static int get_calibration(mim_replay *r)
{
    mim_calibrate_options options;
    mim_calibrate_options_get(r->config, true, &options);
    if (!uses_paced(&r->loaded))
        return MIM_OK;
    return mim_calibration_obtain(r->machine, mim_plan_actions(r->loaded.plan), r->scratch,
                                  &options, mim_args_value(r->args, "calibration"), r->log,
                                  &r->calibration);
}

/* One rank of a host measures, while the others are asleep; then they find what it stored. */
static int calibrate(mim_replay *r)
{
    int rc = r->hosts.index == 0 ? get_calibration(r) : MIM_OK;
    mim_barrier_asleep(r->comm);
    rc = mim_agree(r->comm, rc);
    if (rc == MIM_OK)
        rc = r->hosts.index > 0 ? get_calibration(r) : MIM_OK;
    mim_barrier_asleep(r->comm);
    return mim_agree(r->comm, rc);
}

static int open_stats(mim_replay *r)
{
    int fd = memfd_create("mimesys-stats", MFD_CLOEXEC);
    r->stats = fd >= 0 ? fdopen(fd, "w+") : NULL;
    if (!r->stats) {
        if (fd >= 0)
            close(fd);
        return mim_fail(MIM_EIO, "stats text in memory: %s", strerror(errno));
    }
    return mim_fault("stats text in memory");
}

int mim_replay_prepare(mim_replay *r)
{
    int rc = take_host(r);
    if (rc == MIM_OK)
        rc = mim_agree(r->comm, open_scratch(r));
    if (rc == MIM_OK)
        rc = calibrate(r);
    return rc == MIM_OK ? mim_agree(r->comm, open_stats(r)) : rc;
}

/* ---- the run --------------------------------------------------------------------------------- */

typedef struct node_start {
    const mim_replay *r;
    mim_joint *joint;
} node_start;

/* Whose set-up failed, everyone must be told. */
static int agree_start(void *context, int rc, int64_t *start_ns)
{
    const node_start *s = context;
    if (rc != MIM_OK)
        rc = mim_fail_in(rc, "%s", s->r->hosts.names[s->r->rank]);
    rc = mim_joint_start(s->joint, rc, start_ns);
    if (rc == MIM_OK)
        mim_log_info(s->r->log, "replay", "%d nodes are ready and have agreed on their start",
                     s->r->n_ranks);
    return rc;
}

/* Within what this node's plan needs, for the time of the run. */
static int contain(mim_replay *r)
{
    const double n_slots = r->loaded.duration_s / r->loaded.slot_s;
    mim_contain_settings settings;
    mim_contain_need need;
    mim_contain_settings_get(r->config, &settings);
    mim_contain_need_of(r->loaded.plan, &r->loaded.need, r->machine, r->calibration, r->scratch,
                        r->limits.nice, n_slots, mim_run_result_bytes(r->loaded.plan, n_slots),
                        &need);
    return mim_contain_enter(&settings, &need, "", &r->contain);
}

static int execute(void *context, mim_joint *joint)
{
    mim_replay *r = context;
    node_start start = {r, joint};
    /* All must come to the agreement, so what went wrong here is told there. */
    const int contained = contain(r);
    if (contained != MIM_OK) {
        int64_t start_ns;
        return agree_start(&start, contained, &start_ns);
    }
    const mim_execute_options options = {
        .slot_s = r->loaded.slot_s,
        .n_iters = r->pace.n_iters,
        .idle_slot = r->pace.idle_slot,
        .nice = r->limits.nice,
        .seed = (uint64_t)mim_config_int(r->config, "replay.seed"),
        .stats = r->stats,
        .job = r->job_id,
        .agree_start = agree_start,
        .start_context = &start,
        .contained = mim_contain_applied(r->contain),
    };
    int rc = mim_execute(r->loaded.plan, r->machine, r->calibration, r->scratch, &options, r->log,
                         &r->result);
    mim_contain_leave(r->contain);
    if (rc == MIM_OK && r->result->failure) /* the others need not go on */
        rc = mim_fail(MIM_EIO, "stats text in memory: %s", r->result->failure);
    return rc == MIM_OK ? MIM_OK : mim_fail_in(rc, "%s", r->hosts.names[r->rank]);
}

int mim_replay_run(mim_replay *r)
{
    const mim_joint_options options = {
        .lead_s = mim_config_real(r->config, "replay.lead_s"),
        .slot_s = r->loaded.slot_s,
    };
    bool has_started = false;
    r->run_rc = mim_joint_run(r->comm, &options, execute, r, &r->start, &has_started);
    if (!has_started)
        return r->run_rc;
    int rc = MIM_OK;
    if (r->run_rc != MIM_OK && !(r->run_error = mim_strdup(mim_error())))
        rc = mim_fail(MIM_ENOMEM, "a sentence");
    if (!r->result) /* nothing to store of this one */
        rc = r->run_rc;
    return mim_agree(r->comm, rc);
}

int mim_replay_verdict(const mim_replay *r)
{
    const mim_run_result *result = r->result;
    const char *host = r->hosts.names[r->rank];
    if (r->run_rc != MIM_OK)
        return mim_fail(r->run_rc, "%s; %zu slots are stored", r->run_error, result->n_slots);
    if (!result->n_failed && !result->is_verified)
        return mim_fail(MIM_ECHECK, "%s: a stressor's verification failed (see the log)", host);
    if (result->is_stopped)
        return mim_fail(MIM_ESTOPPED, "stopped by a signal after %zu slots; results are in %s",
                        result->n_slots, r->folder);
    if (result->n_failed)
        return mim_fail(MIM_EIO, "%s: %zu stressors failed during the run (see the log)", host,
                        result->n_failed);
    if (result->note)
        return mim_fail(MIM_EUNSUP, "%s: some I/O was not done: %s", host, result->note);
    return MIM_OK;
}

void mim_replay_clear(mim_replay *r)
{
    mim_accept_destroy(&r->accept);
    mim_series_destroy(&r->series);
    mim_start_report_clear(&r->report);
    mim_run_result_destroy(&r->result);
    mim_contain_destroy(&r->contain);
    free(r->run_error);
    if (r->stats)
        fclose(r->stats);
    mim_calibration_destroy(&r->calibration);
    mim_scratch_destroy(&r->scratch);
    mim_host_lock_release(&r->host_fd);
    mim_loaded_plan_clear(&r->loaded);
    free(r->job_id);
    free(r->plan_path);
    free(r->map_line);
    mim_machine_destroy(&r->machine);
    mim_hosts_clear(&r->hosts);
    mim_actions_destroy(&r->actions);
    mim_summary_destroy(&r->summary);
    if (r->folder_fd >= 0)
        close(r->folder_fd);
}
