/* Which records of a stats text bound its slots. */
#ifndef MIM_TRACE_SLOTS_H
#define MIM_TRACE_SLOTS_H

#include <stddef.h>

#include "trace/stats.h"

/* Numbers of the kept records, in order; each neighbouring pair is a slot. A record closer than a
 * quarter of the median interval to the kept one before it replaces that one; at the start of the
 * file it is dropped.
 * The median interval is never taken below half the time that three quarters of the neighbouring
 * pairs of intervals reach: when two samplers, or samples before and after each slot, make every
 * second interval tiny, the plain median is tiny or not by the chance of one record more or less.
 * The caller frees `kept`. MIM_EDATA with fewer than two kept records. */
int mim_slots_choose(const mim_stats *stats, size_t **kept, size_t *n_kept);

#endif
