/* A unit of the processor that counts events, as /sys/bus/event_source/devices shows it. */
#ifndef MIM_NODE_PMU_H
#define MIM_NODE_PMU_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "node/pmu_event.h"

typedef struct mim_pmu {
    char name[MIM_PMU_NAME_BYTES];
    char *folder;
    uint32_t type; /* what perf_event calls it */
    size_t n_cpus;
    int *cpus; /* [n_cpus] where it is to be opened (cpumask, cpus); n_cpus 0: on any CPU */
} mim_pmu;

/* `sys` is "/sys". MIM_EUNSUP: there is no such unit; MIM_EDATA: its files make no sense. */
int mim_pmu_open(const char *sys, const char *name, mim_pmu **pmu);
void mim_pmu_close(mim_pmu **pmu);

/* Bits of a format; 0 when there is none of this name. */
unsigned mim_pmu_bits(const mim_pmu *pmu, const char *format);
/* "event=0x34,umask=0x11" in this unit's formats. MIM_EUNSUP: it has no such format. */
int mim_pmu_encode(const mim_pmu *pmu, const char *terms, mim_perf_event *event);
/* An event that the kernel describes, MIM_EUNSUP when it does not, and what one count means: scale
 * and unit ("MiB"). Events without both are refused as MIM_EUNSUP. */
enum { MIM_PMU_UNIT_BYTES = 16 };
int mim_pmu_event(const mim_pmu *pmu, const char *name, mim_perf_event *event, double *scale,
                  char unit[MIM_PMU_UNIT_BYTES]);

/* Names of the units that are called like `prefix`, by number: "uncore_imc_" stands for
 * uncore_imc_0, uncore_imc_1, ...; one without a final "_" for itself alone. The caller frees
 * *names; none is no error. */
typedef char mim_pmu_name[MIM_PMU_NAME_BYTES];
int mim_pmu_list(const char *sys, const char *prefix, mim_pmu_name **names, size_t *n_names);

/* CPUs that are online, rising; the caller frees *cpus. */
int mim_online_cpus(const char *sys, int **cpus, size_t *n_cpus);
/* The socket of a CPU, MIM_EUNSUP when the kernel does not tell. */
int mim_cpu_socket(const char *sys, int cpu, unsigned *socket);

#endif
