/* A block write and then a fixed CPU time of CRC-32C over 64 KiB: I/O that computes in between.
 *
 * The original computes for a wall time; CPU time makes the same work of every operation on a busy
 * CPU, too. One operation = both; bytes = those written. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "node/kernel_family.h"

enum { CRC_BYTES = 64 << 10, MAX_SPIN_US = 10000000 };

typedef struct spin_state {
    uint64_t *buffer; /* [CRC_BYTES] */
    void *writer;     /* of mim_kernel_hdd_write */
    mim_crc32c crc32c;
    int64_t spin_ns;
    uint32_t expected;
    uint64_t n_passes, n_wrong;
} spin_state;

static void destroy(void *state)
{
    spin_state *s = state;

    if (!s)
        return;
    mim_kernel_hdd_write.destroy(s->writer);
    free(s->buffer);
    free(s);
}

static int create(const mim_stressor *stressor, const mim_kernel_place *place, void **state)
{
    int rc;
    void *buffer = NULL;
    spin_state *s = NULL;
    mim_stressor plain;

    if ((rc = mim_kernel_check("write_crc", stressor, place, state)) != MIM_OK)
        return rc;
    if (stressor->parameter == 0 || stressor->parameter > MAX_SPIN_US)
        return mim_fail(MIM_EINVAL, "kernel write_crc: %" PRIu32 " us of CRC, expected 1 to %d",
                        stressor->parameter, MAX_SPIN_US);
    if (!(s = calloc(1, sizeof *s)))
        return mim_fail(MIM_ENOMEM, "kernel write_crc");
    plain = *stressor;
    plain.parameter = 0; /* is another thing to the writer */
    s->spin_ns = 1000 * (int64_t)stressor->parameter;
    s->crc32c = mim_crc32c_best();
    if ((rc = mim_kernel_hdd_write.create(&plain, place, &s->writer)) != MIM_OK ||
        (rc = mim_kernel_buffer(CRC_BYTES, 0, &buffer)) != MIM_OK)
        goto done;
    s->buffer = buffer;
    mim_kernel_fill_random(CRC_BYTES / sizeof *s->buffer, place->seed + place->row, s->buffer);
    s->expected = mim_crc32c_ref(0, s->buffer, CRC_BYTES);
    *state = s;
    s = NULL;
done:
    destroy(s);
    return rc;
}

static void spin(spin_state *s)
{
    int64_t end_ns = mim_clock_thread_cpu_ns() + s->spin_ns;

    do {
        s->n_wrong += s->crc32c(0, s->buffer, CRC_BYTES) != s->expected;
        s->n_passes++;
    } while (mim_clock_thread_cpu_ns() < end_ns);
}

static int run(void *state, size_t n, mim_work *work)
{
    spin_state *s = state;

    for (size_t i = 0; i < n; i++) {
        int rc = mim_kernel_hdd_write.run(s->writer, 1, work);

        if (rc != MIM_OK)
            return rc;
        spin(s);
    }
    return MIM_OK;
}

static int verify(void *state)
{
    const spin_state *s = state;

    if (s->n_wrong > 0)
        return mim_fail(MIM_ECHECK, "write_crc: %" PRIu64 " of %" PRIu64 " checksums were wrong",
                        s->n_wrong, s->n_passes);
    if (mim_crc32c_ref(0, s->buffer, CRC_BYTES) != s->expected)
        return mim_fail(MIM_ECHECK, "write_crc: the %d bytes to check have changed", CRC_BYTES);
    return mim_kernel_hdd_write.verify(s->writer);
}

const mim_kernel mim_kernel_write_crc = {
    .name = "write_crc", .create = create, .destroy = destroy, .run = run, .verify = verify};
