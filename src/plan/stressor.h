/* The stressor catalogue: what every known action name stands for.
 *
 * Facts only (no code that stresses anything): which kernel of src/node runs it, with which sizes,
 * and what it needs. Names that begin with BM_ are the original's, with its sizes and sleeps; MIM_
 * ones are our own. */
#ifndef MIM_PLAN_STRESSOR_H
#define MIM_PLAN_STRESSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    MIM_STRESS_CPU,    /* weight = share of the slot's CPU time */
    MIM_STRESS_MEMORY, /* the same, on large buffers */
    MIM_STRESS_KERNEL, /* the same, spent in the operating system: faults, page cache, switches */
    MIM_STRESS_READ,   /* weight = share of the kernel's own full operation rate */
    MIM_STRESS_WRITE,
    MIM_STRESS_MIXED,    /* block reads and writes in one stream */
    MIM_STRESS_METADATA, /* file names and space; hardly any bytes at the device */
    MIM_STRESS_NETWORK,
} mim_stress_class;

/* The memory that a working set is meant for. */
typedef enum {
    MIM_LEVEL_NONE, /* its size is a fact of its own */
    MIM_LEVEL_L1,
    MIM_LEVEL_L2,
    MIM_LEVEL_LLC,
    MIM_LEVEL_DRAM,
} mim_memory_level;

/* Hash sets: this bit in `parameter` means ordered keys 0, 1, 2 ... (else the scattered sequence);
 * the rest is the number of keys. */
#define MIM_STRESSOR_ORDERED_KEYS 0x80000000u
/* Writes: past the page cache whatever the scratch is set to. */
#define MIM_STRESSOR_DIRECT 1u
/* Bulk copies: stores past the caches. */
#define MIM_STRESSOR_STREAMING 1u

typedef struct mim_stressor {
    const char *name;   /* the action list's name, with BM_ */
    const char *kernel; /* name of the kernel family in src/node, "" when it has none here */
    mim_stress_class stress_class;
    bool is_paced;              /* counted in operations at due times, not in CPU time */
    uint64_t memory_bytes;      /* private memory of one thread */
    uint64_t file_bytes;        /* scratch file of one thread */
    uint64_t shared_file_bytes; /* scratch file shared by all threads */
    uint64_t op_bytes;          /* bytes of one operation (I/O, network), else working-set bytes */
    uint32_t sleep_us;          /* pause after each operation, 0 = none */
    uint32_t cost_us;           /* the original's shipped cost: its sleep, or 5000 */
    uint32_t parameter;   /* kernel's own: keys of a hash set, stride, percent of reads, ... */
    const char *pressure; /* one line for people */
    mim_memory_level level;
    bool is_own_size;         /* MIM_: sized by the node's caches always */
    const char *network_peer; /* "host:port", NULL in the catalogue: see mim_actions_fit */
} mim_stressor;

/* NULL when the name is not in the catalogue. */
const mim_stressor *mim_stressor_find(const char *name);
size_t mim_stressor_count(void);
const mim_stressor *mim_stressor_at(size_t i);

/* Do both the same operation? They may differ in name and in the pause after each. */
bool mim_stressor_is_same_operation(const mim_stressor *a, const mim_stressor *b);
/* Of the bytes it asks of block devices the share that is read: 1, 0, or between for MIXED. NaN for
 * those that do not ask for a known number of bytes. */
double mim_stressor_read_share(const mim_stressor *stressor);

/* Caches of one core; 0 = unknown. */
typedef struct mim_caches {
    uint64_t l1d_bytes, l2_bytes, llc_bytes;
    uint32_t llc_sharers; /* CPUs that share the last-level cache; 0 counts as 1 */
} mim_caches;

/* The stressor with the working set that its level needs here, in `sized`:
 *   L1 and L2   half of the cache;
 *   LLC         a core's share, but at least twice L2 and at most half of the cache;
 *   DRAM        four times the last known cache, and not less than the catalogue says.
 * The CRC walks touch 64 lines of every 8 KiB then, so that the lines they touch make up that set;
 * with the original's strides they would hardly fill L2. Without a level, or where the cache it
 * needs is unknown, the catalogue's size stays. */
void mim_stressor_sized(const mim_stressor *stressor, const mim_caches *caches,
                        mim_stressor *sized);

#endif
