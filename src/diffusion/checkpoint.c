#include "diffusion/checkpoint.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/checkpoint_internal.h"

/* A weight of 1 that moves a metric by more than a million ranges is no measurement. */
static const double max_coefficient = 1e6;

/* ---- writing -------------------------------------------------------------------------------- */

static int put_numbers(mim_h5 *file, const char *name, size_t n, const float *numbers,
                       const char *long_name)
{
    return mim_h5_put_float(file, name, 1, &n, numbers, "", "value", long_name);
}

static int put_params(mim_h5 *file, const mim_params_f *p, bool is_slim)
{
    const size_t n = p->n_values;
    assert(is_slim || p->n_own == n);
    int rc = put_numbers(file, "ema", n, p->ema, "moving average of the parameters");
    if (rc == MIM_OK && !is_slim)
        rc = put_numbers(file, "values", n, p->values, "parameters");
    if (rc == MIM_OK && !is_slim)
        rc = put_numbers(file, "moment_1", n, p->moment_1, "first moment of Adam");
    if (rc == MIM_OK && !is_slim)
        rc = put_numbers(file, "moment_2", n, p->moment_2, "second moment of Adam");
    return rc;
}

static int put_tensors(mim_h5 *file, const mim_tensors *layout)
{
    const size_t n = layout->n_tensors, shape[2] = {n, MIM_TENSOR_MAX_RANK};
    const char **names = calloc(n, sizeof *names);
    uint64_t *shapes = calloc(n, MIM_TENSOR_MAX_RANK * sizeof *shapes);
    int rc = names && shapes ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu tensors", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        names[i] = layout->tensors[i].name;
        for (size_t d = 0; d < layout->tensors[i].rank; d++)
            shapes[i * MIM_TENSOR_MAX_RANK + d] = layout->tensors[i].shape[d];
    }
    if (rc == MIM_OK)
        rc = mim_h5_put_texts(file, "tensor_names", n, names, "tensor",
                              "tensors that follow each other in the parameters");
    if (rc == MIM_OK)
        rc = mim_h5_put_count(file, "tensor_shapes", 2, shape, shapes, "", "tensor, axis",
                              "extents, 0 beyond the rank");
    free(names);
    free(shapes);
    return rc;
}

static int put_threads(mim_h5 *file, const mim_domain *d)
{
    uint64_t *values = calloc(2 * d->n_threads, sizeof *values);
    if (!values)
        return mim_fail(MIM_ENOMEM, "%zu threads", d->n_threads);
    for (size_t t = 0; t < d->n_threads; t++) {
        values[t] = d->thread_metric[t] == SIZE_MAX ? d->n_metrics : d->thread_metric[t];
        values[d->n_threads + t] = d->socket[t];
    }
    int rc = mim_h5_put_count(file, "thread_metric", 1, &d->n_threads, values, "", "thread",
                              "number of a thread's CPU metric, n_metrics = none");
    if (rc == MIM_OK)
        rc = mim_h5_put_count(file, "thread_socket", 1, &d->n_threads, values + d->n_threads, "",
                              "thread", "socket of a thread");
    free(values);
    return rc;
}

static int put_domain(mim_h5 *file, const mim_domain *d)
{
    int rc = mim_h5_put_texts(file, "metric_names", d->n_metrics, (const char *const *)d->metrics,
                              "metric", "metrics the model is asked for");
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, "range_min", 1, &d->n_metrics, d->minimum, "", "metric",
                             "smallest value in training, unit of the metric");
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, "range_max", 1, &d->n_metrics, d->maximum, "", "metric",
                             "largest value in training, unit of the metric");
    if (rc == MIM_OK)
        rc = mim_h5_put_texts(file, "action_names", d->n_stressors, (const char *const *)d->actions,
                              "stressor", "stressors the model answers in");
    if (rc == MIM_OK)
        rc = put_threads(file, d);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "host_class", d->host_class);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "stressor_sizes", d->sizes);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "normalisation",
                                       mim_normalisation_name(d->normalisation));
    return rc;
}

static int put_response(mim_h5 *file, const mim_response *r)
{
    if (!r)
        return MIM_OK;
    const size_t shape[2] = {r->n_rows, r->n_columns};
    int rc = mim_h5_put_real(file, "response_mean", 2, shape, r->mean, "share of the range",
                             "cpu and node metrics, coefficients",
                             "linear model of how the node answers plans");
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, "response_deviation", 2, shape, r->deviation,
                             "share of the range", "cpu and node metrics, coefficients",
                             "linear model of its mean absolute error");
    return rc;
}

static int put_kind(mim_h5 *file, const mim_model *m)
{
    const struct {
        const char *name, *long_name;
        uint64_t value;
    } counts[] = {{"n_timesteps", "timesteps of the noise process", m->process.n_timesteps},
                  {"seed", "seed of initial values and training", m->seed},
                  {"step", "training steps taken", m->step},
                  {"corpus_hash", "identity of the training corpus", m->corpus_hash}};
    int rc = mim_checkpoint_put_architecture(file, &m->architecture);
    for (size_t i = 0; rc == MIM_OK && i < sizeof counts / sizeof *counts; i++)
        rc = mim_h5_put_count(file, counts[i].name, 0, NULL, &counts[i].value, "", "",
                              counts[i].long_name);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "schedule",
                                       mim_schedule_name(m->process.schedule));
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "prediction",
                                       mim_prediction_name(m->process.prediction));
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "output", mim_output_name(m->process.output));
    return rc;
}

static int put_course(mim_h5 *file, const mim_course *c)
{
    const struct {
        const char *name, *long_name;
        uint64_t value;
    } counts[] = {{"n_skipped", "steps left out as their gradient was not finite", c->n_skipped},
                  {"best_step", "step of the best validation", c->best_step},
                  {"n_since_best", "validations after it", c->n_since_best}};
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < sizeof counts / sizeof *counts; i++)
        rc = mim_h5_put_count(file, counts[i].name, 0, NULL, &counts[i].value, "", "",
                              counts[i].long_name);
    return rc == MIM_OK ? mim_h5_put_attribute_real(file, NULL, "best_loss", c->best_loss) : rc;
}

/* The whole file, still in memory. */
static int make_file(const mim_model *model, bool is_slim, const char *path, mim_h5 **made)
{
    mim_h5 *file = NULL;
    int rc =
        mim_h5_create(path, MIM_CHECKPOINT_SCHEMA, MIM_CHECKPOINT_VERSION, model->config, &file);
    if (rc == MIM_OK) {
        mim_h5_seal(file);
        rc = put_kind(file, model);
    }
    if (rc == MIM_OK && !is_slim)
        rc = put_course(file, &model->course);
    if (rc == MIM_OK)
        rc = put_domain(file, model->domain);
    if (rc == MIM_OK)
        rc = put_tensors(file, model->params->layout);
    if (rc == MIM_OK)
        rc = put_params(file, model->params, is_slim);
    if (rc == MIM_OK && !is_slim && model->best_ema)
        rc = put_numbers(file, "best_ema", model->params->n_values, model->best_ema,
                         "moving average at best_step");
    if (rc == MIM_OK)
        rc = put_response(file, model->response);
    if (rc == MIM_OK) {
        *made = file;
        file = NULL;
    }
    mim_h5_destroy(&file);
    return rc;
}

int mim_checkpoint_image(const mim_model *model, bool is_slim, const char *path, void **image,
                         size_t *n_bytes)
{
    mim_h5 *file = NULL;
    const int rc = make_file(model, is_slim, path, &file);
    return rc == MIM_OK ? mim_h5_take_image(&file, image, n_bytes) : rc;
}

int mim_checkpoint_write(const mim_model *model, bool is_slim, const char *path)
{
    mim_h5 *file = NULL;
    const int rc = make_file(model, is_slim, path, &file);
    return rc == MIM_OK ? mim_h5_commit(&file) : rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int check_schema(mim_h5 *file, const char *path, int *version)
{
    char *schema = NULL;
    bool has_version = false;
    double found = 0;
    int rc = mim_h5_get_attribute_text(file, NULL, "schema", &schema);
    if (rc == MIM_OK && (!schema || strcmp(schema, MIM_CHECKPOINT_SCHEMA) != 0))
        rc = mim_fail(MIM_EDATA, "%s: holds \"%.60s\", expected a checkpoint (%s)", path,
                      schema ? schema : "", MIM_CHECKPOINT_SCHEMA);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_real(file, NULL, "schema_version", &has_version, &found);
    if (rc == MIM_OK && found != 1 && found != MIM_CHECKPOINT_VERSION)
        rc =
            mim_fail(MIM_EDATA, "%s: checkpoint of version %g, this program knows versions 1 to %d",
                     path, found, MIM_CHECKPOINT_VERSION);
    if (rc == MIM_OK)
        *version = (int)found;
    free(schema);
    return rc;
}

int mim_checkpoint_get_counts(mim_h5 *file, const char *path, const char *name, size_t rank,
                              size_t n, uint64_t *out)
{
    size_t shape[MIM_H5_MAX_RANK] = {0};
    uint64_t *values = NULL;
    int rc = mim_h5_get_count(file, name, rank, n, shape, &values);
    if (rc == MIM_OK && rank == 1 && shape[0] != n)
        rc = mim_fail(MIM_EDATA, "%s: %s has %zu values, expected %zu", path, name, shape[0], n);
    if (rc == MIM_OK)
        memcpy(out, values, n * sizeof *out);
    free(values);
    return rc;
}

static int get_word(mim_h5 *file, const char *path, const char *name, char **word)
{
    int rc = mim_h5_get_attribute_text(file, NULL, name, word);
    if (rc == MIM_OK && !*word)
        rc = mim_fail(MIM_EDATA, "%s: has no attribute %s", path, name);
    return rc;
}

static int get_process(mim_h5 *file, const char *path, mim_process *process)
{
    char *schedule = NULL, *prediction = NULL, *output = NULL;
    uint64_t n_timesteps = 0;
    int rc = mim_checkpoint_get_counts(file, path, "n_timesteps", 0, 1, &n_timesteps);
    if (rc == MIM_OK && (n_timesteps < 1 || n_timesteps > MIM_SCHEDULE_MAX_STEPS))
        rc = mim_fail(MIM_EDATA, "%s: %llu timesteps, expected 1 to %d", path,
                      (unsigned long long)n_timesteps, MIM_SCHEDULE_MAX_STEPS);
    if (rc == MIM_OK)
        rc = get_word(file, path, "schedule", &schedule);
    if (rc == MIM_OK)
        rc = get_word(file, path, "prediction", &prediction);
    if (rc == MIM_OK && ((rc = mim_schedule_find(schedule, &process->schedule)) != MIM_OK ||
                         (rc = mim_prediction_find(prediction, &process->prediction)) != MIM_OK))
        rc = mim_fail_in(rc, "%s", path);
    if (rc == MIM_OK && !mim_schedule_fits(process->schedule, process->prediction))
        rc = mim_fail(MIM_EDATA, "%s: a schedule %s and a prediction of %s", path, schedule,
                      prediction);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "output", &output);
    if (rc == MIM_OK && output && (rc = mim_output_find(output, &process->output)) != MIM_OK)
        rc = mim_fail_in(rc, "%s", path);
    process->n_timesteps = (size_t)n_timesteps;
    free(schedule);
    free(prediction);
    free(output);
    return rc;
}

static int get_length(mim_h5 *file, const char *path, const char *name, size_t max, size_t *n)
{
    size_t rank = 0, shape[MIM_H5_MAX_RANK];
    int rc = mim_h5_get_shape(file, name, &rank, shape);
    if (rc == MIM_OK && (rank != 1 || shape[0] < 1 || shape[0] > max))
        rc = mim_fail(MIM_EDATA, "%s: %s: expected a list of 1 to %zu", path, name, max);
    if (rc == MIM_OK)
        *n = shape[0];
    return rc;
}

/* What a domain is read into before it is made. */
typedef struct parts {
    mim_domain_parts domain;
    char **metrics, **actions, *host_class, *sizes, *normalisation;
    size_t n_metrics, n_actions; /* names read */
    double *minimum, *maximum;
    uint64_t *threads;       /* [2][n_threads] metric, socket */
    size_t *metric, *socket; /* [n_threads] */
} parts;

static void parts_clear(parts *p)
{
    mim_h5_free_texts(p->n_metrics, &p->metrics);
    mim_h5_free_texts(p->n_actions, &p->actions);
    free(p->host_class);
    free(p->sizes);
    free(p->normalisation);
    free(p->minimum);
    free(p->maximum);
    free(p->threads);
    free(p->metric);
    free(p->socket);
}

static int get_ranges(mim_h5 *file, const char *path, parts *p)
{
    size_t shape[MIM_H5_MAX_RANK], n = p->n_metrics;
    int rc = mim_h5_get_real(file, "range_min", 1, n, shape, &p->minimum);
    bool fits = rc == MIM_OK && shape[0] == n;
    if (rc == MIM_OK)
        rc = mim_h5_get_real(file, "range_max", 1, n, shape, &p->maximum);
    fits = fits && rc == MIM_OK && shape[0] == n;
    if (rc == MIM_OK && !fits)
        rc = mim_fail(MIM_EDATA, "%s: ranges are not those of %zu metrics", path, n);
    return rc;
}

static int get_threads(mim_h5 *file, const char *path, parts *p)
{
    size_t n = 0;
    int rc = get_length(file, path, "thread_metric", MIM_DOMAIN_MAX_THREADS, &n);
    if (rc != MIM_OK)
        return rc;
    p->threads = calloc(2 * n, sizeof *p->threads);
    p->metric = calloc(n, sizeof *p->metric);
    p->socket = calloc(n, sizeof *p->socket);
    if (!p->threads || !p->metric || !p->socket)
        return mim_fail(MIM_ENOMEM, "%zu threads", n);
    if ((rc = mim_checkpoint_get_counts(file, path, "thread_metric", 1, n, p->threads)) != MIM_OK ||
        (rc = mim_checkpoint_get_counts(file, path, "thread_socket", 1, n, p->threads + n)) !=
            MIM_OK)
        return rc;
    for (size_t t = 0; t < n; t++) {
        p->metric[t] = p->threads[t] == p->n_metrics ? SIZE_MAX : (size_t)p->threads[t];
        p->socket[t] = (size_t)p->threads[n + t];
    }
    p->domain.n_threads = n;
    return MIM_OK;
}

static int get_domain(mim_h5 *file, const char *path, size_t n_sockets, mim_domain **domain)
{
    parts p = {0};
    int rc =
        mim_h5_get_texts(file, "metric_names", MIM_DOMAIN_MAX_METRICS, &p.n_metrics, &p.metrics);
    if (rc == MIM_OK)
        rc = mim_h5_get_texts(file, "action_names", MIM_DOMAIN_MAX_STRESSORS, &p.n_actions,
                              &p.actions);
    if (rc == MIM_OK)
        rc = get_ranges(file, path, &p);
    if (rc == MIM_OK)
        rc = get_threads(file, path, &p);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "host_class", &p.host_class);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "stressor_sizes", &p.sizes);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "normalisation", &p.normalisation);
    if (rc == MIM_OK && p.normalisation &&
        (rc = mim_normalisation_find(p.normalisation, &p.domain.normalisation)) != MIM_OK)
        rc = mim_fail_in(rc, "%s", path);
    p.domain.n_metrics = p.n_metrics;
    p.domain.n_stressors = p.n_actions;
    p.domain.n_sockets = n_sockets;
    p.domain.metrics = (const char *const *)p.metrics;
    p.domain.actions = (const char *const *)p.actions;
    p.domain.minimum = p.minimum;
    p.domain.maximum = p.maximum;
    p.domain.thread_metric = p.metric;
    p.domain.socket = p.socket;
    p.domain.host_class = p.host_class;
    p.domain.sizes = p.sizes;
    if (rc == MIM_OK && (rc = mim_domain_create(&p.domain, domain)) != MIM_OK)
        rc = mim_fail_in(rc, "%s", path);
    parts_clear(&p);
    return rc;
}

/* Before memory for that many parameters is taken. */
static int check_size(mim_h5 *file, const char *path, size_t n_expected)
{
    size_t rank = 0, shape[MIM_H5_MAX_RANK];
    int rc = mim_h5_get_shape(file, "ema", &rank, shape);
    if (rc == MIM_OK &&
        (rank != 1 || shape[0] != n_expected || n_expected > MIM_CHECKPOINT_MAX_VALUES))
        rc = mim_fail(MIM_EDATA, "%s: ema: expected %zu values, at most %d", path, n_expected,
                      MIM_CHECKPOINT_MAX_VALUES);
    return rc;
}

/* A failure that does not name the file: its content makes no network. */
static int name_file(const char *path, int rc)
{
    return rc == MIM_OK || rc == MIM_ENOMEM ? rc : mim_fail_in(MIM_EDATA, "%s", path);
}

/* n tensors of the file as a layout. */
static int make_tensors(size_t n, char *const *names, const uint64_t *shapes, mim_tensors **tensors)
{
    mim_tensors *made = NULL;
    int rc = mim_tensors_create(&made);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        size_t extents[MIM_TENSOR_MAX_RANK], rank = 0;
        for (; rank < MIM_TENSOR_MAX_RANK && shapes[i * MIM_TENSOR_MAX_RANK + rank]; rank++)
            extents[rank] = (size_t)shapes[i * MIM_TENSOR_MAX_RANK + rank];
        rc = mim_tensors_add(made, names[i], rank, extents, MIM_INIT_ZERO, 0, false, NULL);
    }
    if (rc == MIM_OK) {
        *tensors = made;
        made = NULL;
    }
    mim_tensors_destroy(&made);
    return rc;
}

/* The stored tensors, which must be those that the architecture has: files of other versions hold
 * them in another order. */
static int get_tensors(mim_h5 *file, const char *path, const mim_architecture *a,
                       mim_tensors **tensors)
{
    mim_tensors *found = NULL, *expected = NULL;
    char **names = NULL;
    uint64_t *shapes = NULL;
    size_t n = 0, shape[MIM_H5_MAX_RANK];
    int rc = name_file(path, mim_network_layout(a, &expected));
    if (rc == MIM_OK)
        rc = mim_h5_get_texts(file, "tensor_names", expected->n_tensors, &n, &names);
    if (rc == MIM_OK)
        rc = mim_h5_get_count(file, "tensor_shapes", 2, n * MIM_TENSOR_MAX_RANK, shape, &shapes);
    if (rc == MIM_OK && (shape[0] != n || shape[1] != MIM_TENSOR_MAX_RANK))
        rc = mim_fail(MIM_EDATA, "%s: tensor_shapes is not that of %zu tensors", path, n);
    if (rc == MIM_OK)
        rc = name_file(path, make_tensors(n, names, shapes, &found));
    if (rc == MIM_OK)
        rc = name_file(path, mim_tensors_match(expected, found));
    if (rc == MIM_OK)
        rc = check_size(file, path, expected->n_values);
    if (rc == MIM_OK) {
        *tensors = found;
        found = NULL;
    }
    mim_tensors_destroy(&found);
    mim_tensors_destroy(&expected);
    mim_h5_free_texts(n, &names);
    free(shapes);
    return rc;
}

/* One array of parameters, from the order of the file into that of the layout: of n_out values from
 * the first on. */
static int get_numbers(mim_h5 *file, const char *path, const char *name, const mim_tensors *stored,
                       const mim_tensors *layout, size_t first, size_t n_out, float *out)
{
    const size_t n = layout->n_values;
    size_t shape[MIM_H5_MAX_RANK];
    double *wide = NULL;
    int rc = mim_h5_get_real(file, name, 1, n, shape, &wide);
    if (rc == MIM_OK && shape[0] != n)
        rc = mim_fail(MIM_EDATA, "%s: %s has %zu values, expected %zu", path, name, shape[0], n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        if (!isfinite((float)wide[i]))
            rc = mim_fail(MIM_EDATA, "%s: value %zu of %s is %g", path, i, name, wide[i]);
    for (size_t t = 0; rc == MIM_OK && t < layout->n_tensors; t++) {
        const mim_tensor *to = &layout->tensors[t];
        const mim_tensor *from = &stored->tensors[mim_tensors_find(stored, to->name)];
        for (size_t i = 0; i < to->n_values; i++)
            if (to->offset + i >= first && to->offset + i - first < n_out)
                out[to->offset + i - first] = (float)wide[from->offset + i];
    }
    free(wide);
    return rc;
}

static int get_params(mim_h5 *file, const char *path, bool for_training, const mim_tensors *stored,
                      mim_params_f *p)
{
    const bool has_values = mim_h5_has(file, "values"), is_slim = !has_values && !for_training;
    const size_t first = p->first_own, n_own = p->n_own;
    if (for_training && !has_values)
        return mim_fail(
            MIM_EDATA,
            "%s: a finished model, which cannot be trained further: expected a checkpoint", path);
    int rc = get_numbers(file, path, "ema", stored, p->layout, first, n_own, p->own_ema);
    if (rc == MIM_OK && is_slim)
        memcpy(p->values, p->ema, p->n_values * sizeof *p->values);
    else if (rc == MIM_OK)
        rc = get_numbers(file, path, "values", stored, p->layout, 0, p->n_values, p->values);
    if (rc == MIM_OK && for_training)
        rc = get_numbers(file, path, "moment_1", stored, p->layout, first, n_own, p->moment_1);
    if (rc == MIM_OK && for_training)
        rc = get_numbers(file, path, "moment_2", stored, p->layout, first, n_own, p->moment_2);
    return rc;
}

/* Training without patience keeps none. */
static int get_best(mim_h5 *file, const char *path, const mim_tensors *stored, mim_model *m)
{
    const mim_params_f *p = m->params;
    if (!mim_h5_has(file, "best_ema"))
        return MIM_OK;
    m->best_ema = calloc(p->n_values, sizeof *m->best_ema);
    return m->best_ema
               ? get_numbers(file, path, "best_ema", stored, p->layout, 0, p->n_values, m->best_ema)
               : mim_fail(MIM_ENOMEM, "best of %zu parameters", p->n_values);
}

static int get_coefficients(mim_h5 *file, const char *path, const char *name, const mim_response *r,
                            double *out)
{
    const size_t n = r->n_rows * r->n_columns;
    size_t shape[MIM_H5_MAX_RANK];
    double *found = NULL;
    int rc = mim_h5_get_real(file, name, 2, n, shape, &found);
    if (rc == MIM_OK && (shape[0] != r->n_rows || shape[1] != r->n_columns))
        rc = mim_fail(MIM_EDATA, "%s: %s is %zu by %zu, expected %zu by %zu", path, name, shape[0],
                      shape[1], r->n_rows, r->n_columns);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        if (!(fabs(found[i]) < max_coefficient))
            rc = mim_fail(MIM_EDATA, "%s: value %zu of %s is %g", path, i, name, found[i]);
    if (rc == MIM_OK)
        memcpy(out, found, n * sizeof *out);
    free(found);
    return rc;
}

/* Models made without one have none. */
static int get_response(mim_h5 *file, const char *path, mim_model *m)
{
    if (!mim_h5_has(file, "response_mean"))
        return MIM_OK;
    int rc = mim_response_create(m->domain, &m->response);
    if (rc == MIM_OK)
        rc = get_coefficients(file, path, "response_mean", m->response, m->response->mean);
    return rc == MIM_OK ? get_coefficients(file, path, "response_deviation", m->response,
                                           m->response->deviation)
                        : rc;
}

/* Files without have none. */
static int get_course(mim_h5 *file, const char *path, mim_course *c)
{
    bool has_loss = false;
    if (!mim_h5_has(file, "n_skipped"))
        return MIM_OK;
    int rc = mim_checkpoint_get_counts(file, path, "n_skipped", 0, 1, &c->n_skipped);
    if (rc == MIM_OK)
        rc = mim_checkpoint_get_counts(file, path, "best_step", 0, 1, &c->best_step);
    if (rc == MIM_OK)
        rc = mim_checkpoint_get_counts(file, path, "n_since_best", 0, 1, &c->n_since_best);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_real(file, NULL, "best_loss", &has_loss, &c->best_loss);
    if (rc == MIM_OK && (!has_loss || (c->best_step > 0 && !isfinite(c->best_loss))))
        rc = mim_fail(MIM_EDATA, "%s: best_loss is not there or no number", path);
    return rc;
}

static int get_counters(mim_h5 *file, const char *path, mim_model *m)
{
    int rc = mim_checkpoint_get_counts(file, path, "step", 0, 1, &m->step);
    if (rc == MIM_OK)
        rc = mim_checkpoint_get_counts(file, path, "corpus_hash", 0, 1, &m->corpus_hash);
    if (rc == MIM_OK)
        rc = get_course(file, path, &m->course);
    char *config = NULL;
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "config", &config);
    if (rc == MIM_OK && config) {
        free(m->config);
        m->config = config;
    }
    return rc;
}

/* Whether the network is of the domain; files of version 1 do not say for how many threads. */
static int check_domain(const char *path, const mim_domain *d, const mim_architecture *a)
{
    const size_t n_threads = a->n_threads > 0 ? a->n_threads : d->n_threads;
    if (d->n_stressors != a->n_stressors || d->n_node_metrics != a->n_node_metrics ||
        d->n_threads != n_threads)
        return mim_fail(MIM_EDATA,
                        "%s: %zu stressors, %zu node metrics and %zu threads are named, the "
                        "network has %zu, %zu and %zu",
                        path, d->n_stressors, d->n_node_metrics, d->n_threads, a->n_stressors,
                        a->n_node_metrics, n_threads);
    return MIM_OK;
}

static int read_model(const char *path, bool for_training, const mim_part *part, mim_model **model)
{
    mim_h5 *file = NULL;
    mim_domain *domain = NULL;
    mim_model *made = NULL;
    mim_tensors *stored = NULL;
    mim_architecture a = {0};
    mim_process process = {0};
    uint64_t seed = 0;
    int version = 0, rc = mim_h5_open(path, &file);
    if (rc == MIM_OK)
        rc = check_schema(file, path, &version);
    if (rc == MIM_OK)
        rc = mim_checkpoint_get_architecture(file, path, version, &a);
    if (rc == MIM_OK)
        rc = get_process(file, path, &process);
    if (rc == MIM_OK)
        rc = mim_checkpoint_get_counts(file, path, "seed", 0, 1, &seed);
    if (rc == MIM_OK)
        rc = get_domain(file, path, a.n_sockets, &domain);
    if (rc == MIM_OK)
        rc = check_domain(path, domain, &a);
    if (rc == MIM_OK)
        rc = get_tensors(file, path, &a, &stored);
    if (rc == MIM_OK)
        rc = mim_model_create_part(&domain, &a, &process, seed, part, &made);
    if (rc == MIM_OK)
        rc = get_params(file, path, for_training, stored, made->params);
    if (rc == MIM_OK && for_training)
        rc = get_best(file, path, stored, made);
    if (rc == MIM_OK)
        rc = get_response(file, path, made);
    if (rc == MIM_OK)
        rc = get_counters(file, path, made);
    if (rc == MIM_OK) {
        *model = made;
        made = NULL;
    }
    mim_h5_destroy(&file);
    mim_tensors_destroy(&stored);
    mim_domain_destroy(&domain);
    mim_model_destroy(&made);
    return rc;
}

int mim_checkpoint_read(const char *path, bool for_training, mim_model **model)
{
    return read_model(path, for_training, &(const mim_part){0, 1}, model);
}

int mim_checkpoint_read_part(const char *path, const mim_part *part, mim_model **model)
{
    return read_model(path, true, part, model);
}
