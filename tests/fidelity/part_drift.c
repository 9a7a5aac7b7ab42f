/* A thousand short slots: how late they begin against the absolute schedule. */
#include <math.h>
#include <stdlib.h>

#include "tests/fidelity/suite.h"

enum { N_SLOTS = 1000, N_LAST = 100, N_STRETCHES = 50, N_CPU_STRESSORS = 2 };
static const double slot_s = 0.06;
static const double goal_us = 1000.0;
static const char *const on_cpu[N_CPU_STRESSORS] = {"BM_LIBC_Memcpy_Fleet_L1",
                                                    "BM_DIRECTSTREAMSIMD_32MB_NoSleep"};
static const char writes[] = "BM_STRESS_NG_HddWriteNF_1MB_WeightScaled_25ms";

/* Every CPU computes and copies; the last one writes, too. */
static int make_plan(suite *s, size_t n_slots, mim_plan **plan)
{
    const size_t n_rows = s->machine->n_cpus;
    int rc = mim_plan_create(n_slots, n_rows, s->actions, plan);
    for (size_t w = 0; rc == MIM_OK && w < n_slots; w++)
        for (size_t t = 0; t < n_rows; t++) {
            double *row = mim_plan_row(*plan, w, t);
            for (size_t i = 0; i < N_CPU_STRESSORS; i++)
                row[mim_actions_find(s->actions, on_cpu[i])] = w % 2 == i ? 0.5 : 0.2;
            if (t == n_rows - 1)
                row[mim_actions_find(s->actions, writes)] = 0.1;
        }
    return rc;
}

static double late_us(const mim_run_result *r, size_t slot)
{
    double worst = 0.0;
    for (size_t row = 0; row < r->n_rows; row++)
        worst = fmax(worst, 1e6 * r->start_late_s[slot * r->n_rows + row]);
    return worst;
}

/* Slots [first, last) that were undisturbed. */
static int gather(const suite_run *run, size_t first, size_t last, values *late)
{
    int rc = MIM_OK;
    for (size_t slot = first; slot < last && rc == MIM_OK; slot++)
        if (run->is_accepted[slot])
            rc = values_add(late, late_us(run->result, slot));
    return rc;
}

static int print(suite *s, const suite_run *run, size_t n_tries)
{
    const size_t n_slots = run->result->n_slots, n_last = n_slots < N_LAST ? n_slots : N_LAST;
    double x[N_STRETCHES], y[N_STRETCHES];
    values late = {0}, all = {0};
    int rc = gather(run, n_slots - n_last, n_slots, &late);
    if (rc == MIM_OK)
        rc = gather(run, 0, n_slots, &all);
    for (size_t i = 0; i < N_STRETCHES && rc == MIM_OK; i++) {
        values part = {0};
        rc = gather(run, i * n_slots / N_STRETCHES, (i + 1) * n_slots / N_STRETCHES, &part);
        x[i] = ((double)i + 0.5) * (double)n_slots / N_STRETCHES;
        y[i] = values_median(&part);
        values_clear(&part);
    }
    figure f = figure_of("drift", "us", "start of the last %zu of %zu slots", n_last, n_slots);
    f.value = values_median(&late);
    f.spread = values_quantile(&late, 0.99);
    f.n = late.n;
    f.n_rejected = n_tries * n_slots - all.n;
    f.at_most = n_slots == N_SLOTS ? goal_us : NAN;
    f.chart = "Drift";
    f.panel = "start of a slot against the absolute schedule";
    f.x_label = "slot";
    f.y_label = "us";
    figure_add_curve(&f, "mimesys", N_STRETCHES, x, y);
    figure_print(&f, &s->report);
    figure p99 = figure_of("drift", "us", "start of all %zu slots, p99", n_slots);
    p99.value = values_quantile(&all, 0.99);
    p99.n = all.n;
    figure_print(&p99, &s->report);
    values_clear(&late);
    values_clear(&all);
    return rc;
}

static int run(suite *s)
{
    const mim_execute_options options = {.slot_s = slot_s, .n_iters = 1, .seed = 1};
    const size_t n_slots = s->is_quick ? N_SLOTS / 20 : N_SLOTS;
    mim_calibration *calibration = NULL;
    mim_plan *plan = NULL;
    suite_run run = {0};
    size_t n_last = 0, n_done = 0;
    int rc = make_plan(s, n_slots, &plan);
    if (rc == MIM_OK)
        rc = suite_calibrate_one(s, writes, &calibration);
    do { /* until enough of the last slots count */
        suite_run_clear(&run);
        if (rc == MIM_OK)
            rc = suite_run_plan(s, plan, calibration, &options, &run);
        n_last = 0;
        for (size_t i = n_slots > N_LAST ? n_slots - N_LAST : 0; rc == MIM_OK && i < n_slots; i++)
            n_last += run.is_accepted[i];
        n_done++;
    } while (rc == MIM_OK && n_last < FIGURE_SLOTS_NEEDED && suite_may_repeat(s, n_done));
    if (rc == MIM_OK)
        rc = print(s, &run, n_done);
    suite_run_clear(&run);
    mim_plan_destroy(&plan);
    mim_calibration_destroy(&calibration);
    return rc;
}

const suite_part suite_drift = {"drift", "a thousand slots against the absolute schedule", 80.0,
                                run};
