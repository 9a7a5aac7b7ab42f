/* The walk of the bulk kernels over a large buffer: parts of a batch each, the next batch goes on
 * where the last one ended. For src/node/kernel_*.c only. */
#ifndef MIM_NODE_KERNEL_SWEEP_H
#define MIM_NODE_KERNEL_SWEEP_H

#include "node/kernel_family.h"

typedef struct mim_sweep {
    uint64_t n_bytes, part_bytes; /* whole parts */
    uint64_t offset;              /* of the next part */
    uint64_t n_sweeps;            /* whole ones */
} mim_sweep;

/* Room for whole parts in n_bytes; MIM_EINVAL below 4096. */
int mim_sweep_begin(const char *kernel, uint64_t n_bytes, mim_sweep *sweep);

/* A part was done. True when a whole sweep is. */
static inline bool mim_sweep_next(mim_sweep *sweep)
{
    sweep->offset += sweep->part_bytes;
    if (sweep->offset < sweep->n_bytes)
        return false;
    sweep->offset = 0;
    sweep->n_sweeps++;
    return true;
}

#endif
