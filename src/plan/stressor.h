/* The stressor catalogue: what every known action name stands for.
 *
 * Facts only (no code that stresses anything): which kernel of src/node runs it, with which sizes,
 * and what it needs. Sizes and sleeps are those of the original's default list of 20. */
#ifndef MIM_PLAN_STRESSOR_H
#define MIM_PLAN_STRESSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    MIM_STRESS_CPU,    /* weight = share of the slot's CPU time */
    MIM_STRESS_MEMORY, /* the same, on large buffers */
    MIM_STRESS_READ,   /* weight = share of the kernel's own full operation rate */
    MIM_STRESS_WRITE,
} mim_stress_class;

/* Hash sets: this bit in `parameter` means ordered keys 0, 1, 2 ... (else the scattered sequence);
 * the rest is the number of keys. */
#define MIM_STRESSOR_ORDERED_KEYS 0x80000000u

typedef struct mim_stressor {
    const char *name;   /* the action list's name, with BM_ */
    const char *kernel; /* name of the kernel family in src/node, "" when it has none here */
    mim_stress_class stress_class;
    bool is_paced;              /* counted in operations at due times, not in CPU time */
    uint64_t memory_bytes;      /* private memory of one thread */
    uint64_t file_bytes;        /* scratch file of one thread */
    uint64_t shared_file_bytes; /* scratch file shared by all threads */
    uint64_t op_bytes;    /* bytes of one operation (I/O and memset), else working-set bytes */
    uint32_t sleep_us;    /* pause after each operation, 0 = none */
    uint32_t cost_us;     /* the original's shipped cost */
    uint32_t parameter;   /* kernel's own: keys of a hash set, stride, ... */
    const char *pressure; /* one line for people */
} mim_stressor;

/* NULL when the name is not in the catalogue. */
const mim_stressor *mim_stressor_find(const char *name);
size_t mim_stressor_count(void);
const mim_stressor *mim_stressor_at(size_t i);

#endif
