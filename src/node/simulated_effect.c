/* The simulated node: what a stressor does, from the catalogue's facts and the constants. */
#include <math.h>
#include <string.h>

#include "node/simulated_constants.h"
#include "node/simulated_internal.h"

typedef struct family {
    const char *kernel;
    double bytes_per_s, stall, write_share, ipc, looseness;
} family;

static family family_of(const mim_stressor *stressor)
{
    static const family families[] = {
        {"crc_compute", MIM_SIMULATED_CRC}, {"crc_extend", MIM_SIMULATED_CRC},
        {"memcpy", MIM_SIMULATED_COPY},     {"memcmp", MIM_SIMULATED_COMPARE},
        {"simd", MIM_SIMULATED_VECTOR},     {"hashset", MIM_SIMULATED_HASH_SET},
        {"memset", MIM_SIMULATED_SET},      {"stream", MIM_SIMULATED_STREAM},
        {"memmove", MIM_SIMULATED_COPY},    {"bulk_copy", MIM_SIMULATED_COPY},
        {"scan", MIM_SIMULATED_COMPARE},    {"nt_store", MIM_SIMULATED_SET},
    };
    static const family cpu = {"", MIM_SIMULATED_CPU_CLASS},
                        memory = {"", MIM_SIMULATED_MEMORY_CLASS},
                        io = {"", MIM_SIMULATED_IO_CLASS}, other = {"", MIM_SIMULATED_OTHER_CLASS};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].kernel, stressor->kernel) == 0)
            return families[i];
    if (!isnan(mim_stressor_read_share(stressor)))
        return io;
    return stressor->stress_class == MIM_STRESS_CPU      ? cpu
           : stressor->stress_class == MIM_STRESS_MEMORY ? memory
                                                         : other;
}

double mim_simulated_miss_ratio(double pressure, double looseness)
{
    double lost = looseness * fmax(0, pressure - 1);
    return lost / (1 + lost);
}

/* CPU and memory stressors that work on a set of memory. */
static void set_memory(const mim_simulated *node, const mim_stressor *stressor, const family *f,
                       mim_simulated_effect *e)
{
    double bytes = (double)stressor->op_bytes;
    if (!(bytes > 0) && stressor->stress_class == MIM_STRESS_MEMORY)
        bytes = MIM_SIMULATED_MEMORY_CLASS_BYTES;
    if (bytes <= MIM_SIMULATED_L2_BYTES || !(f->bytes_per_s > 0))
        return;
    const double part_bytes = node->llc_bytes / (double)node->n_cores;
    e->set_bytes = bytes;
    e->looseness = f->looseness * bytes / f->bytes_per_s / MIM_SIMULATED_PASS_S;
    e->own_misses = mim_simulated_miss_ratio(bytes / part_bytes, e->looseness);
    e->stall = f->stall;
    e->write_share = f->write_share;
    e->bytes_per_s = f->bytes_per_s / (1 + f->stall * e->own_misses);
}

/* Operations on the disk, one at a time: the mean of reads and writes. */
static void set_disk(const mim_stressor *stressor, double reads, mim_simulated_effect *e)
{
    const double bytes =
        stressor->op_bytes > 0 ? (double)stressor->op_bytes : MIM_SIMULATED_IO_CLASS_BYTES;
    e->op_bytes = bytes;
    e->op_s = reads * (MIM_SIMULATED_READ_OP_S + bytes / MIM_SIMULATED_READ_BYTES_PER_S) +
              (1 - reads) * (MIM_SIMULATED_WRITE_OP_S + bytes / MIM_SIMULATED_WRITE_BYTES_PER_S);
    e->cpu_s_per_op = MIM_SIMULATED_IO_CPU_S + bytes / MIM_SIMULATED_IO_CPU_BYTES_PER_S;
}

/* Operations at due times that move no blocks: a sweep over a set of memory, or something light. */
static void set_paced(mim_simulated_effect *e)
{
    if (e->bytes_per_s > 0) {
        e->op_bytes = e->set_bytes;
        e->op_s = e->cpu_s_per_op = e->set_bytes / e->bytes_per_s;
    } else {
        e->op_s = MIM_SIMULATED_OTHER_OP_S;
        e->cpu_s_per_op = MIM_SIMULATED_OTHER_OP_CPU * MIM_SIMULATED_OTHER_OP_S;
    }
}

mim_simulated_effect mim_simulated_effect_of(const mim_simulated *node,
                                             const mim_stressor *stressor)
{
    mim_simulated_effect e = {.is_known = stressor != NULL, .cpu = 1};
    if (!stressor)
        return e;
    const family f = family_of(stressor);
    const double reads = mim_stressor_read_share(stressor);
    const bool is_io = !isnan(reads);
    e.ipc = f.ipc;
    e.is_paced = stressor->is_paced || is_io;
    if (is_io)
        set_disk(stressor, reads, &e);
    else
        set_memory(node, stressor, &f, &e);
    if (e.is_paced && !is_io)
        set_paced(&e);
    else if (!e.is_paced)
        e.op_s = e.cpu_s_per_op = MIM_SIMULATED_BATCH_S;
    e.ops_per_s = 1 / (e.op_s + (e.is_paced ? 1e-6 * stressor->sleep_us : 0));
    e.cpu = e.ops_per_s * e.cpu_s_per_op;
    e.read_bytes_per_s = is_io ? reads * e.ops_per_s * e.op_bytes : 0;
    e.write_bytes_per_s = is_io ? (1 - reads) * e.ops_per_s * e.op_bytes : 0;
    return e;
}
