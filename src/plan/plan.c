#include "plan/plan.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

struct mim_plan {
    size_t n_windows, n_threads, n_stressors;
    mim_actions *actions;
    double *weights; /* [n_windows][n_threads][n_stressors] */
    double slot_s;
    char *origin;
};

int mim_plan_create(size_t n_windows, size_t n_threads, const mim_actions *actions, mim_plan **plan)
{
    int rc = MIM_OK;
    mim_plan *made = NULL;
    size_t n_stressors = mim_actions_n(actions);
    if (n_windows == 0 || n_windows > MIM_PLAN_MAX_WINDOWS || n_threads == 0 ||
        n_threads > MIM_PLAN_MAX_THREADS)
        return mim_fail(MIM_EINVAL,
                        "a plan of %zu windows and %zu threads: expected 1 to %d and 1 to %d",
                        n_windows, n_threads, MIM_PLAN_MAX_WINDOWS, MIM_PLAN_MAX_THREADS);
    if (n_stressors > MIM_PLAN_MAX_VALUES / n_windows / n_threads)
        return mim_fail(MIM_EINVAL, "a plan of %zu x %zu x %zu weights: at most %u in all",
                        n_windows, n_threads, n_stressors, MIM_PLAN_MAX_VALUES);
    if (!(made = calloc(1, sizeof *made)) ||
        !(made->weights = calloc(n_windows * n_threads * n_stressors, sizeof *made->weights)) ||
        !(made->origin = mim_strdup(""))) {
        rc = mim_fail(MIM_ENOMEM, "a plan of %zu x %zu x %zu weights", n_windows, n_threads,
                      n_stressors);
        goto done;
    }
    if ((rc = mim_actions_copy(actions, &made->actions)) != MIM_OK)
        goto done;
    made->n_windows = n_windows;
    made->n_threads = n_threads;
    made->n_stressors = n_stressors;
    *plan = made;
    made = NULL;
done:
    mim_plan_destroy(&made);
    return rc;
}

void mim_plan_destroy(mim_plan **plan)
{
    mim_plan *old = *plan;
    if (!old)
        return;
    *plan = NULL;
    mim_actions_destroy(&old->actions);
    free(old->weights);
    free(old->origin);
    free(old);
}

size_t mim_plan_n_windows(const mim_plan *plan) { return plan->n_windows; }
size_t mim_plan_n_threads(const mim_plan *plan) { return plan->n_threads; }
size_t mim_plan_n_stressors(const mim_plan *plan) { return plan->n_stressors; }
const mim_actions *mim_plan_actions(const mim_plan *plan) { return plan->actions; }
int mim_plan_fit(mim_plan *plan, const mim_actions_node *node)
{
    return mim_actions_fit(plan->actions, node);
}
double mim_plan_slot_s(const mim_plan *plan) { return plan->slot_s; }
void mim_plan_set_slot_s(mim_plan *plan, double slot_s) { plan->slot_s = slot_s; }
const char *mim_plan_origin(const mim_plan *plan) { return plan->origin; }

double *mim_plan_row(mim_plan *plan, size_t window, size_t thread)
{
    return plan->weights + (window * plan->n_threads + thread) * plan->n_stressors;
}

const double *mim_plan_weights(const mim_plan *plan, size_t window, size_t thread)
{
    return plan->weights + (window * plan->n_threads + thread) * plan->n_stressors;
}

int mim_plan_set_origin(mim_plan *plan, const char *origin)
{
    char *copy = mim_strdup(origin ? origin : "");
    if (!copy)
        return mim_fail(MIM_ENOMEM, "origin of a plan");
    free(plan->origin);
    plan->origin = copy;
    return MIM_OK;
}

static int validate_row(mim_plan *plan, const char *name, size_t window, size_t thread)
{
    /* below this a sum of weights that were made to sum to 1 may lie */
    static const double rounding = 1e-12;
    double sum = 0, *row = mim_plan_row(plan, window, thread);
    for (size_t s = 0; s < plan->n_stressors; s++) {
        if (!isfinite(row[s]) || row[s] < 0 || row[s] > 1 + MIM_PLAN_ROW_TOLERANCE)
            return mim_fail(MIM_EDATA, "%s: window %zu, thread %zu, %s: weight %g, expected 0 to 1",
                            name, window, thread, mim_actions_name(plan->actions, s), row[s]);
        sum += row[s];
    }
    if (sum > 1 + MIM_PLAN_ROW_TOLERANCE)
        return mim_fail(MIM_EDATA,
                        "%s: window %zu, thread %zu: weights sum to %g, expected at most 1", name,
                        window, thread, sum);
    if (sum > 1 + rounding)
        for (size_t s = 0; s < plan->n_stressors; s++)
            row[s] /= sum;
    return MIM_OK;
}

int mim_plan_validate(mim_plan *plan, const char *name)
{
    int rc = MIM_OK;
    for (size_t w = 0; rc == MIM_OK && w < plan->n_windows; w++)
        for (size_t t = 0; rc == MIM_OK && t < plan->n_threads; t++)
            rc = validate_row(plan, name, w, t);
    return rc;
}

size_t mim_plan_first_window(const mim_plan *plan)
{
    size_t n_row = plan->n_threads * plan->n_stressors, n = plan->n_windows * n_row;
    for (size_t i = 0; i < n; i++)
        if (plan->weights[i] > 0)
            return i / n_row;
    return 0;
}

static bool is_used(const mim_plan *plan, size_t column)
{
    size_t n = plan->n_windows * plan->n_threads;
    for (size_t i = 0; i < n; i++)
        if (plan->weights[i * plan->n_stressors + column] > 0)
            return true;
    return false;
}

void mim_plan_keep_idle_start(mim_plan *plan)
{
    static const double hardly_any = 1e-6;
    size_t best = SIZE_MAX;
    uint64_t best_bytes = UINT64_MAX;
    if (mim_plan_first_window(plan) == 0)
        return;
    /* one that the plan uses anyway, or else the smallest */
    for (size_t s = 0; s < plan->n_stressors; s++) {
        const mim_stressor *stressor = mim_actions_stressor(plan->actions, s);
        if (!stressor || stressor->is_paced || !stressor->kernel[0])
            continue;
        uint64_t bytes = is_used(plan, s) ? 0 : stressor->memory_bytes;
        if (bytes < best_bytes) {
            best = s;
            best_bytes = bytes;
        }
    }
    if (best != SIZE_MAX)
        mim_plan_row(plan, 0, 0)[best] = hardly_any;
}

/* Largest sum over threads of the weights that take CPU time, of all windows. */
static double largest_cpu(const mim_plan *plan)
{
    double largest = 0;
    for (size_t w = 0; w < plan->n_windows; w++) {
        double sum = 0;
        for (size_t t = 0; t < plan->n_threads; t++) {
            const double *row = mim_plan_weights(plan, w, t);
            for (size_t s = 0; s < plan->n_stressors; s++) {
                const mim_stressor *stressor = mim_actions_stressor(plan->actions, s);
                if (stressor && !stressor->is_paced)
                    sum += row[s];
            }
        }
        largest = fmax(largest, sum);
    }
    return largest;
}

static void mark_uses(const mim_plan *plan, uint8_t *uses)
{
    size_t n_row = plan->n_threads * plan->n_stressors;
    for (size_t w = 0; w < plan->n_windows; w++)
        for (size_t i = 0; i < n_row; i++)
            if (plan->weights[w * n_row + i] > 0)
                uses[i] = 1;
}

int mim_plan_needs(const mim_plan *plan, mim_plan_need *need)
{
    mim_plan_need made = {0};
    uint64_t shared_bytes = 0;
    if (!(made.uses = calloc(plan->n_threads, plan->n_stressors)))
        return mim_fail(MIM_ENOMEM, "need of a plan of %zu threads", plan->n_threads);
    mark_uses(plan, made.uses);
    for (size_t t = 0; t < plan->n_threads; t++) {
        size_t n_used = 0;
        for (size_t s = 0; s < plan->n_stressors; s++) {
            const mim_stressor *stressor = mim_actions_stressor(plan->actions, s);
            if (!made.uses[t * plan->n_stressors + s])
                continue;
            n_used++;
            if (!stressor)
                continue;
            made.memory_bytes += stressor->memory_bytes;
            made.scratch_bytes += stressor->file_bytes;
            if (stressor->shared_file_bytes > shared_bytes)
                shared_bytes = stressor->shared_file_bytes;
        }
        made.n_threads += n_used > 0;
    }
    made.scratch_bytes += shared_bytes;
    made.cpu_s_per_slot_s = largest_cpu(plan);
    made.n_slots = (double)(plan->n_windows - mim_plan_first_window(plan));
    *need = made;
    return MIM_OK;
}

void mim_plan_need_clear(mim_plan_need *need)
{
    free(need->uses);
    *need = (mim_plan_need){0};
}
