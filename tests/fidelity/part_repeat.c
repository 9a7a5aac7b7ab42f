/* The same plan again and again: how far its runs differ. */
#include <math.h>
#include <stdlib.h>

#include "tests/fidelity/suite.h"

enum { N_RUNS = 10, N_COMPAT_RUNS = 5, N_KINDS = 4, N_NEEDED_RUNS = 5 };
static const double slot_s = 1.0;

/* A window each; what counts is CPU time, or bytes. */
static const struct {
    const char *what, *stressor;
    double weight;
    bool is_cpu_time;
    double goal_pct;
} kinds[N_KINDS] = {
    {"CPU time", "BM_HASHING_Extendcrc32c_Fleet_L3_16MB", 0.5, true, 5.0},
    {"memory, bytes", "BM_DIRECTSTREAMSIMD_32MB_NoSleep", 0.5, false, 5.0},
    {"block writes, bytes", "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms", 0.5, false, 10.0},
    {"block reads, bytes", "BM_STRESS_NG_HddRead_1MB_WeightScaled_50ms", 0.5, false, 10.0},
};

static int make_list(mim_actions **list)
{
    const char *names[N_KINDS];
    for (size_t k = 0; k < N_KINDS; k++)
        names[k] = kinds[k].stressor;
    return mim_actions_from_names(N_KINDS, names, list);
}

static int make_plan(const mim_actions *list, mim_plan **plan)
{
    int rc = mim_plan_create(N_KINDS, 1, list, plan);
    for (size_t k = 0; rc == MIM_OK && k < N_KINDS; k++)
        mim_plan_row(*plan, k, 0)[k] = kinds[k].weight;
    return rc;
}

static int read_slot(void *context, size_t window, const mim_run_result *r, size_t slot)
{
    values *of = context;
    double value = kinds[window].is_cpu_time ? r->cpu_s[slot * r->n_rows]
                                             : r->bytes[slot * r->n_stressors + window];
    return values_add(&of[window], value);
}

static int measure(suite *s, const mim_plan *plan, const mim_calibration *calibration,
                   bool is_compat, size_t n_runs, values of[N_KINDS], size_t *n_rejected)
{
    int rc = MIM_OK;
    size_t n_accepted = 0;
    for (size_t i = 0; i < n_runs && rc == MIM_OK; i++) {
        /* the same plan, seed included: what differs is not what was asked */
        const mim_execute_options options = {
            .slot_s = slot_s, .n_iters = 1, .seed = 1, .is_compat = is_compat};
        rc = suite_collect(s, plan, calibration, &options, read_slot, of, &n_accepted, n_rejected);
    }
    return rc;
}

static void print(suite *s, const values ours[N_KINDS], const values compat[N_KINDS],
                  size_t n_rejected)
{
    double place[N_KINDS], cv[N_KINDS], compat_cv[N_KINDS];
    for (size_t k = 0; k < N_KINDS; k++) {
        figure f = figure_of("repeat", "%", "variation over runs: %s", kinds[k].what);
        place[k] = (double)(k + 1);
        f.value = cv[k] = values_cv_pct(&ours[k]);
        compat_cv[k] = values_cv_pct(&compat[k]);
        f.n = ours[k].n;
        f.n_needed = N_NEEDED_RUNS;
        f.n_rejected = k == N_KINDS - 1 ? n_rejected : 0;
        f.at_most = kinds[k].goal_pct;
        figure_add_peer(&f, "--compat", compat_cv[k], NULL);
        if (k == N_KINDS - 1) {
            f.chart = "Repeatability";
            f.panel = "variation over runs";
            f.x_label = "1 CPU time, 2 memory, 3 block writes, 4 block reads";
            f.y_label = "%";
            f.is_bars = true;
            figure_add_curve(&f, "mimesys", N_KINDS, place, cv);
            figure_add_curve(&f, "--compat", N_KINDS, place, compat_cv);
        }
        figure_print(&f, &s->report);
    }
}

static int run(suite *s)
{
    values ours[N_KINDS] = {{0}}, compat[N_KINDS] = {{0}};
    mim_actions *list = NULL;
    mim_plan *plan = NULL;
    mim_calibration *calibration = NULL;
    size_t n_rejected = 0, n_compat_rejected = 0;
    int rc = make_list(&list);
    if (rc == MIM_OK)
        rc = make_plan(list, &plan);
    if (rc == MIM_OK)
        rc = suite_calibrate(s, list, &calibration);
    if (rc == MIM_OK)
        suite_watch_memory(s, SUITE_MEMORY_STRESSORS);
    if (rc == MIM_OK)
        rc = measure(s, plan, calibration, false, s->is_quick ? 1 : N_RUNS, ours, &n_rejected);
    if (rc == MIM_OK && !s->is_quick)
        rc = measure(s, plan, calibration, true, N_COMPAT_RUNS, compat, &n_compat_rejected);
    suite_watch_memory(s, SUITE_NO_MEMORY);
    if (rc == MIM_OK)
        print(s, ours, compat, n_rejected);
    for (size_t k = 0; k < N_KINDS; k++) {
        values_clear(&ours[k]);
        values_clear(&compat[k]);
    }
    mim_plan_destroy(&plan);
    mim_calibration_destroy(&calibration);
    mim_actions_destroy(&list);
    return rc;
}

const suite_part suite_repeat = {"repeat", "the same plan again and again", 90.0, run};
