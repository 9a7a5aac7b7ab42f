#include "diffusion/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "diffusion/lanes_internal.h"
#include "nn/parallel_internal.h"

/* Draws of validation are told from those of training by a bit no step number reaches. */
static const uint64_t validation_step = UINT64_C(1) << 63;

struct mim_trainer {
    mim_train_options options;
    mim_model *model;
    mim_feed *feed;
    mim_order *own_order; /* behind own_feed; NULL when the feed is someone else's */
    mim_feed *own_feed;
    mim_schedule *schedule;
    mim_objective objective;
    size_t n_shard, n_at_once; /* examples in a shard, and of it in a call of a network */
    mim_lanes *lanes;
    double *gradient;   /* [n_values] of a whole step here; NULL: each shard has a lane */
    uint64_t n_skipped; /* in a row */
};

/* Of its first n examples; dropout: NULL = none. */
static mim_network_input_f input_of(const mim_trainer *r, const mim_batch *b, size_t n,
                                    const mim_network_dropout *dropout)
{
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
                                 .socket = b->socket,
                                 .dropout = dropout};
}

/* Of the answers to n examples, whose gradient they become; their part of the mean over n_batch. */
static double judge(const mim_trainer *r, const mim_objective *objective, const mim_batch *b,
                    size_t n, size_t n_batch)
{
    const mim_objective_batch_f batch = {.n_samples = n,
                                         .n_threads = r->model->domain->n_threads,
                                         .n_stressors = r->model->domain->n_stressors,
                                         .n_batch = n_batch,
                                         .t = b->t,
                                         .x0 = b->x0,
                                         .eps = b->eps,
                                         .noisy = b->noisy,
                                         .cpu = b->cpu,
                                         .cpu_mask = b->cpu_mask,
                                         .is_conditional = b->is_conditional,
                                         .idle = b->idle};
    return mim_objective_f(objective, &batch, b->predicted, b->d_predicted);
}

/* ---- a step --------------------------------------------------------------------------------- */

size_t mim_trainer_n_values(const mim_trainer *trainer) { return trainer->model->params->n_values; }

mim_params_f *mim_trainer_params(mim_trainer *trainer) { return trainer->model->params; }

size_t mim_trainer_n_bytes(const mim_trainer *r)
{
    return mim_lanes_n_bytes(r->lanes) +
           (r->gradient ? r->model->params->n_values * sizeof *r->gradient : 0);
}

static int fill(mim_trainer *r, size_t shard, mim_batch *batch)
{
    const uint64_t step = r->model->step;
    mim_examples examples;
    const int rc = mim_feed_shard(r->feed, step, shard, &examples);
    if (rc != MIM_OK)
        return rc;
    for (size_t i = 0; i < r->n_shard; i++) {
        const size_t number = shard * r->n_shard + i;
        const double u =
            mim_rng_u01(r->model->seed, MIM_STREAM_TIMESTEP, step, (uint32_t)number, 0);
        const mim_batch_place p = {.step = step,
                                   .number = (uint32_t)number,
                                   .slot = i,
                                   .t = (size_t)(u * (double)r->schedule->n_steps)};
        mim_batch_put(batch, r->model, r->schedule, &r->options, &examples, i, &p);
    }
    return MIM_OK;
}

/* Shards first to first + n - 1, one to a lane. */
static int fill_lanes(mim_trainer *r, size_t first, size_t n)
{
    int rc = MIM_OK;
    for (size_t k = 0; rc == MIM_OK && k < n; k++)
        rc = fill(r, first + k, r->lanes->all[k].batch);
    return rc;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void learn(void *context, mim_lane *lane, const mim_grads_ready *ready)
{
    const mim_trainer *r = context;
    const float *values = r->model->params->values;
    lane->loss = 0;
    for (size_t i = 0, n = 0; i < r->n_shard; i += n) {
        const mim_batch b = mim_batch_from(lane->batch, r->model->domain, i);
        const mim_network_dropout dropout = {r->model->seed, (uint32_t)r->model->step, b.numbers};
        n = least(r->n_shard - i, r->n_at_once);
        mim_network_input_f input = input_of(r, &b, n, &dropout);
        if (i + n == r->n_shard) /* before, others will add to the gradients */
            input.ready = ready;
        mim_network_forward_f(lane->network, values, &input, b.predicted);
        lane->loss += judge(r, &r->objective, &b, n, r->options.batch);
        mim_network_backward_f(lane->network, values, &input, b.d_predicted, lane->grads);
    }
}

int mim_trainer_shards(mim_trainer *r, size_t first, size_t count, double *gradient, double *loss,
                       const mim_grads_ready *ready)
{
    const size_t most = mim_n_workers(r->lanes->n);
    *loss = 0;
    if (count == 0)
        memset(gradient, 0, mim_trainer_n_values(r) * sizeof *gradient);
    else
        mim_lanes_load(r->lanes, r->model->params->values);
    for (size_t i = 0, n = 0; i < count; i += n) {
        n = least(count - i, most);
        const int rc = fill_lanes(r, first + i, n);
        if (rc != MIM_OK)
            return rc;
        mim_lanes_run(r->lanes, n, learn, r, i > 0, gradient, i + n == count ? ready : NULL);
        for (size_t k = 0; k < n; k++)
            *loss += r->lanes->all[k].loss;
    }
    return MIM_OK;
}

static int skip(mim_trainer *r)
{
    r->model->step++;
    r->model->course.n_skipped++;
    if (++r->n_skipped <= r->options.max_skipped)
        return MIM_OK;
    return mim_fail(MIM_ECHECK,
                    "the gradient of step %llu is not finite, and so it was in the %llu steps "
                    "before: a smaller learning rate may help",
                    (unsigned long long)r->model->step - 1, (unsigned long long)r->n_skipped - 1);
}

static int apply(mim_trainer *r, const mim_gradient_f *gradient, double *norm)
{
    mim_params_f *params = r->model->params;
    const uint64_t step = r->model->step;
    const double before = mim_gradient_norm_f(params->n_values, gradient);
    if (norm)
        *norm = before;
    if (!isfinite(before)) {
        mim_gradient_clear_f(0, params->n_values, gradient);
        return skip(r);
    }
    const mim_update update = {.adam = &r->options.adam,
                               .ema = &r->options.ema,
                               .lr = mim_lr_at(&r->options.rate, step),
                               .n_step = step + 1,
                               .norm = before,
                               .max_norm = r->options.clip_norm};
    mim_update_step_f(&update, gradient, params);
    r->model->step = step + 1;
    r->n_skipped = 0;
    return MIM_OK;
}

int mim_trainer_apply(mim_trainer *r, const double *sums, double *norm)
{
    return apply(r, &(mim_gradient_f){.sums = sums}, norm);
}

/* A lane for each shard, whose gradients stay there: no memory for sums, and fewer passes. */
static int step_in_lanes(mim_trainer *r, double *loss, double *norm)
{
    const size_t n = r->options.n_shards;
    const mim_gradient_f gradient = {NULL, r->lanes->grads, n};
    const int rc = fill_lanes(r, 0, n);
    if (rc != MIM_OK)
        return rc;
    mim_lanes_load(r->lanes, r->model->params->values);
    mim_lanes_work(r->lanes, n, learn, r);
    for (size_t k = 0; k < n; k++)
        *loss += r->lanes->all[k].loss;
    return apply(r, &gradient, norm);
}

int mim_trainer_step(mim_trainer *r, double *loss, double *norm)
{
    double sum = 0;
    int rc = MIM_OK;
    if (!r->gradient) {
        rc = step_in_lanes(r, &sum, norm);
    } else {
        rc = mim_trainer_shards(r, 0, r->options.n_shards, r->gradient, &sum, NULL);
        if (rc == MIM_OK)
            rc = mim_trainer_apply(r, r->gradient, norm);
    }
    if (rc == MIM_OK)
        *loss = sum;
    return rc;
}

double mim_trainer_validate(mim_trainer *r, const mim_examples *examples, size_t first, size_t n,
                            size_t n_draws, bool use_ema)
{
    const float *values = use_ema ? r->model->params->ema : r->model->params->values;
    mim_objective plain = r->objective;
    mim_lane *lane = &r->lanes->all[0];
    double sum = 0;
    plain.weights = (mim_objective_weights){0};
    mim_lanes_load(r->lanes, values);
    for (size_t k = 0; k < n * n_draws; k += r->n_at_once) {
        const size_t n_now = least(n * n_draws - k, r->n_at_once);
        for (size_t i = 0; i < n_now; i++) {
            const size_t e = first + (k + i) / n_draws, draw = (k + i) % n_draws;
            const mim_batch_place p = {.step = validation_step + draw,
                                       .number = (uint32_t)e,
                                       .slot = i,
                                       .t = (2 * draw + 1) * r->schedule->n_steps / (2 * n_draws)};
            mim_batch_put(lane->batch, r->model, r->schedule, NULL, examples, e, &p);
        }
        const mim_network_input_f input = input_of(r, lane->batch, n_now, NULL);
        mim_network_forward_f(lane->network, values, &input, lane->batch->predicted);
        sum += judge(r, &plain, lane->batch, n_now, 1);
    }
    return sum / (double)n_draws;
}

/* ---- setting up ----------------------------------------------------------------------------- */

static int check_options(const mim_train_options *o, mim_prediction prediction)
{
    const struct {
        const char *what;
        double value;
    } shares[] = {{"hide_all", o->hide_all},
                  {"hide_metric", o->hide_metric},
                  {"hide_previous", o->hide_previous},
                  {"swap_sockets", o->swap_sockets}};
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
    if (o->objective.variance > 0 && o->batch == o->n_shards)
        return mim_fail(MIM_EINVAL, "training: shards of one example have no variance");
    return mim_objective_check(&o->objective, prediction);
}

/* As even parts of a shard as can be. */
static size_t at_once(const mim_train_options *o, const mim_model *model)
{
    enum { most_rows = 1024 }; /* more gain nothing (measured) */
    const size_t n = o->batch / o->n_shards;
    const size_t n_rows = mim_network_n_rows(&model->architecture, model->domain->n_threads);
    size_t most = o->micro_batch;
    if (o->objective.variance > 0) /* over the examples of a call */
        most = n;
    else if (most == 0)
        most = n_rows < most_rows ? most_rows / n_rows : 1;
    const size_t n_calls = (n + most - 1) / most;
    return (n + n_calls - 1) / n_calls;
}

size_t mim_train_n_lanes(size_t n_shards)
{
    const size_t n_threads = mim_n_workers(SIZE_MAX);
    return n_shards < n_threads ? 1 : n_threads;
}

static int create(const mim_train_options *options, mim_model *model, mim_trainer **trainer)
{
    mim_trainer *made = calloc(1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "trainer");
    made->n_shard = options->batch / options->n_shards;
    made->n_at_once = at_once(options, model);
    const mim_network_options network = {.precision = mim_gemm_precision(NULL, options->precision),
                                         .max_samples = made->n_at_once,
                                         .max_threads = model->domain->n_threads,
                                         .is_training = true};
    made->options = *options;
    made->model = model;
    int rc = mim_network_check_precision(&model->architecture, options->precision);
    if (rc == MIM_OK)
        rc = mim_schedule_create(model->process.schedule, model->process.n_timesteps,
                                 &made->schedule);
    if (rc == MIM_OK)
        rc = mim_lanes_create(options->n_lanes > 0 ? options->n_lanes
                                                   : mim_train_n_lanes(options->n_shards),
                              made->n_shard, model, &network, &made->lanes);
    if (rc == MIM_OK && options->n_shards > made->lanes->n &&
        !(made->gradient = calloc(model->params->n_values, sizeof(double))))
        rc = mim_fail(MIM_ENOMEM, "gradient");
    if (rc == MIM_OK && options->swap_sockets > 0 &&
        !mim_batch_can_swap_sockets(made->lanes->all[0].batch))
        rc = mim_fail(MIM_EINVAL, "training: swap_sockets needs two or more sockets of as many "
                                  "threads each");
    made->objective = (mim_objective){made->schedule, model->process.prediction,
                                      model->process.output, options->objective};
    mim_params_zero_grads_f(model->params); /* as every step leaves them */
    if (rc == MIM_OK)
        *trainer = made;
    else
        mim_trainer_destroy(&made);
    return rc;
}

int mim_trainer_create_fed(const mim_train_options *options, mim_model *model, mim_feed *feed,
                           mim_trainer **trainer)
{
    mim_trainer *made = NULL;
    int rc = check_options(options, model->process.prediction);
    if (rc == MIM_OK)
        rc = create(options, model, &made);
    if (rc == MIM_OK) {
        made->feed = feed;
        *trainer = made;
    }
    return rc;
}

/* NULL weights when all are alike. */
static int weigh(const mim_weighting *weighting, const mim_domain *d, const mim_examples *examples,
                 double **weights)
{
    int rc = weighting ? mim_weighting_check(weighting) : MIM_OK;
    *weights = NULL;
    if (rc != MIM_OK || !weighting || mim_weighting_is_uniform(weighting))
        return rc;
    double *made = *weights = calloc(examples->n + 1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "weights of %zu examples", examples->n);
    for (size_t i = 0; i < examples->n; i++) {
        const size_t row = mim_examples_row(examples, i);
        made[i] =
            mim_weighting_of(weighting, d, examples->metric + row * d->n_metrics,
                             examples->mask + row * d->n_metrics, examples->has_previous[row]);
    }
    return MIM_OK;
}

int mim_trainer_create(const mim_train_options *options, mim_model *model,
                       const mim_examples *examples, mim_trainer **trainer)
{
    const mim_feed_options feed = {.n_batch = options->batch, .n_shards = options->n_shards};
    mim_order *order = NULL;
    mim_feed *own = NULL;
    mim_trainer *made = NULL;
    double *weights = NULL;
    int rc = check_options(options, model->process.prediction);
    if (rc == MIM_OK)
        rc = mim_examples_check(examples, model->domain);
    if (rc == MIM_OK)
        rc = weigh(options->weighting, model->domain, examples, &weights);
    if (rc == MIM_OK)
        rc = mim_order_create(model->seed, examples->n, weights, &order);
    free(weights);
    if (rc == MIM_OK)
        rc = mim_feed_of_examples(&feed, order, examples, &own);
    if (rc == MIM_OK)
        rc = mim_trainer_create_fed(options, model, own, &made);
    if (rc == MIM_OK) {
        made->own_order = order;
        made->own_feed = own;
        *trainer = made;
        return MIM_OK;
    }
    mim_feed_destroy(&own);
    mim_order_destroy(&order);
    return rc;
}

void mim_trainer_destroy(mim_trainer **trainer)
{
    mim_trainer *old = *trainer;
    if (!old)
        return;
    *trainer = NULL;
    mim_feed_destroy(&old->own_feed);
    mim_order_destroy(&old->own_order);
    mim_schedule_destroy(&old->schedule);
    mim_lanes_destroy(&old->lanes);
    free(old->gradient);
    free(old);
}
