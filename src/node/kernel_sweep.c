#include "node/kernel_sweep.h"

#include <inttypes.h>

enum {
    PART_BYTES = 512 << 10, /* some 10 us in a cache, 50 us from busy memory */
    MIN_BYTES = 4096
};

int mim_sweep_begin(const char *kernel, uint64_t n_bytes, mim_sweep *sweep)
{
    if (n_bytes < MIN_BYTES)
        return mim_fail(MIM_EINVAL, "kernel %s: buffer of %" PRIu64 " bytes, expected %d or more",
                        kernel, n_bytes, MIN_BYTES);
    sweep->part_bytes = n_bytes < PART_BYTES ? MIN_BYTES : PART_BYTES;
    sweep->n_bytes = n_bytes / sweep->part_bytes * sweep->part_bytes;
    sweep->offset = sweep->n_sweeps = 0;
    return MIM_OK;
}
