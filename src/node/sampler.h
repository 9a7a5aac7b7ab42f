/* The sampler: this node's counters as stats text (HPCPerfStats 2.4 plus own x_ types).
 *
 * Files are opened once and read again at every sample; nothing is allocated after the first one,
 * unless a device appears (looked for after every 16th sample) or text has not been flushed.
 * Needs no privileges; what the node does not offer (perf_event, MSR, resctrl) is named in the
 * header line `$x_tiers` and absent from the records. */
#ifndef MIM_NODE_SAMPLER_H
#define MIM_NODE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"
#include "trace/stats.h"

typedef struct mim_sampler_options {
    const char *job;       /* job id in the records, NULL = "0" */
    const char *hostname;  /* NULL = this node's */
    const char *machine;   /* text of the `$x_machine` header line, NULL = none */
    const char *contained; /* text of the `$x_contain` header line, NULL = none */
    bool is_strict; /* only the 2.4 types and header lines: for readers of the original format */
    /* Extra types of the caller, e.g. the executor's, in `schema` form as in the file:
     * NULL-terminated pairs {"x_slot", "planned_us,E busy_us,E"}. NULL = none. */
    const char *const (*extra_types)[2];
    const char *proc_root, *sys_root; /* NULL = "/proc", "/sys"; tests point them at fixtures */
} mim_sampler_options;

typedef struct mim_sampler_row {
    const char *type, *device;
    size_t n_values;
    const uint64_t *values;
} mim_sampler_row;

typedef struct mim_sampler mim_sampler;

int mim_sampler_create(const mim_sampler_options *options, mim_sampler **sampler);
void mim_sampler_destroy(mim_sampler **sampler);
/* Puts the header into the text. Call once, before the first sample; who continues a file flushes
 * it elsewhere (node/record_file.h compares it with that file's). */
int mim_sampler_header(mim_sampler *sampler);
/* Takes one sample (time stamp first) with an optional mark and the caller's rows. What cannot be
 * read this time is absent from the record. MIM_EINVAL: a row of a type that was not declared at
 * create, or with another number of values; no record is begun then. In a strict file the rows of
 * extra types are left out. */
int mim_sampler_take(mim_sampler *sampler, const char *mark, size_t n_rows,
                     const mim_sampler_row *rows);
/* Writes what was gathered since the last flush. */
int mim_sampler_flush(mim_sampler *sampler, FILE *out);
/* Text of the `$x_tiers` line: "1:yes 2:no(perf_event: ...) 3:no(msr: ...; resctrl: ...; powercap:
 * ...)"; "1:yes(without vmstat)" where sources of tier 1 are missing. Owned by the sampler. */
const char *mim_sampler_tiers(const mim_sampler *sampler);

#endif
