/* What the kernel families share, and the parts of theirs that tests compare with references.
 * For src/node/kernel*.c and tests only.
 *
 * Every family's state begins with the pointer to its buffer: tests damage the buffer there and
 * expect verify to see it. */
#ifndef MIM_NODE_KERNEL_FAMILY_H
#define MIM_NODE_KERNEL_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/kernel.h"

extern const mim_kernel mim_kernel_crc_compute, mim_kernel_crc_extend;
extern const mim_kernel mim_kernel_memcpy, mim_kernel_memmove, mim_kernel_memcmp;
extern const mim_kernel mim_kernel_simd;
extern const mim_kernel mim_kernel_hashset, mim_kernel_zstd;
extern const mim_kernel mim_kernel_hdd_read, mim_kernel_hdd_write;
extern const mim_kernel mim_kernel_memset, mim_kernel_stream;
extern const mim_kernel mim_kernel_bulk_copy, mim_kernel_nt_store, mim_kernel_scan;
extern const mim_kernel mim_kernel_write_crc, mim_kernel_hdd_file, mim_kernel_fallocate;
extern const mim_kernel mim_kernel_readahead, mim_kernel_mixed;
extern const mim_kernel mim_kernel_cache_read, mim_kernel_cache_write, mim_kernel_metadata;
extern const mim_kernel mim_kernel_page_faults, mim_kernel_mmap_churn;
extern const mim_kernel mim_kernel_switch_futex, mim_kernel_switch_pipe;
extern const mim_kernel mim_kernel_net_loopback, mim_kernel_net_peer;
extern const mim_kernel mim_kernel_remote_read, mim_kernel_remote_write;

enum { MIM_PAGE_BYTES = 4096 };

/* The value of `expression` is computed and its stores are made: the compiler may drop nothing. */
#define MIM_KEEP(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

/* Page-aligned and filled by the calling thread, so that its pages lie on this thread's NUMA node
 * whatever memory policy the process was started with. The caller frees `buffer`. */
int mim_kernel_buffer(uint64_t n_bytes, int fill, void **buffer);

/* MIM_EINVAL for a missing argument; the common first line of every create. */
int mim_kernel_check(const char *kernel, const mim_stressor *stressor,
                     const mim_kernel_place *place, void *const *state);

/* All n bytes of the file at the offset, in as many calls as it takes; MIM_EIO. */
int mim_kernel_read_at(int fd, uint64_t offset, uint64_t n_bytes, void *buffer);
int mim_kernel_write_at(int fd, uint64_t offset, uint64_t n_bytes, const void *buffer);
/* Past the page cache, or through it; MIM_EUNSUP. */
int mim_kernel_set_direct(int fd, bool is_direct);

/* Content that no file system, device or network compresses away. */
void mim_kernel_fill_random(uint64_t n_words, uint64_t seed, uint64_t *words);

/* CRC-32C (Castagnoli, reflected, as in iSCSI): crc of what came before, 0 at first. */
typedef uint32_t (*mim_crc32c)(uint32_t crc, const void *bytes, size_t n_bytes);
uint32_t mim_crc32c_ref(uint32_t crc, const void *bytes, size_t n_bytes);
mim_crc32c mim_crc32c_best(void); /* the CRC32 instruction where the CPU has it */

/* c[i] += a[i] * b[i]; n a multiple of 32. */
typedef void (*mim_simd_pass)(size_t n, const float *a, const float *b, float *c);
void mim_simd_pass_ref(size_t n, const float *a, const float *b, float *c);
mim_simd_pass mim_simd_pass_best(void);

/* p[i] = factor * p[i] + term; n a multiple of 16. */
typedef void (*mim_stream_sweep)(size_t n, double factor, double term, double *p);
void mim_stream_sweep_ref(size_t n, double factor, double term, double *p);
mim_stream_sweep mim_stream_sweep_best(void);

/* Sets n bytes to repeated words, past the caches where the CPU can; n a multiple of 64, p of 32.
 */
typedef void (*mim_nt_store)(size_t n_bytes, uint32_t word, void *p);
void mim_nt_store_ref(size_t n_bytes, uint32_t word, void *p);
mim_nt_store mim_nt_store_best(void);

/* Exclusive or of n bytes of 64-bit words; n a multiple of 128, p of 32. */
typedef uint64_t (*mim_scan)(size_t n_bytes, const void *p);
uint64_t mim_scan_ref(size_t n_bytes, const void *p);
mim_scan mim_scan_best(void);

/* memcpy, or with stores past the caches; n a multiple of 64, both places of 32. */
typedef void (*mim_bulk_copy)(size_t n_bytes, const void *source, void *target);
void mim_bulk_copy_ref(size_t n_bytes, const void *source, void *target);
mim_bulk_copy mim_bulk_copy_streaming(void);

/* The next node after `own`, going round, whose bit is set in the mask; -1 when there is none. */
int mim_numa_other_node(size_t n_words, const unsigned long *allowed, int own);

/* The i-th key (from 0) of the "miss" sequence follows from the one before; the first call gets
 * MIM_HASHSET_START. */
#define MIM_HASHSET_START UINT64_C(0x9E3779B97F4A7C15)
static inline uint64_t mim_hashset_next(uint64_t key, uint64_t i)
{
    return key * UINT64_C(2654435761) + i;
}

#endif
