#include "plan/stressor.h"

#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/* Both CRC walks: pieces of 16 B to 2 KiB, a stride apart, over `bytes` of memory. */
#define CRC(NAME, KERNEL, BYTES, STRIDE, PRESSURE)                                                 \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_CPU, .memory_bytes = (BYTES),   \
        .op_bytes = (BYTES), .cost_us = 5000, .parameter = (STRIDE), .pressure = PRESSURE          \
    }
/* Two buffers of `bytes` each. */
#define PAIR(NAME, KERNEL, BYTES, PRESSURE)                                                        \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_CPU,                            \
        .memory_bytes = 2 * (BYTES), .op_bytes = 2 * (BYTES), .cost_us = 5000,                     \
        .pressure = PRESSURE                                                                       \
    }
/* Three arrays of 1024 floats. */
#define SIMD(NAME)                                                                                 \
    {                                                                                              \
        .name = NAME, .kernel = "simd", .stress_class = MIM_STRESS_CPU, .memory_bytes = 12 * KIB,  \
        .op_bytes = 12 * KIB, .cost_us = 5000, .pressure = "vector arithmetic in the L1 cache"     \
    }
/* Control byte and 8-byte slot for each of `slots`, the smallest power of two that `keys` fill to
 * at most 7/8. */
#define HASHSET(NAME, KEYS, SLOTS, ORDER, PRESSURE)                                                \
    {                                                                                              \
        .name = NAME, .kernel = "hashset", .stress_class = MIM_STRESS_CPU,                         \
        .memory_bytes = 9 * UINT64_C(SLOTS), .op_bytes = 9 * UINT64_C(SLOTS), .cost_us = 5000,     \
        .parameter = (KEYS) | (ORDER), .pressure = PRESSURE                                        \
    }
#define READ(NAME, BYTES, SLEEP_US, COST_US, PRESSURE)                                             \
    {                                                                                              \
        .name = NAME, .kernel = "hdd_read", .stress_class = MIM_STRESS_READ, .is_paced = true,     \
        .memory_bytes = (BYTES), .shared_file_bytes = 256 * MIB, .op_bytes = (BYTES),              \
        .sleep_us = (SLEEP_US), .cost_us = (COST_US), .pressure = PRESSURE                         \
    }
/* Rotates over a region: rewriting one place would measure how often hot pages are written back. 64
 * blocks of 1 MiB keep them apart, and are cheap to prepare for every row and stressor. */
#define WRITE(NAME, BYTES, SLEEP_US, COST_US, PRESSURE)                                            \
    {                                                                                              \
        .name = NAME, .kernel = "hdd_write", .stress_class = MIM_STRESS_WRITE, .is_paced = true,   \
        .memory_bytes = (BYTES), .file_bytes = 64 * MIB, .op_bytes = (BYTES),                      \
        .sleep_us = (SLEEP_US), .cost_us = (COST_US), .pressure = PRESSURE                         \
    }
#define SWEEP(NAME, KERNEL, BYTES, PACED, SLEEP_US, COST_US, PRESSURE)                             \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_MEMORY, .is_paced = (PACED),    \
        .memory_bytes = (BYTES), .op_bytes = (BYTES), .sleep_us = (SLEEP_US),                      \
        .cost_us = (COST_US), .pressure = PRESSURE                                                 \
    }
/* Known by name from the older lists; nothing here runs it. */
#define UNKNOWN(NAME, CLASS, PACED, PRESSURE)                                                      \
    {                                                                                              \
        .name = NAME, .kernel = "", .stress_class = CLASS, .is_paced = (PACED), .cost_us = 5000,   \
        .pressure = PRESSURE                                                                       \
    }

#define ORDERED MIM_STRESSOR_ORDERED_KEYS
#define SIMD_PREFIX "BM_SIMD_SerialDistanceComputation/num_blocks:"
#define SIMD_SUFFIX "/enable_avx512:false/flush_cache:false"
#define HASHSET_NAME(HOW, KIND, SET)                                                               \
    "BM_SWISSMAP_Insert" HOW "_Cold<::absl::" KIND "_hash_set, 64>/" SET

static const mim_stressor catalogue[] = {
    /* the default list of 20, in its order */
    CRC("BM_HASHING_Computecrc32c_Fleet_cold", "crc_compute", 256 * MIB, 64 * KIB,
        "CRC over cold memory: CPU, cache misses, memory reads"),
    PAIR("BM_LIBC_Memcpy_Fleet_L1", "memcpy", 32 * KIB, "copies in the L1 cache"),
    PAIR("BM_LIBC_Memcpy_Fleet_L2", "memcpy", 512 * KIB, "copies in the L2 cache"),
    PAIR("BM_LIBC_Memcmp_Fleet_LLC", "memcmp", 12 * MIB,
         "comparisons in the last-level cache, memory reads with many threads"),
    SIMD(SIMD_PREFIX "256" SIMD_SUFFIX),
    HASHSET(HASHSET_NAME("Miss", "flat", "set_size:262144/density:0"), 262144, 524288, 0,
            "scattered stores in the last-level cache"),
    HASHSET(HASHSET_NAME("Miss", "node", "set_size:32768/density:0"), 32768, 65536, 0,
            "scattered stores in the L2 cache"),
    HASHSET(HASHSET_NAME("ManyOrdered", "flat", "set_size:1048576/density:1"), 1048576, 2097152,
            ORDERED, "scattered stores in memory"),
    READ("BM_STRESS_NG_HddRead_1MB_NoSleep", MIB, 0, 5000, "block reads, as fast as they go"),
    READ("BM_STRESS_NG_HddRead_1MB_WeightScaled_50ms", MIB, 50000, 50000,
         "block reads, at most 20 MiB/s a thread"),
    READ("BM_STRESS_NG_HddRead_256KB_WeightScaled_500ms", 256 * KIB, 500000, 500000,
         "block reads, at most 0.5 MiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_1MB_BurstScaled", MIB, 0, 5000,
          "block writes, as fast as they go"),
    WRITE("BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_50ms", MIB, 50000, 50000,
          "block writes, at most 20 MiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms", MIB, 25000, 25000,
          "block writes, at most 40 MiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_256KB_WeightScaled_500ms", 256 * KIB, 500000, 500000,
          "block writes, at most 0.5 MiB/s a thread"),
    SWEEP("BM_DIRECTMEMSET_32MB_NoSleep", "memset", 32 * MIB, false, 0, 5000, "memory writes"),
    SWEEP("BM_DIRECTMEMSET_32MB_WeightScaled_50ms", "memset", 32 * MIB, true, 50000, 50000,
          "memory writes in bursts, at most 640 MiB/s a thread"),
    SWEEP("BM_DIRECTSTREAMSIMD_32MB_NoSleep", "stream", 32 * MIB, false, 0, 5000,
          "memory reads and writes with arithmetic"),
    SWEEP("BM_DIRECTSTREAMSIMD_8MB_NoSleep", "stream", 8 * MIB, false, 0, 5000,
          "last-level cache reads and writes with arithmetic"),
    CRC("BM_HASHING_Extendcrc32c_Fleet_L3_16MB", "crc_extend", 16 * MIB, 32 * KIB,
        "CRC over the last-level cache"),

    /* in the older lists only */
    CRC("BM_HASHING_Extendcrc32cinternal_Fleet_cold", "crc_extend", 256 * MIB, 64 * KIB,
        "CRC over cold memory: CPU, cache misses, memory reads"),
    SIMD(SIMD_PREFIX "512" SIMD_SUFFIX),
    HASHSET(HASHSET_NAME("Miss", "flat", "set_size:1048576/density:0"), 1048576, 2097152, 0,
            "scattered stores in memory"),
    READ("BM_STRESS_NG_HddRead_256KB_NoSleep", 256 * KIB, 0, 5000,
         "block reads of 256 KiB, as fast as they go"),
    WRITE("BM_STRESS_NG_HddWriteNF_256KB_BurstScaled", 256 * KIB, 0, 5000,
          "block writes of 256 KiB, as fast as they go"),
    UNKNOWN("BM_COMPRESSION_ZSTD_DECOMPRESS_Fleet/compression_level:0/window_log:0", MIM_STRESS_CPU,
            false, "decompression"),
    UNKNOWN(HASHSET_NAME("ManyOrdered", "flat", "set_size:1048576/density:0"), MIM_STRESS_CPU,
            false, "bulk ordered inserts"),
    UNKNOWN(HASHSET_NAME("ManyUnordered", "flat", "set_size:1048576/density:1"), MIM_STRESS_CPU,
            false, "bulk unordered inserts"),
    UNKNOWN("BM_STRESS_NG_Readahead", MIM_STRESS_READ, true, "file reads ahead of use"),
    UNKNOWN("BM_STRESS_NG_Fallocate_4MB", MIM_STRESS_WRITE, true, "preallocation and flush"),
    UNKNOWN("BM_STRESS_NG_Hdd_1MB", MIM_STRESS_WRITE, true, "create, write, flush and remove"),
};

size_t mim_stressor_count(void) { return sizeof catalogue / sizeof catalogue[0]; }

const mim_stressor *mim_stressor_at(size_t i)
{
    return i < mim_stressor_count() ? &catalogue[i] : NULL;
}

const mim_stressor *mim_stressor_find(const char *name)
{
    for (size_t i = 0; name && i < mim_stressor_count(); i++)
        if (strcmp(catalogue[i].name, name) == 0)
            return &catalogue[i];
    return NULL;
}
