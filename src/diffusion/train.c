#include "diffusion/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* Draws of validation are told from those of training by a bit no step number reaches. */
static const uint64_t validation_step = UINT64_C(1) << 63;

/* One batch's arrays, for the examples of a shard; D, T, S, G as in the domain. */
typedef struct batch {
    float *x0, *eps, *noisy, *previous, *target, *predicted; /* [n][T][S] */
    float *cpu, *cpu_mask;                                   /* [n][T] */
    float *node, *node_mask;                                 /* [n][G] */
    float *has_previous, *is_conditional;                    /* [n] */
    double *time;                                            /* [n] */
    uint32_t *numbers;                                       /* [n] in the whole batch */
} batch;

struct mim_trainer {
    mim_train_options options;
    mim_model *model;
    mim_examples examples;
    mim_schedule *schedule;
    mim_network_f *network;
    size_t n_shard; /* examples in a shard */
    size_t n_cells; /* T S */
    batch batch;
    size_t n_memory;
    float *memory;   /* [n_memory] behind the batch's floats */
    double *metrics; /* [D] of one example */
    uint32_t *socket;
    double *gradient;         /* [n_values] of a whole step here, between steps all 0 */
    const float *values_seen; /* by the network at last, and at which step */
    uint64_t step_seen;
};

/* ---- order of examples ---------------------------------------------------------------------- */

/* A Feistel network permutes 0 .. 2^(2 half) - 1; what falls beyond n - 1 is permuted again. */
static uint64_t permute(uint64_t seed, uint64_t epoch, unsigned half, uint64_t value)
{
    const uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t left = value >> half, right = value & mask;
    for (uint32_t round = 0; round < 6; round++) {
        const uint64_t next =
            left ^ (mim_rng_u32(seed, MIM_STREAM_EXAMPLES, epoch, round, (uint32_t)right) & mask);
        left = right;
        right = next;
    }
    return left << half | right;
}

size_t mim_train_example(uint64_t seed, size_t n, uint64_t position)
{
    unsigned half = 1;
    while (half < 31 && UINT64_C(1) << (2 * half) < n)
        half++;
    uint64_t value = position % n;
    do
        value = permute(seed, position / n, half, value);
    while (value >= n);
    return (size_t)value;
}

/* ---- one example ---------------------------------------------------------------------------- */

/* What decides the draws of an example in a batch. */
typedef struct place {
    uint64_t step;
    uint32_t number; /* in the batch */
    size_t slot;     /* in the arrays */
    size_t t;        /* timestep */
    bool is_training;
} place;

static bool is_drawn(const mim_trainer *r, const place *p, uint32_t draw, double share)
{
    return p->is_training && share > 0 &&
           mim_rng_u01(r->model->seed, MIM_STREAM_HIDE, p->step, p->number, draw) < share;
}

static void load_metrics(mim_trainer *r, const mim_examples *examples, size_t row, const place *p)
{
    const mim_domain *d = r->model->domain;
    const float *metric = examples->metric + row * d->n_metrics;
    const uint8_t *mask = examples->mask + row * d->n_metrics;
    r->batch.is_conditional[p->slot] = is_drawn(r, p, 0, r->options.hide_all) ? 0 : 1;
    for (size_t m = 0; m < d->n_metrics; m++) {
        const bool is_hidden = is_drawn(r, p, 2 + (uint32_t)m, r->options.hide_metric);
        r->metrics[m] = mask[m] && !is_hidden ? (double)metric[m] : NAN;
    }
    const mim_normalised out = {r->batch.cpu + p->slot * d->n_threads,
                                r->batch.cpu_mask + p->slot * d->n_threads,
                                r->batch.node + p->slot * d->n_node_metrics,
                                r->batch.node_mask + p->slot * d->n_node_metrics};
    mim_domain_normalise(d, r->metrics, out);
    if (!p->is_training || !(r->options.jitter > 0))
        return;
    for (size_t i = 0; i < d->n_threads + d->n_node_metrics; i++) {
        float *value = i < d->n_threads ? &out.cpu[i] : &out.node[i - d->n_threads];
        const float mask_i = i < d->n_threads ? out.cpu_mask[i] : out.node_mask[i - d->n_threads];
        const double noise =
            mim_rng_normal(r->model->seed, MIM_STREAM_JITTER, p->step, p->number, (uint32_t)i);
        if (mask_i > 0)
            *value += (float)(r->options.jitter * noise);
    }
}

static void load_actions(mim_trainer *r, const mim_examples *examples, size_t row, const place *p)
{
    const size_t n = r->n_cells, at = p->slot * n;
    batch *b = &r->batch;
    const bool has_previous =
        examples->has_previous[row] && !is_drawn(r, p, 1, r->options.hide_previous);
    for (size_t i = 0; i < n; i++) {
        b->x0[at + i] = 2 * examples->action[row * n + i] - 1;
        b->previous[at + i] = has_previous ? 2 * examples->previous[row * n + i] - 1 : -1;
        b->eps[at + i] = (float)mim_rng_normal(r->model->seed, MIM_STREAM_NOISE, p->step, p->number,
                                               (uint32_t)i);
    }
    b->has_previous[p->slot] = has_previous ? 1 : 0;
    b->time[p->slot] = (double)p->t;
    b->numbers[p->slot] = p->number;
    mim_schedule_noise(r->schedule, p->t, n, b->x0 + at, b->eps + at, b->noisy + at);
    mim_schedule_target(r->schedule, r->model->process.prediction, p->t, n, b->x0 + at, b->eps + at,
                        b->target + at);
}

static size_t row_of(const mim_examples *examples, size_t i)
{
    return examples->rows ? examples->rows[i] : i;
}

/* dropout: NULL = none. */
static mim_network_input_f input_of(mim_trainer *r, const float *values, size_t n,
                                    const mim_network_dropout *dropout)
{
    const batch *b = &r->batch;
    const bool has_same_values = r->values_seen == values && r->step_seen == r->model->step;
    r->values_seen = values;
    r->step_seen = r->model->step;
    return (mim_network_input_f){.n_samples = n,
                                 .n_threads = r->model->domain->n_threads,
                                 .noisy = b->noisy,
                                 .previous = b->previous,
                                 .cpu = b->cpu,
                                 .cpu_mask = b->cpu_mask,
                                 .node = b->node,
                                 .node_mask = b->node_mask,
                                 .has_previous = b->has_previous,
                                 .is_conditional = b->is_conditional,
                                 .time = b->time,
                                 .socket = r->socket,
                                 .dropout = dropout,
                                 .has_same_values = has_same_values};
}

/* Sum over n examples' cells of the squared error; b->predicted becomes the error. */
static double squared_error(batch *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        b->predicted[i] -= b->target[i];
        sum += (double)b->predicted[i] * (double)b->predicted[i];
    }
    return sum;
}

/* ---- a step --------------------------------------------------------------------------------- */

size_t mim_trainer_n_values(const mim_trainer *trainer) { return trainer->model->params->n_values; }

size_t mim_trainer_n_bytes(const mim_trainer *r)
{
    return mim_network_n_bytes_f(r->network) + r->n_memory * sizeof *r->memory +
           r->model->params->n_values * sizeof *r->gradient;
}

void mim_trainer_shard(mim_trainer *r, size_t shard, double *gradient, double *loss)
{
    mim_params_f *params = r->model->params;
    const uint64_t seed = r->model->seed, step = r->model->step;
    const size_t n = r->n_shard * r->n_cells;
    const double n_batch = (double)r->options.batch * (double)r->n_cells;
    for (size_t i = 0; i < r->n_shard; i++) {
        const size_t number = shard * r->n_shard + i;
        const size_t e =
            mim_train_example(seed, r->examples.n, step * (uint64_t)r->options.batch + number);
        const double u = mim_rng_u01(seed, MIM_STREAM_TIMESTEP, step, (uint32_t)number, 0);
        const place p = {.step = step,
                         .number = (uint32_t)number,
                         .slot = i,
                         .t = (size_t)(u * (double)r->schedule->n_steps),
                         .is_training = true};
        load_metrics(r, &r->examples, row_of(&r->examples, e), &p);
        load_actions(r, &r->examples, row_of(&r->examples, e), &p);
    }
    const mim_network_dropout dropout = {seed, (uint32_t)step, r->batch.numbers};
    const mim_network_input_f input = input_of(r, params->values, r->n_shard, &dropout);
    mim_network_forward_f(r->network, params->values, &input, r->batch.predicted);
    *loss += squared_error(&r->batch, n) / n_batch;
    for (size_t i = 0; i < n; i++)
        r->batch.predicted[i] *= (float)(2 / n_batch);
    mim_network_backward_f(r->network, params->values, &input, r->batch.predicted, params->grads);
    mim_grads_move_f(params, gradient);
}

int mim_trainer_apply(mim_trainer *r, const double *gradient, double *norm)
{
    mim_params_f *params = r->model->params;
    const uint64_t step = r->model->step;
    const double before = mim_grads_set_f(gradient, params);
    if (!isfinite(before)) {
        mim_params_zero_grads_f(params);
        return mim_fail(MIM_ECHECK,
                        "the gradient of step %llu is not finite: a smaller "
                        "learning rate may help",
                        (unsigned long long)step);
    }
    const mim_update update = {.adam = &r->options.adam,
                               .ema = &r->options.ema,
                               .lr = mim_lr_at(&r->options.rate, step),
                               .n_step = step + 1,
                               .norm = before,
                               .max_norm = r->options.clip_norm};
    mim_update_step_f(&update, params);
    r->model->step = step + 1;
    if (norm)
        *norm = before;
    return MIM_OK;
}

int mim_trainer_step(mim_trainer *r, double *loss, double *norm)
{
    double sum = 0;
    for (size_t shard = 0; shard < r->options.n_shards; shard++)
        mim_trainer_shard(r, shard, r->gradient, &sum);
    const int rc = mim_trainer_apply(r, r->gradient, norm);
    memset(r->gradient, 0, r->model->params->n_values * sizeof *r->gradient);
    if (rc == MIM_OK)
        *loss = sum;
    return rc;
}

double mim_trainer_validate(mim_trainer *r, const mim_examples *examples, size_t first, size_t n,
                            size_t n_draws, bool use_ema)
{
    const float *values = use_ema ? r->model->params->ema : r->model->params->values;
    double sum = 0;
    for (size_t k = 0; k < n * n_draws; k += r->n_shard) {
        const size_t n_now = n * n_draws - k < r->n_shard ? n * n_draws - k : r->n_shard;
        for (size_t i = 0; i < n_now; i++) {
            const size_t e = first + (k + i) / n_draws, draw = (k + i) % n_draws;
            const place p = {.step = validation_step + draw,
                             .number = (uint32_t)e,
                             .slot = i,
                             .t = (2 * draw + 1) * r->schedule->n_steps / (2 * n_draws)};
            load_metrics(r, examples, row_of(examples, e), &p);
            load_actions(r, examples, row_of(examples, e), &p);
        }
        const mim_network_input_f input = input_of(r, values, n_now, NULL);
        mim_network_forward_f(r->network, values, &input, r->batch.predicted);
        sum += squared_error(&r->batch, n_now * r->n_cells);
    }
    return sum / (double)(n_draws * r->n_cells);
}

/* ---- setting up ----------------------------------------------------------------------------- */

static int check_options(const mim_train_options *o)
{
    const struct {
        const char *what;
        double value;
    } shares[] = {{"hide_all", o->hide_all},
                  {"hide_metric", o->hide_metric},
                  {"hide_previous", o->hide_previous}};
    if (o->batch < 1 || o->batch > MIM_TRAIN_MAX_BATCH || o->n_shards < 1 || o->batch % o->n_shards)
        return mim_fail(MIM_EINVAL,
                        "training: a batch of %zu examples cannot be cut into %zu equal shards",
                        o->batch, o->n_shards);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (!(shares[i].value >= 0 && shares[i].value <= 1))
            return mim_fail(MIM_EINVAL, "training: %s: expected 0 to 1, found %g", shares[i].what,
                            shares[i].value);
    if (!(o->jitter >= 0 && o->jitter <= 1))
        return mim_fail(MIM_EINVAL, "training: jitter: expected 0 to 1, found %g", o->jitter);
    return MIM_OK;
}

static int check_examples(const mim_examples *examples, const mim_domain *d)
{
    const size_t n_cells = d->n_threads * d->n_stressors;
    if (examples->n < 1)
        return mim_fail(MIM_EDATA, "no examples to train on");
    for (size_t e = 0; e < examples->n; e++) {
        const size_t row = row_of(examples, e);
        for (size_t m = 0; m < d->n_metrics; m++)
            if (examples->mask[row * d->n_metrics + m] &&
                !isfinite(examples->metric[row * d->n_metrics + m]))
                return mim_fail(MIM_EDATA, "example %zu: %s is not finite", row, d->metrics[m]);
        for (size_t i = 0; i < 2 * n_cells; i++) {
            const float w = i < n_cells ? examples->action[row * n_cells + i]
                                        : examples->previous[row * n_cells + i - n_cells];
            if (!(w >= 0 && w <= 1))
                return mim_fail(MIM_EDATA, "example %zu: weight %g is not 0 to 1", row, (double)w);
        }
    }
    return MIM_OK;
}

static int allocate(mim_trainer *r)
{
    const mim_domain *d = r->model->domain;
    const size_t n = r->n_shard, cells = n * r->n_cells;
    batch *b = &r->batch;
    const struct {
        float **array;
        size_t n;
    } arrays[] = {{&b->x0, cells},
                  {&b->eps, cells},
                  {&b->noisy, cells},
                  {&b->previous, cells},
                  {&b->target, cells},
                  {&b->predicted, cells},
                  {&b->cpu, n * d->n_threads},
                  {&b->cpu_mask, n * d->n_threads},
                  {&b->node, n * d->n_node_metrics},
                  {&b->node_mask, n * d->n_node_metrics},
                  {&b->has_previous, n},
                  {&b->is_conditional, n}};
    size_t total = 0, used = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        total += arrays[i].n;
    r->n_memory = total;
    r->memory = calloc(total, sizeof *r->memory);
    b->time = calloc(n, sizeof *b->time);
    b->numbers = calloc(n, sizeof *b->numbers);
    r->metrics = calloc(d->n_metrics, sizeof *r->metrics);
    r->socket = calloc(d->n_threads, sizeof *r->socket);
    r->gradient = calloc(r->model->params->n_values, sizeof *r->gradient);
    if (!r->gradient || !r->memory || !b->time || !b->numbers || !r->metrics || !r->socket)
        return mim_fail(MIM_ENOMEM, "batch of %zu examples", n);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].array = r->memory + used;
        used += arrays[i].n;
    }
    for (size_t t = 0; t < d->n_threads; t++)
        r->socket[t] = (uint32_t)d->socket[t];
    return MIM_OK;
}

int mim_trainer_create(const mim_train_options *options, mim_model *model,
                       const mim_examples *examples, mim_trainer **trainer)
{
    mim_trainer *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "trainer");
    int rc = check_options(options);
    if (rc == MIM_OK)
        rc = check_examples(examples, model->domain);
    if (rc != MIM_OK)
        goto done;
    const mim_network_options network = {.precision = options->precision,
                                         .max_samples = options->batch / options->n_shards,
                                         .max_threads = model->domain->n_threads,
                                         .is_training = true};
    made->options = *options;
    made->model = model;
    made->examples = *examples;
    made->n_shard = options->batch / options->n_shards;
    made->n_cells = model->domain->n_threads * model->domain->n_stressors;
    if ((rc = mim_schedule_create(model->process.schedule, model->process.n_timesteps,
                                  &made->schedule)) != MIM_OK ||
        (rc = mim_network_create_f(&model->architecture, &network, &made->network)) != MIM_OK ||
        (rc = allocate(made)) != MIM_OK)
        goto done;
    mim_params_zero_grads_f(model->params); /* as every step leaves them */
    *trainer = made;
    made = NULL;
done:
    mim_trainer_destroy(&made);
    return rc;
}

void mim_trainer_destroy(mim_trainer **trainer)
{
    mim_trainer *old = *trainer;
    if (!old)
        return;
    *trainer = NULL;
    mim_schedule_destroy(&old->schedule);
    mim_network_destroy_f(&old->network);
    free(old->memory);
    free(old->batch.time);
    free(old->batch.numbers);
    free(old->metrics);
    free(old->socket);
    free(old->gradient);
    free(old);
}
