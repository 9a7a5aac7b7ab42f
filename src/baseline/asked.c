#include "baseline/asked.h"

#include <math.h>
#include <stdlib.h>

/* What weight 1 of a column does. */
typedef struct effect {
    double cpu_percent, read_kbs, write_kbs;
    bool is_known;
} effect;

static effect effect_of(const mim_stressor *stressor, const mim_cost *cost)
{
    effect e = {0};
    if (!stressor)
        return e;
    if (!stressor->is_paced)
        return (effect){.cpu_percent = 100, .is_known = true};
    if (!cost || !(cost->ops_per_s > 0))
        return e;
    e.is_known = true;
    if (cost->cpu_s_per_op > 0)
        e.cpu_percent = 100 * cost->ops_per_s * cost->cpu_s_per_op;
    double kbs =
        cost->device_bytes_per_op > 0 ? cost->ops_per_s * cost->device_bytes_per_op / 1024 : 0;
    const double read_share = mim_stressor_read_share(stressor);
    if (!isnan(read_share)) {
        e.read_kbs = read_share * kbs;
        e.write_kbs = (1 - read_share) * kbs;
    }
    return e;
}

static int add_window(const mim_plan *plan, size_t window, const effect *effects, mim_asked *asked)
{
    for (size_t r = 0; r < asked->n_rows; r++) {
        const double *weights = mim_plan_weights(plan, window, r);
        for (size_t s = 0; s < mim_plan_n_stressors(plan); s++) {
            if (weights[s] <= 0)
                continue;
            if (!effects[s].is_known)
                return mim_fail(MIM_EUNSUP,
                                "the calibration has no figures of %s: run mimesys_run --calibrate",
                                mim_actions_name(mim_plan_actions(plan), s));
            asked->cpu_percent[window * asked->n_rows + r] += weights[s] * effects[s].cpu_percent;
            asked->read_kbs[window] += weights[s] * effects[s].read_kbs;
            asked->write_kbs[window] += weights[s] * effects[s].write_kbs;
        }
    }
    return MIM_OK;
}

int mim_asked_create(const mim_plan *plan, const mim_calibration *calibration, mim_asked **asked)
{
    int rc = MIM_OK;
    size_t n_slots = mim_plan_n_windows(plan), n_rows = mim_plan_n_threads(plan);
    size_t n_stressors = mim_plan_n_stressors(plan);
    mim_asked *made = calloc(1, sizeof *made);
    effect *effects = calloc(n_stressors, sizeof *effects);
    if (!made || !effects ||
        !(made->cpu_percent = calloc(n_slots * n_rows, sizeof *made->cpu_percent)) ||
        !(made->read_kbs = calloc(n_slots, sizeof *made->read_kbs)) ||
        !(made->write_kbs = calloc(n_slots, sizeof *made->write_kbs))) {
        rc = mim_fail(MIM_ENOMEM, "figures of %zu slots", n_slots);
        goto done;
    }
    made->n_slots = n_slots;
    made->n_rows = n_rows;
    for (size_t s = 0; s < n_stressors; s++)
        effects[s] = effect_of(
            mim_actions_stressor(mim_plan_actions(plan), s),
            mim_calibration_cost(calibration, mim_actions_name(mim_plan_actions(plan), s)));
    for (size_t w = 0; rc == MIM_OK && w < n_slots; w++)
        rc = add_window(plan, w, effects, made);
    if (rc == MIM_OK) {
        *asked = made;
        made = NULL;
    }
done:
    free(effects);
    mim_asked_destroy(&made);
    return rc;
}

void mim_asked_destroy(mim_asked **asked)
{
    mim_asked *old = *asked;
    if (!old)
        return;
    *asked = NULL;
    free(old->cpu_percent);
    free(old->read_kbs);
    free(old->write_kbs);
    free(old);
}
