/* Stressor kernels: the code that makes the load.
 *
 * One file a family, ending in a const descriptor that the table in kernel.c lists. An instance
 * belongs to one plan row and is used by one thread at a time. Everything expensive (memory
 * touched, files written and synced) happens in create, before the first slot. */
#ifndef MIM_NODE_KERNEL_H
#define MIM_NODE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "node/scratch.h"
#include "plan/stressor.h"

typedef struct mim_work {
    uint64_t n_ops;   /* operations in the kernel's own sense (calls, copies, inserts, reads ...) */
    uint64_t n_bytes; /* bytes moved or hashed; for I/O the bytes given to the kernel */
    uint64_t extra_cpu_ns; /* CPU time of threads that the stressor keeps beside the calling one */
} mim_work;

typedef struct mim_kernel_place {
    size_t row;           /* plan row, for offsets and seeds */
    int cpu;              /* OS index the row is pinned to */
    mim_scratch *scratch; /* NULL when the stressor needs no file */
    uint64_t seed;
} mim_kernel_place;

typedef struct mim_kernel {
    const char *name; /* stressor->kernel */
    /* Allocates and touches; called on the thread that will run it. */
    int (*create)(const mim_stressor *stressor, const mim_kernel_place *place, void **state);
    void (*destroy)(void *state); /* accepts NULL */
    /* Not paced: runs n batches of some 5 to 50 us each and adds what was done to `work`.
     * Paced: runs one operation (n = 1), or for memory kernels one whole sweep.
     * I/O errors: MIM_EIO with the sentence; MIM_EUNSUP when the scratch guard refused. */
    int (*run)(void *state, size_t n, mim_work *work);
    /* Recomputes what must hold of the work done so far (checksum of a copy, elements in a table).
     * MIM_ECHECK when it does not: the machine or the kernel is broken. */
    int (*verify)(void *state);
    /* NULL: can run on any node. Else MIM_EUNSUP, with the reason, where the stressor never can: a
     * second NUMA node or a network peer is missing, or the scratch's file system (`scratch` may be
     * NULL: not known) lacks what it is about. */
    int (*check_node)(const mim_stressor *stressor, mim_scratch *scratch);
} mim_kernel;

/* NULL when this build has no such kernel. */
const mim_kernel *mim_kernel_find(const char *name);
/* The kernel that runs this stressor on this node, in this scratch (NULL: not known). MIM_EUNSUP:
 * this build has none, or this node cannot run it. */
int mim_kernel_for(const mim_stressor *stressor, mim_scratch *scratch, const mim_kernel **kernel);
size_t mim_kernel_count(void);
const mim_kernel *mim_kernel_at(size_t i);

#endif
