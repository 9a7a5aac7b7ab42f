/* The walk of the bulk kernels over a large buffer: parts of a batch each, the next batch goes on
 * where the last one ended. For src/node/kernel_*.c only. */
#ifndef MIM_NODE_KERNEL_SWEEP_H
#define MIM_NODE_KERNEL_SWEEP_H

#include "node/kernel_family.h"

typedef struct mim_sweep {
    uint64_t n_bytes, part_bytes; /* whole parts */
    uint64_t offset;              /* of the next part */
    uint64_t n_sweeps;            /* whole ones */
    uint64_t end_bytes;           /* of a sweep: n_bytes unless scaled */
    uint64_t *seen;               /* once scaled: of each part, see mim_sweep_seen */
} mim_sweep;

/* Room for whole parts in n_bytes; MIM_EINVAL below 4096. */
int mim_sweep_begin(const char *kernel, uint64_t n_bytes, mim_sweep *sweep);
void mim_sweep_end(mim_sweep *sweep);

/* The next sweeps cover whole parts of this share of the buffer; the one at hand begins anew. */
int mim_sweep_scale(mim_sweep *sweep, double duty);

/* Number, from 1, of the last sweep that did the part at the offset; 0: none has. */
uint64_t mim_sweep_seen(const mim_sweep *sweep, uint64_t offset);

/* A part was done. True when a whole sweep is. */
static inline bool mim_sweep_next(mim_sweep *sweep)
{
    if (sweep->seen)
        sweep->seen[sweep->offset / sweep->part_bytes] = sweep->n_sweeps + 1;
    sweep->offset += sweep->part_bytes;
    if (sweep->offset < sweep->end_bytes)
        return false;
    sweep->offset = 0;
    sweep->n_sweeps++;
    return true;
}

#endif
