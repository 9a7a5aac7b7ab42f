#include "diffusion/generator.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

/* The inputs of slots, each repeated for every candidate; with guidance a second half that is
 * unconditional. */
typedef struct asker {
    const mim_model *model;
    const mim_generation *how;
    mim_schedule *schedule;
    mim_layer_weights *weights; /* of the network */
    mim_network_f *network;
    bool is_conditional, is_unconditional; /* which of the two are asked */
    size_t n_slots, n_candidates;          /* slots drawn side by side; candidates of each */
    size_t n_drawn, n_rows; /* candidates of all slots; with both halves: samples of a call */
    size_t n_cells;         /* T S */
    float *memory;
    float *noisy, *previous, *predicted;      /* [n_rows][T][S] */
    float *cpu, *cpu_mask, *node, *node_mask; /* [n_rows][T], [n_rows][G] */
    float *has_previous, *is_told;            /* [n_rows] */
    double *time;                             /* [n_rows] */
    float *x;                                 /* [n_slots][n_candidates][T][S] */
    float *idle;                              /* [n_drawn][T] */
    uint64_t *ids;                            /* [n_drawn] */
    uint32_t *socket;                         /* [T] */
    double *candidate;                        /* [T][S] */
} asker;

static int predict(void *context, size_t t, const float *x, float *predicted)
{
    asker *a = context;
    const size_t n = a->n_drawn * a->n_cells, n_threads = a->model->domain->n_threads;
    for (size_t first = 0; first < a->n_rows * a->n_cells; first += n)
        memcpy(a->noisy + first, x, n * sizeof *x);
    for (size_t i = 0; i < a->n_rows; i++)
        a->time[i] = (double)t;
    const mim_network_input_f input = {.n_samples = a->n_rows,
                                       .n_threads = n_threads,
                                       .noisy = a->noisy,
                                       .previous = a->previous,
                                       .cpu = a->cpu,
                                       .cpu_mask = a->cpu_mask,
                                       .node = a->node,
                                       .node_mask = a->node_mask,
                                       .has_previous = a->has_previous,
                                       .is_conditional = a->is_told,
                                       .time = a->time,
                                       .socket = a->socket};
    mim_network_forward_f(a->network, a->model->params->ema, &input, a->predicted);
    if (a->is_conditional && a->is_unconditional)
        mim_diffusion_guide(n, a->how->guidance, a->predicted, a->predicted + n, predicted);
    else
        memcpy(predicted, a->predicted, n * sizeof *predicted);
    if (a->model->process.output == MIM_OUTPUT_SIMPLEX) /* guided logits: rows stay on it */
        mim_simplex_forward_f(a->n_drawn * n_threads, a->model->domain->n_stressors, predicted,
                              predicted, a->idle);
    return MIM_OK;
}

/* ---- a slot --------------------------------------------------------------------------------- */

static void set_row(asker *a, size_t row, bool is_told, const double *metrics,
                    const double *previous)
{
    const mim_domain *d = a->model->domain;
    const mim_normalised out = {a->cpu + row * d->n_threads, a->cpu_mask + row * d->n_threads,
                                a->node + row * d->n_node_metrics,
                                a->node_mask + row * d->n_node_metrics};
    mim_domain_normalise(d, metrics, out);
    a->is_told[row] = is_told ? 1 : 0;
    for (size_t k = 0; k < a->n_cells; k++)
        a->previous[row * a->n_cells + k] = previous ? (float)(2 * previous[k] - 1) : -1;
    a->has_previous[row] = previous ? 1 : 0;
}

/* previous: NULL = none. */
static void set_condition(asker *a, size_t slot, uint64_t id, const double *metrics,
                          const double *previous)
{
    for (size_t c = 0; c < a->n_candidates; c++) {
        const size_t row = slot * a->n_candidates + c;
        a->ids[row] = id * MIM_GENERATOR_MAX_CANDIDATES + c;
        set_row(a, row, a->is_conditional, metrics, previous);
        if (a->n_rows > a->n_drawn)
            set_row(a, a->n_drawn + row, false, metrics, previous);
    }
}

static size_t medoid(size_t n, size_t n_cells, const float *x)
{
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            for (size_t k = 0; k < n_cells; k++)
                sum += fabs((double)x[i * n_cells + k] - (double)x[j * n_cells + k]);
        if (sum < least) {
            least = sum;
            best = i;
        }
    }
    return best;
}

/* `candidate` counts over all slots. */
static void put_weights(const asker *a, size_t candidate, double *weights)
{
    const size_t n = a->model->domain->n_stressors;
    const float *x = a->x + candidate * a->n_cells;
    for (size_t t = 0; t < a->model->domain->n_threads; t++)
        mim_diffusion_weights(n, x + t * n, a->how->smallest, weights + t * n);
}

/* Mends every candidate and takes the one that is then expected to miss least. */
static void choose_mended(asker *a, size_t slot, const double *metrics, double *weights)
{
    const mim_response *response = a->model->response;
    double least = INFINITY;
    for (size_t i = 0; i < a->n_candidates; i++) {
        put_weights(a, slot * a->n_candidates + i, a->candidate);
        mim_response_mend(response, a->model->domain, metrics, a->candidate);
        const double miss = mim_response_miss(response, a->model->domain, metrics, a->candidate);
        if (i > 0 && !(miss < least))
            continue;
        least = miss;
        memcpy(weights, a->candidate, a->n_cells * sizeof *weights);
    }
}

/* Of the slots whose conditions were set: metrics [n_slots][D], weights [n_slots][T][S]. */
static int generate(asker *a, const double *metrics, double *weights)
{
    const size_t n = a->n_candidates;
    const int rc =
        mim_diffusion_solve(a->schedule, mim_process_answer(&a->model->process), &a->how->sampling,
                            a->n_drawn, a->n_cells, a->ids, predict, a, a->x);
    for (size_t slot = 0; rc == MIM_OK && slot < a->n_slots; slot++) {
        double *own = weights + slot * a->n_cells;
        if (a->how->is_mended && a->model->response)
            choose_mended(a, slot, metrics + slot * a->model->domain->n_metrics, own);
        else
            put_weights(a, slot * n + medoid(n, a->n_cells, a->x + slot * n * a->n_cells), own);
    }
    return rc;
}

/* ---- setting up ----------------------------------------------------------------------------- */

static int check(const mim_generation *how)
{
    if (how->n_candidates < 1 || how->n_candidates > MIM_GENERATOR_MAX_CANDIDATES)
        return mim_fail(MIM_EINVAL, "candidates of a slot: expected 1 to %d, found %zu",
                        MIM_GENERATOR_MAX_CANDIDATES, how->n_candidates);
    if (!(how->guidance >= 0 && how->guidance <= 100))
        return mim_fail(MIM_EINVAL, "guidance: expected 0 to 100, found %g", how->guidance);
    if (!(how->smallest >= 0 && how->smallest <= 1))
        return mim_fail(MIM_EINVAL, "smallest weight: expected 0 to 1, found %g", how->smallest);
    return MIM_OK;
}

static int allocate(asker *a)
{
    const mim_domain *d = a->model->domain;
    const struct {
        float **array;
        size_t n;
    } arrays[] = {{&a->noisy, a->n_rows * a->n_cells},
                  {&a->previous, a->n_rows * a->n_cells},
                  {&a->predicted, a->n_rows * a->n_cells},
                  {&a->cpu, a->n_rows * d->n_threads},
                  {&a->cpu_mask, a->n_rows * d->n_threads},
                  {&a->node, a->n_rows * d->n_node_metrics},
                  {&a->node_mask, a->n_rows * d->n_node_metrics},
                  {&a->has_previous, a->n_rows},
                  {&a->is_told, a->n_rows},
                  {&a->x, a->n_drawn * a->n_cells},
                  {&a->idle, a->n_drawn * d->n_threads}};
    size_t total = 0, used = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        total += arrays[i].n;
    a->memory = calloc(total, sizeof *a->memory);
    a->time = calloc(a->n_rows, sizeof *a->time);
    a->ids = calloc(a->n_drawn, sizeof *a->ids);
    a->socket = calloc(d->n_threads, sizeof *a->socket);
    a->candidate = calloc(a->n_cells, sizeof *a->candidate);
    if (!a->memory || !a->time || !a->ids || !a->socket || !a->candidate)
        return mim_fail(MIM_ENOMEM, "%zu candidates of %zu weights", a->n_drawn, a->n_cells);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].array = a->memory + used;
        used += arrays[i].n;
    }
    for (size_t t = 0; t < d->n_threads; t++)
        a->socket[t] = (uint32_t)d->socket[t];
    return MIM_OK;
}

static void use_slots(asker *a, size_t n_slots)
{
    a->n_slots = n_slots;
    a->n_candidates = a->how->n_candidates;
    a->n_drawn = n_slots * a->n_candidates;
    a->n_rows = a->n_drawn * (a->is_conditional && a->is_unconditional ? 2 : 1);
}

static int asker_open(asker *a, const mim_model *model, const mim_generation *how, size_t n_slots)
{
    const mim_domain *d = model->domain;
    int rc = check(how);
    if (rc != MIM_OK)
        return rc;
    a->model = model;
    a->how = how;
    a->is_conditional = how->guidance > 0;
    a->is_unconditional = how->guidance < 1 || how->guidance > 1;
    use_slots(a, n_slots);
    a->n_cells = d->n_threads * d->n_stressors;
    rc = mim_schedule_create(model->process.schedule, model->process.n_timesteps, &a->schedule);
    if (rc == MIM_OK)
        rc =
            mim_layer_weights_create(NULL, MIM_PRECISION_F32, model->params->n_values, &a->weights);
    const mim_network_options options = {
        .weights = a->weights, .max_samples = a->n_rows, .max_threads = d->n_threads};
    if (rc == MIM_OK)
        rc = mim_network_create_f(&model->architecture, &options, &a->network);
    if (rc == MIM_OK)
        mim_layer_weights_load(a->weights, model->params->ema);
    return rc == MIM_OK ? allocate(a) : rc;
}

static void asker_close(asker *a)
{
    mim_schedule_destroy(&a->schedule);
    mim_network_destroy_f(&a->network);
    mim_layer_weights_destroy(&a->weights);
    free(a->memory);
    free(a->time);
    free(a->ids);
    free(a->socket);
    free(a->candidate);
}

int mim_diffusion_generate(const mim_model *model, const mim_generation *how, size_t n_slots,
                           const double *metrics, double *weights)
{
    asker a = {0};
    int rc = asker_open(&a, model, how, 1);
    for (size_t slot = 0; rc == MIM_OK && slot < n_slots; slot++) {
        const double *wanted = metrics + slot * model->domain->n_metrics;
        set_condition(&a, 0, slot, wanted, slot > 0 ? weights + (slot - 1) * a.n_cells : NULL);
        rc = generate(&a, wanted, weights + slot * a.n_cells);
    }
    asker_close(&a);
    return rc;
}

int mim_diffusion_draw(const mim_model *model, const mim_generation *how, size_t n,
                       const uint64_t *ids, const double *metrics, const double *previous,
                       const bool *has_previous, double *weights)
{
    asker a = {0};
    if (n == 0)
        return MIM_OK;
    int rc = asker_open(&a, model, how, n < MIM_GENERATOR_GROUP ? n : MIM_GENERATOR_GROUP);
    for (size_t at = 0; rc == MIM_OK && at < n; at += a.n_slots) {
        if (a.n_slots > n - at)
            use_slots(&a, n - at);
        for (size_t i = 0; i < a.n_slots; i++)
            set_condition(&a, i, ids[at + i], metrics + (at + i) * model->domain->n_metrics,
                          has_previous[at + i] ? previous + (at + i) * a.n_cells : NULL);
        rc = generate(&a, metrics + at * model->domain->n_metrics, weights + at * a.n_cells);
    }
    asker_close(&a);
    return rc;
}

/* ---- from a series to a plan ---------------------------------------------------------------- */

/* Where the series has the model's metric m; SIZE_MAX if it has not. */
static size_t source_of(const mim_domain *d, size_t m, const mim_series *wanted)
{
    for (size_t t = 0; t < d->n_threads; t++) {
        if (d->thread_metric[t] != m)
            continue;
        for (size_t i = 0; i < wanted->n_metrics; i++)
            if (wanted->metrics[i].family == MIM_FAMILY_CPU && wanted->metrics[i].core == (int)t)
                return i;
        return SIZE_MAX;
    }
    const size_t found = mim_series_find(wanted, d->metrics[m]);
    /* a core that is no thread's here has another number there */
    return found != SIZE_MAX && wanted->metrics[found].family == MIM_FAMILY_CPU &&
                   wanted->metrics[found].core >= 0
               ? SIZE_MAX
               : found;
}

static int add_note(size_t *n, char ***notes, char *note) /* owned */
{
    char **longer = note ? realloc(*notes, (*n + 1) * sizeof *longer) : NULL;
    if (!longer) {
        free(note);
        return mim_fail(MIM_ENOMEM, "notes");
    }
    longer[(*n)++] = note;
    *notes = longer;
    return MIM_OK;
}

void mim_generator_free_notes(size_t n, char ***notes)
{
    for (size_t i = 0; i < n; i++)
        free((*notes)[i]);
    free(*notes);
    *notes = NULL;
}

/* Fills column m of metrics [n_slots][n_metrics]. */
static int gather_metric(const mim_domain *d, size_t m, const mim_series *wanted, double *metrics,
                         size_t *n_notes, char ***notes)
{
    const size_t from = source_of(d, m, wanted);
    size_t n_outside = 0, n_absent = 0;
    for (size_t slot = 0; slot < wanted->n_slots; slot++) {
        const double value = from == SIZE_MAX ? NAN : mim_series_at(wanted, slot, from);
        metrics[slot * d->n_metrics + m] = value;
        n_absent += isfinite(value) ? 0 : 1;
        n_outside += mim_domain_is_outside(d, m, value) ? 1 : 0;
    }
    const bool is_known = d->maximum[m] > d->minimum[m];
    int rc = MIM_OK;
    if (is_known && n_absent > 0)
        rc = add_note(n_notes, notes,
                      mim_format("%zu of %zu slots have no %s, which the model was trained with",
                                 n_absent, wanted->n_slots, d->metrics[m]));
    if (rc == MIM_OK && is_known && n_outside > 0)
        rc = add_note(n_notes, notes,
                      mim_format("%s is beyond the training range (%g to %g %s) in %zu of %zu "
                                 "slots: the nearest end of it is asked for",
                                 d->metrics[m], d->minimum[m], d->maximum[m],
                                 wanted->metrics[from].unit ? wanted->metrics[from].unit : "",
                                 n_outside, wanted->n_slots));
    return rc;
}

static int fill_plan(const mim_domain *d, const double *weights, size_t n_slots, mim_plan **plan)
{
    mim_actions *actions = NULL;
    mim_plan *made = NULL;
    int rc = mim_actions_from_names(d->n_stressors, (const char *const *)d->actions, &actions);
    if (rc == MIM_OK)
        rc = mim_plan_create(n_slots, d->n_threads, actions, &made);
    for (size_t slot = 0; rc == MIM_OK && slot < n_slots; slot++)
        for (size_t t = 0; t < d->n_threads; t++)
            memcpy(mim_plan_row(made, slot, t),
                   weights + (slot * d->n_threads + t) * d->n_stressors,
                   d->n_stressors * sizeof *weights);
    if (rc == MIM_OK)
        rc = mim_plan_validate(made, "plan");
    if (rc == MIM_OK)
        *plan = made;
    else
        mim_plan_destroy(&made);
    mim_actions_destroy(&actions);
    return rc;
}

int mim_diffusion_plan(const mim_model *model, const mim_generation *how, const mim_series *wanted,
                       mim_plan **plan, size_t *n_notes, char ***notes)
{
    const mim_domain *d = model->domain;
    const size_t n_cores = mim_series_n_cores(wanted), n_cells = d->n_threads * d->n_stressors;
    size_t n = 0;
    char **made = NULL;
    if (n_cores != d->n_threads)
        return mim_fail(MIM_EUNSUP, "the model is of plans of %zu threads, the plan has %zu",
                        d->n_threads, n_cores);
    double *metrics = calloc(wanted->n_slots, d->n_metrics * sizeof *metrics);
    double *weights = calloc(wanted->n_slots, n_cells * sizeof *weights);
    int rc = metrics && weights ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu slots", wanted->n_slots);
    for (size_t m = 0; rc == MIM_OK && m < d->n_metrics; m++)
        rc = gather_metric(d, m, wanted, metrics, &n, &made);
    if (rc == MIM_OK)
        rc = mim_diffusion_generate(model, how, wanted->n_slots, metrics, weights);
    if (rc == MIM_OK)
        rc = fill_plan(d, weights, wanted->n_slots, plan);
    if (rc == MIM_OK) {
        *n_notes = n;
        *notes = made;
    } else {
        mim_generator_free_notes(n, &made);
    }
    free(metrics);
    free(weights);
    return rc;
}
