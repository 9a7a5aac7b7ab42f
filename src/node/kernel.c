#define _GNU_SOURCE /* syscall */
#include "node/kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/kernel_family.h"

static const mim_kernel *const kernels[] = {
    &mim_kernel_crc_compute, &mim_kernel_crc_extend, &mim_kernel_memcpy,   &mim_kernel_memcmp,
    &mim_kernel_simd,        &mim_kernel_hashset,    &mim_kernel_hdd_read, &mim_kernel_hdd_write,
    &mim_kernel_memset,      &mim_kernel_stream,
};

size_t mim_kernel_count(void) { return sizeof kernels / sizeof kernels[0]; }

const mim_kernel *mim_kernel_at(size_t i) { return i < mim_kernel_count() ? kernels[i] : NULL; }

const mim_kernel *mim_kernel_find(const char *name)
{
    for (size_t i = 0; name && i < mim_kernel_count(); i++)
        if (strcmp(kernels[i]->name, name) == 0)
            return kernels[i];
    return NULL;
}

int mim_kernel_buffer(uint64_t n_bytes, int fill, void **buffer)
{
    uint64_t n = (n_bytes + MIM_PAGE_BYTES - 1) / MIM_PAGE_BYTES * MIM_PAGE_BYTES;
    void *bytes;

    if (n < n_bytes || n > PTRDIFF_MAX)
        return mim_fail(MIM_EINVAL, "stressor buffer of %" PRIu64 " bytes: too large", n_bytes);
    if (!(bytes = aligned_alloc(MIM_PAGE_BYTES, n > 0 ? (size_t)n : MIM_PAGE_BYTES)))
        return mim_fail(MIM_ENOMEM, "stressor buffer of %" PRIu64 " bytes", n_bytes);
#ifdef SYS_mbind
    /* Overrides an interleaving policy of a parent (numactl); where it is refused, the first touch
     * below has the same effect under the default policy. */
    (void)syscall(SYS_mbind, bytes, (unsigned long)n, MPOL_LOCAL, NULL, 0UL, 0U);
#endif
    memset(bytes, fill, (size_t)n);
    *buffer = bytes;
    return MIM_OK;
}

int mim_kernel_check(const char *kernel, const mim_stressor *stressor,
                     const mim_kernel_place *place, void *const *state)
{
    if (!stressor || !place || !state)
        return mim_fail(MIM_EINVAL, "kernel %s: no stressor, no place or nowhere to put its state",
                        kernel);
    return MIM_OK;
}

int mim_kernel_read_at(int fd, uint64_t offset, uint64_t n_bytes, void *buffer)
{
    uint64_t n_done = 0;

    while (n_done < n_bytes) {
        ssize_t n = pread(fd, (char *)buffer + n_done, n_bytes - n_done, (off_t)(offset + n_done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mim_fail(MIM_EIO, "scratch file: reading %" PRIu64 " bytes at %" PRIu64 ": %s",
                            n_bytes, offset, n < 0 ? strerror(errno) : "it ends before");
        n_done += (uint64_t)n;
    }
    return MIM_OK;
}
