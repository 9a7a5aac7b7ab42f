#define _GNU_SOURCE
#include "nn/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *mim_prefer_large_pages(void *memory, size_t n)
{
    enum { fewest = 4 << 20 }; /* smaller ones need not hold a single large page */
#if defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)memory;
    const uintptr_t first = (at + page - 1) / page * page, end = (at + n) / page * page;
    if (memory && n >= fewest)
        (void)madvise((char *)memory + (first - at), end - first, MADV_HUGEPAGE); /* a wish */
#endif
    return memory;
}

void *mim_calloc_large(size_t n, size_t size)
{
    return mim_prefer_large_pages(calloc(n, size), n * size);
}
