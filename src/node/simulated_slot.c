/* The simulated node: one slot.
 *
 * What is summed over threads is made whole numbers first (bytes, lookups, instructions a second;
 * 2^-40 of a core): sums of such doubles are exact, so that threads count the same in any order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/quantile.h"
#include "node/simulated_constants.h"
#include "node/simulated_internal.h"

/* ---- work space ------------------------------------------------------------------------------ */

int mim_simulated_work_create(const mim_simulated *node, const mim_plan *plan,
                              mim_simulated_work *work)
{
    const size_t n_rows = mim_plan_n_threads(plan), n_columns = mim_plan_n_stressors(plan);
    const size_t n_cpus = node->n_cpus, n_sockets = node->n_sockets;
    mim_simulated_work w = {.node = node, .plan = plan, .n_rows = n_rows, .n_columns = n_columns};
    const struct {
        double **array;
        size_t n;
    } arrays[] = {
        {&w.slot.busy, n_cpus},
        {&w.slot.cycles, n_cpus},
        {&w.slot.instructions, n_cpus},
        {&w.slot.llc_refs, n_cpus},
        {&w.slot.misses, n_cpus},
        {&w.slot.lookups, n_sockets},
        {&w.slot.read_bytes, n_sockets},
        {&w.slot.write_bytes, n_sockets},
        {&w.slot.llc_bytes, n_sockets},
        {&w.wanted_cpu, n_rows},
        {&w.granted, n_rows},
        {&w.misses, n_sockets * n_columns},
        {&w.memory_granted, n_sockets},
        {&w.sorted, n_rows / n_cpus + 1},
        {&w.slot.row_cpu, n_rows},
        {&w.slot.row_paced_cpu, n_rows},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        n += arrays[i].n;
    w.slot.n_rows = n_rows;
    w.memory = calloc(n, sizeof *w.memory);
    w.effects = calloc(n_columns, sizeof *w.effects);
    if (!w.memory || !w.effects) {
        mim_simulated_work_clear(&w);
        return mim_fail(MIM_ENOMEM, "%s: %zu threads", node->name, n_rows);
    }
    n = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].array = w.memory + n;
        n += arrays[i].n;
    }
    for (size_t s = 0; s < n_columns; s++)
        w.effects[s] =
            mim_simulated_effect_of(node, mim_actions_stressor(mim_plan_actions(plan), s));
    *work = w;
    return MIM_OK;
}

void mim_simulated_work_clear(mim_simulated_work *work)
{
    free(work->memory);
    free(work->effects);
    *work = (mim_simulated_work){0};
}

/* ---- cores -----------------------------------------------------------------------------------
 */

static double on_grid(double share) { return rint(share * 0x1p40) * 0x1p-40; }

static double wanted_cpu(const mim_simulated_work *x, const double *weights)
{
    double sum = 0;
    for (size_t s = 0; s < x->n_columns; s++)
        if (weights[s] > 0)
            sum += weights[s] * x->effects[s].cpu;
    return sum;
}

/* What a row of this CPU gets at most: equal shares, what others leave is shared out again. */
static double cpu_level(mim_simulated_work *x, size_t cpu)
{
    double left = 1 - MIM_SIMULATED_IDLE_CPU, sum = 0;
    size_t n = 0;
    for (size_t r = cpu; r < x->n_rows; r += x->node->n_cpus)
        x->sorted[n++] = x->wanted_cpu[r];
    qsort(x->sorted, n, sizeof *x->sorted, mim_by_value);
    for (size_t i = 0; i < n; i++)
        sum += x->sorted[i];
    if (sum <= left)
        return INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double level = left / (double)(n - i);
        if (x->sorted[i] > level)
            return level;
        left -= x->sorted[i];
    }
    return INFINITY;
}

static void share_cores(mim_simulated_work *x, size_t window)
{
    for (size_t r = 0; r < x->n_rows; r++)
        x->wanted_cpu[r] = wanted_cpu(x, mim_plan_weights(x->plan, window, r));
    for (size_t cpu = 0; cpu < x->node->n_cpus && cpu < x->n_rows; cpu++) {
        const double level = cpu_level(x, cpu);
        for (size_t r = cpu; r < x->n_rows; r += x->node->n_cpus)
            x->granted[r] = x->wanted_cpu[r] > level ? level / x->wanted_cpu[r] : 1;
    }
}

/* ---- cache, memory, disk ---------------------------------------------------------------------
 */

typedef struct disk_demand {
    double read, write; /* bytes/s, whole */
} disk_demand;

static size_t socket_of(const mim_simulated_work *x, size_t row)
{
    return row % x->node->n_cpus / x->node->n_cores;
}

static void add_row_demand(mim_simulated_work *x, size_t window, size_t row, disk_demand *disk)
{
    const double *weights = mim_plan_weights(x->plan, window, row);
    mim_simulated_slot *slot = &x->slot;
    double set = 0, read = 0, write = 0, disk_read = 0, disk_write = 0;
    for (size_t s = 0; s < x->n_columns; s++) {
        const mim_simulated_effect *e = &x->effects[s];
        if (!(weights[s] > 0))
            continue;
        const double bytes_per_s = weights[s] * x->granted[row] * e->cpu * e->bytes_per_s;
        set += fmin(e->set_bytes, bytes_per_s * slot->slot_s);
        read += bytes_per_s * e->own_misses;
        write += bytes_per_s * e->own_misses * e->write_share;
        disk_read += weights[s] * x->granted[row] * e->read_bytes_per_s;
        disk_write += weights[s] * x->granted[row] * e->write_bytes_per_s;
    }
    const size_t socket = socket_of(x, row);
    slot->llc_bytes[socket] += rint(set);
    slot->read_bytes[socket] += rint(read);
    slot->write_bytes[socket] += rint(write);
    disk->read += rint(disk_read);
    disk->write += rint(disk_write);
}

/* From demands a second to what the socket does in the slot. */
static void share_memory(mim_simulated_work *x, size_t socket)
{
    const mim_simulated *node = x->node;
    mim_simulated_slot *slot = &x->slot;
    double *read = &slot->read_bytes[socket], *write = &slot->write_bytes[socket];
    *read += MIM_SIMULATED_IDLE_READ_BYTES_PER_S;
    *write += MIM_SIMULATED_IDLE_WRITE_BYTES_PER_S;
    const double granted = fmin(1, node->bandwidth_bytes_per_s / (*read + *write));
    x->memory_granted[socket] = granted;
    *read *= granted * slot->slot_s;
    *write *= granted * slot->slot_s;
    const double pressure = slot->llc_bytes[socket] / node->llc_bytes;
    for (size_t s = 0; s < x->n_columns; s++)
        x->misses[socket * x->n_columns + s] =
            mim_simulated_miss_ratio(pressure, x->effects[s].looseness);
    slot->llc_bytes[socket] =
        fmin(node->llc_bytes, slot->llc_bytes[socket] + MIM_SIMULATED_IDLE_LLC_BYTES);
}

/* Share of the operations that a disk asked for `demand` of its ceiling does in time. */
static double disk_share(double demand)
{
    const double knee = MIM_SIMULATED_DISK_KNEE, rest = 1 - knee;
    return demand <= knee ? 1 : (knee + rest * -expm1(-(demand - knee) / rest)) / demand;
}

static void share_disk(mim_simulated_work *x, const disk_demand *asked)
{
    mim_simulated_slot *slot = &x->slot;
    mim_simulated_carry *carry = &x->carry;
    const bool is_cached = x->node->options.has_carry_over;
    const double late = is_cached ? MIM_SIMULATED_LATE_WRITES : 0;
    const double read = asked->read * (1 - carry->cached_share);
    const double write = asked->write * (1 - late) + carry->dirty_bytes / slot->slot_s;
    const double share = disk_share(read / MIM_SIMULATED_DISK_READ_BYTES_PER_S +
                                    write / MIM_SIMULATED_DISK_WRITE_BYTES_PER_S);
    x->read_granted = carry->cached_share + (1 - carry->cached_share) * share;
    x->write_granted = share;
    slot->disk_read_bytes = read * share * slot->slot_s;
    slot->disk_write_bytes = write * share * slot->slot_s;
    if (!is_cached)
        return;
    const double done_bytes = asked->read * x->read_granted * slot->slot_s;
    carry->dirty_bytes =
        late * asked->write * share * slot->slot_s + (1 - share) * carry->dirty_bytes;
    carry->cached_share =
        MIM_SIMULATED_CACHED_READS * fmin(1, done_bytes / MIM_SIMULATED_CACHED_FILE_BYTES);
}

/* ---- what the counters show ------------------------------------------------------------------
 */

static double io_granted(const mim_simulated_work *x, const mim_simulated_effect *e)
{
    const double moved = e->read_bytes_per_s + e->write_bytes_per_s;
    return moved > 0
               ? (e->read_bytes_per_s * x->read_granted + e->write_bytes_per_s * x->write_granted) /
                     moved
               : 1;
}

static void add_row_counts(mim_simulated_work *x, size_t window, size_t row)
{
    const double *weights = mim_plan_weights(x->plan, window, row);
    mim_simulated_slot *slot = &x->slot;
    const size_t cpu = row % x->node->n_cpus, socket = socket_of(x, row);
    const double memory = x->memory_granted[socket];
    double cpu_share = 0, paced_share = 0, instructions = 0, refs = 0, misses = 0;
    for (size_t s = 0; s < x->n_columns; s++) {
        const mim_simulated_effect *e = &x->effects[s];
        if (!(weights[s] > 0))
            continue;
        const double share = weights[s] * x->granted[row] * e->cpu * io_granted(x, e);
        const double miss_ratio = x->misses[socket * x->n_columns + s];
        const double waits = e->stall * e->own_misses / (1 + e->stall * e->own_misses);
        const double lookups =
            share * e->bytes_per_s / MIM_SIMULATED_LINE_BYTES * (1 - e->own_misses * (1 - memory));
        *(e->is_paced ? &paced_share : &cpu_share) += share;
        refs += lookups;
        misses += lookups * miss_ratio;
        instructions += share * MIM_SIMULATED_FREQUENCY_HZ * e->ipc / (1 + e->stall * miss_ratio) *
                        (1 - waits * (1 - memory));
    }
    slot->row_cpu[row] = cpu_share;
    slot->row_paced_cpu[row] = paced_share;
    slot->busy[cpu] += on_grid(cpu_share + paced_share);
    slot->instructions[cpu] += rint(instructions * slot->slot_s);
    slot->llc_refs[cpu] += rint(refs * slot->slot_s);
    slot->misses[cpu] += rint(misses * slot->slot_s);
}

static void add_idle_counts(mim_simulated_slot *slot, size_t cpu)
{
    const double cycles_per_s = MIM_SIMULATED_IDLE_CPU * MIM_SIMULATED_FREQUENCY_HZ;
    const double lookups = MIM_SIMULATED_IDLE_LOOKUPS_PER_S * slot->slot_s;
    slot->busy[cpu] = fmin(1, slot->busy[cpu] + MIM_SIMULATED_IDLE_CPU);
    slot->cycles[cpu] = rint(slot->busy[cpu] * MIM_SIMULATED_FREQUENCY_HZ * slot->slot_s);
    slot->instructions[cpu] += rint(cycles_per_s * MIM_SIMULATED_IDLE_IPC * slot->slot_s);
    slot->llc_refs[cpu] += rint(lookups);
    slot->misses[cpu] += rint(lookups * MIM_SIMULATED_IDLE_MISS_RATIO);
}

static void begin(mim_simulated_work *x, double slot_s)
{
    const size_t n_cpus = x->node->n_cpus, n_sockets = x->node->n_sockets;
    mim_simulated_slot *slot = &x->slot;
    slot->slot_s = slot_s;
    double *const of_cpus[] = {slot->busy, slot->instructions, slot->llc_refs, slot->misses};
    double *const of_sockets[] = {slot->lookups, slot->read_bytes, slot->write_bytes,
                                  slot->llc_bytes};
    for (size_t i = 0; i < 4; i++) {
        memset(of_cpus[i], 0, n_cpus * sizeof(double));
        memset(of_sockets[i], 0, n_sockets * sizeof(double));
    }
    memset(slot->row_cpu, 0, x->n_rows * sizeof(double));
    memset(slot->row_paced_cpu, 0, x->n_rows * sizeof(double));
}

void mim_simulated_slot_run(mim_simulated_work *x, size_t window, double slot_s)
{
    const size_t n_rows = window == SIZE_MAX ? 0 : x->n_rows;
    disk_demand disk = {0, 0};
    begin(x, slot_s);
    if (n_rows > 0)
        share_cores(x, window);
    for (size_t r = 0; r < n_rows; r++)
        add_row_demand(x, window, r, &disk);
    for (size_t i = 0; i < x->node->n_sockets; i++)
        share_memory(x, i);
    share_disk(x, &disk);
    for (size_t r = 0; r < n_rows; r++)
        add_row_counts(x, window, r);
    for (size_t cpu = 0; cpu < x->node->n_cpus; cpu++) {
        add_idle_counts(&x->slot, cpu);
        x->slot.lookups[cpu / x->node->n_cores] += x->slot.llc_refs[cpu];
    }
}

double mim_simulated_granted(const mim_simulated_work *x, size_t row, size_t column)
{
    return x->granted[row] * io_granted(x, &x->effects[column]);
}
