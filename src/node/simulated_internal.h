/* What the files of the simulated node share; not for other modules. */
#ifndef MIM_NODE_SIMULATED_INTERNAL_H
#define MIM_NODE_SIMULATED_INTERNAL_H

#include "node/simulated.h"

/* The metrics beside those of the cores, in the order of their names. */
typedef enum {
    MIM_SIMULATED_IO_READ,
    MIM_SIMULATED_IO_WRITE,
    MIM_SIMULATED_L3,
    MIM_SIMULATED_READ_BANDWIDTH,
    MIM_SIMULATED_WRITE_BANDWIDTH,
    MIM_SIMULATED_IPC,
    MIM_SIMULATED_LLC_KB,
    MIM_SIMULATED_MISSES,
    MIM_SIMULATED_N_NODE_METRICS
} mim_simulated_metric;

struct mim_simulated {
    mim_simulated_options options;
    size_t n_sockets, n_cores, n_cpus; /* n_cores: of a socket */
    char name[64];
    double llc_bytes;             /* of a socket */
    double bandwidth_bytes_per_s; /* a socket's ceiling */
    double peak_bytes_per_s;      /* of the node */
    size_t n_metrics;
    mim_metric *metrics; /* [n_metrics] cores, then the others: sorted by name */
};

/* ---- simulated_effect.c: what weight 1 of a stressor does ------------------------------------ */

typedef struct mim_simulated_effect {
    bool is_known, is_paced;
    double cpu; /* share of a core */
    /* Memory; 0 for sets that a core's own caches hold. */
    double set_bytes;
    double bytes_per_s; /* lines that pass L2, while memory bandwidth is there */
    double own_misses;  /* share of them that is not in the core's part of the cache */
    double looseness;   /* how easily others push lines of the set out */
    double stall;       /* of IPC, by misses */
    double write_share; /* of lines moved from memory that come back */
    double ipc;
    double ops_per_s, op_s, cpu_s_per_op;
    double op_bytes;                            /* of paced ones, else 0 */
    double read_bytes_per_s, write_bytes_per_s; /* of the disk */
} mim_simulated_effect;

/* Not known: `stressor` is NULL. */
mim_simulated_effect mim_simulated_effect_of(const mim_simulated *node,
                                             const mim_stressor *stressor);
/* Share of misses of sets that are `pressure` times as large as the cache. */
double mim_simulated_miss_ratio(double pressure, double looseness);

/* ---- simulated_slot.c: one slot ---------------------------------------------------------------
 */

/* What a slot leaves to the next. */
typedef struct mim_simulated_carry {
    double dirty_bytes;  /* written, not yet on the disk */
    double cached_share; /* of reads that need no disk */
} mim_simulated_carry;

/* What the counters of the node grow by in a slot. */
typedef struct mim_simulated_slot {
    double slot_s;
    double *busy;                                           /* [n_cpus] share of the slot */
    double *cycles, *instructions, *llc_refs, *misses;      /* [n_cpus] */
    double *lookups, *read_bytes, *write_bytes, *llc_bytes; /* [n_sockets]; the last a gauge */
    double disk_read_bytes, disk_write_bytes;
    size_t n_rows;
    double *row_cpu, *row_paced_cpu; /* [n_rows] share of the slot; the first: not paced */
} mim_simulated_slot;

/* Work space and results of a run, made once for all its slots. */
typedef struct mim_simulated_work {
    const mim_simulated *node;
    const mim_plan *plan;
    size_t n_rows, n_columns;
    mim_simulated_effect *effects; /* [n_columns] */
    mim_simulated_carry carry;
    mim_simulated_slot slot;
    /* Of the slot at hand. */
    double *wanted_cpu;                 /* [n_rows] share of a core */
    double *granted;                    /* [n_rows] share of what was wanted, 0 to 1 */
    double *misses;                     /* [n_sockets][n_columns] share of lookups */
    double *memory_granted;             /* [n_sockets] likewise, of memory bandwidth */
    double read_granted, write_granted; /* likewise, of operations on the disk */
    double *sorted;                     /* [rows of a core] */
    double *memory;                     /* of all these arrays */
} mim_simulated_work;

int mim_simulated_work_create(const mim_simulated *node, const mim_plan *plan,
                              mim_simulated_work *work);
void mim_simulated_work_clear(mim_simulated_work *work);
/* Fills work->slot and moves work->carry on. `window` SIZE_MAX: idle. */
void mim_simulated_slot_run(mim_simulated_work *work, size_t window, double slot_s);
/* Share of what a row's weight asks for that it got in the slot just run. */
double mim_simulated_granted(const mim_simulated_work *work, size_t row, size_t column);

/* ---- simulated_noise.c ------------------------------------------------------------------------
 */

/* Bends the slot's counters by what noise does to each metric. The CPU's become whole ticks. */
void mim_simulated_noise(const mim_simulated *node, uint64_t plan_id, size_t slot_number,
                         mim_simulated_slot *slot);

/* ---- simulated_text.c ------------------------------------------------------------------------ */

typedef struct mim_simulated_text mim_simulated_text;

int mim_simulated_text_create(const mim_simulated *node, const mim_simulated_task *task,
                              FILE *stats, mim_simulated_text **text);
void mim_simulated_text_destroy(mim_simulated_text **text);
/* The record at the edge before slot `number`; `slot`: what happened since the edge before it (NULL
 * for the first). */
int mim_simulated_text_edge(mim_simulated_text *text, size_t number,
                            const mim_simulated_slot *slot);

/* Ticks of the kernel's clock up to the edge before a slot. */
uint64_t mim_simulated_ticks(size_t slot_number, double slot_s);

#endif
