#include "explore/capacity.h"

#include <math.h>
#include <stdlib.h>

#include "node/kernel.h"

static const double bytes_per_kb = 1024;

static double fraction_of(const mim_stressor *stressor, const mim_cost *cost,
                          const mim_calibration *calibration)
{
    double read_share = mim_stressor_read_share(stressor), read_kbs = calibration->io_read_max_kbs,
           write_kbs = calibration->io_write_max_kbs;
    double bytes = cost->device_bytes_per_op;
    if (!isfinite(bytes) || bytes <= 0)
        bytes = (double)stressor->op_bytes; /* what the device did was not seen: what was asked */
    double kbs = cost->ops_per_s * bytes / bytes_per_kb, fraction = 0;
    if (read_share > 0 && read_kbs > 0)
        fraction += read_share * kbs / read_kbs;
    if (read_share < 1 && write_kbs > 0)
        fraction += (1 - read_share) * kbs / write_kbs;
    return fraction;
}

static void look_at(mim_capacity *capacity, size_t column, const mim_stressor *stressor,
                    const mim_calibration *calibration)
{
    const mim_kernel *kernel = NULL;
    if (!stressor || mim_kernel_for(stressor, NULL, &kernel) != MIM_OK)
        return;
    const mim_cost *cost = calibration ? mim_calibration_cost(calibration, stressor->name) : NULL;
    if (stressor->is_paced && (!cost || !(cost->ops_per_s > 0)))
        return;
    capacity->is_usable[column] = true;
    if (stressor->is_paced) {
        capacity->io_fraction[column] = fraction_of(stressor, cost, calibration);
        capacity->io[capacity->n_io++] = column;
    } else {
        capacity->cpu[capacity->n_cpu++] = column;
    }
}

int mim_capacity_create(const mim_actions *actions, const mim_calibration *calibration,
                        mim_capacity **capacity)
{
    int rc = MIM_OK;
    size_t n = mim_actions_n(actions);
    mim_capacity *made = calloc(1, sizeof *made);
    if (!made || !(made->is_usable = calloc(n, sizeof *made->is_usable)) ||
        !(made->cpu = calloc(n, sizeof *made->cpu)) || !(made->io = calloc(n, sizeof *made->io)) ||
        !(made->io_fraction = calloc(n, sizeof *made->io_fraction))) {
        rc = mim_fail(MIM_ENOMEM, "capacity for %zu stressors", n);
        goto done;
    }
    made->n_stressors = n;
    for (size_t s = 0; s < n; s++)
        look_at(made, s, mim_actions_stressor(actions, s), calibration);
    if (made->n_cpu + made->n_io == 0) {
        rc = mim_fail(MIM_EUNSUP, "none of the %zu stressors of the action list can run here", n);
        goto done;
    }
    *capacity = made;
    made = NULL;
done:
    mim_capacity_destroy(&made);
    return rc;
}

void mim_capacity_destroy(mim_capacity **capacity)
{
    mim_capacity *old = capacity ? *capacity : NULL;
    if (!old)
        return;
    free(old->is_usable);
    free(old->cpu);
    free(old->io);
    free(old->io_fraction);
    free(old);
    *capacity = NULL;
}

double mim_capacity_io(const mim_capacity *capacity, const mim_plan *plan, size_t window)
{
    double sum = 0;
    for (size_t t = 0; t < mim_plan_n_threads(plan); t++) {
        const double *row = mim_plan_weights(plan, window, t);
        for (size_t i = 0; i < capacity->n_io; i++)
            sum += row[capacity->io[i]] * capacity->io_fraction[capacity->io[i]];
    }
    return sum;
}

void mim_capacity_cap(const mim_capacity *capacity, mim_plan *plan, size_t window, double ceiling)
{
    double asked = mim_capacity_io(capacity, plan, window);
    if (!(asked > ceiling))
        return;
    for (size_t t = 0; t < mim_plan_n_threads(plan); t++) {
        double *row = mim_plan_row(plan, window, t);
        for (size_t s = 0; s < capacity->n_stressors; s++)
            if (capacity->io_fraction[s] > 0)
                row[s] *= ceiling / asked;
    }
}
