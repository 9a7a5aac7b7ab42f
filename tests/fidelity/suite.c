#define _GNU_SOURCE /* open_memstream */
#include "tests/fidelity/suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "node/quiet.h"
#include "tests/support/judge.h"
#include "trace/stats.h"

static const double least_for_overshoot_s = 0.5;
static const uint64_t max_written_bytes = UINT64_C(128) << 30;

int suite_create(const char *bin, suite **s)
{
    const mim_scratch_options options = {.folder = "/var/tmp",
                                         .min_free_bytes = UINT64_C(2) << 30,
                                         .max_written_bytes = max_written_bytes};
    suite *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "suite");
    made->bin = bin;
    made->n_tries = 1;
    int rc = mim_machine_create(0, &made->machine);
    if (rc == MIM_OK)
        rc = mim_actions_builtin("20", &made->actions);
    if (rc == MIM_OK)
        rc = mim_scratch_create(&options, &made->scratch);
    if (rc == MIM_OK)
        rc = memory_watch_create(made->machine, &made->memory);
    if (rc == MIM_OK) {
        *s = made;
        made = NULL;
    }
    suite_destroy(&made);
    return rc;
}

void suite_destroy(suite **s)
{
    if (!*s)
        return;
    memory_watch_destroy(&(*s)->memory);
    mim_scratch_destroy(&(*s)->scratch);
    mim_actions_destroy(&(*s)->actions);
    mim_machine_destroy(&(*s)->machine);
    for (size_t i = 0; i < SUITE_N_RUNS; i++)
        values_clear(&(*s)->overshoot[i].pct);
    free(*s);
    *s = NULL;
}

void suite_watch_memory(suite *s, suite_memory memory_for)
{
    s->memory_for = memory_for;
    memory_watch_set(s->memory, memory_for != SUITE_NO_MEMORY);
}

bool suite_may_repeat(const suite *s, size_t n_done)
{
    bool is_quiet = false;
    while (n_done < s->n_tries && !is_quiet && mim_clock_mono_ns() < s->repeat_until_ns) {
        mim_quiet_reading before, after;
        mim_quiet quiet;
        mim_quiet_read("", NULL, &before);
        mim_clock_sleep_until(mim_clock_mono_ns() + MIM_NS_PER_S);
        mim_quiet_read("", NULL, &after);
        mim_quiet_between(&before, &after, &quiet);
        is_quiet = !mim_quiet_is_disturbed(&quiet, false);
    }
    return is_quiet;
}

int suite_calibrate(const suite *s, const mim_actions *actions, mim_calibration **calibration)
{
    const mim_calibrate_options how = {.seconds_each = s->is_quick ? 0.1 : 0.7,
                                       .n_repeats = s->is_quick ? 3 : 7};
    return mim_calibrate(s->machine, actions, s->scratch, &how, NULL, calibration);
}

int suite_calibrate_one(const suite *s, const char *stressor, mim_calibration **calibration)
{
    mim_actions *one = NULL;
    int rc = mim_actions_from_names(1, &stressor, &one);
    if (rc == MIM_OK)
        rc = suite_calibrate(s, one, calibration);
    mim_actions_destroy(&one);
    return rc;
}

/* ---- judged runs ---------------------------------------------------------------------------- */

/* Block I/O without pauses, as fast as the disk may be. */
static bool asks_much_io(const mim_plan *plan)
{
    const size_t n_threads = mim_plan_n_threads(plan), n = mim_plan_n_stressors(plan);
    bool is = false;
    for (size_t i = 0; i < mim_plan_n_windows(plan) * n_threads; i++)
        for (size_t k = 0; k < n; k++) {
            const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(plan), k);
            is = is || (mim_plan_weights(plan, i / n_threads, i % n_threads)[k] > 0.0 &&
                        (stressor->stress_class == MIM_STRESS_READ ||
                         stressor->stress_class == MIM_STRESS_WRITE) &&
                        stressor->sleep_us == 0);
        }
    return is;
}

/* For the executor; `context` becomes when slot 0 begins. */
static int start_soon(void *context, int rc, int64_t *start_ns)
{
    *start_ns = mim_clock_mono_ns() + MIM_NS_PER_S / 5;
    *(int64_t *)context = *start_ns;
    return rc;
}

static bool needs_quiet_memory(const suite *s, const mim_plan *plan, size_t window)
{
    for (size_t t = 0; t < mim_plan_n_threads(plan); t++)
        for (size_t k = 0; k < mim_plan_n_stressors(plan); k++) {
            const mim_stressor *stressor = mim_actions_stressor(mim_plan_actions(plan), k);
            if (mim_plan_weights(plan, window, t)[k] > 0.0 &&
                (stressor->is_paced || (s->memory_for == SUITE_MEMORY_STRESSORS &&
                                        stressor->stress_class != MIM_STRESS_MEMORY)))
                return false;
        }
    return s->memory_for != SUITE_NO_MEMORY;
}

/* Takes away the slots that need quiet memory and had none. */
static void judge_memory(const suite *s, const mim_plan *plan, int64_t start_ns, suite_run *run)
{
    for (size_t i = 0; i < run->result->n_slots; i++) {
        const size_t window = run->result->slot_windows[i];
        if (window >= mim_plan_n_windows(plan) || !needs_quiet_memory(s, plan, window))
            continue;
        const double begin_s = run->result->slot_begin_s[i];
        const int64_t from_ns = start_ns + (int64_t)(1e9 * begin_s);
        const int64_t to_ns = from_ns + (int64_t)(1e9 * run->result->slot_length_s[i]);
        run->is_accepted[i] =
            run->is_accepted[i] && memory_watch_was_quiet(s->memory, from_ns, to_ns);
    }
}

static int read_disturbance(const suite *s, const mim_plan *plan, const char *text, size_t n_bytes,
                            double slot_s, int64_t start_ns, suite_run *run)
{
    mim_stats *stats = NULL;
    mim_disturbance *disturbance = NULL;
    run->is_accepted = calloc(run->result->n_slots + 1, sizeof *run->is_accepted);
    if (!run->is_accepted)
        return mim_fail(MIM_ENOMEM, "marks of %zu slots", run->result->n_slots);
    int rc = mim_stats_parse("the run's stats text", text, n_bytes, &stats);
    if (rc == MIM_OK)
        rc = mim_disturbance_read(stats, run->result->n_slots, &disturbance);
    if (rc == MIM_OK)
        judge_slots(run->result->n_slots, slot_s, asks_much_io(plan), disturbance->figures[0],
                    disturbance->figures[1], run->is_accepted);
    if (rc == MIM_OK)
        judge_memory(s, plan, start_ns, run);
    for (size_t i = 0; rc == MIM_OK && i < run->result->n_slots; i++) {
        run->is_accepted[i] = run->is_accepted[i] || s->takes_all;
        run->n_accepted += run->is_accepted[i];
    }
    mim_disturbance_destroy(&disturbance);
    mim_stats_destroy(&stats);
    return rc;
}

static int add_overshoots(suite *s, const suite_run *run, bool is_compat)
{
    const mim_run_result *r = run->result;
    suite_overshoot *all = &s->overshoot[is_compat ? SUITE_MIXED_COMPAT : s->runs];
    int rc = MIM_OK;
    for (size_t slot = 0; slot < r->n_slots && rc == MIM_OK; slot++) {
        double worst = 0.0;
        for (size_t row = 0; row < r->n_rows; row++)
            worst = fmax(worst, r->overshoot_s[slot * r->n_rows + row]);
        if (run->is_accepted[slot])
            rc = values_add(&all->pct, 100.0 * worst / r->slot_s);
        else
            all->n_rejected++;
    }
    return rc;
}

int suite_run_plan(suite *s, const mim_plan *plan, const mim_calibration *calibration,
                   const mim_execute_options *options, suite_run *run)
{
    char *text = NULL;
    size_t n_bytes = 0;
    int64_t start_ns = 0;
    mim_execute_options with_stats = *options;
    with_stats.agree_start = start_soon;
    with_stats.start_context = &start_ns;
    *run = (suite_run){0};
    if (!(with_stats.stats = open_memstream(&text, &n_bytes)))
        return mim_fail(MIM_ENOMEM, "stats text");
    int rc =
        mim_execute(plan, s->machine, calibration, s->scratch, &with_stats, NULL, &run->result);
    if (fclose(with_stats.stats) != 0 && rc == MIM_OK)
        rc = mim_fail(MIM_ENOMEM, "stats text");
    if (rc == MIM_OK && (run->result->is_stopped || run->result->n_failed > 0))
        rc = mim_fail(MIM_ESTOPPED, "a run ended before its time: %s",
                      run->result->failure ? run->result->failure : "stopped or a stressor failed");
    if (rc == MIM_OK)
        rc = read_disturbance(s, plan, text, n_bytes, options->slot_s, start_ns, run);
    if (rc == MIM_OK && options->slot_s >= least_for_overshoot_s)
        rc = add_overshoots(s, run, options->is_compat);
    if (rc != MIM_OK)
        suite_run_clear(run);
    free(text);
    return rc;
}

void suite_run_clear(suite_run *run)
{
    mim_run_result_destroy(&run->result);
    free(run->is_accepted);
    *run = (suite_run){0};
}

/* ---- again what was disturbed --------------------------------------------------------------- */

/* The windows that are left to do, as a plan. windows: [n_left] filled with their numbers. */
static int plan_of_lacking(const mim_plan *plan, const bool *lacks, size_t n_left, size_t *windows,
                           mim_plan **left)
{
    const size_t n_threads = mim_plan_n_threads(plan), n = mim_plan_n_stressors(plan);
    int rc = mim_plan_create(n_left, n_threads, mim_plan_actions(plan), left);
    for (size_t w = 0, k = 0; rc == MIM_OK && w < mim_plan_n_windows(plan); w++) {
        if (!lacks[w])
            continue;
        for (size_t t = 0; t < n_threads; t++)
            memcpy(mim_plan_row(*left, k, t), mim_plan_weights(plan, w, t), n * sizeof(double));
        windows[k++] = w;
    }
    return rc;
}

static int run_lacking(suite *s, const mim_plan *left, const size_t *windows,
                       const mim_calibration *calibration, const mim_execute_options *options,
                       suite_reader *read, void *context, bool *lacks)
{
    suite_run run;
    int rc = suite_run_plan(s, left, calibration, options, &run);
    if (rc != MIM_OK)
        return rc;
    for (size_t slot = 0; slot < run.result->n_slots && rc == MIM_OK; slot++) {
        const size_t w = run.result->slot_windows[slot];
        if (!run.is_accepted[slot] || w >= mim_plan_n_windows(left) || !lacks[windows[w]])
            continue;
        lacks[windows[w]] = false;
        rc = read(context, windows[w], run.result, slot);
    }
    suite_run_clear(&run);
    return rc;
}

int suite_collect(suite *s, const mim_plan *plan, const mim_calibration *calibration,
                  const mim_execute_options *options, suite_reader *read, void *context,
                  size_t *n_accepted, size_t *n_rejected)
{
    const size_t n_windows = mim_plan_n_windows(plan);
    size_t n_left = n_windows, *windows = calloc(n_windows, sizeof *windows);
    bool *lacks = calloc(n_windows, sizeof *lacks);
    int rc = windows && lacks ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu windows", n_windows);
    for (size_t w = 0; rc == MIM_OK && w < n_windows; w++)
        lacks[w] = true;
    for (size_t n_done = 0; rc == MIM_OK && n_left > 0; n_done++) {
        mim_plan *left = NULL;
        if (n_done > 0 && !suite_may_repeat(s, n_done))
            break;
        rc = plan_of_lacking(plan, lacks, n_left, windows, &left);
        if (rc == MIM_OK)
            rc = run_lacking(s, left, windows, calibration, options, read, context, lacks);
        mim_plan_destroy(&left);
        n_left = 0;
        for (size_t w = 0; w < n_windows; w++)
            n_left += lacks[w];
        *n_rejected += n_left;
    }
    *n_accepted += n_windows - n_left;
    free(windows);
    free(lacks);
    return rc;
}
