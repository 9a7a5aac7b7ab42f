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
extern const mim_kernel mim_kernel_memcpy, mim_kernel_memcmp;
extern const mim_kernel mim_kernel_simd;
extern const mim_kernel mim_kernel_hashset;
extern const mim_kernel mim_kernel_hdd_read, mim_kernel_hdd_write;
extern const mim_kernel mim_kernel_memset, mim_kernel_stream;

enum { MIM_PAGE_BYTES = 4096 };

/* The value of `expression` is computed and its stores are made: the compiler may drop nothing. */
#define MIM_KEEP(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

/* Page-aligned and filled by the calling thread, so that its pages lie on this thread's NUMA node
 * whatever memory policy the process was started with. The caller frees `buffer`. */
int mim_kernel_buffer(uint64_t n_bytes, int fill, void **buffer);

/* MIM_EINVAL for a missing argument; the common first line of every create. */
int mim_kernel_check(const char *kernel, const mim_stressor *stressor,
                     const mim_kernel_place *place, void *const *state);

/* All n bytes of the file at the offset, in as many reads as it takes; MIM_EIO. */
int mim_kernel_read_at(int fd, uint64_t offset, uint64_t n_bytes, void *buffer);

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

/* The i-th key (from 0) of the "miss" sequence follows from the one before; the first call gets
 * MIM_HASHSET_START. */
#define MIM_HASHSET_START UINT64_C(0x9E3779B97F4A7C15)
static inline uint64_t mim_hashset_next(uint64_t key, uint64_t i)
{
    return key * UINT64_C(2654435761) + i;
}

#endif
