/* What this machine offers to the sampler, source by source, and why the rest is not there.
 *
 * The one place that knows: the header line `$x_tiers`, mimesys_monitor --dry-run and --json all
 * show what is in here. The sampler fills it while it opens its sources, so that "read" means that
 * the source was really opened. */
#ifndef MIM_NODE_PROBE_H
#define MIM_NODE_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

/* What a source needs. Tier 1: nothing, /proc and /sys for everybody. Tier 2: perf_event. Tier 3:
 * resctrl, powercap, registers. */
enum { MIM_PROBE_N_TIERS = 3 };

typedef struct mim_probe_source {
    unsigned tier; /* 1..MIM_PROBE_N_TIERS */
    bool is_read;
    char *name;  /* "stat", "perf", "resctrl" ... */
    char *types; /* its types in the stats text, "cpu x_cpu ps"; "" when it has none */
    char *note;  /* why it is not read, one line; else what is read of it, "" = all */
} mim_probe_source;

typedef struct mim_probe {
    size_t n_sources;
    mim_probe_source *sources;
} mim_probe;

int mim_probe_create(mim_probe **probe);
void mim_probe_destroy(mim_probe **probe);
/* Copies the texts; line ends in them become '?'. */
int mim_probe_add(mim_probe *probe, unsigned tier, const char *name, const char *types,
                  bool is_read, const char *note);
/* The text of `$x_tiers`: "1:yes(without vmstat) 2:no(perf: no hardware counters; imc: ...)
 * 3:yes(without msr: not used)". NULL when out of memory; the caller frees it. */
char *mim_probe_tiers(const mim_probe *probe);
/* A line for every source: "tier 2  perf      x_perf      not read: no hardware counters". NULL
 * when out of memory; the caller frees it. */
char *mim_probe_table(const mim_probe *probe);

#endif
