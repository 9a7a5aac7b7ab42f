/* Kernels whose operations have a size that depends on a duty, as --compat wants it.
 *
 * After a call with a duty in (0, 1] the next operations are of that part of the stressor's own
 * size, in whole pages and at least one (the original: at least 64 bytes of memory, 512 of a file).
 * To be called between whole operations. Kernels that nobody scales work as ever. */
#ifndef MIM_NODE_KERNEL_SCALE_H
#define MIM_NODE_KERNEL_SCALE_H

#include <stdint.h>

#include "node/kernel.h"

typedef int (*mim_kernel_scale)(void *state, double duty);

/* NULL: the kernel's work does not depend on the duty. */
mim_kernel_scale mim_kernel_scale_of(const mim_kernel *kernel);

/* For the kernels: duty * n_bytes in whole pages, between one page and n_bytes. */
uint64_t mim_kernel_scaled(uint64_t n_bytes, double duty);

int mim_sweep_scale(void *state, double duty); /* memset and stream */
int mim_read_scale(void *state, double duty);
int mim_write_scale(void *state, double duty);

#endif
