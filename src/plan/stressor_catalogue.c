/* The catalogue's table. Positions are those of the extended action list, so new names go to the
 * end. */
#include "plan/stressor.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

/* Both CRC walks: pieces of 16 B to 2 KiB, a stride apart, over `bytes` of memory. */
#define CRC(NAME, KERNEL, BYTES, STRIDE, LEVEL, PRESSURE)                                          \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_CPU, .memory_bytes = (BYTES),   \
        .op_bytes = (BYTES), .cost_us = 5000, .parameter = (STRIDE), .pressure = PRESSURE,         \
        .level = MIM_LEVEL_##LEVEL                                                                 \
    }
/* Two buffers of `bytes` each. */
#define PAIR(NAME, KERNEL, BYTES, LEVEL, PRESSURE)                                                 \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_CPU,                            \
        .memory_bytes = 2 * (BYTES), .op_bytes = 2 * (BYTES), .cost_us = 5000,                     \
        .pressure = PRESSURE, .level = MIM_LEVEL_##LEVEL                                           \
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
#define WRITE_HOW(NAME, BYTES, SLEEP_US, COST_US, KERNEL, PARAMETER, PRESSURE)                     \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_WRITE, .is_paced = true,        \
        .memory_bytes = (BYTES), .file_bytes = 64 * MIB, .op_bytes = (BYTES),                      \
        .sleep_us = (SLEEP_US), .cost_us = (COST_US), .parameter = (PARAMETER),                    \
        .pressure = PRESSURE                                                                       \
    }
#define WRITE(NAME, BYTES, SLEEP_US, COST_US, PRESSURE)                                            \
    WRITE_HOW(NAME, BYTES, SLEEP_US, COST_US, "hdd_write", 0, PRESSURE)
#define SWEEP(NAME, KERNEL, BYTES, PACED, SLEEP_US, COST_US, LEVEL, PRESSURE)                      \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_MEMORY, .is_paced = (PACED),    \
        .memory_bytes = (BYTES), .op_bytes = (BYTES), .sleep_us = (SLEEP_US),                      \
        .cost_us = (COST_US), .pressure = PRESSURE, .level = MIM_LEVEL_##LEVEL                     \
    }
/* A copy from one buffer to another of the same size. */
#define COPY(NAME, BYTES, HOW, LEVEL, PRESSURE)                                                    \
    {                                                                                              \
        .name = NAME, .kernel = "bulk_copy", .stress_class = MIM_STRESS_MEMORY,                    \
        .memory_bytes = 2 * (BYTES), .op_bytes = 2 * (BYTES), .cost_us = 5000, .parameter = (HOW), \
        .pressure = PRESSURE, .level = MIM_LEVEL_##LEVEL                                           \
    }
/* A file for each block, flushed and removed. */
#define FILES(NAME, BYTES, SLEEP_US, COST_US, PRESSURE)                                            \
    {                                                                                              \
        .name = NAME, .kernel = "hdd_file", .stress_class = MIM_STRESS_WRITE, .is_paced = true,    \
        .memory_bytes = (BYTES), .file_bytes = (BYTES), .op_bytes = (BYTES),                       \
        .sleep_us = (SLEEP_US), .cost_us = (COST_US), .pressure = PRESSURE                         \
    }
#define FALLOCATE(NAME, BYTES, PRESSURE)                                                           \
    {                                                                                              \
        .name = NAME, .kernel = "fallocate", .stress_class = MIM_STRESS_METADATA,                  \
        .is_paced = true, .memory_bytes = 4 * KIB, .file_bytes = (BYTES), .op_bytes = (BYTES),     \
        .cost_us = 5000, .pressure = PRESSURE                                                      \
    }
#define READAHEAD(NAME, PRESSURE)                                                                  \
    {                                                                                              \
        .name = NAME, .kernel = "readahead", .stress_class = MIM_STRESS_READ, .is_paced = true,    \
        .memory_bytes = 64 * KIB, .file_bytes = 64 * MIB, .op_bytes = 4 * MIB, .cost_us = 5000,    \
        .pressure = PRESSURE                                                                       \
    }
/* Metered by CPU time; a level's size is that of the original's machine until it is fitted. */
#define OWN(NAME, KERNEL, CLASS, BYTES, PARAMETER, LEVEL, PRESSURE)                                \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_##CLASS,                        \
        .memory_bytes = (BYTES), .op_bytes = (BYTES), .cost_us = 5000, .parameter = (PARAMETER),   \
        .pressure = PRESSURE, .level = MIM_LEVEL_##LEVEL,                                          \
        .is_own_size = MIM_LEVEL_##LEVEL != MIM_LEVEL_NONE                                         \
    }
/* The file's pages count as memory, too. */
#define CACHE(NAME, KERNEL, PRESSURE)                                                              \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_KERNEL,                         \
        .memory_bytes = 16 * MIB + 64 * KIB, .file_bytes = 16 * MIB, .op_bytes = 64 * KIB,         \
        .cost_us = 5000, .pressure = PRESSURE                                                      \
    }
#define MIXED(NAME, BYTES, PERCENT_READ, PRESSURE)                                                 \
    {                                                                                              \
        .name = NAME, .kernel = "mixed", .stress_class = MIM_STRESS_MIXED, .is_paced = true,       \
        .memory_bytes = 2 * (BYTES), .file_bytes = 64 * MIB, .shared_file_bytes = 256 * MIB,       \
        .op_bytes = (BYTES), .cost_us = 5000, .parameter = (PERCENT_READ), .pressure = PRESSURE    \
    }
/* The block, what a sink of our own expects, and what it receives. */
#define NETWORK(NAME, KERNEL, BYTES, SLEEP_US, COST_US, PRESSURE)                                  \
    {                                                                                              \
        .name = NAME, .kernel = KERNEL, .stress_class = MIM_STRESS_NETWORK, .is_paced = true,      \
        .memory_bytes = 2 * (BYTES) + 256 * KIB, .op_bytes = (BYTES), .sleep_us = (SLEEP_US),      \
        .cost_us = (COST_US), .pressure = PRESSURE                                                 \
    }

#define ORDERED MIM_STRESSOR_ORDERED_KEYS
#define SIMD_PREFIX "BM_SIMD_SerialDistanceComputation/num_blocks:"
#define SIMD_SUFFIX "/enable_avx512:false/flush_cache:false"
#define HASHSET_NAME(HOW, KIND, SET)                                                               \
    "BM_SWISSMAP_Insert" HOW "_Cold<::absl::" KIND "_hash_set, 64>/" SET

static const mim_stressor catalogue[] = {
    /* the default list of 20, in its order */
    CRC("BM_HASHING_Computecrc32c_Fleet_cold", "crc_compute", 256 * MIB, 64 * KIB, DRAM,
        "CRC over cold memory: CPU, cache misses, memory reads"),
    PAIR("BM_LIBC_Memcpy_Fleet_L1", "memcpy", 32 * KIB, L1, "copies in the L1 cache"),
    PAIR("BM_LIBC_Memcpy_Fleet_L2", "memcpy", 512 * KIB, L2, "copies in the L2 cache"),
    PAIR("BM_LIBC_Memcmp_Fleet_LLC", "memcmp", 12 * MIB, LLC,
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
    SWEEP("BM_DIRECTMEMSET_32MB_NoSleep", "memset", 32 * MIB, false, 0, 5000, DRAM,
          "memory writes"),
    SWEEP("BM_DIRECTMEMSET_32MB_WeightScaled_50ms", "memset", 32 * MIB, true, 50000, 50000, DRAM,
          "memory writes in bursts, at most 640 MiB/s a thread"),
    SWEEP("BM_DIRECTSTREAMSIMD_32MB_NoSleep", "stream", 32 * MIB, false, 0, 5000, DRAM,
          "memory reads and writes with arithmetic"),
    SWEEP("BM_DIRECTSTREAMSIMD_8MB_NoSleep", "stream", 8 * MIB, false, 0, 5000, LLC,
          "last-level cache reads and writes with arithmetic"),
    CRC("BM_HASHING_Extendcrc32c_Fleet_L3_16MB", "crc_extend", 16 * MIB, 32 * KIB, LLC,
        "CRC over the last-level cache"),

    /* in the older lists, too */
    CRC("BM_HASHING_Extendcrc32cinternal_Fleet_cold", "crc_extend", 256 * MIB, 64 * KIB, DRAM,
        "CRC over cold memory: CPU, cache misses, memory reads"),
    SIMD(SIMD_PREFIX "512" SIMD_SUFFIX),
    HASHSET(HASHSET_NAME("Miss", "flat", "set_size:1048576/density:0"), 1048576, 2097152, 0,
            "scattered stores in memory"),
    READ("BM_STRESS_NG_HddRead_256KB_NoSleep", 256 * KIB, 0, 5000,
         "block reads of 256 KiB, as fast as they go"),
    WRITE("BM_STRESS_NG_HddWriteNF_256KB_BurstScaled", 256 * KIB, 0, 5000,
          "block writes of 256 KiB, as fast as they go"),
    OWN("BM_COMPRESSION_ZSTD_DECOMPRESS_Fleet/compression_level:0/window_log:0", "zstd", CPU,
        4 * MIB, 0, NONE, "decompression"),
    /* density is not honoured by the original's direct kernels: the same inserts as density:1 */
    HASHSET(HASHSET_NAME("ManyOrdered", "flat", "set_size:1048576/density:0"), 1048576, 2097152,
            ORDERED, "scattered stores in memory"),
    HASHSET(HASHSET_NAME("ManyUnordered", "flat", "set_size:1048576/density:1"), 1048576, 2097152,
            0, "scattered stores in memory"),
    READAHEAD("BM_STRESS_NG_Readahead", "file reads ahead of use, through the page cache"),
    FALLOCATE("BM_STRESS_NG_Fallocate_4MB", 4 * MIB, "files of 4 MiB allocated, flushed, removed"),
    FILES("BM_STRESS_NG_Hdd_1MB", MIB, 0, 5000, "files of 1 MiB written, flushed, removed"),

    /* the rest of the original's direct names */
    CRC("BM_HASHING_Extendcrc32c_Fleet_L2_1MB", "crc_extend", MIB, 4 * KIB, L2,
        "CRC over the L2 cache"),
    PAIR("BM_LIBC_Memmove_Fleet_LLC", "memmove", 12 * MIB, LLC,
         "copies in the last-level cache, memory traffic with many threads"),
    PAIR("BM_LIBC_Memcmp_Fleet_L2", "memcmp", 512 * KIB, L2, "comparisons in the L2 cache"),
    HASHSET(HASHSET_NAME("ManyOrdered", "flat", "set_size:262144/density:1"), 262144, 524288,
            ORDERED, "scattered stores in the last-level cache"),
    HASHSET(HASHSET_NAME("ManyOrdered", "node", "set_size:1048576/density:1"), 1048576, 2097152,
            ORDERED, "scattered stores in memory"),
    FALLOCATE("BM_STRESS_NG_Fallocate_256KB", 256 * KIB,
              "files of 256 KiB allocated, flushed, removed"),
    FILES("BM_STRESS_NG_Hdd_64KB", 64 * KIB, 0, 5000, "files of 64 KiB written, flushed, removed"),
    FILES("BM_STRESS_NG_Hdd_1MB_Throttled_50ms", MIB, 50000, 50000,
          "files of 1 MiB, at most 20 a second"),
    FILES("BM_STRESS_NG_Hdd_16KB_Throttled_5ms", 16 * KIB, 5000, 5000,
          "files of 16 KiB, at most 200 a second"),
    FILES("BM_STRESS_NG_Hdd_4KB_Throttled_10ms", 4 * KIB, 10000, 10000,
          "files of 4 KiB, at most 100 a second"),
    FILES("BM_STRESS_NG_Hdd_4KB_WeightScaled_10ms", 4 * KIB, 10000, 10000,
          "files of 4 KiB, at most 100 a second"),
    FILES("BM_STRESS_NG_Hdd_16KB_WeightScaled_5ms", 16 * KIB, 5000, 5000,
          "files of 16 KiB, at most 200 a second"),
    FILES("BM_STRESS_NG_Hdd_256KB_WeightScaled_50ms", 256 * KIB, 50000, 50000,
          "files of 256 KiB, at most 20 a second"),
    FILES("BM_STRESS_NG_Hdd_1MB_WeightScaled_50ms", MIB, 50000, 50000,
          "files of 1 MiB, at most 20 a second"),
    READ("BM_STRESS_NG_HddRead_1MB_WeightScaled_200ms", MIB, 200000, 200000,
         "block reads, at most 5 MiB/s a thread"),
    READ("BM_STRESS_NG_HddRead_256KB_WeightScaled_50ms", 256 * KIB, 50000, 50000,
         "block reads, at most 5 MiB/s a thread"),
    READ("BM_STRESS_NG_HddRead_64KB_WeightScaled_500ms", 64 * KIB, 500000, 500000,
         "block reads, at most 128 KiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_256KB_NoSleep", 256 * KIB, 0, 5000,
          "block writes of 256 KiB, as fast as they go"),
    WRITE("BM_STRESS_NG_HddWriteNF_256KB_WeightScaled_50ms", 256 * KIB, 50000, 50000,
          "block writes, at most 5 MiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_1MB_NoSleep", MIB, 0, 5000, "block writes, as fast as they go"),
    WRITE("BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_10ms", MIB, 10000, 10000,
          "block writes, at most 100 MiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_100ms", MIB, 100000, 100000,
          "block writes, at most 10 MiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_64KB_WeightScaled_500ms", 64 * KIB, 500000, 500000,
          "block writes, at most 128 KiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_2MB_WeightScaled_50ms", 2 * MIB, 50000, 50000,
          "block writes, at most 40 MiB/s a thread"),
    WRITE("BM_STRESS_NG_HddWriteNF_4MB_WeightScaled_50ms", 4 * MIB, 50000, 50000,
          "block writes, at most 80 MiB/s a thread"),
    WRITE_HOW("BM_STRESS_NG_HddWriteCRC_1MB_15ms", MIB, 0, 5000, "write_crc", 15000,
              "block writes with 15 ms of CRC after each"),
    WRITE_HOW("BM_STRESS_NG_HddWriteCRC_1MB_30ms", MIB, 0, 5000, "write_crc", 30000,
              "block writes with 30 ms of CRC after each"),
    WRITE_HOW("BM_STRESS_NG_HddWriteCRC_1MB_50ms", MIB, 0, 5000, "write_crc", 50000,
              "block writes with 50 ms of CRC after each"),
    WRITE_HOW("BM_STRESS_NG_HddWriteD_1MB_WeightScaled_50ms", MIB, 50000, 50000, "hdd_write",
              MIM_STRESSOR_DIRECT, "block writes past the page cache, at most 20 MiB/s a thread"),
    WRITE_HOW("BM_STRESS_NG_HddWriteD_1MB_WeightScaled_25ms", MIB, 25000, 25000, "hdd_write",
              MIM_STRESSOR_DIRECT, "block writes past the page cache, at most 40 MiB/s a thread"),
    WRITE_HOW("BM_STRESS_NG_HddWriteD_1MB_WeightScaled_0ms", MIB, 0, 5000, "hdd_write",
              MIM_STRESSOR_DIRECT, "block writes past the page cache, as fast as they go"),
    SWEEP("BM_DIRECTSTREAMSIMD_4MB_NoSleep", "stream", 4 * MIB, false, 0, 5000, NONE,
          "last-level cache reads and writes with arithmetic"),
    COPY("BM_DIRECTMEMCPY_8MB_NoSleep", 8 * MIB, 0, LLC, "bulk copies in the last-level cache"),
    COPY("BM_DIRECTMEMCPY_32MB_NoSleep", 32 * MIB, MIM_STRESSOR_STREAMING, DRAM,
         "bulk copies in memory"),
    SWEEP("BM_DIRECTNTSTORE_8MB_NoSleep", "nt_store", 8 * MIB, false, 0, 5000, LLC,
          "stores past the caches"),
    SWEEP("BM_DIRECTNTSTORE_32MB_NoSleep", "nt_store", 32 * MIB, false, 0, 5000, DRAM,
          "stores past the caches"),
    SWEEP("BM_DIRECTSCAN_8MB_NoSleep", "scan", 8 * MIB, false, 0, 5000, LLC,
          "last-level cache reads"),
    SWEEP("BM_DIRECTSCAN_32MB_NoSleep", "scan", 32 * MIB, false, 0, 5000, DRAM, "memory reads"),

    /* our own */
    OWN("MIM_COPY_L1", "memcpy", CPU, 32 * KIB, 0, L1, "copies in the L1 cache of this node"),
    OWN("MIM_COPY_L2", "memcpy", CPU, 512 * KIB, 0, L2, "copies in the L2 cache of this node"),
    OWN("MIM_COPY_LLC", "memcpy", CPU, 8 * MIB, 0, LLC,
        "copies in the last-level cache of this node"),
    OWN("MIM_COPY_DRAM", "bulk_copy", MEMORY, 128 * MIB, MIM_STRESSOR_STREAMING, DRAM,
        "copies beyond this node's caches"),
    OWN("MIM_LOAD_LLC", "scan", MEMORY, 8 * MIB, 0, LLC, "last-level cache reads"),
    OWN("MIM_LOAD_DRAM", "scan", MEMORY, 128 * MIB, 0, DRAM, "memory reads"),
    OWN("MIM_STORE_LLC", "memset", MEMORY, 8 * MIB, 0, LLC, "last-level cache writes"),
    OWN("MIM_STORE_DRAM", "nt_store", MEMORY, 128 * MIB, 0, DRAM, "memory writes"),
    OWN("MIM_NUMA_REMOTE_LOAD", "remote_read", MEMORY, 128 * MIB, 0, DRAM,
        "memory reads from another NUMA node"),
    OWN("MIM_NUMA_REMOTE_STORE", "remote_write", MEMORY, 128 * MIB, 0, DRAM,
        "memory writes to another NUMA node"),
    OWN("MIM_PAGE_FAULTS", "page_faults", KERNEL, 4 * MIB, 0, NONE, "page faults"),
    OWN("MIM_MMAP_CHURN", "mmap_churn", KERNEL, 64 * KIB, 0, NONE,
        "mappings made, touched and removed"),
    OWN("MIM_SWITCH_FUTEX", "switch_futex", KERNEL, 4 * KIB, 0, NONE,
        "context switches through a futex"),
    OWN("MIM_SWITCH_PIPE", "switch_pipe", KERNEL, 4 * KIB, 0, NONE,
        "context switches through pipes"),
    CACHE("MIM_PAGECACHE_READ_64KB", "cache_read", "reads of a file in the page cache"),
    CACHE("MIM_PAGECACHE_WRITE_64KB", "cache_write", "writes of a file in the page cache"),
    {.name = "MIM_METADATA_32FILES",
     .kernel = "metadata",
     .stress_class = MIM_STRESS_METADATA,
     .is_paced = true,
     .memory_bytes = 4 * KIB,
     .cost_us = 5000,
     .pressure = "file names made, renamed, looked at, listed and removed"},
    MIXED("MIM_IO_MIXED_1MB_R70W30", MIB, 70, "block reads and writes, 70 to 30"),
    MIXED("MIM_IO_MIXED_1MB_R50W50", MIB, 50, "block reads and writes, half and half"),
    MIXED("MIM_IO_MIXED_64KB_R70W30", 64 * KIB, 70, "small block reads and writes, 70 to 30"),
    MIXED("MIM_IO_MIXED_64KB_R50W50", 64 * KIB, 50, "small block reads and writes, half and half"),
    NETWORK("MIM_NETWORK_LOOPBACK_256KB", "net_loopback", 256 * KIB, 0, 5000,
            "a TCP stream over the loopback, as fast as it goes"),
    NETWORK("MIM_NETWORK_LOOPBACK_64KB_10ms", "net_loopback", 64 * KIB, 10000, 10000,
            "a TCP stream over the loopback, at most 6.25 MiB/s a thread"),
    NETWORK("MIM_NETWORK_PEER_256KB", "net_peer", 256 * KIB, 0, 5000,
            "a TCP stream to stressors.network_peer, as fast as it goes"),
    NETWORK("MIM_NETWORK_PEER_64KB_10ms", "net_peer", 64 * KIB, 10000, 10000,
            "a TCP stream to stressors.network_peer, at most 6.25 MiB/s a thread"),
};

size_t mim_stressor_count(void) { return sizeof catalogue / sizeof catalogue[0]; }

const mim_stressor *mim_stressor_at(size_t i)
{
    return i < mim_stressor_count() ? &catalogue[i] : NULL;
}
