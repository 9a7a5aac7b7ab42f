#include "trace/metric.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

mim_metric mim_metric_of_core(int core, int highest)
{
    mim_metric metric = {
        .unit = "%", .family = MIM_FAMILY_CPU, .tier = MIM_TIER_PROC, .core = core};
    int digits = highest < 99 ? 2 : highest < 999 ? 3 : highest < 9999 ? 4 : 5;
    assert(core >= 0 && core <= highest && highest < 100000);
    snprintf(metric.name, sizeof metric.name, "avg_cpu_utilizations_core_%0*d", digits, core);
    return metric;
}

const char *mim_family_name(mim_family family)
{
    static const char *const names[MIM_N_FAMILIES] = {
        [MIM_FAMILY_CPU] = "cpu",           [MIM_FAMILY_IO_READ] = "io_read",
        [MIM_FAMILY_IO_WRITE] = "io_write", [MIM_FAMILY_MEMORY] = "memory",
        [MIM_FAMILY_CACHE] = "cache",       [MIM_FAMILY_CAPACITY] = "capacity",
        [MIM_FAMILY_NETWORK] = "network",   [MIM_FAMILY_KERNEL] = "kernel",
        [MIM_FAMILY_ENERGY] = "energy"};
    assert(family >= 0 && family < MIM_N_FAMILIES);
    return names[family];
}

bool mim_family_is_target(mim_family family) { return family <= MIM_FAMILY_CACHE; }

mim_family mim_metric_target_family(const char *name)
{
    static const struct {
        const char *beginning;
        mim_family family;
    } targets[] = {{"avg_cpu_utilizations_core_", MIM_FAMILY_CPU},
                   {"io_read", MIM_FAMILY_IO_READ},
                   {"io_write", MIM_FAMILY_IO_WRITE},
                   {"memory_bandwidth", MIM_FAMILY_MEMORY},
                   {"l3_cache_usage", MIM_FAMILY_CACHE},
                   {"pqos_", MIM_FAMILY_CACHE}};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strncmp(name, targets[i].beginning, strlen(targets[i].beginning)) == 0)
            return targets[i].family;
    return MIM_N_FAMILIES;
}

bool mim_metric_is_target(const char *name)
{
    return mim_metric_target_family(name) != MIM_N_FAMILIES;
}
