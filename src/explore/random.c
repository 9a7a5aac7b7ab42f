#include "explore/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/text.h"
#include "explore/draw.h"

enum { USUAL_MAX_STRESSORS = 10 };

typedef struct sampler {
    const mim_capacity *capacity;
    const mim_random_options *options;
    mim_draw draw;
    size_t *threads; /* [n_threads] */
    size_t *columns; /* [n_stressors] */
} sampler;

/* Dirichlet(1) * budget over K_s distinct stressors of the CPU class. */
static void fill_cpu(sampler *s, double budget, double *row)
{
    const mim_capacity *c = s->capacity;
    size_t most = s->options->max_stressors ? s->options->max_stressors : USUAL_MAX_STRESSORS;
    size_t k = 1 + mim_draw_below(&s->draw, most < c->n_cpu ? most : c->n_cpu);
    double sum = 0;
    for (size_t i = 0; i < c->n_cpu; i++)
        s->columns[i] = c->cpu[i];
    mim_draw_sample(&s->draw, s->columns, c->n_cpu, k);
    for (size_t i = 0; i < k; i++)
        sum += row[s->columns[i]] = mim_draw_exponential(&s->draw);
    for (size_t i = 0; i < k; i++)
        row[s->columns[i]] *= budget / sum;
}

static double io_share(sampler *s)
{
    const double small = s->options->small_io;
    const bool is_small = small > 0 && mim_draw_u01(&s->draw) < small;
    return is_small ? pow(1e-3, mim_draw_u01(&s->draw)) : 1;
}

static void fill_io(sampler *s, double budget, double *row)
{
    row[s->capacity->io[mim_draw_below(&s->draw, s->capacity->n_io)]] = budget;
}

static void fill_thread(sampler *s, double p_io, double *row)
{
    const mim_random_options *o = s->options;
    bool has_both = s->capacity->n_cpu > 0 && s->capacity->n_io > 0;
    bool is_mixed = mim_draw_u01(&s->draw) < o->mixed, is_io = mim_draw_u01(&s->draw) < p_io;
    double budget = o->budget_min + (1 - o->budget_min) * mim_draw_u01(&s->draw);
    if (has_both && is_mixed) {
        double io_budget = budget * mim_draw_u01(&s->draw) * io_share(s);
        fill_io(s, io_budget, row);
        fill_cpu(s, budget - io_budget, row);
    } else if (s->capacity->n_cpu == 0 || (is_io && s->capacity->n_io > 0)) {
        fill_io(s, budget * io_share(s), row);
    } else {
        fill_cpu(s, budget, row);
    }
}

static void fill_window(sampler *s, mim_plan *plan, size_t window)
{
    size_t n_threads = s->options->n_threads;
    s->draw.window = (uint32_t)window;
    s->draw.n = 0;
    for (size_t t = 0; t < n_threads; t++)
        s->threads[t] = t;
    size_t n_active = 1 + mim_draw_below(&s->draw, n_threads);
    mim_draw_sample(&s->draw, s->threads, n_threads, n_active);
    double p_io = mim_draw_u01(&s->draw);
    for (size_t i = 0; i < n_active; i++)
        fill_thread(s, p_io, mim_plan_row(plan, window, s->threads[i]));
    mim_capacity_cap(s->capacity, plan, window, s->options->io_ceiling);
}

static int check(const mim_random_options *o)
{
    if (o->n_windows < 2 || o->n_threads < 1)
        return mim_fail(MIM_EINVAL, "random plans of %zu windows and %zu threads: 2 and 1 at least",
                        o->n_windows, o->n_threads);
    if (!(o->budget_min >= 0 && o->budget_min <= 1) || !(o->mixed >= 0 && o->mixed <= 1) ||
        !(o->small_io >= 0 && o->small_io <= 1))
        return mim_fail(MIM_EINVAL,
                        "random plans: smallest budget %g, mixed %g, small I/O %g: expected 0 to 1",
                        o->budget_min, o->mixed, o->small_io);
    if (!(o->io_ceiling > 0))
        return mim_fail(MIM_EINVAL, "random plans: I/O ceiling %g: expected above 0",
                        o->io_ceiling);
    return MIM_OK;
}

static int set_origin(const sampler *s, uint64_t id, mim_plan *plan)
{
    char *origin = mim_format("{\"method\": \"random\", \"seed\": %llu, \"id\": %llu, "
                              "\"budget_min\": %g, \"mixed\": %g, \"small_io\": %g, "
                              "\"io_ceiling\": %g}",
                              (unsigned long long)s->options->seed, (unsigned long long)id,
                              s->options->budget_min, s->options->mixed, s->options->small_io,
                              s->options->io_ceiling);
    int rc = origin ? mim_plan_set_origin(plan, origin) : mim_fail(MIM_ENOMEM, "origin of a plan");
    free(origin);
    return rc;
}

int mim_random_plan(const mim_capacity *capacity, const mim_actions *actions,
                    const mim_random_options *options, uint64_t id, mim_plan **plan)
{
    sampler s = {
        .capacity = capacity, .options = options, .draw = {.seed = options->seed, .id = id}};
    mim_plan *made = NULL;
    int rc = check(options);
    if (rc == MIM_OK)
        rc = mim_plan_create(options->n_windows, options->n_threads, actions, &made);
    if (rc != MIM_OK)
        goto done;
    s.threads = calloc(options->n_threads, sizeof *s.threads);
    s.columns = calloc(capacity->n_stressors, sizeof *s.columns);
    if (!s.threads || !s.columns) {
        rc = mim_fail(MIM_ENOMEM, "a random plan of %zu threads", options->n_threads);
        goto done;
    }
    for (size_t w = 0; w + options->idle_end < options->n_windows; w++)
        fill_window(&s, made, w);
    if ((rc = mim_plan_validate(made, "random plan")) != MIM_OK ||
        (rc = set_origin(&s, id, made)) != MIM_OK)
        goto done;
    *plan = made;
    made = NULL;
done:
    free(s.threads);
    free(s.columns);
    mim_plan_destroy(&made);
    return rc;
}
