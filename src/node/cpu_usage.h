/* How long CPUs have been busy, whoever used them: for the closed loop.
 *
 * From /proc/schedstat where the kernel keeps it (nanoseconds), else from the idle counters of
 * /proc/stat (ticks of 10 ms, but not sampled at ticks). Files are kept open. */
#ifndef MIM_NODE_CPU_USAGE_H
#define MIM_NODE_CPU_USAGE_H

#include <stddef.h>

#include "core/error.h"

typedef struct mim_cpu_usage mim_cpu_usage;

/* os_index: [n] the CPUs wanted. `proc_root` NULL: /proc. MIM_EUNSUP: neither file tells. */
int mim_cpu_usage_open(const char *proc_root, size_t n, const int *os_index, mim_cpu_usage **usage);
/* busy_s: [n] seconds since some fixed instant, NaN for a CPU that the file does not list now. */
int mim_cpu_usage_read(mim_cpu_usage *usage, double *busy_s);
const char *mim_cpu_usage_source(const mim_cpu_usage *usage); /* name of the file */
void mim_cpu_usage_close(mim_cpu_usage **usage);

#endif
