/* The sampler: this node's counters as stats text (HPCPerfStats 2.4 plus own x_ types).
 *
 * Files are opened once and read again at every sample. Nothing is allocated while sampling once
 * text is flushed after each sample; devices that appear are looked for after every 16th.
 * Needs no privileges, and uses those it has: x_perf, x_imc and x_llc count through perf_event,
 * x_resctrl and x_energy read resctrl and powercap. What the node does not offer or permit is named
 * in the header line `$x_tiers` (see node/probe.h) and absent from the records.
 *
 * x_perf (raw counters of a CPU) has the times enabled_ns and running_ns: where others use the
 * counters, too, multiply by the growth of the first over that of the second. Keys that the
 * processor cannot count are not declared. x_imc, x_llc (sums of a socket) are scaled already. */
#ifndef MIM_NODE_SAMPLER_H
#define MIM_NODE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"
#include "node/perf_group.h"
#include "node/probe.h"
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
    /* Types of which only slow changes matter (sysv_shm, tmpfs, vfs) are read, and are in the
     * record, once in so many seconds; the header line `$x_slow_s 10 sysv_shm tmpfs vfs` says so.
     * 0 = in every record, as always in a strict file. */
    double slow_s;
    double peak_bandwidth_gb_s; /* of this node's memory, for `$x_peak_bandwidth_gb_s`; 0 = none */
    /* NULL = "/proc", "/sys", the kernel's; tests give files and counters of other machines. With
     * other roots and no calls, perf_event is not asked. */
    const char *proc_root, *sys_root;
    const mim_perf_calls *perf;
} mim_sampler_options;

typedef struct mim_sampler_row {
    const char *type, *device;
    size_t n_values;
    const uint64_t *values;
} mim_sampler_row;

/* What a monitor should choose: saves a sixth of a sample once a second. */
#define MIM_SAMPLER_SLOW_S 10.0

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
/* The next record will stand behind one of another process. Counters that began with this process
 * (x_perf, x_imc, x_llc, x_energy) are left out of it: a reader takes the difference of neighbours,
 * and one across processes means nothing. */
void mim_sampler_break(mim_sampler *sampler);
/* Writes what was gathered since the last flush. */
int mim_sampler_flush(mim_sampler *sampler, FILE *out);
/* The last sample, row by row, of the types that the sampler reads itself: how many rows (0 for
 * other types), the device of one, one of its values. No value: absent from the sample, or no such
 * key. Rows of x_perf, x_imc, x_llc, x_resctrl and x_energy keep their places; new ones come last.
 */
size_t mim_sampler_n_rows(const mim_sampler *sampler, const char *type);
const char *mim_sampler_device(const mim_sampler *sampler, const char *type, size_t row);
bool mim_sampler_has_key(const mim_sampler *sampler, const char *type, const char *key);
bool mim_sampler_value(const mim_sampler *sampler, const char *type, size_t row, const char *key,
                       uint64_t *value);
/* What is read, and why the rest is not; and as the text of `$x_tiers`. Owned by the sampler. */
const mim_probe *mim_sampler_probe(const mim_sampler *sampler);
const char *mim_sampler_tiers(const mim_sampler *sampler);

#endif
