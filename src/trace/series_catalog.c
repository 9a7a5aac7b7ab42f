/* Which metrics a stats text can give, from its types and keys. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/series_internal.h"

/* ---- channels ---------------------------------------------------------------------------------
 */

static unsigned width_of(const mim_stats *stats, size_t type, size_t key)
{
    return mim_stats_key(stats, type, key)->width_bits;
}

int mim_series_add_channel(const mim_stats *stats, mim_series_plan *plan, const mim_channel *model,
                           const char *type_name, size_t n_keys, const mim_key_term *keys)
{
    mim_channel channel = *model;
    channel.type = mim_stats_find_type(stats, type_name);
    if (channel.type == SIZE_MAX || mim_stats_n_devices(stats, channel.type) == 0)
        return MIM_OK;
    for (size_t i = 0; i < n_keys; i++) {
        size_t key = mim_stats_find_key(stats, channel.type, keys[i].name);
        if (key == SIZE_MAX)
            return MIM_OK;
        channel.keys[i] = key;
        channel.factor[i] = keys[i].factor;
        channel.width_bits[i] = width_of(stats, channel.type, key);
    }
    channel.n_keys = n_keys;
    channel.metric.core = -1;
    if (plan->n_channels == plan->capacity) {
        size_t capacity = 2 * plan->capacity + 16;
        mim_channel *channels = realloc(plan->channels, capacity * sizeof *channels);
        if (!channels)
            return mim_fail(MIM_ENOMEM, "channels of the series");
        plan->channels = channels;
        plan->capacity = capacity;
    }
    size_t n_devices = mim_stats_n_devices(stats, channel.type);
    channel.states = calloc(n_devices, sizeof *channel.states);
    bool *counted = channel.counted ? malloc(n_devices * sizeof *counted) : NULL;
    if (!channel.states || (channel.counted && !counted)) {
        free(channel.states);
        free(counted);
        return mim_fail(MIM_ENOMEM, "%zu devices of %s", n_devices, type_name);
    }
    if (counted)
        memcpy(counted, channel.counted, n_devices * sizeof *counted);
    channel.counted = counted;
    plan->channels[plan->n_channels++] = channel;
    return MIM_OK;
}

/* What no device does, per second: a counter that grows faster was set anew or is wrong. Well above
 * any device there is, so that nothing real is lost. */
static const double max_sectors = 2e9;      /* 1e9 KB/s of a disk */
static const double max_net_bytes = 1024e9; /* 1e9 KB/s of an interface */
static const double max_events = 1e12;      /* of the kernel */
static const double max_stall_us = 2e6;     /* twice the time that passes */
static const double max_steal_cs = 200;     /* likewise */
static const double max_own_us = 2e6 * MIM_SERIES_MAX_CPUS;

mim_channel mim_series_rate(const char *name, const char *unit, mim_family family, mim_tier tier,
                            double scale)
{
    mim_channel channel = {.scale = scale,
                           .metric = {.unit = unit, .family = family, .tier = tier, .core = -1}};
    snprintf(channel.metric.name, sizeof channel.metric.name, "%s", name);
    return channel;
}

/* ---- disks, network, kernel -------------------------------------------------------------------
 */

static int add_disks(const mim_stats *stats, mim_series_plan *plan, const char *disks)
{
    size_t type = mim_stats_find_type(stats, "block"), n = 0;
    bool *counted = NULL;
    if (type == SIZE_MAX)
        return disks ? mim_fail(MIM_EUSAGE, "disks: the file has no block devices") : MIM_OK;
    int rc = mim_series_choose_disks(stats, type, disks, &counted, &n);
    if (rc == MIM_OK && n > 0) {
        mim_channel read =
            mim_series_rate("io_read", "KB/s", MIM_FAMILY_IO_READ, MIM_TIER_PROC, 0.5);
        mim_channel write =
            mim_series_rate("io_write", "KB/s", MIM_FAMILY_IO_WRITE, MIM_TIER_PROC, 0.5);
        read.counted = write.counted = counted;
        read.max_per_s = write.max_per_s = max_sectors;
        rc = mim_series_add_channel(stats, plan, &read, "block", 1,
                                    &(mim_key_term){"rd_sectors", 1});
        if (rc == MIM_OK)
            rc = mim_series_add_channel(stats, plan, &write, "block", 1,
                                        &(mim_key_term){"wr_sectors", 1});
    }
    free(counted);
    return rc;
}

static int add_network(const mim_stats *stats, mim_series_plan *plan)
{
    size_t type = mim_stats_find_type(stats, "net"), n_outer = 0;
    size_t n = type == SIZE_MAX ? 0 : mim_stats_n_devices(stats, type);
    bool *outer = calloc(n + 1, sizeof *outer), *loopback = calloc(n + 1, sizeof *loopback);
    int rc = outer && loopback ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu network interfaces", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        loopback[i] = strcmp(mim_stats_device(stats, type, i), "lo") == 0;
        outer[i] = !loopback[i];
        n_outer += outer[i];
    }
    static const struct {
        const char *name, *key;
        bool is_outer;
    } figures[] = {
        {"net_rx", "rx_bytes", true}, {"net_tx", "tx_bytes", true}, {"net_lo", "tx_bytes", false}};
    for (size_t i = 0; rc == MIM_OK && i < sizeof figures / sizeof *figures; i++) {
        mim_channel channel =
            mim_series_rate(figures[i].name, "KB/s", MIM_FAMILY_NETWORK, MIM_TIER_PROC, 1.0 / 1024);
        channel.counted = figures[i].is_outer ? outer : loopback;
        channel.max_per_s = max_net_bytes;
        if (figures[i].is_outer ? n_outer > 0 : n > n_outer)
            rc = mim_series_add_channel(stats, plan, &channel, "net", 1,
                                        &(mim_key_term){figures[i].key, 1});
    }
    free(outer);
    free(loopback);
    return rc;
}

static int add_kernel(const mim_stats *stats, mim_series_plan *plan)
{
    static const struct {
        const char *name, *type, *key;
    } figures[] = {{"context_switches", "ps", "ctxt"},
                   {"page_faults", "vm", "pgfault"},
                   {"page_faults_major", "vm", "pgmajfault"}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        mim_channel channel =
            mim_series_rate(figures[i].name, "1/s", MIM_FAMILY_KERNEL, MIM_TIER_PROC, 1);
        channel.max_per_s = max_events;
        int rc = mim_series_add_channel(stats, plan, &channel, figures[i].type, 1,
                                        &(mim_key_term){figures[i].key, 1});
        if (rc != MIM_OK)
            return rc;
    }
    mim_channel used =
        mim_series_rate("mem_used_mb", "MB", MIM_FAMILY_CAPACITY, MIM_TIER_PROC, 1.0 / 1024);
    static const mim_key_term terms[] = {{"MemTotal", 1}, {"MemFree", -1}, {"FilePages", -1}};
    used.is_gauge = true;
    return mim_series_add_channel(stats, plan, &used, "mem", 3, terms);
}

/* Shares of time that tasks stood still for want of something. */
static int add_stalls(const mim_stats *stats, mim_series_plan *plan)
{
    static const char *const devices[] = {"cpu", "io", "memory"};
    static const char *const keys[][2] = {{"some_us", "some"}, {"full_us", "full"}};
    size_t type = mim_stats_find_type(stats, "x_psi");
    size_t n = type == SIZE_MAX ? 0 : mim_stats_n_devices(stats, type);
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && n > 0 && i < 6; i++) {
        size_t device = mim_stats_find_device(stats, type, devices[i / 2]);
        bool *counted = device == SIZE_MAX ? NULL : calloc(n, sizeof *counted);
        char name[MIM_METRIC_NAME_BYTES];
        if (device == SIZE_MAX)
            continue;
        if (!counted)
            return mim_fail(MIM_ENOMEM, "%zu stall figures", n);
        counted[device] = true;
        snprintf(name, sizeof name, "psi_%s_%s", devices[i / 2], keys[i % 2][1]);
        mim_channel channel = mim_series_rate(name, "%", MIM_FAMILY_KERNEL, MIM_TIER_PROC, 1e-4);
        channel.counted = counted;
        channel.max_per_s = max_stall_us;
        rc = mim_series_add_channel(stats, plan, &channel, "x_psi", 1,
                                    &(mim_key_term){keys[i % 2][0], 1});
        free(counted);
    }
    return rc;
}

static int add_disturbance(const mim_stats *stats, mim_series_plan *plan)
{
    mim_channel steal = mim_series_rate("steal_pct", "%", MIM_FAMILY_KERNEL, MIM_TIER_PROC, 1);
    mim_channel own = mim_series_rate("own_cpu", "us/s", MIM_FAMILY_KERNEL, MIM_TIER_PROC, 1);
    steal.is_mean = true; /* hundredths of a second a second: % */
    steal.max_per_s = max_steal_cs;
    own.max_per_s = max_own_us;
    own.is_hidden = true;
    size_t before = plan->n_channels;
    int rc = mim_series_add_channel(stats, plan, &steal, "x_cpu", 1, &(mim_key_term){"steal", 1});
    if (rc == MIM_OK && plan->n_channels > before)
        plan->steal_channel = before;
    before = plan->n_channels;
    if (rc == MIM_OK)
        rc = mim_series_add_channel(stats, plan, &own, "x_slot", 1,
                                    &(mim_key_term){"own_cpu_us", 1});
    if (rc == MIM_OK && plan->n_channels > before)
        plan->own_channel = before;
    return rc;
}

/* ---- processors -------------------------------------------------------------------------------
 */

int mim_series_device_number(const char *name)
{
    int number = 0;
    if (!isdigit((unsigned char)*name) || (name[0] == '0' && name[1] != '\0') || strlen(name) > 5)
        return -1;
    for (; isdigit((unsigned char)*name); name++)
        number = number * 10 + (*name - '0');
    return *name == '\0' && number < MIM_SERIES_MAX_CPUS ? number : -1;
}

static int add_cpus(const mim_stats *stats, mim_series_plan *plan)
{
    static const char *const keys[MIM_CPU_KEYS] = {"idle",   "iowait", "user",   "nice",
                                                   "system", "irq",    "softirq"};
    size_t type = mim_stats_find_type(stats, "cpu");
    if (type == SIZE_MAX || mim_stats_n_devices(stats, type) == 0)
        return MIM_OK;
    for (size_t i = 0; i < MIM_CPU_KEYS; i++) {
        plan->cpu_keys[i] = mim_stats_find_key(stats, type, keys[i]);
        if (plan->cpu_keys[i] != SIZE_MAX)
            plan->cpu_width_bits[i] = width_of(stats, type, plan->cpu_keys[i]);
        else if (i == MIM_CPU_IDLE)
            return MIM_OK;
    }
    size_t n = mim_stats_n_devices(stats, type);
    plan->cpu_columns = malloc(n * sizeof *plan->cpu_columns);
    plan->cpu_numbers = malloc(n * sizeof *plan->cpu_numbers);
    plan->cpu_states = calloc(n, sizeof *plan->cpu_states);
    if (!plan->cpu_columns || !plan->cpu_numbers || !plan->cpu_states)
        return mim_fail(MIM_ENOMEM, "%zu CPUs", n);
    for (size_t i = 0; i < n; i++) {
        plan->cpu_columns[i] = SIZE_MAX;
        plan->cpu_numbers[i] = mim_series_device_number(mim_stats_device(stats, type, i));
    }
    plan->cpu_type = type;
    plan->n_cpus = n;
    return MIM_OK;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

int mim_series_plan_create(const mim_stats *stats, const mim_series_options *options,
                           mim_series_plan **plan)
{
    mim_series_plan *p = calloc(1, sizeof *p);
    if (!p)
        return mim_fail(MIM_ENOMEM, "plan of the series");
    p->cpu_type = p->others_column = p->steal_channel = p->own_channel = SIZE_MAX;
    p->ipc_column = p->cycles_channel = p->instructions_channel = SIZE_MAX;
    int rc = add_cpus(stats, p);
    if (rc == MIM_OK)
        rc = add_disks(stats, p, options ? options->disks : NULL);
    if (rc == MIM_OK)
        rc = add_network(stats, p);
    if (rc == MIM_OK)
        rc = add_kernel(stats, p);
    if (rc == MIM_OK)
        rc = add_stalls(stats, p);
    if (rc == MIM_OK)
        rc = add_disturbance(stats, p);
    if (rc == MIM_OK)
        rc = mim_series_add_hardware(stats, options, p);
    if (rc == MIM_OK) {
        *plan = p;
        p = NULL;
    }
    mim_series_plan_destroy(&p);
    return rc;
}

void mim_series_plan_destroy(mim_series_plan **plan)
{
    if (!plan || !*plan)
        return;
    for (size_t i = 0; i < (*plan)->n_channels; i++) {
        free((*plan)->channels[i].counted);
        free((*plan)->channels[i].states);
    }
    free((*plan)->channels);
    free((*plan)->cpu_columns);
    free((*plan)->cpu_numbers);
    free((*plan)->cpu_states);
    free(*plan);
    *plan = NULL;
}
