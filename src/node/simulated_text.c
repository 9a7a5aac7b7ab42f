/* The simulated node: the stats text that a sampler there would have written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "node/simulated_constants.h"
#include "node/simulated_internal.h"

/* Sums since the run began, in the counters' units. */
typedef struct counters {
    double disk_read_bytes, disk_write_bytes;
    double *busy;                                           /* [n_cpus] ticks */
    double *cycles, *instructions, *llc_refs, *misses;      /* [n_cpus] */
    double *lookups, *read_bytes, *write_bytes, *llc_bytes; /* [n_sockets]; the last a gauge */
    double *row_cpu_us, *row_paced_cpu_us;                  /* [n_rows] */
    double *memory;                                         /* of all these arrays */
} counters;

struct mim_simulated_text {
    const mim_simulated *node;
    const mim_simulated_task *task;
    FILE *stats;
    mim_stats_writer *writer;
    size_t n_rows;
    counters counters;
    size_t number; /* of the edge at hand */
};

/* ---- header ----------------------------------------------------------------------------------
 */

static int put_header(const mim_simulated_text *t)
{
    static const char *const types[][2] = {
        {"block", "rd_ios,E rd_merges,E rd_sectors,E,U=512B rd_ticks,E,U=ms wr_ios,E wr_merges,E "
                  "wr_sectors,E,U=512B wr_ticks,E,U=ms in_flight io_ticks,E,U=ms "
                  "time_in_queue,E,U=ms"},
        {"cpu", "user,E,U=cs nice,E,U=cs system,E,U=cs idle,E,U=cs iowait,E,U=cs irq,E,U=cs "
                "softirq,E,U=cs"},
        {"x_cpu", "steal,E,U=cs guest,E,U=cs guest_nice,E,U=cs"},
        {"x_imc", "read_bytes,E,U=B write_bytes,E,U=B"},
        {"x_llc", "lookups,E"},
        {"x_perf", "cycles,E instructions,E llc_refs,E llc_misses,E enabled_ns,E running_ns,E"},
        {"x_resctrl", "llc_occupancy,U=B mbm_total_bytes,E,U=B mbm_local_bytes,E,U=B"},
        {"x_slot", "slot begin_us,E late_us own_cpu_us,E"},
        {"x_thr", "cpu cpu_us,E paced_cpu_us,E"},
    };
    const mim_simulated *node = t->node;
    const mim_simulated_options *o = &node->options;
    char peak[32], simulated[128];
    mim_machine *machine = NULL;
    int rc = mim_simulated_machine(node, &machine);
    char *about = rc == MIM_OK ? mim_format("%s, %zu CPUs used, key %s", machine->cpu_model,
                                            machine->n_cpus, machine->key)
                               : NULL;
    if (rc == MIM_OK && !about)
        rc = mim_fail(MIM_ENOMEM, "%s", node->name);
    snprintf(peak, sizeof peak, "%.6g", 1e-9 * node->peak_bytes_per_s);
    snprintf(simulated, sizeof simulated, "size=%zux%zu noise=%s carry_over=%s seed=%llu",
             node->n_sockets, node->n_cores, o->has_noise ? "true" : "false",
             o->has_carry_over ? "true" : "false", (unsigned long long)o->seed);
    const char *const properties[][2] = {
        {"x_tiers", "1:simulated 2:simulated 3:simulated"},
        {"x_machine", about},
        {"x_simulated", simulated},
        {"x_peak_bandwidth_gb_s", peak},
    };
    if (rc == MIM_OK)
        rc = mim_stats_writer_header(t->writer, node->name, "simulated simulated 0 0", 0);
    for (size_t i = 0; rc == MIM_OK && i < sizeof properties / sizeof *properties; i++)
        rc = mim_stats_writer_property(t->writer, properties[i][0], properties[i][1]);
    for (size_t i = 0; rc == MIM_OK && i < sizeof types / sizeof *types; i++)
        rc = mim_stats_writer_type(t->writer, types[i][0], types[i][1]);
    free(about);
    mim_machine_destroy(&machine);
    return rc;
}

static int create_counters(const mim_simulated *node, size_t n_rows, counters *c)
{
    const struct {
        double **array;
        size_t n;
    } arrays[] = {
        {&c->busy, node->n_cpus},          {&c->cycles, node->n_cpus},
        {&c->instructions, node->n_cpus},  {&c->llc_refs, node->n_cpus},
        {&c->misses, node->n_cpus},        {&c->lookups, node->n_sockets},
        {&c->read_bytes, node->n_sockets}, {&c->write_bytes, node->n_sockets},
        {&c->llc_bytes, node->n_sockets},  {&c->row_cpu_us, n_rows},
        {&c->row_paced_cpu_us, n_rows},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        n += arrays[i].n;
    if (!(c->memory = calloc(n, sizeof *c->memory)))
        return mim_fail(MIM_ENOMEM, "counters of %s", node->name);
    n = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].array = c->memory + n;
        n += arrays[i].n;
    }
    for (size_t i = 0; i < node->n_sockets; i++)
        c->llc_bytes[i] = MIM_SIMULATED_IDLE_LLC_BYTES;
    return MIM_OK;
}

int mim_simulated_text_create(const mim_simulated *node, const mim_simulated_task *task,
                              FILE *stats, mim_simulated_text **text)
{
    mim_simulated_text *t = calloc(1, sizeof *t);
    if (!t)
        return mim_fail(MIM_ENOMEM, "stats text of %s", node->name);
    *t = (mim_simulated_text){
        .node = node, .task = task, .stats = stats, .n_rows = mim_plan_n_threads(task->plan)};
    int rc = create_counters(node, t->n_rows, &t->counters);
    if (rc == MIM_OK)
        rc = mim_stats_writer_create(&t->writer);
    if (rc == MIM_OK)
        rc = put_header(t);
    if (rc == MIM_OK) {
        *text = t;
        t = NULL;
    }
    mim_simulated_text_destroy(&t);
    return rc;
}

void mim_simulated_text_destroy(mim_simulated_text **text)
{
    if (!text || !*text)
        return;
    mim_stats_writer_destroy(&(*text)->writer);
    free((*text)->counters.memory);
    free(*text);
    *text = NULL;
}

/* ---- counting --------------------------------------------------------------------------------
 */

static void add(size_t n, const double *growth, double factor, double *sums)
{
    for (size_t i = 0; i < n; i++)
        sums[i] += factor * growth[i];
}

static void count(mim_simulated_text *t, size_t number, const mim_simulated_slot *slot)
{
    const size_t n_cpus = t->node->n_cpus, n_sockets = t->node->n_sockets;
    counters *c = &t->counters;
    /* with noise, busy is a share of whole ticks: as many of them as the slot has */
    const double ticks = t->node->options.has_noise
                             ? (double)(mim_simulated_ticks(number, slot->slot_s) -
                                        mim_simulated_ticks(number - 1, slot->slot_s))
                             : slot->slot_s * MIM_SIMULATED_TICKS_PER_S;
    c->disk_read_bytes += slot->disk_read_bytes;
    c->disk_write_bytes += slot->disk_write_bytes;
    add(n_cpus, slot->busy, ticks, c->busy);
    add(n_cpus, slot->cycles, 1, c->cycles);
    add(n_cpus, slot->instructions, 1, c->instructions);
    add(n_cpus, slot->llc_refs, 1, c->llc_refs);
    add(n_cpus, slot->misses, 1, c->misses);
    add(n_sockets, slot->lookups, 1, c->lookups);
    add(n_sockets, slot->read_bytes, 1, c->read_bytes);
    add(n_sockets, slot->write_bytes, 1, c->write_bytes);
    memcpy(c->llc_bytes, slot->llc_bytes, n_sockets * sizeof *c->llc_bytes);
    add(t->n_rows, slot->row_cpu, 1e6 * slot->slot_s, c->row_cpu_us);
    add(t->n_rows, slot->row_paced_cpu, 1e6 * slot->slot_s, c->row_paced_cpu_us);
}

/* A little more, so that sums just below a whole number count as it. */
static uint64_t whole(double sum) { return (uint64_t)(sum + 1e-4); }

/* ---- rows ------------------------------------------------------------------------------------
 */

static int put_row(const mim_simulated_text *t, const char *type, size_t device, size_t n,
                   const uint64_t *values)
{
    char name[24];
    snprintf(name, sizeof name, "%zu", device);
    return mim_stats_writer_row(t->writer, type, name, n, values);
}

static int put_disk(const mim_simulated_text *t)
{
    const counters *c = &t->counters;
    const double sector_bytes = 512;
    const uint64_t values[11] = {[2] = whole(c->disk_read_bytes / sector_bytes),
                                 [6] = whole(c->disk_write_bytes / sector_bytes)};
    return mim_stats_writer_row(t->writer, "block", "simulated", 11, values);
}

static int put_cpus(const mim_simulated_text *t)
{
    const uint64_t ticks = mim_simulated_ticks(t->number, t->task->slot_s), none[3] = {0};
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < t->node->n_cpus; i++) {
        const uint64_t busy = whole(t->counters.busy[i]);
        const uint64_t values[7] = {[0] = busy, [3] = ticks > busy ? ticks - busy : 0};
        rc = put_row(t, "cpu", i, 7, values);
    }
    for (size_t i = 0; rc == MIM_OK && i < t->node->n_cpus; i++)
        rc = put_row(t, "x_cpu", i, 3, none);
    return rc;
}

static int put_sockets(const mim_simulated_text *t)
{
    const counters *c = &t->counters;
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < t->node->n_sockets; i++) {
        const uint64_t values[] = {whole(c->read_bytes[i]), whole(c->write_bytes[i])};
        rc = put_row(t, "x_imc", i, 2, values);
    }
    for (size_t i = 0; rc == MIM_OK && i < t->node->n_sockets; i++) {
        const uint64_t lookups = whole(c->lookups[i]);
        rc = put_row(t, "x_llc", i, 1, &lookups);
    }
    return rc;
}

static int put_monitoring(const mim_simulated_text *t)
{
    const counters *c = &t->counters;
    const uint64_t ns = whole((double)t->number * t->task->slot_s * 1e9);
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < t->node->n_cpus; i++) {
        const uint64_t values[] = {whole(c->cycles[i]),
                                   whole(c->instructions[i]),
                                   whole(c->llc_refs[i]),
                                   whole(c->misses[i]),
                                   ns,
                                   ns};
        rc = put_row(t, "x_perf", i, 6, values);
    }
    for (size_t i = 0; rc == MIM_OK && i < t->node->n_sockets; i++) {
        const uint64_t moved = whole(c->read_bytes[i] + c->write_bytes[i]);
        const uint64_t values[] = {whole(c->llc_bytes[i]), moved, moved};
        rc = put_row(t, "x_resctrl", i, 3, values);
    }
    return rc;
}

/* All busy time is the plan's own: nobody else is on the node. */
static int put_threads(const mim_simulated_text *t)
{
    const counters *c = &t->counters;
    double own_us = 0;
    for (size_t i = 0; i < t->node->n_cpus; i++)
        own_us += 1e6 / MIM_SIMULATED_TICKS_PER_S * (double)whole(c->busy[i]);
    const uint64_t slot[] = {t->number, whole((double)t->number * t->task->slot_s * 1e6), 0,
                             whole(own_us)};
    int rc = mim_stats_writer_row(t->writer, "x_slot", "-", 4, slot);
    for (size_t r = 0; rc == MIM_OK && r < t->n_rows; r++) {
        const uint64_t values[] = {r % t->node->n_cpus, whole(c->row_cpu_us[r]),
                                   whole(c->row_paced_cpu_us[r])};
        rc = put_row(t, "x_thr", r, 3, values);
    }
    return rc;
}

int mim_simulated_text_edge(mim_simulated_text *t, size_t number, const mim_simulated_slot *slot)
{
    static int (*const parts[])(const mim_simulated_text *) = {put_disk, put_cpus, put_sockets,
                                                               put_monitoring, put_threads};
    const char *job = t->task->job ? t->task->job : "0";
    char *mark = number == 0 ? mim_format("begin %s", job) : mim_format("slot %zu", number - 1);
    t->number = number;
    if (slot)
        count(t, number, slot);
    int rc = mark
                 ? mim_stats_writer_record(t->writer,
                                           MIM_SIMULATED_EPOCH_S + (double)number * t->task->slot_s,
                                           job, t->node->name)
                 : mim_fail(MIM_ENOMEM, "stats text of %s", t->node->name);
    if (rc == MIM_OK)
        rc = mim_stats_writer_mark(t->writer, mark);
    for (size_t i = 0; rc == MIM_OK && i < sizeof parts / sizeof *parts; i++)
        rc = parts[i](t);
    free(mark);
    return rc == MIM_OK ? mim_stats_writer_flush(t->writer, t->stats) : rc;
}
