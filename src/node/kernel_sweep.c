#include "node/kernel_sweep.h"

#include <inttypes.h>
#include <stdlib.h>

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
    sweep->end_bytes = sweep->n_bytes;
    sweep->offset = sweep->n_sweeps = 0;
    sweep->seen = NULL;
    return MIM_OK;
}

void mim_sweep_end(mim_sweep *sweep) { free(sweep->seen); }

uint64_t mim_sweep_seen(const mim_sweep *sweep, uint64_t offset)
{
    if (sweep->seen)
        return sweep->seen[offset / sweep->part_bytes];
    return sweep->n_sweeps + (offset < sweep->offset ? 1 : 0);
}

int mim_sweep_scale(mim_sweep *sweep, double duty)
{
    if (!sweep->seen) {
        uint64_t *seen = calloc(sweep->n_bytes / sweep->part_bytes, sizeof *seen);

        if (!seen)
            return mim_fail(MIM_ENOMEM, "sweeps over %" PRIu64 " bytes", sweep->n_bytes);
        for (uint64_t at = 0; at < sweep->n_bytes; at += sweep->part_bytes)
            seen[at / sweep->part_bytes] = mim_sweep_seen(sweep, at);
        sweep->seen = seen;
    }
    if (sweep->offset > 0) /* its parts have the number of a sweep that is not used again */
        sweep->n_sweeps++;
    sweep->offset = 0;
    sweep->end_bytes = mim_kernel_scaled(sweep->n_bytes, sweep->part_bytes, duty);
    return MIM_OK;
}
