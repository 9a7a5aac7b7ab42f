/* What the kernel writes about counters below /sys/bus/event_source/devices/NAME: pure text to
 * numbers (kernel documentation: ABI/testing/sysfs-bus-event_source-devices-format and -events).
 * All texts may end with one line end; anything else behind what is expected is an error.
 *
 * MIM_EDATA: not of that form, with what was expected. MIM_EUNSUP: of that form, but something that
 * is not known here. */
#ifndef MIM_NODE_PMU_EVENT_H
#define MIM_NODE_PMU_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "node/perf_group.h"

/* format/umask: "config:8-15,32-57". Bits of a value go to the set bits of the mask, lowest first.
 */
typedef struct mim_pmu_field {
    unsigned word; /* 0: config, 1: config1, 2: config2 */
    uint64_t mask;
} mim_pmu_field;

int mim_pmu_field_parse(const char *text, mim_pmu_field *field);
unsigned mim_pmu_field_bits(const mim_pmu_field *field); /* how many bits a value may have */
/* Puts the value into the event; MIM_EDATA when it has more bits than the field. */
int mim_pmu_field_put(const mim_pmu_field *field, uint64_t value, mim_perf_event *event);

/* events/cas_count_read: "event=0x04,umask=0x03"; a term without a number means 1. */
enum { MIM_PMU_MAX_TERMS = 8, MIM_PMU_NAME_BYTES = 48 };
typedef struct mim_pmu_term {
    char name[MIM_PMU_NAME_BYTES]; /* of a format, or config, config1, config2 for a whole word */
    uint64_t value;
} mim_pmu_term;

int mim_pmu_terms_parse(const char *text, mim_pmu_term terms[MIM_PMU_MAX_TERMS], size_t *n_terms);

/* events/NAME.scale: "6.103515625e-5"; positive and finite. */
int mim_pmu_scale_parse(const char *text, double *scale);

/* cpumask, cpus, online: "0-3,8\n", rising. At most `max` numbers below 2^16; "" is none. */
int mim_cpu_list_parse(const char *text, size_t max, int *cpus, size_t *n_cpus);

#endif
