/* The metric catalogue: name, unit, family, tier of every figure a stats text can give per slot. */
#ifndef MIM_TRACE_METRIC_H
#define MIM_TRACE_METRIC_H

#include <stdbool.h>
#include <stddef.h>

/* Families of the error tables. The first five are what a plan can be asked to imitate (targets);
 * the rest is shown for information. */
typedef enum {
    MIM_FAMILY_CPU,      /* busy share of each core, % */
    MIM_FAMILY_IO_READ,  /* block reads, KB/s (1 KB = 1024 B) */
    MIM_FAMILY_IO_WRITE, /* block writes, KB/s */
    MIM_FAMILY_MEMORY,   /* memory bandwidth, % of peak */
    MIM_FAMILY_CACHE,    /* last-level cache, and instructions, which wait for it */
    MIM_FAMILY_CAPACITY, /* memory in use, MB */
    MIM_FAMILY_NETWORK,  /* KB/s */
    MIM_FAMILY_KERNEL,   /* faults, context switches, stalls, steal */
    MIM_FAMILY_ENERGY,   /* W */
    MIM_N_FAMILIES
} mim_family;

/* Where a figure can come from. */
typedef enum {
    MIM_TIER_PROC = 1, /* unprivileged /proc and /sys */
    MIM_TIER_PERF = 2, /* perf_event */
    MIM_TIER_MSR = 3,  /* MSR, resctrl, PCI: root */
} mim_tier;

enum { MIM_METRIC_NAME_BYTES = 64 };

typedef struct mim_metric {
    char name[MIM_METRIC_NAME_BYTES]; /* "avg_cpu_utilizations_core_03", "io_read", ... */
    const char *unit;                 /* "%", "KB/s", ... (constant text) */
    mim_family family;
    mim_tier tier;
    int core; /* CPU number for per-core metrics, else -1 */
} mim_metric;

/* CPU use of a core. Names sort by number: of 2 digits, of 3 from 100 cores on (highest is the
 * largest core number there is). 0 <= core <= highest < 10^5. */
mim_metric mim_metric_of_core(int core, int highest);

const char *mim_family_name(mim_family family); /* "cpu", "io_read", ... */
bool mim_family_is_target(mim_family family);
/* For files that hold names alone: the target family of a metric, MIM_N_FAMILIES for others. */
mim_family mim_metric_target_family(const char *name);
bool mim_metric_is_target(const char *name);

#endif
