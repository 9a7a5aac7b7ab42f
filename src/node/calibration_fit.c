#include "node/calibration_fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "node/calibrate_internal.h"
#include "node/kernel.h"
#include "node/pin.h"

static const double spot_seconds = 0.15;
static const double spot_tolerance = 0.1; /* beside the stored spread */
enum { SPOT_REPEATS = 5, SPOT_TRIES = 2 };
static const double day_s = 86400.0, hours_a_day = 24.0;

/* ---- what it is of ----------------------------------------------------------------------------
 */

bool mim_calibration_is_missing(const mim_calibration *calibration, const mim_stressor *stressor,
                                mim_scratch *scratch)
{
    const mim_kernel *kernel = NULL;
    return stressor && stressor->is_paced && !mim_calibration_cost(calibration, stressor->name) &&
           mim_kernel_for(stressor, scratch, &kernel) == MIM_OK;
}

bool mim_calibration_covers(const mim_calibration *calibration, const mim_actions *actions,
                            mim_scratch *scratch)
{
    for (size_t i = 0; i < mim_actions_n(actions); i++)
        if (mim_calibration_is_missing(calibration, mim_actions_stressor(actions, i), scratch))
            return false;
    return true;
}

bool mim_calibration_differs(const mim_calibration *c, const mim_calibration_use *use,
                             char text[MIM_DIFFERENCE_BYTES])
{
    const mim_machine *m = use->machine;
    const char *mode = use->scratch && mim_scratch_is_direct(use->scratch) ? "direct" : "buffered";
    const struct {
        const char *what, *found, *here;
    } parts[] = {
        /* The kernel is a part of the key; by its name it says more. */
        {"kernel", c->kernel, strcmp(c->machine_key, m->key) != 0 ? m->kernel : c->kernel},
        {"machine", c->machine_key, m->key},
        {"sizes", c->sizes, mim_actions_sizes(use->actions)},
        {"I/O mode", c->io_mode, use->scratch ? mode : c->io_mode},
        {"scratch folder", c->scratch_folder,
         use->scratch ? mim_scratch_folder(use->scratch) : c->scratch_folder},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].found, parts[i].here) != 0) {
            snprintf(text, MIM_DIFFERENCE_BYTES, "%s %s, this is %s", parts[i].what, parts[i].found,
                     parts[i].here);
            return true;
        }
    return false;
}

double mim_calibration_age_days(const mim_calibration *c)
{
    return isnan(c->measured_real_s)
               ? NAN
               : fmax((double)mim_clock_real_ns() * 1e-9 - c->measured_real_s, 0.0) / day_s;
}

/* ---- what it says -----------------------------------------------------------------------------
 */

static bool is_candidate(const mim_cost *cost, const mim_stressor *stressor,
                         const mim_calibration_use *use, bool is_io)
{
    const mim_kernel *kernel = NULL;
    return stressor && cost->op_s > 0.0 &&
           (is_io ? mim_calibrate_is_io(stressor)
                  : stressor->stress_class == MIM_STRESS_CPU && !stressor->is_paced) &&
           mim_kernel_for(stressor, use->scratch, &kernel) == MIM_OK;
}

/* Cheap to set up first; what was unstable when stored says little. */
static double set_up_cost(const mim_cost *cost, const mim_stressor *stressor)
{
    return (double)stressor->memory_bytes + (double)stressor->file_bytes +
           (double)stressor->shared_file_bytes + (cost->is_unstable ? 1e12 : 0.0);
}

static const mim_cost *choose(const mim_calibration *c, const mim_calibration_use *use, bool is_io,
                              const mim_stressor **stressor)
{
    const mim_cost *best = NULL;
    for (size_t i = 0; i < mim_actions_n(use->actions); i++) {
        const mim_stressor *found = mim_actions_stressor(use->actions, i);
        const mim_cost *cost = found ? mim_calibration_cost(c, found->name) : NULL;
        if (cost && is_candidate(cost, found, use, is_io) &&
            (!best || set_up_cost(cost, found) < set_up_cost(best, *stressor))) {
            best = cost;
            *stressor = found;
        }
    }
    return best;
}

static void tell(mim_spot_check *check, const mim_spot *spot, const mim_measured *m)
{
    char quiet[MIM_QUIET_TEXT_BYTES];
    const double change = spot->found_s / spot->stored_s - 1.0;
    if (check->verdict == MIM_SPOT_CHANGED)
        snprintf(check->text, sizeof check->text,
                 "an operation of %s takes %.3g ms, stored are %.3g ms: %+.0f %%, at most %.0f %% "
                 "are its spread",
                 spot->stressor, 1e3 * spot->found_s, 1e3 * spot->stored_s, 100.0 * change,
                 100.0 * spot->allowed);
    else if (check->verdict == MIM_SPOT_UNKNOWN)
        snprintf(check->text, sizeof check->text, "%s cannot be measured now: %s", spot->stressor,
                 mim_quiet_text(&m->quiet, quiet));
}

/* A difference counts when it is there twice, undisturbed. */
static int look_at(const mim_cost *cost, const mim_stressor *stressor,
                   const mim_calibration_use *use, mim_spot_check *check)
{
    mim_spot *spot = &check->spots[check->n_spots];
    const mim_calibrate_options how = {.seconds_each = spot_seconds,
                                       .n_repeats = SPOT_REPEATS,
                                       .max_spread = spot_tolerance + cost->spread};
    mim_spot_verdict verdict = MIM_SPOT_UNKNOWN;
    mim_measured m = {0};
    int rc = MIM_OK;
    snprintf(spot->stressor, sizeof spot->stressor, "%s", stressor->name);
    spot->stored_s = cost->op_s;
    spot->allowed = how.max_spread;
    for (int i = 0; rc == MIM_OK && i < SPOT_TRIES && verdict != MIM_SPOT_HOLDS; i++) {
        mim_pin(use->machine->cpus[0].os_index);
        rc = mim_calibrate_one(stressor, use->machine->cpus[0].os_index, use->scratch, &how, &m);
        mim_unpin(use->machine);
        spot->found_s = m.steady.op_s;
        const bool is_near = fabs(spot->found_s / spot->stored_s - 1.0) <= spot->allowed;
        verdict = is_near                                         ? MIM_SPOT_HOLDS
                  : m.steady.is_disturbed || m.steady.is_unstable ? MIM_SPOT_UNKNOWN
                                                                  : MIM_SPOT_CHANGED;
    }
    if (rc != MIM_OK)
        return rc;
    check->n_spots++;
    if (verdict == MIM_SPOT_CHANGED ||
        (verdict == MIM_SPOT_UNKNOWN && check->verdict == MIM_SPOT_HOLDS)) {
        check->verdict = verdict;
        tell(check, spot, &m);
    }
    return MIM_OK;
}

int mim_calibration_spot_check(const mim_calibration *calibration, const mim_calibration_use *use,
                               mim_spot_check *check)
{
    mim_spot_check made = {.verdict = MIM_SPOT_HOLDS};
    int rc = MIM_OK;
    for (int is_io = 0; rc == MIM_OK && is_io < 2; is_io++) {
        const mim_stressor *stressor = NULL;
        const mim_cost *cost =
            !is_io || use->scratch ? choose(calibration, use, is_io, &stressor) : NULL;
        if (cost)
            rc = look_at(cost, stressor, use, &made);
    }
    if (made.n_spots == 0) {
        made.verdict = MIM_SPOT_UNKNOWN;
        snprintf(made.text, sizeof made.text, "none of its stressors can be measured again");
    }
    if (rc == MIM_OK)
        *check = made;
    return rc;
}

int mim_calibration_is_stale(const mim_calibration *calibration, const mim_calibration_use *use,
                             const mim_calibrate_options *options, mim_log *log, bool *is_stale,
                             char text[MIM_DIFFERENCE_BYTES])
{
    const double age_days = mim_calibration_age_days(calibration);
    mim_spot_check check;
    *is_stale = options->max_age_days > 0.0 && !(age_days <= options->max_age_days);
    if (*is_stale && isnan(age_days)) {
        snprintf(text, MIM_DIFFERENCE_BYTES, "does not tell when it was measured");
        return MIM_OK;
    }
    if (*is_stale) {
        snprintf(text, MIM_DIFFERENCE_BYTES,
                 "measured %.0f days ago, taken for %.0f (calibrate.max_age_days)", age_days,
                 options->max_age_days);
        return MIM_OK;
    }
    if (options->check_after_h <= 0.0 || hours_a_day * age_days <= options->check_after_h)
        return MIM_OK;
    const int rc = mim_calibration_spot_check(calibration, use, &check);
    if (rc != MIM_OK)
        return rc;
    *is_stale = check.verdict == MIM_SPOT_CHANGED;
    snprintf(text, MIM_DIFFERENCE_BYTES, "%s", check.text);
    if (check.verdict == MIM_SPOT_UNKNOWN)
        mim_log_info(log, "calibration", "whether the stored one still holds is not known: %s",
                     check.text);
    return MIM_OK;
}
