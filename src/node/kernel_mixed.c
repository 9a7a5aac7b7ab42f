/* Block reads and writes in one stream, of a fixed ratio: those of hdd_read and hdd_write, in turns
 * that keep the ratio as even as whole operations can.
 *
 * One operation = one block, read or written; bytes = its length. */
#include <inttypes.h>
#include <stdlib.h>

#include "node/kernel_family.h"

typedef struct mixed_state {
    unsigned char *block; /* the writer's */
    void *reader, *writer;
    uint64_t percent_read;
    uint64_t n_ops, n_reads;
} mixed_state;

static void destroy(void *state)
{
    mixed_state *s = state;

    if (!s)
        return;
    mim_kernel_hdd_read.destroy(s->reader);
    mim_kernel_hdd_write.destroy(s->writer);
    free(s);
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    mixed_state *s = NULL;
    mim_stressor plain;

    if ((rc = mim_kernel_check("mixed", stressor, place, state)) != MIM_OK)
        return rc;
    if (stressor->parameter == 0 || stressor->parameter >= 100)
        return mim_fail(MIM_EINVAL, "kernel mixed: %" PRIu32 " percent of reads, expected 1 to 99",
                        stressor->parameter);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel mixed");
    plain = *stressor;
    plain.parameter = 0; /* is another thing to the two */
    s->percent_read = stressor->parameter;
    if ((rc = mim_kernel_hdd_read.create(&plain, place, &s->reader)) != MIM_OK ||
        (rc = mim_kernel_hdd_write.create(&plain, place, &s->writer)) != MIM_OK)
        goto done;
    s->block = *(unsigned char **)s->writer; /* see kernel_family.h */
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static int run(void *state, size_t n, mim_work *work)
{
    mixed_state *s = state;

    for (size_t i = 0; i < n; i++) {
        bool is_read = (s->n_ops + 1) * s->percent_read / 100 > s->n_ops * s->percent_read / 100;
        int rc = is_read ? mim_kernel_hdd_read.run(s->reader, 1, work)
                         : mim_kernel_hdd_write.run(s->writer, 1, work);

        if (rc != MIM_OK)
            return rc;
        s->n_ops++;
        s->n_reads += is_read;
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const mixed_state *s = state;
    int rc;

    if (s->n_reads != s->n_ops * s->percent_read / 100)
        return mim_fail(MIM_ECHECK,
                        "mixed: %" PRIu64 " reads in %" PRIu64 " operations, expected %" PRIu64
                        " %%",
                        s->n_reads, s->n_ops, s->percent_read);
    rc = mim_kernel_hdd_read.verify(s->reader);
    return rc == MIM_OK ? mim_kernel_hdd_write.verify(s->writer) : rc;
}

const mim_kernel mim_kernel_mixed = {
    .name = "mixed", .create = create, .destroy = destroy, .run = run, .verify = verify};
