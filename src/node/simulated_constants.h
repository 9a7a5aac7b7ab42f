/* Every number of the simulated node, with where it comes from.
 *
 * [executor N], [collection N]: section N of the notes on the original system. [sheet]: data sheets
 * of the class of hardware. [measured]: by us, single kernels on one CPU of a virtual machine
 * (Zen 5), [executor 3.6]; rates in caches and memory are a third of that, for a Skylake-SP core of
 * 2.2 GHz. [assumed]: chosen; no measurement behind it.
 * The node is no model of a machine that exists: it is made to behave like one. */
#ifndef MIM_NODE_SIMULATED_CONSTANTS_H
#define MIM_NODE_SIMULATED_CONSTANTS_H

#define MIM_SIMULATED_KIB 1024.0
#define MIM_SIMULATED_MIB (1024.0 * 1024.0)

/* ---- the machine: Skylake-SP, 2 sockets of 10 cores [executor 1]; other sizes in proportion -----
 */
#define MIM_SIMULATED_FREQUENCY_HZ 2.2e9 /* [sheet] Xeon Silver 4114, base clock; no turbo */
#define MIM_SIMULATED_L1D_BYTES (32 * MIM_SIMULATED_KIB)
#define MIM_SIMULATED_L2_BYTES MIM_SIMULATED_MIB /* [executor 1] a core */
/* [executor 1] 13.75 for 10 */
#define MIM_SIMULATED_LLC_BYTES_PER_CORE (1.375 * MIM_SIMULATED_MIB)
#define MIM_SIMULATED_CHANNELS_PER_CORE 0.3        /* [executor 4.1] 6 for 2 sockets of 10 */
#define MIM_SIMULATED_CHANNEL_BYTES_PER_S 19.2e9   /* [sheet] DDR4-2400: 115.2 GB/s for 6 */
#define MIM_SIMULATED_REACHABLE_BANDWIDTH 0.85     /* [assumed] share of the peak */
#define MIM_SIMULATED_MEMORY_BYTES_PER_CORE 9.35e9 /* [executor 1] 187 GB for 20 */
#define MIM_SIMULATED_LINE_BYTES 64.0              /* [sheet] */
#define MIM_SIMULATED_EPOCH_S 946684800.0          /* 2000-01-01: every run begins then */
enum { MIM_SIMULATED_MAX_SOCKETS = 64, MIM_SIMULATED_MAX_CPUS = 4096 };

/* ---- what a core does when nobody asks [assumed] ----------------------------------------------
 */
#define MIM_SIMULATED_IDLE_CPU 0.001 /* share of a core: interrupts, the monitor */
#define MIM_SIMULATED_IDLE_IPC 0.7
#define MIM_SIMULATED_IDLE_LOOKUPS_PER_S 5e4 /* a core */
#define MIM_SIMULATED_IDLE_MISS_RATIO 0.3
#define MIM_SIMULATED_IDLE_READ_BYTES_PER_S 3e7 /* a socket */
#define MIM_SIMULATED_IDLE_WRITE_BYTES_PER_S 1e7
#define MIM_SIMULATED_IDLE_LLC_BYTES (0.5 * MIM_SIMULATED_MIB) /* a socket */

/* ---- stressors: by kernel family, else by class -----------------------------------------------
 *
 * Of each: lines that pass the L2 cache, bytes in a second of CPU time while the last-level cache
 * holds them (1 / (1 + stall * misses) of it otherwise); that stall; share of lines that come back
 * dirty; instructions a cycle without misses; looseness: how easily lines are lost to others, of a
 * set that is passed in MIM_SIMULATED_PASS_S: 1 for random access, 4 for sweeps, which lose a line
 * just before they need it.
 * Bytes: [measured] / 3; the rest: [assumed]. */
#define MIM_SIMULATED_PASS_S 0.003
#define MIM_SIMULATED_CRC 3.5e9, 1.5, 0.0, 1.6, 4      /* 1000 calls, 510 kB: 48 us */
#define MIM_SIMULATED_COPY 12e9, 1.5, 0.5, 2.2, 4      /* 64 MiB touched: 1.9 ms */
#define MIM_SIMULATED_COMPARE 23e9, 1.2, 0.0, 1.8, 4   /* 2.67 MiB touched: 40 us */
#define MIM_SIMULATED_VECTOR 0, 0, 0, 2.8, 1           /* stays in L1 */
#define MIM_SIMULATED_HASH_SET 1.5e9, 2.5, 0.9, 1.1, 1 /* [assumed] */
#define MIM_SIMULATED_SET 14e9, 1.2, 1.0, 0.9, 4       /* 32 MiB: 0.79 ms */
#define MIM_SIMULATED_STREAM 12e9, 1.3, 1.0, 1.4, 4    /* 32 MiB: 0.92 ms */
#define MIM_SIMULATED_CPU_CLASS 2e9, 1.5, 0.3, 1.6, 1  /* these [assumed] */
#define MIM_SIMULATED_MEMORY_CLASS 10e9, 1.3, 0.7, 1.2, 4
#define MIM_SIMULATED_IO_CLASS 0, 0, 0, 0.8, 1 /* the kernel's code */
#define MIM_SIMULATED_OTHER_CLASS 0, 0, 0, 1.2, 1
/* Where the catalogue gives no size. */
#define MIM_SIMULATED_MEMORY_CLASS_BYTES (32 * MIM_SIMULATED_MIB)
#define MIM_SIMULATED_IO_CLASS_BYTES MIM_SIMULATED_MIB
/* Stressors that are not paced: a batch, as kernels have it [executor 8]. Paced ones of a class
 * that moves neither memory nor blocks: an operation and its share of CPU time. */
#define MIM_SIMULATED_BATCH_S 1e-5
#define MIM_SIMULATED_OTHER_OP_S 1e-3
#define MIM_SIMULATED_OTHER_OP_CPU 0.3

/* ---- the disk ---------------------------------------------------------------------------------
 */
#define MIM_SIMULATED_DISK_READ_BYTES_PER_S 2.85e9 /* [sheet] NVMe drive of 1 TB, all requests */
#define MIM_SIMULATED_DISK_WRITE_BYTES_PER_S 1.1e9 /* [sheet] */
#define MIM_SIMULATED_READ_BYTES_PER_S 1.1e9       /* [measured] one request at a time: 1 MiB in */
#define MIM_SIMULATED_READ_OP_S 80e-6              /* 1.05 ms, [sheet] 80 us of it fixed */
#define MIM_SIMULATED_WRITE_BYTES_PER_S 0.6e9      /* [assumed] one request at a time */
#define MIM_SIMULATED_WRITE_OP_S 30e-6             /* [sheet] */
#define MIM_SIMULATED_IO_CPU_S 30e-6               /* [assumed] CPU time of an operation, */
#define MIM_SIMULATED_IO_CPU_BYTES_PER_S 10e9      /* and of its bytes */
/* Queueing: up to this share of the ceiling all that is asked for is done; beyond, the wait in the
 * queue takes off ever more of it, and the ceiling is approached [assumed]. */
#define MIM_SIMULATED_DISK_KNEE 0.8

/* ---- the page cache: from a slot to the next [assumed] -----------------------------------------
 */
#define MIM_SIMULATED_LATE_WRITES 0.3  /* share of a slot's writes that is flushed in the next */
#define MIM_SIMULATED_CACHED_READS 0.3 /* of what the slot before read, up to */
/* [executor 3.3] the read file */
#define MIM_SIMULATED_CACHED_FILE_BYTES (256 * MIM_SIMULATED_MIB)

/* ---- noise [assumed]: within the repeatability asked of executors [executor 8.1] ---------------
 */
/* /proc/stat [executor 6.1]; rounded up or down by chance */
#define MIM_SIMULATED_TICKS_PER_S 100.0
#define MIM_SIMULATED_CPU_NOISE 0.002 /* share of a busy core */
#define MIM_SIMULATED_IO_NOISE 0.03   /* these relative */
#define MIM_SIMULATED_LOOKUP_NOISE 0.02
#define MIM_SIMULATED_BANDWIDTH_NOISE 0.02
#define MIM_SIMULATED_IPC_NOISE 0.01
#define MIM_SIMULATED_OCCUPANCY_NOISE 0.03
#define MIM_SIMULATED_MISS_NOISE 0.03
/* Rare outliers: one value of a metric in so many, so much more. */
#define MIM_SIMULATED_RARE 0.002
#define MIM_SIMULATED_RARE_CPU 0.2    /* share of a core, added */
#define MIM_SIMULATED_RARE_FACTOR 1.5 /* of other metrics */

#endif
