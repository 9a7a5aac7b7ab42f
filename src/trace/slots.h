/* Which records of a stats text bound its slots. */
#ifndef MIM_TRACE_SLOTS_H
#define MIM_TRACE_SLOTS_H

#include <stddef.h>

#include "trace/stats.h"

/* Numbers of the kept records, in order; each neighbouring pair is a slot. A record closer than a
 * quarter of the median interval to the kept one before it replaces that one; at the start of the
 * file it is dropped.
 * The median interval is half the median time over two intervals: the same for a regular file, and
 * still one figure when two samplers, or samples before and after each slot, make every second
 * interval tiny, where the plain median would fall on either side.
 * The caller frees `kept`. MIM_EDATA with fewer than two kept records. */
int mim_slots_choose(const mim_stats *stats, size_t **kept, size_t *n_kept);

#endif
