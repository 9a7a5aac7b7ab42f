/* Rates of block I/O asked and given, by our executor, by fio, and what stress-ng's hdd (which has
 * no rate) gives; seen by the same eye. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/text.h"
#include "tests/fidelity/watch.h"

enum { N_RATES = 3, N_SLOTS = 8, N_SKIPPED = 1, N_NEEDED_A_RATE = 5, FILE_MIB = 256 };
static const double rates[N_RATES] = {5, 20, 50}; /* MiB/s */
static const double slot_s = 1.0;
static const double goal_pct = 5.0;
/* One operation of 1 MiB more or less, of what 8 s at 20 MiB/s hold. */
static const double allowance_pct = 0.7;

typedef enum { OURS, FIO, HDD, N_TOOLS } tool;

typedef struct direction {
    const char *name;     /* also fio's */
    const char *stressor; /* 1 MiB an operation, no pause */
    bool is_write;
} direction;
static const direction directions[] = {
    {"write", "BM_STRESS_NG_HddWriteNF_1MB_BurstScaled", true},
    {"read", "BM_STRESS_NG_HddRead_1MB_NoSleep", false},
};
enum { N_DIRECTIONS = sizeof directions / sizeof *directions };

typedef struct given {
    values mib_s[N_RATES], disk_mib_s[N_RATES];
    double error_pct[N_RATES];
    size_t n, n_rejected;
    const char *reason;
} given;

/* What starting takes. */
typedef struct asked {
    suite *s;
    const direction *way;
    double full_mib_s; /* of our stressor */
    mim_calibration *calibration;
    char *file; /* fio's, of FILE_MIB */
    const char *folder;
} asked;

static size_t n_slots_of(const suite *s) { return s->is_quick ? 2 : N_SLOTS; }

static size_t n_rates_of(const suite *s) { return s->is_quick ? 1 : N_RATES; }

static int start_ours(const asked *a, double rate, pid_t *pid, int64_t *start_ns)
{
    const suite *s = a->s;
    const size_t column = mim_actions_find(s->actions, a->way->stressor);
    const size_t n_windows = n_slots_of(s) + N_SKIPPED + 4;
    const mim_execute_options options = {.slot_s = slot_s, .n_iters = 1, .seed = 1};
    mim_plan *plan = NULL;
    if (!(rate <= a->full_mib_s))
        return mim_fail(MIM_EUNSUP, "%s gives %.0f MiB/s here", a->way->stressor, a->full_mib_s);
    int rc = mim_plan_create(n_windows, 1, s->actions, &plan);
    for (size_t w = 0; rc == MIM_OK && w < n_windows; w++)
        mim_plan_row(plan, w, 0)[column] = rate / a->full_mib_s;
    if (rc == MIM_OK)
        rc = watch_start_executor(s, plan, a->calibration, &options, pid, start_ns);
    mim_plan_destroy(&plan);
    return rc;
}

static int start_peer(const asked *a, tool which, double rate, pid_t *pid, int64_t *start_ns)
{
    char *file = mim_format("--filename=%s", a->file), *way = mim_format("--rw=%s", a->way->name);
    char *limit = mim_format("--rate=%.0fm", rate);
    const char *const fio[] = {"fio",
                               "--name=rate",
                               file,
                               way,
                               limit,
                               "--bs=1M",
                               "--size=256M",
                               "--ioengine=psync",
                               "--direct=1",
                               "--time_based",
                               "--thread",
                               "--runtime=60",
                               "--allow_file_create=0",
                               NULL};
    const char *const hdd[] = {"stress-ng",   "--hdd",   "1",         "--hdd-bytes", "256M",
                               "--temp-path", a->folder, "--timeout", "60",          NULL};
    *pid = file && way && limit ? watch_start(which == FIO ? fio : hdd) : -1;
    *start_ns = mim_clock_mono_ns();
    free(file);
    free(way);
    free(limit);
    return *pid > 0 ? MIM_OK : mim_fail(MIM_EIO, "%s: cannot be started", fio[0]);
}

static int watch_once(const asked *a, tool which, size_t i, given *g)
{
    watch_slot slots[N_SLOTS + N_SKIPPED];
    const size_t n = N_SKIPPED + n_slots_of(a->s);
    pid_t pid = -1;
    int64_t start_ns = 0;
    int rc = which == OURS ? start_ours(a, rates[i], &pid, &start_ns)
                           : start_peer(a, which, rates[i], &pid, &start_ns);
    if (rc == MIM_OK)
        rc = watch_slots(a->s, pid, start_ns, slot_s, true, n, slots);
    watch_stop(&pid);
    for (size_t k = N_SKIPPED; rc == MIM_OK && k < n; k++) {
        const watch_slot *slot = &slots[k];
        if (!slot->is_accepted) {
            g->n_rejected++;
            continue;
        }
        rc = values_add(&g->mib_s[i], a->way->is_write ? slot->write_mib_s : slot->read_mib_s);
        if (rc == MIM_OK)
            rc = values_add(&g->disk_mib_s[i],
                            a->way->is_write ? slot->disk_write_mib_s : slot->disk_read_mib_s);
    }
    return rc;
}

/* hdd has no rate: measured once, and its error is that against each. */
static bool is_lacking(const suite *s, tool which, const given *g, size_t i)
{
    if (which == HDD)
        return !g->reason && i == 0 && g->mib_s[0].n + g->n_rejected == 0;
    return !g->reason && g->mib_s[i].n < n_slots_of(s);
}

/* Each rate by all, one after the other, so that they meet the same disk. */
static int watch_lacking(const asked *a, given of[N_TOOLS], bool *is_complete)
{
    *is_complete = true;
    for (size_t i = 0; i < n_rates_of(a->s); i++)
        for (tool which = OURS; which < N_TOOLS; which++) {
            if (!is_lacking(a->s, which, &of[which], i))
                continue;
            int rc = watch_once(a, which, i, &of[which]);
            if (rc != MIM_OK && which == OURS)
                return rc;
            if (rc != MIM_OK)
                of[which].reason = "failed";
            *is_complete = *is_complete && !is_lacking(a->s, which, &of[which], i);
        }
    return MIM_OK;
}

static void conclude(tool which, given *g)
{
    for (size_t i = 0; i < N_RATES; i++) {
        const double mib_s = values_mean(&g->mib_s[which == HDD ? 0 : i]);
        g->error_pct[i] = g->reason ? NAN : 100.0 * fabs(mib_s / rates[i] - 1.0);
        g->n += g->mib_s[i].n;
    }
}

static int measure(const asked *a, given of[N_TOOLS])
{
    bool is_complete = false;
    int rc = MIM_OK;
    for (size_t n_done = 0;
         rc == MIM_OK && !is_complete && (n_done == 0 || suite_may_repeat(a->s, n_done)); n_done++)
        rc = watch_lacking(a, of, &is_complete);
    for (tool which = OURS; which < N_TOOLS; which++)
        conclude(which, &of[which]);
    return rc;
}

static double worst(const given *g)
{
    double most = 0.0;
    for (size_t i = 0; i < N_RATES; i++)
        most = isnan(g->error_pct[i]) ? NAN : fmax(most, g->error_pct[i]);
    return most;
}

static void print_rate(suite *s, const direction *way, size_t i, const given of[N_TOOLS])
{
    const given *ours = &of[OURS], *fio = &of[FIO], *hdd = &of[HDD];
    figure f = figure_of("io", "%", "%s: error at %g MiB/s", way->name, rates[i]);
    f.value = ours->error_pct[i];
    f.spread = 100.0 * values_deviation(&ours->mib_s[i]) / rates[i];
    f.n = ours->mib_s[i].n;
    f.n_needed = N_NEEDED_A_RATE;
    f.at_most = goal_pct;
    figure_add_peer(&f, "fio", fio->error_pct[i], fio->reason);
    if (way->is_write)
        figure_add_peer(&f, "stress-ng hdd", hdd->error_pct[i], hdd->reason);
    figure_print(&f, &s->report);
    f = figure_of("io", "MiB/s", "%s: all disks at %g MiB/s, others' too", way->name, rates[i]);
    f.value = values_median(&ours->disk_mib_s[i]);
    f.spread = values_deviation(&ours->disk_mib_s[i]);
    f.n = ours->disk_mib_s[i].n;
    figure_add_peer(&f, "fio", values_median(&fio->disk_mib_s[i]), fio->reason);
    figure_print(&f, &s->report);
}

static void print(suite *s, const direction *way, const given of[N_TOOLS])
{
    const given *ours = &of[OURS], *fio = &of[FIO];
    figure all = figure_of("io", "%", "%s: error of the rate, largest", way->name);
    for (size_t i = 0; i < n_rates_of(s); i++)
        print_rate(s, way, i, of);
    all.value = worst(ours);
    all.n = ours->n;
    all.n_needed = N_RATES * N_NEEDED_A_RATE;
    all.n_rejected = ours->n_rejected;
    all.at_most = goal_pct;
    all.peer_allowance = allowance_pct;
    figure_add_peer(&all, "fio", worst(fio), fio->reason);
    all.chart = "Rates of block I/O";
    all.panel = way->is_write ? "error of writes" : "error of reads";
    all.x_label = "asked [MiB/s]";
    all.y_label = "%";
    figure_add_curve(&all, "mimesys", N_RATES, rates, ours->error_pct);
    if (!fio->reason)
        figure_add_curve(&all, "fio", N_RATES, rates, fio->error_pct);
    figure_print(&all, &s->report);
}

static void clear(given *g)
{
    for (size_t i = 0; i < N_RATES; i++) {
        values_clear(&g->mib_s[i]);
        values_clear(&g->disk_mib_s[i]);
    }
}

static int run_direction(asked *a)
{
    given of[N_TOOLS] = {{.n = 0}};
    of[FIO].reason = watch_is_installed("fio") ? NULL : "not installed";
    of[HDD].reason = !a->way->is_write                 ? "writes only"
                     : watch_is_installed("stress-ng") ? NULL
                                                       : "not installed";
    int rc = suite_calibrate_one(a->s, a->way->stressor, &a->calibration);
    if (rc == MIM_OK) {
        a->full_mib_s = a->calibration->costs[0].bytes_per_s / MIB;
        rc = measure(a, of);
    }
    if (rc == MIM_OK)
        print(a->s, a->way, of);
    for (tool which = OURS; which < N_TOOLS; which++)
        clear(&of[which]);
    mim_calibration_destroy(&a->calibration);
    return rc;
}

/* So that fio need not make it while it is watched. */
static int make_file(const char *path)
{
    static char block[1 << 20];
    FILE *file = fopen(path, "wb");
    bool is_good = file != NULL;
    for (size_t i = 0; i < FILE_MIB && is_good; i++)
        is_good = fwrite(block, sizeof block, 1, file) == 1;
    is_good = is_good && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file && fclose(file) != 0)
        is_good = false;
    return is_good ? MIM_OK : mim_fail(MIM_EIO, "%s: cannot be written", path);
}

static int run(suite *s)
{
    mim_scratch_room *room = NULL;
    asked a = {.s = s};
    int rc = mim_scratch_room_create(s->scratch, FILE_MIB * (uint64_t)MIB, &room);
    if (rc == MIM_OK) {
        a.folder = mim_scratch_room_path(room);
        a.file = mim_join_path(a.folder, "fio");
        rc = a.file ? make_file(a.file) : mim_fail(MIM_ENOMEM, "%s", a.folder);
    }
    for (size_t i = 0; rc == MIM_OK && i < N_DIRECTIONS; i++) {
        a.way = &directions[i];
        rc = run_direction(&a);
    }
    mim_scratch_room_destroy(&room);
    free(a.file);
    return rc;
}

const suite_part suite_io = {"io", "rates of block I/O beside fio and stress-ng", 130.0, run};
