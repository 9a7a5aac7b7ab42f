#include "tests/support/made_run.h"

#include <stdio.h>

#include "core/atomic_file.h"
#include "core/h5.h"
#include "core/rng.h"
#include "plan/plan.h"
#include "trace/stats.h"

enum { N_THREADS = 2, N_STRESSORS = 3, N_FULL_STRESSORS = 20 };

static const char *const names[N_STRESSORS] = {
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false",
    "BM_STRESS_NG_HddRead_1MB_NoSleep", "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled"};

/* What a node tells beside the rows that stand for something here. */
static const struct {
    const char *type, *device, *keys;
    size_t n_values;
} node_rows[] = {
    {"mem", "0",
     "MemTotal,U=KB MemFree,U=KB MemUsed,U=KB Active,U=KB Inactive,U=KB Dirty,U=KB Writeback,U=KB "
     "FilePages,U=KB Mapped,U=KB AnonPages,U=KB PageTables,U=KB NFS_Unstable,U=KB Bounce,U=KB "
     "Slab,U=KB AnonHugePages,U=KB HugePages_Total HugePages_Free",
     17},
    {"net", "eth0",
     "collisions,E multicast,E rx_bytes,E,U=B rx_compressed,E rx_crc_errors,E rx_dropped,E "
     "rx_errors,E rx_fifo_errors,E rx_frame_errors,E rx_length_errors,E rx_missed_errors,E "
     "rx_over_errors,E rx_packets,E tx_aborted_errors,E tx_bytes,E,U=B tx_carrier_errors,E "
     "tx_compressed,E tx_dropped,E tx_errors,E tx_fifo_errors,E tx_heartbeat_errors,E "
     "tx_packets,E tx_window_errors,E",
     23},
    {"numa", "0",
     "numa_hit,E numa_miss,E numa_foreign,E interleave_hit,E local_node,E other_node,E", 6},
    {"ps", "-", "ctxt,E processes,E load_1 load_5 load_15 nr_running nr_threads", 7},
    {"vfs", "-", "dentry_use file_use inode_use", 3},
    {"vm", "-",
     "nr_anon_transparent_hugepages pgpgin,E,U=KB pgpgout,E,U=KB pswpin,E pswpout,E "
     "pgalloc_normal,E pgfree,E pgactivate,E pgdeactivate,E pgfault,E pgmajfault,E "
     "pgrefill_normal,E pgsteal_normal,E pgscan_kswapd_normal,E pgscan_direct_normal,E "
     "pginodesteal,E slabs_scanned,E kswapd_steal,E kswapd_inodesteal,E pageoutrun,E allocstall,E "
     "pgrotated,E thp_fault_alloc,E thp_fault_fallback,E thp_collapse_alloc,E "
     "thp_collapse_alloc_failed,E thp_split,E",
     27},
};
enum { N_NODE_ROWS = sizeof node_rows / sizeof *node_rows, MAX_NODE_VALUES = 32 };

static size_t n_stressors(const made_run *run)
{
    return run->is_full ? N_FULL_STRESSORS : N_STRESSORS;
}

double made_weight(const made_run *run, size_t window, size_t thread, size_t stressor)
{
    return mim_rng_u01(run->seed, MIM_STREAM_TEST, window, (uint32_t)thread, (uint32_t)stressor) /
           (double)n_stressors(run);
}

static int write_plan(const made_run *run)
{
    char path[256];
    mim_actions *actions = NULL;
    mim_plan *plan = NULL;
    snprintf(path, sizeof path, "%s/%s.h5", run->folder, run->name);
    int rc = run->is_full ? mim_actions_builtin("20", &actions)
                          : mim_actions_from_names(N_STRESSORS, names, &actions);
    if (rc == MIM_OK)
        rc = mim_plan_create(run->n_windows, N_THREADS, actions, &plan);
    for (size_t w = 0; rc == MIM_OK && w < run->n_windows; w++)
        for (size_t t = 0; t < N_THREADS; t++)
            for (size_t s = 0; s < n_stressors(run); s++)
                mim_plan_row(plan, w, t)[s] = made_weight(run, w, t, s);
    if (rc == MIM_OK)
        rc = mim_plan_write(plan, path);
    mim_plan_destroy(&plan);
    mim_actions_destroy(&actions);
    return rc;
}

/* As far as a corpus is made of it: the settings of the run. */
static int write_result(const made_run *run)
{
    char path[256];
    mim_h5 *file = NULL;
    snprintf(path, sizeof path, "%s/result-%s.h5", run->folder, run->name);
    int rc = mim_h5_create(path, "made", 1, "[run]\nidle_slot = false\n", &file);
    return rc == MIM_OK ? mim_h5_commit(&file) : rc;
}

typedef struct counters {
    uint64_t user[2], idle[2], steal[2], own_us, sectors;
} counters;

static int put_header(mim_stats_writer *w, const made_run *run)
{
    int rc = mim_stats_writer_header(w, "made", "Linux x86_64 made by rule", 1000);
    if (rc == MIM_OK)
        rc =
            mim_stats_writer_property(w, "x_machine", run->machine ? run->machine : "made by rule");
    if (rc == MIM_OK && !run->is_plain)
        rc = mim_stats_writer_property(w, "x_tiers", "1:yes 2:no(perf: none) 3:no(energy: none)");
    if (rc == MIM_OK)
        rc = mim_stats_writer_type(w, "block",
                                   "rd_ios,E rd_merges,E rd_sectors,E,U=512B rd_ticks,E,U=ms "
                                   "wr_ios,E wr_merges,E wr_sectors,E,U=512B wr_ticks,E,U=ms "
                                   "in_flight io_ticks,E,U=ms time_in_queue,E,U=ms");
    if (rc == MIM_OK)
        rc = mim_stats_writer_type(w, "cpu",
                                   "user,E,U=cs nice,E,U=cs system,E,U=cs idle,E,U=cs "
                                   "iowait,E,U=cs irq,E,U=cs softirq,E,U=cs");
    for (size_t i = 0; rc == MIM_OK && run->is_full && i < N_NODE_ROWS; i++)
        rc = mim_stats_writer_type(w, node_rows[i].type, node_rows[i].keys);
    if (rc == MIM_OK && !run->is_plain)
        rc = mim_stats_writer_type(w, "x_cpu", "steal,E,U=cs guest,E,U=cs guest_nice,E,U=cs");
    if (rc == MIM_OK && !run->is_plain)
        rc = mim_stats_writer_type(w, "x_slot", "slot begin_us,E late_us own_cpu_us,E");
    if (rc == MIM_OK && !run->is_plain)
        rc = mim_stats_writer_type(w, "x_thr", "cpu cpu_us,E paced_cpu_us,E");
    return rc;
}

static int put_own_rows(mim_stats_writer *w, const counters *c, size_t slot)
{
    static const char *const devices[2] = {"0", "1"};
    const uint64_t row[4] = {slot, slot * 1000000, 0, c->own_us};
    int rc = mim_stats_writer_row(w, "x_slot", "-", 4, row);
    for (size_t i = 0; rc == MIM_OK && i < 2; i++) {
        const uint64_t cpu[3] = {c->steal[i], 0, 0}, thread[3] = {i, c->own_us / 2, 0};
        rc = mim_stats_writer_row(w, "x_cpu", devices[i], 3, cpu);
        if (rc == MIM_OK)
            rc = mim_stats_writer_row(w, "x_thr", devices[i], 3, thread);
    }
    return rc;
}

static int put_node_rows(mim_stats_writer *w, size_t slot)
{
    uint64_t values[MAX_NODE_VALUES];
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < N_NODE_ROWS; i++) {
        for (size_t k = 0; k < node_rows[i].n_values; k++)
            values[k] = k % 3 == 2 ? 0 : 1000000 + 997 * slot * (k + 1);
        rc = mim_stats_writer_row(w, node_rows[i].type, node_rows[i].device, node_rows[i].n_values,
                                  values);
    }
    return rc;
}

static int put_record(mim_stats_writer *w, const made_run *run, const counters *c, size_t slot)
{
    static const char *const devices[2] = {"0", "1"};
    const uint64_t disk[11] = {[2] = c->sectors};
    int rc = mim_stats_writer_record(w, 1e9 + (double)slot, "0", "made");
    if (rc == MIM_OK)
        rc = mim_stats_writer_row(w, "block", "vda", 11, disk);
    for (size_t i = 0; rc == MIM_OK && i < 2; i++) {
        const uint64_t cpu[7] = {[0] = c->user[i], [3] = c->idle[i]};
        rc = mim_stats_writer_row(w, "cpu", devices[i], 7, cpu);
    }
    if (rc == MIM_OK && run->is_full)
        rc = put_node_rows(w, slot);
    return rc == MIM_OK && !run->is_plain ? put_own_rows(w, c, slot) : rc;
}

static void advance(const made_run *run, size_t slot, counters *c)
{
    slot %= MADE_MAX_SLOTS;
    for (size_t i = 0; i < 2; i++) {
        const uint64_t busy = (uint64_t)run->cpu[slot][i], stolen = run->is_stolen[slot] ? 10 : 0;
        c->user[i] += busy;
        c->idle[i] += 100 - busy;
        c->steal[i] += stolen;
        c->own_us += busy * 10000;
    }
    c->sectors += 2 * (uint64_t)run->read_kbs[slot];
}

int made_run_write(const made_run *run)
{
    char path[256];
    size_t n_bytes = 0;
    mim_stats_writer *w = NULL;
    counters c = {.sectors = 1000};
    int rc = write_plan(run);
    if (rc == MIM_OK && run->is_full)
        rc = write_result(run);
    if (rc == MIM_OK)
        rc = mim_stats_writer_create(&w);
    if (rc == MIM_OK)
        rc = put_header(w, run);
    for (size_t i = 0; rc == MIM_OK && i <= run->n_slots; i++) {
        if (i == 0 || i != run->lost_record)
            rc = put_record(w, run, &c, i);
        if (i < run->n_slots)
            advance(run, i, &c);
    }
    snprintf(path, sizeof path, "%s/stats-%s.txt", run->folder, run->name);
    if (rc == MIM_OK) {
        const char *text = mim_stats_writer_text(w, &n_bytes);
        rc = mim_atomic_write(path, text, n_bytes);
    }
    mim_stats_writer_destroy(&w);
    return rc;
}
