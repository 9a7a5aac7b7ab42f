/* Dose response: each stressor of the default list alone on one CPU, asked for a tenth to all. CPU
 * stressors: share of the slot that its thread got, by its own clock, and bytes a second; paced
 * ones: operations done beside due. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fidelity/suite.h"

enum { N_WEIGHTS = 10, MAX_STRESSORS = 24, PER_WEIGHT = 2, SLOW_PER_WEIGHT = 6 };
static const double slot_s = 0.5;
static const double goal_points = 2.0, goal_io_pct = 5.0, goal_r2 = 0.98;
static const double most_change = 0.1;  /* of the full rate of one without pauses, meanwhile */
static const uint32_t slow_us = 100000; /* pauses of this length make few operations a slot */

typedef struct response {
    char label[64];
    bool is_paced, is_slow, is_changed;
    double asked_pct[N_WEIGHTS], given_pct[N_WEIGHTS], bytes_pct[N_WEIGHTS];
    size_t n, n_rejected, n_measured; /* slots; weights */
} response;

typedef struct sums {
    size_t per_weight, column;
    struct {
        double share, planned_ops, ops, bytes;
        size_t n;
    } of[N_WEIGHTS];
} sums;

static double weight_of(size_t i) { return 0.1 * (double)(i + 1); }

/* "8 HddRead_1MB_NoSleep" */
static void make_label(const suite *s, size_t column, char label[64])
{
    static const char *const prefixes[] = {"BM_",      "STRESS_NG_", "DIRECT",
                                           "HASHING_", "LIBC_",      "SWISSMAP_"};
    const char *name = mim_actions_name(s->actions, column);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            name += strlen(prefixes[i]);
    snprintf(label, 64, "%zu %.*s", column,
             (int)strcspn(name, "<:/") < 34 ? (int)strcspn(name, "<:/") : 34, name);
}

static int read_slot(void *context, size_t window, const mim_run_result *r, size_t slot)
{
    sums *all = context;
    const size_t cell = slot * r->n_stressors + all->column, w = window / all->per_weight;
    all->of[w].share += r->share[cell];
    all->of[w].ops += r->ops[cell];
    all->of[w].bytes += r->bytes[cell];
    if (isfinite(r->planned_ops[cell]))
        all->of[w].planned_ops += r->planned_ops[cell];
    all->of[w].n++;
    return MIM_OK;
}

/* Whole operations only fit into the slots: done as far as due counts as done. */
static double given_share(const response *one, const sums *all, size_t w)
{
    const double due = all->of[w].planned_ops, done = all->of[w].ops;
    if (!one->is_paced)
        return all->of[w].share / (double)all->of[w].n;
    if (fabs(done - due) < 1.0)
        return weight_of(w);
    return weight_of(w) * (done + (done < due ? 1.0 : -1.0)) / due;
}

static void conclude(response *one, const sums *all)
{
    double full = NAN; /* bytes a second at the largest weight that was measured */
    for (size_t w = 0; w < N_WEIGHTS; w++)
        if (all->of[w].n > 0)
            full = all->of[w].bytes / (double)all->of[w].n / weight_of(w);
    for (size_t w = 0; w < N_WEIGHTS; w++) {
        const bool is_measured = all->of[w].n > 0;
        one->asked_pct[w] = 100.0 * weight_of(w);
        one->given_pct[w] = is_measured ? 100.0 * given_share(one, all, w) : NAN;
        one->bytes_pct[w] = is_measured && full > 0.0
                                ? 100.0 * all->of[w].bytes / (double)all->of[w].n / full
                                : NAN;
        one->n_measured += is_measured;
    }
}

/* Full rate after over before, less 1; a disk shared with others changes meanwhile. */
static int change_of(const suite *s, const mim_calibration *before, const char *stressor,
                     double *change)
{
    mim_calibration *after = NULL;
    int rc = suite_calibrate_one(s, stressor, &after);
    if (rc == MIM_OK)
        *change = after->costs[0].ops_per_s / before->costs[0].ops_per_s - 1.0;
    mim_calibration_destroy(&after);
    return rc;
}

static int measure_once(suite *s, size_t column, response *one)
{
    const mim_stressor *stressor = mim_actions_stressor(s->actions, column);
    const mim_execute_options options = {.slot_s = slot_s, .n_iters = 1, .seed = 1};
    sums all = {.column = column};
    mim_plan *plan = NULL;
    mim_calibration *calibration = NULL;
    make_label(s, column, one->label);
    one->is_paced = stressor->is_paced;
    one->is_slow = stressor->is_paced && stressor->sleep_us >= slow_us;
    all.per_weight = s->is_quick ? 1 : one->is_slow ? SLOW_PER_WEIGHT : PER_WEIGHT;
    const size_t n_windows = N_WEIGHTS * all.per_weight;
    int rc = mim_plan_create(n_windows, 1, s->actions, &plan);
    for (size_t w = 0; rc == MIM_OK && w < n_windows; w++)
        mim_plan_row(plan, w, 0)[column] = weight_of(w / all.per_weight);
    if (rc == MIM_OK && one->is_paced)
        rc = suite_calibrate_one(s, stressor->name, &calibration);
    suite_watch_memory(s, one->is_paced ? SUITE_NO_MEMORY : SUITE_COMPUTING);
    if (rc == MIM_OK)
        rc = suite_collect(s, plan, calibration, &options, read_slot, &all, &one->n,
                           &one->n_rejected);
    suite_watch_memory(s, SUITE_NO_MEMORY);
    double change = 0.0;
    if (rc == MIM_OK && one->is_paced && stressor->sleep_us == 0)
        rc = change_of(s, calibration, stressor->name, &change);
    one->is_changed = fabs(change) > most_change;
    if (one->is_changed) { /* what was missing then was not the executor's */
        one->n_rejected += one->n;
        one->n = 0;
        memset(all.of, 0, sizeof all.of);
    }
    if (rc == MIM_OK)
        conclude(one, &all);
    mim_calibration_destroy(&calibration);
    mim_plan_destroy(&plan);
    return rc;
}

static int measure(suite *s, size_t column, response *one)
{
    int rc = MIM_OK;
    size_t n_done = 0;
    do {
        const size_t n_rejected = one->n_rejected;
        *one = (response){.n_rejected = n_rejected};
        rc = measure_once(s, column, one);
        n_done++;
    } while (rc == MIM_OK && one->is_changed && suite_may_repeat(s, n_done));
    return rc;
}

/* Mean over the weights of |given - asked|: points, of paced ones % of what was asked. */
static double error_of(const response *one)
{
    values errors = {0};
    for (size_t w = 0; w < N_WEIGHTS; w++) {
        double error = fabs(one->given_pct[w] - one->asked_pct[w]);
        if (isfinite(error) && values_add(&errors, one->is_paced ? 100.0 * error / one->asked_pct[w]
                                                                 : error) != MIM_OK)
            break;
    }
    const double mean = values_mean(&errors);
    values_clear(&errors);
    return mean;
}

static double r2_of(const response *one)
{
    double x[N_WEIGHTS], y[N_WEIGHTS];
    size_t n = 0;
    for (size_t w = 0; w < N_WEIGHTS; w++)
        if (isfinite(one->bytes_pct[w])) {
            x[n] = one->asked_pct[w];
            y[n++] = one->bytes_pct[w];
        }
    return values_r2(n, x, y);
}

static void print_one(suite *s, const response *one)
{
    figure f = figure_of("dose", one->is_paced ? "%" : "points", "%s: error", one->label);
    f.value = error_of(one);
    f.n = one->n;
    f.n_needed = N_WEIGHTS / 2;
    f.n_rejected = one->n_rejected;
    f.at_most = one->is_paced ? goal_io_pct : goal_points;
    figure_print(&f, &s->report);
    f = figure_of("dose", "R2", "%s: bytes over weight", one->label);
    f.value = r2_of(one);
    f.n = one->n;
    f.n_needed = N_WEIGHTS / 2;
    f.at_least = one->is_slow ? NAN : goal_r2; /* a handful of operations is no straight line */
    if (isfinite(f.value))
        figure_print(&f, &s->report);
}

typedef enum { GIVEN, BYTES } curve_kind;

static void print_all(suite *s, size_t n, const response *all, bool is_paced, curve_kind kind)
{
    figure f = figure_of("dose", is_paced ? "%" : "points", "%s stressors: largest error",
                         is_paced ? "paced" : "CPU and memory");
    double worst = NAN;
    for (size_t i = 0; i < n; i++) {
        if (all[i].is_paced != is_paced)
            continue;
        worst = fmax(worst, error_of(&all[i]));
        f.n += all[i].n;
        f.n_rejected += all[i].n_rejected;
        figure_add_curve(&f, all[i].label, N_WEIGHTS, all[i].asked_pct,
                         kind == GIVEN ? all[i].given_pct : all[i].bytes_pct);
    }
    f.value = worst;
    f.at_most = is_paced ? goal_io_pct : goal_points;
    f.chart =
        is_paced ? "Dose response of paced stressors" : "Dose response of CPU and memory stressors";
    f.panel = is_paced ? "bytes, of those at 100 %" : "CPU time";
    f.x_label = "asked [%]";
    f.y_label = "%";
    figure_print(&f, &s->report);
}

static int run(suite *s)
{
    size_t n = mim_actions_n(s->actions);
    response *all = calloc(n, sizeof *all);
    int rc = all ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu stressors", n);
    size_t n_done = 0;
    s->runs = SUITE_SINGLE;
    for (size_t i = 0; rc == MIM_OK && i < n; i += s->is_quick ? 8 : 1, n_done++) {
        rc = measure(s, i, &all[n_done]);
        if (rc == MIM_OK)
            print_one(s, &all[n_done]);
    }
    if (rc == MIM_OK) {
        print_all(s, n_done, all, false, GIVEN);
        print_all(s, n_done, all, true, BYTES);
    }
    s->runs = SUITE_MIXED;
    free(all);
    return rc;
}

const suite_part suite_dose = {"dose", "dose response of every stressor", 250.0, run};
