/* Which events of which units give memory traffic and last-level cache lookups: one entry for each
 * kind of processor. What a processor's unit is called and which formats it has tells its kind. */
#ifndef MIM_NODE_UNCORE_FAMILY_H
#define MIM_NODE_UNCORE_FAMILY_H

#include "node/pmu.h"

enum { MIM_UNCORE_MAX_KEYS = 2 };

typedef struct mim_uncore_event {
    unsigned key;     /* of the row that its counts are added to */
    const char *text; /* "event=0x0a,rdwrmask=0x1", or the name of an event that sysfs describes */
} mim_uncore_event;

typedef struct mim_uncore_family {
    const char *units; /* as mim_pmu_list wants it */
    /* A format that the unit must have, of so many bits; NULL = any. */
    const char *format;
    unsigned min_bits, max_bits;
    /* What one count means, in the key's unit; 0: sysfs tells, and `text` are names. */
    double factor;
    size_t n_events; /* counted together */
    mim_uncore_event events[MIM_PERF_GROUP_MAX];
    /* Where one unit counts several channels: so many, the codes of whose events are a step apart.
     * 0 = one. */
    unsigned n_channels, code_step;
} mim_uncore_family;

/* In the order of trying: the first one whose units are there is taken. */
extern const mim_uncore_family mim_uncore_imc[], mim_uncore_llc[];
extern const size_t mim_uncore_n_imc, mim_uncore_n_llc;

/* Whether the unit is of the family. */
bool mim_uncore_fits(const mim_uncore_family *family, const mim_pmu *unit);
/* Event i of a channel and what one count means. MIM_EUNSUP: the unit has no such event or format,
 * or a unit of measure that is not known. */
int mim_uncore_event_of(const mim_uncore_family *family, const mim_pmu *unit, unsigned channel,
                        size_t i, mim_perf_event *event, double *factor);

#endif
