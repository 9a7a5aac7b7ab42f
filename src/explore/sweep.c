#include "explore/sweep.h"

#include <stdlib.h>

#include "core/text.h"
#include "explore/draw.h"

const double mim_sweep_weights[4] = {0.25, 0.5, 0.75, 1.0};

/* Ids of draws that belong to the sweep as a whole, and to its plans: apart from those of random
 * plans, which are counted from 0. */
static const uint64_t order_id = UINT64_MAX, first_plan_id = UINT64_C(1) << 63;

static size_t n_busy(const mim_sweep_options *o) { return o->n_windows - (o->idle_end ? 1 : 0); }

static size_t n_counts(const mim_sweep_options *o)
{
    return o->n_counts == 0 || o->n_counts > o->n_threads ? o->n_threads : o->n_counts;
}

/* The i-th thread count: 1..T, or n spread evenly with 1 and T among them (T alone when n is 1). */
static size_t count_at(const mim_sweep_options *o, size_t i)
{
    size_t n = n_counts(o);
    return n == 1 ? o->n_threads : 1 + (i * (o->n_threads - 1) + (n - 1) / 2) / (n - 1);
}

size_t mim_sweep_n_points(const mim_capacity *capacity, const mim_sweep_options *options)
{
    return (capacity->n_cpu + capacity->n_io) * n_counts(options) * options->n_weights;
}

size_t mim_sweep_n_plans(const mim_capacity *capacity, const mim_sweep_options *options)
{
    size_t busy = n_busy(options);
    return (mim_sweep_n_points(capacity, options) + busy - 1) / busy;
}

static size_t column_at(const mim_capacity *capacity, size_t i)
{
    return i < capacity->n_cpu ? capacity->cpu[i] : capacity->io[i - capacity->n_cpu];
}

static void fill_window(const mim_capacity *capacity, const mim_sweep_options *o, size_t point,
                        mim_draw *draw, size_t *threads, mim_plan *plan)
{
    double weight = o->weights[point % o->n_weights];
    size_t count = count_at(o, point / o->n_weights % n_counts(o));
    size_t column = column_at(capacity, point / o->n_weights / n_counts(o));
    draw->n = 0;
    for (size_t t = 0; t < o->n_threads; t++)
        threads[t] = t;
    mim_draw_sample(draw, threads, o->n_threads, count);
    for (size_t i = 0; i < count; i++)
        mim_plan_row(plan, draw->window, threads[i])[column] = weight;
    mim_capacity_cap(capacity, plan, draw->window, o->io_ceiling);
}

static int check(const mim_capacity *capacity, const mim_sweep_options *o, size_t number)
{
    if (o->n_windows < 2 || o->n_threads < 1 || o->n_weights < 1)
        return mim_fail(MIM_EINVAL,
                        "a sweep of %zu windows, %zu threads and %zu weights: 2, 1, 1 at least",
                        o->n_windows, o->n_threads, o->n_weights);
    for (size_t i = 0; i < o->n_weights; i++)
        if (!(o->weights[i] > 0 && o->weights[i] <= 1))
            return mim_fail(MIM_EINVAL, "a sweep's weight %g: expected above 0, at most 1",
                            o->weights[i]);
    if (!(o->io_ceiling > 0))
        return mim_fail(MIM_EINVAL, "a sweep's I/O ceiling %g: expected above 0", o->io_ceiling);
    if (number >= mim_sweep_n_plans(capacity, o))
        return mim_fail(MIM_EINVAL, "plan %zu of a sweep of %zu plans", number,
                        mim_sweep_n_plans(capacity, o));
    return MIM_OK;
}

static int set_origin(const mim_sweep_options *o, size_t number, mim_plan *plan)
{
    char *origin = mim_format("{\"method\": \"sweep\", \"seed\": %llu, \"number\": %zu, "
                              "\"io_ceiling\": %g}",
                              (unsigned long long)o->seed, number, o->io_ceiling);
    int rc = origin ? mim_plan_set_origin(plan, origin) : mim_fail(MIM_ENOMEM, "origin of a plan");
    free(origin);
    return rc;
}

int mim_sweep_plan(const mim_capacity *capacity, const mim_actions *actions,
                   const mim_sweep_options *options, size_t number, mim_plan **plan)
{
    mim_plan *made = NULL;
    size_t *points = NULL, *threads = NULL, n_points, busy;
    int rc = check(capacity, options, number);
    if (rc == MIM_OK)
        rc = mim_plan_create(options->n_windows, options->n_threads, actions, &made);
    if (rc != MIM_OK)
        goto done;
    n_points = mim_sweep_n_points(capacity, options);
    busy = n_busy(options);
    points = calloc(n_points, sizeof *points);
    threads = calloc(options->n_threads, sizeof *threads);
    if (!points || !threads) {
        rc = mim_fail(MIM_ENOMEM, "a sweep of %zu points", n_points);
        goto done;
    }
    for (size_t i = 0; i < n_points; i++)
        points[i] = i;
    mim_draw order = {.seed = options->seed, .id = order_id};
    mim_draw_sample(&order, points, n_points, n_points);
    for (size_t w = 0; w < busy; w++) {
        mim_draw draw = {
            .seed = options->seed, .id = first_plan_id + number, .window = (uint32_t)w};
        fill_window(capacity, options, points[(number * busy + w) % n_points], &draw, threads,
                    made);
    }
    if ((rc = mim_plan_validate(made, "sweep")) != MIM_OK ||
        (rc = set_origin(options, number, made)) != MIM_OK)
        goto done;
    *plan = made;
    made = NULL;
done:
    free(points);
    free(threads);
    mim_plan_destroy(&made);
    return rc;
}
