/* CPU load asked of all CPUs and given, by our executor and by stress-ng, seen by the same eye. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "tests/fidelity/watch.h"

enum { N_LOADS = 5, N_SLOTS = 12, N_SKIPPED = 2, N_NEEDED_A_LOAD = 5 };
static const double loads[N_LOADS] = {10, 25, 50, 75, 90};
static const double slot_s = 0.5;
static const double goal_points = 1.0, allowance_points = 0.1;
static const char stressor[] =
    "BM_SIMD_SerialDistanceComputation/num_blocks:256/enable_avx512:false/flush_cache:false";

typedef struct given {
    values cpu_pct[N_LOADS];
    double error[N_LOADS]; /* points; NaN = not measured */
    size_t n, n_rejected;
    const char *reason; /* why it is not measured at all */
} given;

static size_t n_slots_of(const suite *s) { return s->is_quick ? 2 : N_SLOTS; }
static size_t n_skipped_of(const suite *s) { return s->is_quick ? 1 : N_SKIPPED; }

static size_t n_loads_of(const suite *s) { return s->is_quick ? 1 : N_LOADS; }

static int start_ours(const suite *s, double load, size_t n_windows, pid_t *pid, int64_t *start_ns)
{
    const size_t column = mim_actions_find(s->actions, stressor);
    const mim_execute_options options = {.slot_s = slot_s, .n_iters = 1, .seed = 1};
    mim_plan *plan = NULL;
    int rc = mim_plan_create(n_windows, s->machine->n_cpus, s->actions, &plan);
    for (size_t i = 0; rc == MIM_OK && i < n_windows * s->machine->n_cpus; i++)
        mim_plan_row(plan, i / s->machine->n_cpus, i % s->machine->n_cpus)[column] = load / 100.0;
    if (rc == MIM_OK)
        rc = watch_start_executor(s, plan, NULL, &options, pid, start_ns);
    mim_plan_destroy(&plan);
    return rc;
}

static int start_peer(const suite *s, double load, pid_t *pid, int64_t *start_ns)
{
    char cpus[24], percent[24];
    snprintf(cpus, sizeof cpus, "%zu", s->machine->n_cpus);
    snprintf(percent, sizeof percent, "%.0f", load);
    const char *const arguments[] = {"stress-ng", "--cpu",     cpus, "--cpu-load",
                                     percent,     "--timeout", "60", NULL};
    *pid = watch_start(arguments);
    *start_ns = mim_clock_mono_ns();
    return *pid > 0 ? MIM_OK : mim_fail(MIM_EIO, "stress-ng: cannot be started");
}

static int watch_once(suite *s, bool is_ours, size_t i, given *g)
{
    watch_slot slots[N_SLOTS + N_SKIPPED];
    const size_t n_skipped = n_skipped_of(s), n = n_skipped + n_slots_of(s);
    pid_t pid = -1;
    int64_t start_ns = 0;
    /* our process must not end before it was looked at for the last time */
    int rc = is_ours ? start_ours(s, loads[i], n + 4, &pid, &start_ns)
                     : start_peer(s, loads[i], &pid, &start_ns);
    if (rc == MIM_OK)
        rc = watch_slots(s, pid, start_ns, slot_s, false, n, slots);
    watch_stop(&pid);
    for (size_t k = n_skipped; rc == MIM_OK && k < n; k++) {
        if (slots[k].is_accepted)
            rc = values_add(&g->cpu_pct[i], slots[k].cpu_pct);
        else
            g->n_rejected++;
    }
    return rc;
}

static bool is_lacking(const suite *s, const given *g, size_t i)
{
    return !g->reason && g->cpu_pct[i].n < n_slots_of(s);
}

/* Each load by both, one after the other, so that both meet the same machine. */
static int watch_lacking(suite *s, given *ours, given *peer, bool *is_complete)
{
    int rc = MIM_OK;
    *is_complete = true;
    for (size_t i = 0; i < n_loads_of(s) && rc == MIM_OK; i++) {
        if (is_lacking(s, ours, i))
            rc = watch_once(s, true, i, ours);
        if (rc == MIM_OK && is_lacking(s, peer, i) && watch_once(s, false, i, peer) != MIM_OK)
            peer->reason = "failed";
        *is_complete = *is_complete && !is_lacking(s, ours, i) && !is_lacking(s, peer, i);
    }
    return rc;
}

static void conclude(given *g)
{
    for (size_t i = 0; i < N_LOADS; i++) { /* without values: NaN */
        g->error[i] = g->reason ? NAN : fabs(values_mean(&g->cpu_pct[i]) - loads[i]);
        g->n += g->cpu_pct[i].n;
    }
}

static int measure(suite *s, given *ours, given *peer)
{
    bool is_complete = false;
    int rc = MIM_OK;
    for (size_t n_done = 0;
         rc == MIM_OK && !is_complete && (n_done == 0 || suite_may_repeat(s, n_done)); n_done++)
        rc = watch_lacking(s, ours, peer, &is_complete);
    conclude(ours);
    conclude(peer);
    return rc;
}

/* NaN unless all loads were measured. */
static double mean_error(const given *g)
{
    double sum = 0.0;
    for (size_t i = 0; i < N_LOADS; i++)
        sum += g->error[i] / N_LOADS;
    return sum;
}

static void print(suite *s, const given *ours, const given *peer)
{
    figure all = figure_of("cpu", "points", "error of the CPU load, mean over the loads");
    for (size_t i = 0; i < n_loads_of(s); i++) {
        figure f = figure_of("cpu", "points", "error at %g %% of all CPUs", loads[i]);
        f.value = ours->error[i];
        f.spread = values_deviation(&ours->cpu_pct[i]);
        f.n = ours->cpu_pct[i].n;
        f.n_needed = N_NEEDED_A_LOAD;
        f.at_most = goal_points;
        figure_add_peer(&f, "stress-ng", peer->error[i], peer->reason);
        figure_print(&f, &s->report);
    }
    all.value = mean_error(ours);
    all.n = ours->n;
    all.n_rejected = ours->n_rejected;
    all.at_most = goal_points;
    all.peer_allowance = allowance_points;
    figure_add_peer(&all, "stress-ng", mean_error(peer), peer->reason);
    all.chart = "CPU load";
    all.panel = "error on all CPUs";
    all.x_label = "asked of all CPUs [%]";
    all.y_label = "points";
    figure_add_curve(&all, "mimesys", N_LOADS, loads, ours->error);
    if (!peer->reason)
        figure_add_curve(&all, "stress-ng", N_LOADS, loads, peer->error);
    figure_print(&all, &s->report);
}

static int run(suite *s)
{
    given ours = {.n = 0}, peer = {.n = 0};
    if (!watch_is_installed("stress-ng"))
        peer.reason = "not installed";
    int rc = measure(s, &ours, &peer);
    if (rc == MIM_OK)
        print(s, &ours, &peer);
    for (size_t i = 0; i < N_LOADS; i++) {
        values_clear(&ours.cpu_pct[i]);
        values_clear(&peer.cpu_pct[i]);
    }
    return rc;
}

const suite_part suite_cpu = {"cpu", "CPU load on all CPUs beside stress-ng", 90.0, run};
