#define _GNU_SOURCE /* syscall, O_DIRECT */
#include "node/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/kernel_family.h"

static const mim_kernel *const kernels[] = {
    &mim_kernel_crc_compute,  &mim_kernel_crc_extend,   &mim_kernel_memcpy,
    &mim_kernel_memmove,      &mim_kernel_memcmp,       &mim_kernel_simd,
    &mim_kernel_hashset,      &mim_kernel_zstd,         &mim_kernel_hdd_read,
    &mim_kernel_hdd_write,    &mim_kernel_memset,       &mim_kernel_stream,
    &mim_kernel_bulk_copy,    &mim_kernel_nt_store,     &mim_kernel_scan,
    &mim_kernel_write_crc,    &mim_kernel_hdd_file,     &mim_kernel_fallocate,
    &mim_kernel_readahead,    &mim_kernel_mixed,        &mim_kernel_cache_read,
    &mim_kernel_cache_write,  &mim_kernel_metadata,     &mim_kernel_page_faults,
    &mim_kernel_mmap_churn,   &mim_kernel_switch_futex, &mim_kernel_switch_pipe,
    &mim_kernel_net_loopback, &mim_kernel_net_peer,     &mim_kernel_remote_read,
    &mim_kernel_remote_write,
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

int mim_kernel_for(const mim_stressor *stressor, mim_scratch *scratch, const mim_kernel **kernel)
{
    const mim_kernel *found = mim_kernel_find(stressor->kernel);
    int rc = MIM_OK;

    if (!found)
        return mim_fail(MIM_EUNSUP, "stressor %s: this build has no kernel for it", stressor->name);
    if (found->check_node && (rc = found->check_node(stressor, scratch)) != MIM_OK)
        return mim_fail_in(rc, "stressor %s", stressor->name);
    *kernel = found;
    return MIM_OK;
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

void mim_kernel_fill_random(uint64_t n_words, uint64_t seed, uint64_t *words)
{
    uint64_t x = seed | 1; /* xorshift64* */

    for (uint64_t i = 0; i < n_words; i++) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        words[i] = x * UINT64_C(2685821657736338717);
    }
}

int mim_kernel_set_direct(int fd, bool is_direct)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && fcntl(fd, F_SETFL, is_direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0)
        return MIM_OK;
    return mim_fail(MIM_EUNSUP, "scratch file: its file system refuses O_DIRECT: %s",
                    strerror(errno));
}

int mim_kernel_write_at(int fd, uint64_t offset, uint64_t n_bytes, const void *buffer)
{
    uint64_t n_done = 0;

    while (n_done < n_bytes) {
        ssize_t n =
            pwrite(fd, (const char *)buffer + n_done, n_bytes - n_done, (off_t)(offset + n_done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mim_fail(MIM_EIO, "scratch file: writing %" PRIu64 " bytes at %" PRIu64 ": %s",
                            n_bytes, offset, n < 0 ? strerror(errno) : "nothing was written");
        n_done += (uint64_t)n;
    }
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
