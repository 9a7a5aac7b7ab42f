/* What the files of the series share; not for other modules. */
#ifndef MIM_TRACE_SERIES_INTERNAL_H
#define MIM_TRACE_SERIES_INTERNAL_H

#include "trace/series.h"

enum {
    MIM_CHANNEL_MAX_KEYS = 4,
    MIM_CPU_KEYS = 7,
    MIM_CPU_IDLE = 0, /* the idle ones come first */
    MIM_CPU_IOWAIT = 1,
    MIM_SERIES_MAX_CPUS = 65536,
};

/* A counter of a device, as it was in the kept record before. */
typedef struct mim_counter_state {
    uint64_t last[MIM_CHANNEL_MAX_KEYS];
    size_t seen; /* kept records counted from 1; 0 = never */
} mim_counter_state;

/* A metric that is a sum over devices and keys of one type. */
typedef struct mim_channel {
    mim_metric metric;
    size_t column; /* in the series */
    size_t type;
    size_t n_keys;
    size_t keys[MIM_CHANNEL_MAX_KEYS];
    unsigned width_bits[MIM_CHANNEL_MAX_KEYS];
    double factor[MIM_CHANNEL_MAX_KEYS];
    double scale;     /* of the sum, per second unless is_gauge */
    double max_per_s; /* plausible growth of a key of one device; 0: any */
    bool is_gauge;
    bool is_mean;   /* over devices instead of their sum */
    bool is_hidden; /* no metric of its own: others are made of it */
    /* A counter that shared its register with others: keys[1] is the time it was wanted, keys[2]
     * the time it ran. */
    bool is_multiplexed;
    bool *counted; /* [devices of the type], NULL = all */
    mim_counter_state *states;
    /* of the record at hand */
    double sum;
    size_t n_now, n_before, n_both;
    bool is_broken;
} mim_channel;

typedef struct mim_cpu_state {
    uint64_t last[MIM_CPU_KEYS];
    size_t seen;
} mim_cpu_state;

/* Everything the file can give, found before the records are walked. */
typedef struct mim_series_plan {
    mim_channel *channels;
    size_t n_channels, capacity;
    size_t cpu_type;               /* SIZE_MAX: none */
    size_t n_cpus;                 /* devices of that type */
    size_t cpu_keys[MIM_CPU_KEYS]; /* SIZE_MAX: not in the schema */
    unsigned cpu_width_bits[MIM_CPU_KEYS];
    size_t *cpu_columns; /* [n_cpus], SIZE_MAX for a device that is no CPU number */
    int *cpu_numbers;    /* [n_cpus], -1 likewise */
    mim_cpu_state *cpu_states;
    /* CPU time that neither is idle, nor stolen, nor our own: needs the x_ types. */
    size_t others_column, steal_channel, own_channel; /* SIZE_MAX: none */
    double idle_sum;
    size_t n_idle;
    size_t ipc_column, cycles_channel, instructions_channel; /* SIZE_MAX: none */
    double length_s; /* of the slot that the record at hand ends */
} mim_series_plan;

/* series_catalog.c */
/* A device's name as a number: "12", without leading zeros, below 2^16; -1 for other names. */
int mim_series_device_number(const char *name);
int mim_series_plan_create(const mim_stats *stats, const mim_series_options *options,
                           mim_series_plan **plan);
void mim_series_plan_destroy(mim_series_plan **plan);

typedef struct mim_key_term {
    const char *name;
    double factor;
} mim_key_term;

mim_channel mim_series_rate(const char *name, const char *unit, mim_family family, mim_tier tier,
                            double scale);
/* Adds a channel when the file has the type, a device of it and all its keys. */
int mim_series_add_channel(const mim_stats *stats, mim_series_plan *plan, const mim_channel *model,
                           const char *type_name, size_t n_keys, const mim_key_term *keys);

/* series_hardware.c: memory bandwidth, last-level cache, instructions, energy. MIM_EDATA: a header
 * line that gives no peak bandwidth. */
int mim_series_add_hardware(const mim_stats *stats, const mim_series_options *options,
                            mim_series_plan *plan);

/* series_disks.c: which devices of `block` are whole disks, or the chosen ones. [n_devices] */
int mim_series_choose_disks(const mim_stats *stats, size_t type, const char *disks, bool **counted,
                            size_t *n_counted);

/* series_counters.c: fills series->values, whose columns the plan knows. */
int mim_series_fill(const mim_stats *stats, mim_series_plan *plan, const size_t *kept,
                    mim_series *series);
/* Growth of a counter since `last`, which is moved on; false when it cannot be known. */
bool mim_counter_step(unsigned width_bits, uint64_t *last, uint64_t now, uint64_t *delta);

#endif
