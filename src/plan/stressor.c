#include "plan/stressor.h"

#include <math.h>
#include <string.h>

/* Working sets are cut to this, so that two buffers of whole pages share one evenly. */
static const uint64_t size_step_bytes = 8192;
/* Of the CRC walks where they are sized: pieces of 16 to 2048 B this far apart touch half of the
 * lines. */
enum { CRC_STRIDE = 1024, CRC_SPARSENESS = 2 };
static const uint64_t dram_caches = 4;

const mim_stressor *mim_stressor_find(const char *name)
{
    for (size_t i = 0; name && i < mim_stressor_count(); i++)
        if (strcmp(mim_stressor_at(i)->name, name) == 0)
            return mim_stressor_at(i);
    return NULL;
}

bool mim_stressor_is_same_operation(const mim_stressor *a, const mim_stressor *b)
{
    return strcmp(a->kernel, b->kernel) == 0 && a->stress_class == b->stress_class &&
           a->is_paced == b->is_paced && a->memory_bytes == b->memory_bytes &&
           a->file_bytes == b->file_bytes && a->shared_file_bytes == b->shared_file_bytes &&
           a->op_bytes == b->op_bytes && a->parameter == b->parameter && a->level == b->level &&
           a->is_own_size == b->is_own_size;
}

double mim_stressor_read_share(const mim_stressor *stressor)
{
    switch (stressor->stress_class) {
    case MIM_STRESS_READ:
        return 1.0;
    case MIM_STRESS_WRITE:
        return 0.0;
    case MIM_STRESS_MIXED:
        return stressor->parameter / 100.0;
    default:
        return NAN;
    }
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* 0: the cache is unknown. */
static uint64_t working_set(mim_memory_level level, const mim_caches *caches)
{
    uint64_t sharers = caches->llc_sharers > 0 ? caches->llc_sharers : 1;

    switch (level) {
    case MIM_LEVEL_L1:
        return caches->l1d_bytes / 2;
    case MIM_LEVEL_L2:
        return caches->l2_bytes / 2;
    case MIM_LEVEL_LLC:
        return least(most(caches->llc_bytes / sharers, 2 * caches->l2_bytes),
                     caches->llc_bytes / 2);
    case MIM_LEVEL_DRAM:
        return dram_caches * most(caches->llc_bytes, caches->l2_bytes);
    default:
        return 0;
    }
}

void mim_stressor_sized(const mim_stressor *stressor, const mim_caches *caches, mim_stressor *sized)
{
    uint64_t set = working_set(stressor->level, caches) / size_step_bytes * size_step_bytes;
    bool is_crc = strncmp(stressor->kernel, "crc_", 4) == 0;

    *sized = *stressor;
    if (set == 0)
        return;
    if (is_crc) {
        set *= CRC_SPARSENESS;
        sized->parameter = CRC_STRIDE;
    }
    if (stressor->level == MIM_LEVEL_DRAM)
        set = most(set, stressor->memory_bytes);
    sized->memory_bytes = set;
    if (!stressor->is_paced) /* a paced one's operation stays what its name says */
        sized->op_bytes = set;
}
