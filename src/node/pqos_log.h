/* The original's second log: instructions, cache and memory traffic of the whole machine between
 * two samples, in the text layout of its cache monitor, from the sampler's x_perf and x_resctrl.
 *
 *   TIME 2026-03-01 12:00:01
 *        CORE         IPC      MISSES     LLC[KB]   MBL[MB/s]   MBR[MB/s]
 *        0-19        1.25        734k     13671.9        57.2        28.6
 *
 * As there, misses and traffic are those since the block before, not divided by the time (the
 * titles notwithstanding), misses from 1000 on are rounded to whole k, from a million on to whole
 * M, and traffic is in MiB. */
#ifndef MIM_NODE_PQOS_LOG_H
#define MIM_NODE_PQOS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "node/sampler.h"

typedef struct mim_pqos_figures {
    double ipc, misses, llc_bytes;
    double local_bytes, remote_bytes; /* moved */
} mim_pqos_figures;

enum { MIM_PQOS_TEXT_BYTES = 256 };
/* One block of the log. time_s: seconds since the epoch, cut to whole ones, shown as UTC. `cpus` is
 * the label, "0-19". */
void mim_pqos_text(double time_s, const char *cpus, const mim_pqos_figures *figures,
                   char text[MIM_PQOS_TEXT_BYTES]);

typedef struct mim_pqos_log mim_pqos_log;

/* `cpus`: whose instructions and misses count, "3" or "0-19" as readers of such logs expect; "" =
 * all. Cache and traffic are those of the whole machine. MIM_EUNSUP: the sampler has not got all
 * figures, with the reason; MIM_EUSAGE: not of that form, or none of these CPUs is sampled. */
int mim_pqos_log_create(const mim_sampler *sampler, const char *cpus, mim_pqos_log **log);
void mim_pqos_log_destroy(mim_pqos_log **log);
/* After each sample of that sampler: the block about the time since the sample before. "" after the
 * first one, and when a CPU or cache was absent from one of the two. MIM_ENOMEM: CPUs came. */
int mim_pqos_log_add(mim_pqos_log *log, const mim_sampler *sampler, double time_s,
                     char text[MIM_PQOS_TEXT_BYTES]);

#endif
