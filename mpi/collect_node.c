/* mimesys_collect: getting to know the node of a rank. */
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/asleep.h"
#include "mpi/collect.h"
#include "mpi/hosts.h"
#include "node/host_lock.h"
#include "node/known_node.h"
#include "node/settings.h"

static const double trial_slot_s = 0.5, trial_wait_s = 3600;

int mim_collect_read_settings(mim_collect *c)
{
    const mim_config *k = c->config;
    double n_plans = (double)mim_config_int(k, "collect.n_plans");
    mim_limits_get(k, &c->limits);
    c->n_plans = n_plans > 0 ? (uint64_t)n_plans : UINT64_MAX;
    if (c->n_plans == UINT64_MAX && mim_config_real(k, "collect.max_minutes") <= 0)
        return mim_fail(MIM_EUSAGE, "collect.n_plans and collect.max_minutes: one must be above 0");
    c->measure = (mim_measure_options){
        .n_repeats = (size_t)mim_config_int(k, "collect.repeats"),
        .max_tries = (size_t)mim_config_int(k, "collect.max_tries"),
        .slot_s = mim_config_real(k, "collect.slot_s"),
        .seed = (uint64_t)mim_config_int(k, "collect.seed"),
    };
    c->proposer.sweep_share = mim_config_real(k, "collect.sweep");
    c->proposer.sweep = (mim_sweep_options){
        .seed = c->measure.seed,
        .n_threads = (size_t)mim_config_int(k, "collect.threads"),
        .n_windows = (size_t)mim_config_int(k, "collect.windows"),
        .n_weights = sizeof mim_sweep_weights / sizeof *mim_sweep_weights,
        .weights = mim_sweep_weights,
        .n_counts = (size_t)mim_config_int(k, "collect.sweep_counts"),
        .idle_end = true,
        .io_ceiling = mim_config_real(k, "collect.io_ceiling"),
    };
    c->proposer.random = (mim_random_options){
        .seed = c->measure.seed,
        .n_threads = c->proposer.sweep.n_threads,
        .n_windows = c->proposer.sweep.n_windows,
        .budget_min = mim_config_real(k, "collect.budget_min"),
        .mixed = mim_config_real(k, "collect.mixed"),
        .small_io = mim_config_real(k, "collect.small_io"),
        .idle_end = true,
        .io_ceiling = c->proposer.sweep.io_ceiling,
    };
    c->fleet_kind = mim_fleet_kind_get(k);
    int rc = mim_simulated_options_get(k, &c->simulated);
    if (rc == MIM_OK)
        rc = mim_actions_open(mim_config_text(k, "collect.actions"), &c->actions);
    return rc;
}

/* ---- the machine and what it can do ---------------------------------------------------------- */

bool mim_collect_is_simulated(const mim_collect *c)
{
    return c->fleet_kind == &mim_fleet_simulated;
}

int mim_collect_find_machine(mim_collect *c)
{
    mim_simulated *node = NULL;
    if (!mim_collect_is_simulated(c))
        return mim_machine_create(c->limits.max_cpus, &c->machine);
    int rc = mim_simulated_create(&c->simulated, &node);
    if (rc == MIM_OK)
        rc = mim_simulated_machine(node, &c->machine);
    mim_simulated_destroy(&node);
    return rc;
}

/* Calibration and kind of host of a simulated node. */
static int know_simulated(mim_collect *c, char **host_class)
{
    mim_simulated *node = NULL;
    int rc = mim_args_has(c->args, "calibration")
                 ? mim_fail(MIM_EUSAGE, "--calibration: a simulated node has its own")
                 : mim_simulated_create(&c->simulated, &node);
    if (rc == MIM_OK)
        rc = mim_simulated_calibration(node, c->actions, &c->calibration);
    if (rc == MIM_OK && !(*host_class = mim_simulated_host_class(node)))
        rc = mim_fail(MIM_ENOMEM, "host class");
    if (rc == MIM_OK && c->rank == 0)
        mim_log_info(c->log, "collect", "fleet=simulated node=%s: nothing runs",
                     mim_simulated_name(node));
    mim_simulated_destroy(&node);
    return rc;
}

/* Working sets of this node, and the peer. */
static int fit_actions(mim_collect *c)
{
    mim_actions_node node;
    mim_actions_node_get(c->config, c->machine, &node);
    return mim_actions_fit(c->actions, &node);
}

/* One rank of a host measures, the others wait asleep and then find what it stored. */
static int get_calibration(mim_collect *c)
{
    int lock = -1;
    mim_scratch *scratch = NULL;
    mim_scratch_options scratch_options;
    mim_calibrate_options options;
    mim_scratch_options_get(c->config, &c->limits, &scratch_options);
    mim_calibrate_options_get(c->config, true, &options);
    int rc = mim_host_lock_obtain(-1, c->log, &lock);
    if (rc == MIM_OK)
        rc = mim_scratch_create(&scratch_options, &scratch);
    if (rc == MIM_OK)
        rc =
            mim_calibration_obtain(c->machine, c->actions, scratch, &options,
                                   mim_args_value(c->args, "calibration"), c->log, &c->calibration);
    mim_scratch_destroy(&scratch);
    mim_host_lock_release(&lock);
    return rc;
}

static int open_fleet(mim_collect *c)
{
    mim_scratch_options scratch;
    mim_contain_settings contain;
    mim_scratch_options_get(c->config, &c->limits, &scratch);
    mim_contain_settings_get(c->config, &contain);
    const mim_fleet_options options = {
        .machine = c->machine,
        .calibration = c->calibration,
        .log = c->log,
        .limits = c->limits,
        .scratch_folder = scratch.folder,
        .io_mode = scratch.io_mode,
        .contain = contain,
        .grace_s = mim_config_real(c->config, "collect.grace_s"),
        .simulated = c->simulated,
    };
    return mim_fleet_open(c->fleet_kind, &options, &c->fleet);
}

/* Two idle slots: shows that tasks run here, and what is measured of them. */
static int try_fleet(mim_collect *c, mim_fleet_result **result)
{
    mim_plan *idle = NULL;
    mim_fleet_result *found = NULL;
    int rc = mim_plan_create(2, c->proposer.sweep.n_threads, c->actions, &idle);
    if (rc == MIM_OK) {
        const mim_fleet_task task = {
            .id = UINT64_MAX, .plan = idle, .slot_s = trial_slot_s, .n_iters = 1, .seed = 1};
        rc = mim_fleet_submit(c->fleet, &task);
    }
    if (rc == MIM_OK)
        rc = mim_fleet_poll(c->fleet, trial_wait_s, &found);
    if (rc == MIM_OK && !found)
        rc = mim_fail(MIM_EIO, "trial run: no result");
    else if (rc == MIM_OK && found->status == MIM_FLEET_STOPPED)
        rc = mim_fail(MIM_ESTOPPED, "trial run: %s; this start stored nothing", found->error);
    else if (rc == MIM_OK && found->status != MIM_FLEET_DONE)
        rc = mim_fail(found->status == MIM_FLEET_REFUSED ? MIM_EUNSUP : MIM_EIO, "trial run: %s",
                      found->error);
    mim_plan_destroy(&idle);
    if (rc == MIM_OK) {
        *result = found;
        found = NULL;
    }
    mim_fleet_result_destroy(&found);
    return rc;
}

/* Names and units of rank 0's metrics, "name\tunit\n" each. */
static char *describe_metrics(const mim_series *series)
{
    char *text = mim_strdup("");
    for (size_t i = 0; text && i < series->n_metrics; i++) {
        char *longer = mim_format("%s%s\t%s\n", text, series->metrics[i].name,
                                  series->metrics[i].unit ? series->metrics[i].unit : "");
        free(text);
        text = longer;
    }
    return text;
}

/* Cuts `text` in place; units point into it. The caller frees `metrics`. */
static int parse_metrics(char *text, mim_metric **metrics, size_t *n_metrics)
{
    size_t n = 0, i = 0;
    for (const char *at = text; *at; at++)
        n += *at == '\n';
    mim_metric *made = calloc(n ? n : 1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "%zu metrics", n);
    for (char *line = text; i < n; i++) {
        char *end = strchr(line, '\n'), *unit = strchr(line, '\t');
        *end = 0;
        *unit = 0;
        snprintf(made[i].name, sizeof made[i].name, "%s", line);
        made[i].unit = unit + 1;
        line = end + 1;
    }
    *metrics = made;
    *n_metrics = n;
    return MIM_OK;
}

static int make_layout(mim_collect *c, char *metrics_text, const char *host_class)
{
    mim_metric *metrics = NULL;
    size_t n_metrics = 0, n_threads = c->proposer.sweep.n_threads;
    int rc = parse_metrics(metrics_text, &metrics, &n_metrics);
    if (rc == MIM_OK)
        rc = mim_layout_create(n_threads, c->actions, n_metrics, metrics, c->measure.slot_s,
                               host_class, &c->layout);
    for (size_t t = 0; rc == MIM_OK && t < n_threads; t++) {
        const mim_cpu *cpu = &c->machine->cpus[t % c->machine->n_cpus];
        c->layout->thread_cpus[t] = (uint64_t)cpu->os_index;
        c->layout->thread_sockets[t] = (uint64_t)cpu->socket;
    }
    free(metrics);
    return rc;
}

/* The same layout on all ranks: that of rank 0, whose kind of host the others must be. */
static int share_layout(mim_collect *c, const mim_series *series, const char *own_class)
{
    bool is_first = c->rank == 0;
    char *metrics = is_first ? describe_metrics(series) : NULL, *first_class = NULL;
    int rc = metrics || !is_first ? MIM_OK : mim_fail(MIM_ENOMEM, "layout");
    if (rc == MIM_OK && is_first && !(first_class = mim_strdup(own_class)))
        rc = mim_fail(MIM_ENOMEM, "layout");
    rc = mim_agree(c->comm, rc);
    if (rc == MIM_OK)
        rc = mim_share_text(c->comm, 0, &metrics);
    if (rc == MIM_OK)
        rc = mim_share_text(c->comm, 0, &first_class);
    if (rc == MIM_OK) {
        if (strcmp(own_class, first_class) != 0)
            rc = mim_fail(MIM_EUSAGE, "rank %d is on another kind of host (%s) than rank 0 (%s)",
                          c->rank, own_class, first_class);
        else
            rc = make_layout(c, metrics, own_class);
        rc = mim_agree(c->comm, rc);
    }
    free(metrics);
    free(first_class);
    return rc;
}

int mim_collect_prepare(mim_collect *c)
{
    mim_fleet_result *trial = NULL;
    char *host_class = NULL;
    if (!mim_collect_is_simulated(c))
        mim_hosts_leave_core();
    int rc = mim_collect_find_machine(c);
    if (rc == MIM_OK)
        rc = fit_actions(c);
    if (rc == MIM_OK)
        rc = mim_collect_is_simulated(c) ? know_simulated(c, &host_class) : get_calibration(c);
    if (rc == MIM_OK && !host_class && !(host_class = mim_host_class(c->machine, c->calibration)))
        rc = mim_fail(MIM_ENOMEM, "host class");
    if (rc == MIM_OK)
        rc = mim_capacity_create(c->actions, c->calibration, &c->capacity);
    if (rc == MIM_OK) {
        c->proposer.actions = c->actions;
        c->proposer.capacity = c->capacity;
        if (c->proposer.sweep.n_threads == 0)
            c->proposer.sweep.n_threads = c->proposer.random.n_threads = c->machine->n_cpus;
        rc = open_fleet(c);
    }
    if (rc == MIM_OK)
        rc = try_fleet(c, &trial);
    mim_barrier_asleep(c->comm);
    rc = mim_agree(c->comm, rc);
    if (rc == MIM_OK)
        rc = share_layout(c, trial->series, host_class);
    mim_fleet_result_destroy(&trial);
    free(host_class);
    return rc;
}

void mim_collect_clear(mim_collect *c)
{
    mim_fleet_close(&c->fleet);
    mim_campaign_destroy(&c->campaign);
    mim_summary_destroy(&c->summary);
    mim_layout_destroy(&c->layout);
    mim_capacity_destroy(&c->capacity);
    mim_calibration_destroy(&c->calibration);
    mim_actions_destroy(&c->actions);
    mim_machine_destroy(&c->machine);
}
