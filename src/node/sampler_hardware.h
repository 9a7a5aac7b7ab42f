/* What the sampler's sources behind perf_event share: may they count here, and if not, why.
 * Private to src/node and its tests. */
#ifndef MIM_NODE_SAMPLER_HARDWARE_H
#define MIM_NODE_SAMPLER_HARDWARE_H

#include "node/sampler_source.h"

/* MIM_EUNSUP: the kernel has no perf_event. */
int mim_hardware_check(const mim_source_roots *roots);
/* MIM_EUNSUP: the files are another machine's, whose counters cannot be opened. */
int mim_hardware_has_calls(const mim_source_roots *roots);
/* Sees that this process may open so many files and some more: the soft limit is raised where that
 * is needed, and stays so. MIM_EUNSUP: the hard limit leaves too few. */
int mim_hardware_files(size_t n_files);
/* Always MIM_EUNSUP: what an errno of opening a counter means, as a sentence. */
int mim_hardware_refused(const char *proc, int error);

#endif
