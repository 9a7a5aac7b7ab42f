/* Which slots of a measured series were undisturbed: steal at most 1 % and no more than 2 % of all
 * CPUs' time used by others. Both come from the series' metrics steal_pct and others_cpu_pct, which
 * it has when the file has the sampler's x_cpu and x_slot rows:
 * others = time * CPUs - idle - iowait - steal - own, by idle counters, which are precise, unlike
 * user time sampled at the kernel's ticks. */
#ifndef MIM_TRACE_ACCEPT_H
#define MIM_TRACE_ACCEPT_H

#include "trace/series.h"

#define MIM_ACCEPT_MAX_STEAL_PCT 1.0
#define MIM_ACCEPT_MAX_OTHERS_PCT 2.0

typedef struct mim_accept {
    size_t n_slots;
    bool is_known;     /* false: the file does not tell, no slot is accepted */
    bool *is_accepted; /* [n_slots]; false too where a figure is absent in a slot */
    size_t n_accepted;
    size_t n_stolen, n_others; /* slots beyond one limit; a slot may count in both */
    size_t n_absent;           /* slots where a figure is absent */
} mim_accept;

int mim_accept_create(const mim_series *series, mim_accept **accept);
void mim_accept_destroy(mim_accept **accept);

#endif
