/* The simulated node: what it is, and what calibrating it gives. */
#include "node/simulated.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "node/simulated_constants.h"
#include "node/simulated_internal.h"

/* ---- size ------------------------------------------------------------------------------------ */

static bool is_in_range(const mim_simulated_size *size)
{
    return size->n_sockets >= 1 && size->n_sockets <= MIM_SIMULATED_MAX_SOCKETS &&
           size->n_cores >= 1 && size->n_cores <= MIM_SIMULATED_MAX_CPUS / size->n_sockets;
}

/* A number of at most 4 digits; what stands behind it. NULL: none. */
static const char *scan_number(const char *text, size_t *number)
{
    const char *at = text;
    *number = 0;
    for (; *at >= '0' && *at <= '9' && at < text + 4; at++)
        *number = *number * 10 + (size_t)(*at - '0');
    return at > text ? at : NULL;
}

int mim_simulated_size_parse(const char *what, const char *text, mim_simulated_size *size)
{
    mim_simulated_size found = {0, 0};
    const char *at = scan_number(text, &found.n_sockets);
    if (at && *at == 'x')
        at = scan_number(at + 1, &found.n_cores);
    if (!at || *at || !is_in_range(&found))
        return mim_fail(MIM_EUSAGE,
                        "%s: expected sockets x cores of a socket such as 2x10, 1 to %d sockets "
                        "and at most %d cores in all, found %s",
                        what, MIM_SIMULATED_MAX_SOCKETS, MIM_SIMULATED_MAX_CPUS, text);
    *size = found;
    return MIM_OK;
}

/* ---- the node -------------------------------------------------------------------------------- */

static int list_metrics(mim_simulated *node)
{
    static const mim_metric others[MIM_SIMULATED_N_NODE_METRICS] = {
        {"io_read", "KB/s", MIM_FAMILY_IO_READ, MIM_TIER_PROC, -1},
        {"io_write", "KB/s", MIM_FAMILY_IO_WRITE, MIM_TIER_PROC, -1},
        {"l3_cache_usage", "10^6 events/s", MIM_FAMILY_CACHE, MIM_TIER_MSR, -1},
        {"memory_bandwidth_read", "%", MIM_FAMILY_MEMORY, MIM_TIER_MSR, -1},
        {"memory_bandwidth_write", "%", MIM_FAMILY_MEMORY, MIM_TIER_MSR, -1},
        {"pqos_ipc", "instructions/cycle", MIM_FAMILY_CACHE, MIM_TIER_PERF, -1},
        {"pqos_llc_kb", "KB", MIM_FAMILY_CACHE, MIM_TIER_MSR, -1},
        {"pqos_misses", "1/s", MIM_FAMILY_CACHE, MIM_TIER_PERF, -1},
    };
    node->n_metrics = node->n_cpus + MIM_SIMULATED_N_NODE_METRICS;
    node->metrics = calloc(node->n_metrics, sizeof *node->metrics);
    if (!node->metrics)
        return mim_fail(MIM_ENOMEM, "%s", node->name);
    for (size_t i = 0; i < node->n_cpus; i++)
        node->metrics[i] = mim_metric_of_core((int)i, (int)node->n_cpus - 1);
    memcpy(node->metrics + node->n_cpus, others, sizeof others);
    return MIM_OK;
}

int mim_simulated_create(const mim_simulated_options *options, mim_simulated **node)
{
    const mim_simulated_size *size = &options->size;
    if (!is_in_range(size))
        return mim_fail(MIM_EINVAL, "simulated node: %zu sockets of %zu cores are out of range",
                        size->n_sockets, size->n_cores);
    mim_simulated *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "simulated node");
    const double cores = (double)size->n_cores;
    const double socket_bytes_per_s =
        ceil(cores * MIM_SIMULATED_CHANNELS_PER_CORE - 1e-9) * MIM_SIMULATED_CHANNEL_BYTES_PER_S;
    made->options = *options;
    made->n_sockets = size->n_sockets;
    made->n_cores = size->n_cores;
    made->n_cpus = size->n_sockets * size->n_cores;
    made->llc_bytes = cores * MIM_SIMULATED_LLC_BYTES_PER_CORE;
    made->bandwidth_bytes_per_s = MIM_SIMULATED_REACHABLE_BANDWIDTH * socket_bytes_per_s;
    made->peak_bytes_per_s = (double)size->n_sockets * socket_bytes_per_s;
    snprintf(made->name, sizeof made->name, "simulated-%zux%zu", size->n_sockets, size->n_cores);
    int rc = list_metrics(made);
    if (rc == MIM_OK) {
        *node = made;
        made = NULL;
    }
    mim_simulated_destroy(&made);
    return rc;
}

void mim_simulated_destroy(mim_simulated **node)
{
    if (!node || !*node)
        return;
    free((*node)->metrics);
    free(*node);
    *node = NULL;
}

const char *mim_simulated_name(const mim_simulated *node) { return node->name; }

static const char *io_mode(const mim_simulated *node)
{
    return node->options.has_carry_over ? "buffered" : "direct";
}

char *mim_simulated_host_class(const mim_simulated *node)
{
    return mim_format("simulated node %zux%zu; %zu CPUs, %zu sockets; %s I/O; simulated counters",
                      node->n_sockets, node->n_cores, node->n_cpus, node->n_sockets, io_mode(node));
}

bool mim_simulated_of_class(const char *host_class, mim_simulated_options *options)
{
    static const char beginning[] = "simulated node ";
    mim_simulated_options found = {0};
    const char *at = host_class + sizeof beginning - 1;
    bool is_it = false;
    if (strncmp(host_class, beginning, sizeof beginning - 1) != 0 ||
        !(at = scan_number(at, &found.size.n_sockets)) || *at != 'x' ||
        !scan_number(at + 1, &found.size.n_cores))
        return false;
    for (int carries = 0; !is_it && carries < 2; carries++) { /* it must be word for word */
        mim_simulated *node = NULL;
        found.has_carry_over = carries == 1;
        if (mim_simulated_create(&found, &node) != MIM_OK)
            return false;
        char *text = mim_simulated_host_class(node);
        is_it = text && strcmp(text, host_class) == 0;
        free(text);
        mim_simulated_destroy(&node);
        if (is_it)
            *options = found;
    }
    return is_it;
}

mim_simulated_ceilings mim_simulated_ceilings_of(const mim_simulated *node)
{
    return (mim_simulated_ceilings){
        .io_read_kbs = MIM_SIMULATED_DISK_READ_BYTES_PER_S / MIM_SIMULATED_KIB,
        .io_write_kbs = MIM_SIMULATED_DISK_WRITE_BYTES_PER_S / MIM_SIMULATED_KIB,
        .bandwidth_pct = 100 * MIM_SIMULATED_REACHABLE_BANDWIDTH,
        .llc_kb = (double)node->n_sockets * node->llc_bytes / MIM_SIMULATED_KIB,
        .peak_gb_s = 1e-9 * node->peak_bytes_per_s,
    };
}

/* ---- machine and calibration ----------------------------------------------------------------- */

/* What differs between nodes that need calibrations of their own. */
static void make_key(const mim_simulated *node, mim_machine *machine)
{
    char text[128];
    snprintf(text, sizeof text, "%s|%s", node->name, io_mode(node));
    snprintf(machine->key, sizeof machine->key, "%016" PRIx64,
             mim_hash_text(MIM_HASH_START, text, strlen(text)));
}

int mim_simulated_machine(const mim_simulated *node, mim_machine **machine)
{
    mim_machine *m = calloc(1, sizeof *m);
    if (!m || !(m->cpus = calloc(node->n_cpus, sizeof *m->cpus))) {
        mim_machine_destroy(&m);
        return mim_fail(MIM_ENOMEM, "%s", node->name);
    }
    m->n_cpus = node->n_cpus;
    m->n_sockets = node->n_sockets;
    for (size_t i = 0; i < node->n_cpus; i++) {
        const int socket = (int)(i / node->n_cores);
        m->cpus[i] = (mim_cpu){.os_index = (int)i, .socket = socket, .numa_node = socket};
    }
    snprintf(m->cpu_model, sizeof m->cpu_model, "simulated node %zux%zu (Skylake-SP class)",
             node->n_sockets, node->n_cores);
    m->l1d_bytes = (uint64_t)MIM_SIMULATED_L1D_BYTES;
    m->l2_bytes = (uint64_t)MIM_SIMULATED_L2_BYTES;
    m->l3_bytes = (uint64_t)node->llc_bytes;
    m->l3_sharers = (uint32_t)node->n_cores;
    m->memory_bytes = (uint64_t)(MIM_SIMULATED_MEMORY_BYTES_PER_CORE * (double)node->n_cpus);
    m->memory_available_bytes = m->memory_bytes;
    snprintf(m->kernel, sizeof m->kernel, "simulated");
    snprintf(m->hostname, sizeof m->hostname, "%s", node->name);
    make_key(node, m);
    *machine = m;
    return MIM_OK;
}

static mim_cost cost_of(const mim_simulated *node, const mim_stressor *stressor)
{
    const mim_simulated_effect e = mim_simulated_effect_of(node, stressor);
    const double disk = e.read_bytes_per_s + e.write_bytes_per_s;
    mim_cost cost = {
        .op_s = e.op_s,
        .ops_per_s = e.ops_per_s,
        .bytes_per_s = disk > 0 ? disk : e.cpu * e.bytes_per_s,
        .cpu_s_per_op = e.cpu_s_per_op,
        .device_bytes_per_op = disk > 0 ? e.op_bytes : NAN,
        .spread = 0,
        .n_repeats = 1,
    };
    snprintf(cost.stressor, sizeof cost.stressor, "%s", stressor->name);
    return cost;
}

static void describe(const mim_simulated *node, const mim_machine *machine, mim_calibration *c)
{
    const mim_simulated_ceilings ceilings = mim_simulated_ceilings_of(node);
    snprintf(c->machine_key, sizeof c->machine_key, "%s", machine->key);
    snprintf(c->cpu_model, sizeof c->cpu_model, "%s", machine->cpu_model);
    snprintf(c->kernel, sizeof c->kernel, "%s", machine->kernel);
    snprintf(c->scratch_folder, sizeof c->scratch_folder, "simulated");
    snprintf(c->io_mode, sizeof c->io_mode, "%s", io_mode(node));
    c->measured_real_s = MIM_SIMULATED_EPOCH_S;
    c->n_cpus = machine->n_cpus;
    c->n_sockets = machine->n_sockets;
    c->io_read_max_kbs = ceilings.io_read_kbs;
    c->io_write_max_kbs = ceilings.io_write_kbs;
    c->memory_read_max_gb_s = c->memory_write_max_gb_s =
        1e-9 * node->bandwidth_bytes_per_s * (double)node->n_sockets;
}

int mim_simulated_calibration(const mim_simulated *node, const mim_actions *actions,
                              mim_calibration **calibration)
{
    mim_machine *machine = NULL;
    const size_t n = actions ? mim_actions_n(actions) : mim_stressor_count();
    mim_calibration *made = calloc(1, sizeof *made);
    int rc = made && (made->costs = calloc(n, sizeof *made->costs))
                 ? mim_simulated_machine(node, &machine)
                 : mim_fail(MIM_ENOMEM, "calibration of %s", node->name);
    if (rc == MIM_OK)
        describe(node, machine, made);
    if (rc == MIM_OK)
        snprintf(made->sizes, sizeof made->sizes, "%s",
                 actions ? mim_actions_sizes(actions) : "original");
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        const mim_stressor *stressor =
            actions ? mim_actions_stressor(actions, i) : mim_stressor_at(i);
        if (stressor)
            made->costs[made->n_costs++] = cost_of(node, stressor);
    }
    mim_machine_destroy(&machine);
    if (rc == MIM_OK) {
        *calibration = made;
        made = NULL;
    }
    mim_calibration_destroy(&made);
    return rc;
}
