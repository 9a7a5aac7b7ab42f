#include "node/kernel_scale.h"

#include "node/kernel_family.h"

static const struct {
    const mim_kernel *kernel;
    mim_kernel_scale scale;
} scalable[] = {
    {&mim_kernel_memset, mim_sweep_scale},
    {&mim_kernel_stream, mim_sweep_scale},
    {&mim_kernel_hdd_read, mim_read_scale},
    {&mim_kernel_hdd_write, mim_write_scale},
};

mim_kernel_scale mim_kernel_scale_of(const mim_kernel *kernel)
{
    for (size_t i = 0; i < sizeof scalable / sizeof *scalable; i++)
        if (scalable[i].kernel == kernel)
            return scalable[i].scale;
    return NULL;
}

uint64_t mim_kernel_scaled(uint64_t n_bytes, double duty)
{
    uint64_t wanted = (uint64_t)(duty * (double)n_bytes) / MIM_PAGE_BYTES * MIM_PAGE_BYTES;
    return wanted < MIM_PAGE_BYTES ? MIM_PAGE_BYTES : wanted > n_bytes ? n_bytes : wanted;
}
