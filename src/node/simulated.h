/* The simulated node: an openly simulated machine of any size, for tests at scale and for comparing
 * methods where no such hardware is at hand. Nothing runs and no time passes.
 *
 * A slot is a function of the plan's window and, with carry-over, of the slots before it:
 * - Row r of a plan is on CPU r mod CPUs, as the executor has it. Rows that share a core get equal
 *   shares of it, nobody more than it asked for.
 * - The last-level cache of a socket holds the working sets of its threads. What does not fit makes
 *   all of them miss, each as easily as its way of access has it.
 * - Memory bandwidth: a thread moves what its set does not find in a core's part of the cache,
 *   whatever the neighbours do, up to the socket's ceiling, which all share in proportion. So
 * crowding shows in misses and instructions, not in bandwidth, which stays sub-additive.
 * - Disk: reads and writes together fill one device, with a queue near its ceiling.
 * - Carry-over: part of the writes reaches the disk in the next slot; part of what the slot before
 *   read is found in the page cache.
 * - Noise is a function of (seed, plan id, slot, metric).
 * All numbers and where they come from: node/simulated_constants.h.
 *
 * Without noise and carry-over, CPU use, I/O and bandwidth grow with every weight below the
 * ceilings, never go beyond them, and of two plans together are at most the sum; permuting threads
 * inside a socket (all rows of a core together, when cores are shared) permutes the cores' metrics
 * and leaves every other bit as it is. */
#ifndef MIM_NODE_SIMULATED_H
#define MIM_NODE_SIMULATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"
#include "node/calibration.h"
#include "node/executor.h"
#include "node/machine.h"
#include "plan/plan.h"
#include "trace/series.h"

typedef struct mim_simulated_size {
    size_t n_sockets, n_cores; /* cores of a socket */
} mim_simulated_size;

/* "2x10": sockets x cores of a socket, 1 to 64 and at most 4096 CPUs in all. MIM_EUSAGE, the
 * sentence naming `what`. */
int mim_simulated_size_parse(const char *what, const char *text, mim_simulated_size *size);

typedef struct mim_simulated_options {
    mim_simulated_size size;
    bool has_noise, has_carry_over;
    uint64_t seed; /* of the noise */
} mim_simulated_options;

typedef struct mim_simulated mim_simulated; /* never changes: any number of threads may use it */

/* MIM_EINVAL: a size out of range. */
int mim_simulated_create(const mim_simulated_options *options, mim_simulated **node);
void mim_simulated_destroy(mim_simulated **node);

const char *mim_simulated_name(const mim_simulated *node); /* "simulated-2x10": its host name */
/* New text for the kind of host (node/known_node.h); NULL when out of memory. */
char *mim_simulated_host_class(const mim_simulated *node);
/* The simulated node, without noise, that a kind of host is; false: it is none. */
bool mim_simulated_of_class(const char *host_class, mim_simulated_options *options);
/* The model of its CPU says "simulated". */
int mim_simulated_machine(const mim_simulated *node, mim_machine **machine);
/* What calibrating it would give for the stressors of a list that the catalogue knows; NULL: for
 * all of the catalogue. */
int mim_simulated_calibration(const mim_simulated *node, const mim_actions *actions,
                              mim_calibration **calibration);

/* No metric goes beyond these without noise. */
typedef struct mim_simulated_ceilings {
    double io_read_kbs, io_write_kbs; /* of one kind alone; of a mix the shares sum to 1 */
    double bandwidth_pct;             /* reads and writes, all sockets together, % of the peak */
    double llc_kb;                    /* all sockets together */
    double peak_gb_s;
} mim_simulated_ceilings;
mim_simulated_ceilings mim_simulated_ceilings_of(const mim_simulated *node);

typedef struct mim_simulated_task {
    uint64_t plan_id;     /* of the noise */
    const mim_plan *plan; /* idle windows at its start are not run */
    double slot_s;        /* >= 0.01 */
    size_t n_iters;       /* >= 1 */
    bool idle_slot;       /* one after each pass */
    const char *job;      /* in the stats text; NULL: "0" */
} mim_simulated_task;

/* What is wanted of a run; NULL: not that. */
typedef struct mim_simulated_outputs {
    /* CPU use of each core, io_read, io_write (KB/s), l3_cache_usage (10^6 events/s),
     * memory_bandwidth_read, memory_bandwidth_write (% of the peak), pqos_ipc, pqos_llc_kb,
     * pqos_misses (1/s): a slot for each window and pass. */
    mim_series **series;
    mim_run_result **result; /* as the executor's; nothing is ever late */
    /* The counters that would have given the series, as the sampler writes them, a record at every
     * slot edge; x_cpu, x_slot and x_thr rows make its slots accepted ones. Flushed. */
    FILE *stats;
} mim_simulated_outputs;

/* MIM_EUNSUP: weights of a stressor that the catalogue does not know, or a run of more slots than
 * results can hold; MIM_EINVAL: a task out of range; MIM_ESTOPPED: a stop was asked for. */
int mim_simulated_run(const mim_simulated *node, const mim_simulated_task *task,
                      const mim_simulated_outputs *outputs);

#endif
