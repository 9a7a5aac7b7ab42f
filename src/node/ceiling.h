/* How much the block device under the scratch folder gives when all CPUs push it at once. */
#ifndef MIM_NODE_CEILING_H
#define MIM_NODE_CEILING_H

#include "core/log.h"
#include "node/machine.h"
#include "node/scratch.h"

/* KB/s of one I/O stressor on up to 16 CPUs for a second. NaN when the scratch is in memory (no
 * device), the stressor has no kernel here, or a thread could not run it (said in the log). */
double mim_ceiling_kbs(const mim_machine *machine, mim_scratch *scratch, const char *stressor_name,
                       mim_log *log);

/* Waits until what this process wrote is on the device and in its counters. */
void mim_settle_device(const mim_scratch *scratch);

#endif
