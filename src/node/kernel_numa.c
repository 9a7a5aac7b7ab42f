/* Memory traffic to another NUMA node than the row's: the sweeps of scan (reads) and nt_store
 * (writes) over a buffer whose pages are moved there.
 *
 * The other node is the next one, going round, of those that this process may take memory from, so
 * that the rows of all nodes spread their traffic. Operations and bytes are those of the sweep. */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/kernel_sweep.h"

enum { MAX_NODES = 1024, WORD_BITS = sizeof(unsigned long) * CHAR_BIT };

typedef struct node_mask {
    unsigned long words[MAX_NODES / WORD_BITS];
} node_mask;

typedef struct remote_state {
    void *buffer; /* the sweep's */
    const mim_kernel *sweep;
    void *state; /* of the sweep */
    uint64_t n_bytes;
    int node;
} remote_state;

int mim_numa_other_node(size_t n_words, const unsigned long *allowed, int own)
{
    size_t n_nodes = n_words * WORD_BITS;

    for (size_t i = 1; i < n_nodes; i++) {
        size_t node = ((size_t)own + i) % n_nodes;

        if (allowed[node / WORD_BITS] >> node % WORD_BITS & 1)
            return (int)node;
    }
    return -1;
}

/* The node of the CPU that this thread is on, and another one. */
static int find_nodes(int *own, int *other)
{
    node_mask allowed = {{0}};
    unsigned cpu = 0, node = 0;
    int found;

    if (syscall(SYS_getcpu, &cpu, &node, NULL) != 0 ||
        syscall(SYS_get_mempolicy, NULL, allowed.words, (unsigned long)MAX_NODES, NULL,
                MPOL_F_MEMS_ALLOWED) != 0)
        return mim_fail(MIM_EUNSUP, "remote memory: NUMA calls are refused here: %s",
                        strerror(errno));
    found = mim_numa_other_node(MAX_NODES / WORD_BITS, allowed.words, (int)node);
    if (found < 0)
        return mim_fail(MIM_EUNSUP, "remote memory: this process may use one NUMA node only");
    *own = (int)node;
    *other = found;
    return MIM_OK;
}

static int check_node(const mim_stressor *stressor, mim_scratch *scratch)
{
    int own, other;

    (void)stressor;
    (void)scratch;
    return find_nodes(&own, &other);
}

static long set_policy(const remote_state *s, int mode, const node_mask *nodes, unsigned flags)
{
    return syscall(SYS_mbind, s->buffer, (unsigned long)s->n_bytes, mode,
                   nodes ? nodes->words : NULL, nodes ? (unsigned long)MAX_NODES : 0UL, flags);
}

static void destroy(void *state)
{
    remote_state *s = state;

    if (!s)
        return;
    /* Should the allocator keep the pages, the next owner gets local ones again. */
    if (s->buffer)
        set_policy(s, MPOL_DEFAULT, NULL, 0);
    s->sweep->destroy(s->state);
    free(s);
}

static int move_buffer(remote_state *s)
{
    node_mask target = {{0}};
    int rc, own;

    if ((rc = find_nodes(&own, &s->node)) != MIM_OK)
        return rc;
    target.words[s->node / WORD_BITS] = 1UL << s->node % WORD_BITS;
    if (set_policy(s, MPOL_BIND, &target, MPOL_MF_MOVE | MPOL_MF_STRICT) != 0)
        return mim_fail(errno == ENOMEM ? MIM_ENOMEM : MIM_EUNSUP,
                        "remote memory: %" PRIu64 " bytes cannot be moved to node %d: %s",
                        s->n_bytes, s->node, strerror(errno));
    return MIM_OK;
}

static int create(const char *kernel, const mim_kernel *sweep, const mim_stressor *stressor,
                  const mim_kernel_place *place, void **state)
{
    int rc;
    mim_sweep extent;
    remote_state *s = NULL;

    if ((rc = mim_kernel_check(kernel, stressor, place, state)) != MIM_OK)
        return rc;
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel %s", kernel);
    s->sweep = sweep;
    if ((rc = mim_sweep_begin(kernel, stressor->memory_bytes, &extent)) != MIM_OK)
        goto done;
    s->n_bytes = extent.n_bytes;
    if ((rc = sweep->create(stressor, place, &s->state)) != MIM_OK)
        goto done;
    s->buffer = *(void **)s->state; /* see kernel_family.h */
    if ((rc = move_buffer(s)) != MIM_OK)
        goto done;
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int create_read(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create("remote_read", &mim_kernel_scan, stressor, place, state);
}

static int create_write(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    return create("remote_write", &mim_kernel_nt_store, stressor, place, state);
}

static int run(void *state, size_t n, mim_work *work)
{
    remote_state *s = state;

    return s->sweep->run(s->state, n, work);
}

/* The first page of every MiB. */
static int verify_place(const remote_state *s)
{
    for (uint64_t at = 0; at < s->n_bytes; at += 1 << 20) {
        int node = -1;

        if (syscall(SYS_get_mempolicy, &node, NULL, 0UL, (char *)s->buffer + at,
                    MPOL_F_NODE | MPOL_F_ADDR) != 0)
            return mim_fail(MIM_ECHECK, "remote memory: where it lies cannot be seen: %s",
                            strerror(errno));
        if (node != s->node)
            return mim_fail(MIM_ECHECK,
                            "remote memory: byte %" PRIu64 " is on node %d, expected %d", at, node,
                            s->node);
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const remote_state *s = state;
    int rc = verify_place(s);

    return rc == MIM_OK ? s->sweep->verify(s->state) : rc;
}

const mim_kernel mim_kernel_remote_read = {.name = "remote_read",
                                           .create = create_read,
                                           .destroy = destroy,
                                           .run = run,
                                           .verify = verify,
                                           .check_node = check_node};
const mim_kernel mim_kernel_remote_write = {.name = "remote_write",
                                            .create = create_write,
                                            .destroy = destroy,
                                            .run = run,
                                            .verify = verify,
                                            .check_node = check_node};
