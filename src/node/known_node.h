/* What a program must know of its node before it can plan for it or compare it with others. */
#ifndef MIM_NODE_KNOWN_NODE_H
#define MIM_NODE_KNOWN_NODE_H

#include "node/calibration.h"

/* The stored calibration if it is of this machine and scratch, with the list's paced stressors it
 * lacks measured and added; else all of the list and the ceilings, measured and stored. `path`
 * NULL: the usual place (where there is none, what was measured is not stored, and the log says
 * so); a named file is taken as it is, with a warning when it is of another machine, and never
 * replaced: MIM_EUNSUP when it lacks stressors. Call it with the host's lock held. */
int mim_calibration_obtain(const mim_machine *machine, const mim_actions *actions,
                           mim_scratch *scratch, const mim_calibrate_options *options,
                           const char *path, mim_log *log, mim_calibration **calibration);

/* New text that names a kind of machine: what was measured on one node of a class holds for
 * another. CPU, number of CPUs and sockets, caches, how scratch is reached, the metrics' tier, and
 * whether working sets follow the caches. NULL when out of memory. */
char *mim_host_class(const mim_machine *machine, const mim_calibration *calibration);

#endif
