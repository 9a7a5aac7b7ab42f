/* How much this machine gives when all CPUs push one part of it at once: the block device under the
 * scratch folder, and memory. */
#ifndef MIM_NODE_CEILING_H
#define MIM_NODE_CEILING_H

#include "core/log.h"
#include "node/machine.h"
#include "node/scratch.h"

/* KB/s of one I/O stressor on up to 16 CPUs for a second. NaN when the scratch is in memory (no
 * device), the stressor has no kernel here, or a thread could not run it (said in the log). */
double mim_ceiling_kbs(const mim_machine *machine, mim_scratch *scratch, const char *stressor_name,
                       mim_log *log);

typedef enum { MIM_MEMORY_READ, MIM_MEMORY_WRITE } mim_memory_direction;

/* Bytes a second that all CPUs together read from, or set in, buffers well beyond the last-level
 * cache: the best of several short runs, as a peak is what was possible. NaN when a thread could
 * not run or memory is too short for such buffers (said in the log). */
double mim_ceiling_memory_bytes_per_s(const mim_machine *machine, mim_memory_direction direction,
                                      mim_log *log);

/* Waits until what this process wrote is on the device and in its counters. */
void mim_settle_device(const mim_scratch *scratch);

#endif
