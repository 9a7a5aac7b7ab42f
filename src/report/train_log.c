#include "report/train_log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "core/atomic_file.h"
#include "core/text.h"

enum { MAX_BYTES = 1 << 30 };

static const double max_step = 9007199254740992.0; /* beyond, a double cannot tell steps apart */

static const char *const keys[MIM_N_LOG] = {
    [MIM_LOG_LOSS] = "loss",
    [MIM_LOG_VALIDATION] = "validation_loss",
    [MIM_LOG_VALIDATION_LIVE] = "validation_loss_without_average",
    [MIM_LOG_NL1] = "nl1_mean",
    [MIM_LOG_EXAMPLES_PER_S] = "examples_per_s",
    [MIM_LOG_GFLOP_PER_S] = "gflop_per_s",
    [MIM_LOG_RATE] = "rate",
    [MIM_LOG_NORM] = "norm",
};

const char *mim_log_figure_key(mim_log_figure figure) { return keys[figure]; }

/* ---- lines ---------------------------------------------------------------------------------- */

/* The log while it is read. */
typedef struct reading {
    const char *path;
    mim_train_log *log;
    size_t capacity;
} reading;

/* The record of a step, after those that a resumed training has taken the place of are gone. */
static int record_of(reading *r, double step, size_t *record)
{
    mim_train_log *log = r->log;
    if (log->n > 0 && step < log->step[log->n - 1])
        while (log->n > 0 && log->step[log->n - 1] >= step) {
            log->n--;
            log->n_replaced++;
        }
    if (log->n > 0 && log->step[log->n - 1] == step) {
        *record = log->n - 1;
        return MIM_OK;
    }
    if (log->n == r->capacity) {
        const size_t more = 2 * r->capacity + 64;
        double *step_grown = realloc(log->step, more * sizeof *step_grown);
        if (step_grown)
            log->step = step_grown;
        double *grown = realloc(log->values, more * MIM_N_LOG * sizeof *grown);
        if (grown)
            log->values = grown;
        if (!step_grown || !grown)
            return mim_fail(MIM_ENOMEM, "%s: %zu records", r->path, more);
        r->capacity = more;
    }
    log->step[log->n] = step;
    for (size_t k = 0; k < MIM_N_LOG; k++)
        log->values[log->n * MIM_N_LOG + k] = NAN;
    *record = log->n++;
    return MIM_OK;
}

static int take_object(reading *r, size_t line, const json_t *object)
{
    const json_t *step = json_object_get(object, "step");
    size_t record = 0;
    if (!json_is_object(object))
        return mim_fail(MIM_EDATA, "%s:%zu: expected a JSON object", r->path, line);
    if (!json_is_integer(step) || json_integer_value(step) < 0 ||
        (double)json_integer_value(step) > max_step)
        return mim_fail(MIM_EDATA, "%s:%zu: step: expected a whole number", r->path, line);
    for (size_t k = 0; k < MIM_N_LOG; k++) {
        const json_t *value = json_object_get(object, keys[k]);
        if (value && !json_is_number(value) && !json_is_null(value))
            return mim_fail(MIM_EDATA, "%s:%zu: %s: expected a number or null", r->path, line,
                            keys[k]);
    }
    const int rc = record_of(r, (double)json_integer_value(step), &record);
    if (rc != MIM_OK)
        return rc;
    for (size_t k = 0; k < MIM_N_LOG; k++) {
        const json_t *value = json_object_get(object, keys[k]);
        if (json_is_number(value))
            r->log->values[record * MIM_N_LOG + k] = json_number_value(value);
    }
    return MIM_OK;
}

static int take_line(reading *r, size_t line, const char *text, size_t n, bool is_whole)
{
    json_error_t why;
    json_t *object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!object && !is_whole) {
        r->log->is_cut = true;
        return MIM_OK;
    }
    if (!object)
        return mim_fail(MIM_EDATA, "%s:%zu: expected a JSON object: %s", r->path, line, why.text);
    const int rc = take_object(r, line, object);
    json_decref(object);
    r->log->n_lines++;
    return rc;
}

/* ---- files ---------------------------------------------------------------------------------- */

static char *file_of(const char *path)
{
    struct stat status;
    const bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    return is_folder ? mim_join_path(path, MIM_TRAIN_LOG_FILE) : mim_strdup(path);
}

int mim_train_log_read(const char *path, mim_train_log **log)
{
    char *text = NULL, *file = file_of(path);
    size_t n = 0, line = 0;
    reading r = {file, calloc(1, sizeof *r.log), 0};
    int rc = file && r.log ? mim_read_file(file, MAX_BYTES, &text, &n)
                           : mim_fail(MIM_ENOMEM, "%s: figures", path);
    for (size_t at = 0; rc == MIM_OK && at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - text) - at : n - at;
        rc = take_line(&r, ++line, text + at, length, end != NULL);
        at += length + 1;
    }
    if (rc == MIM_OK && r.log->n == 0)
        rc = mim_fail(MIM_EDATA, "%s: has no figures yet", file);
    if (rc == MIM_OK) {
        *log = r.log;
        r.log = NULL;
    }
    mim_train_log_destroy(&r.log);
    free(text);
    free(file);
    return rc;
}

void mim_train_log_destroy(mim_train_log **log)
{
    if (!log || !*log)
        return;
    free((*log)->step);
    free((*log)->values);
    free(*log);
    *log = NULL;
}

/* ---- questions ------------------------------------------------------------------------------ */

double mim_train_log_at(const mim_train_log *log, size_t record, mim_log_figure figure)
{
    return log->values[record * MIM_N_LOG + figure];
}

double mim_train_log_last(const mim_train_log *log, mim_log_figure figure, size_t *record)
{
    for (size_t i = log->n; i-- > 0;) {
        const double value = mim_train_log_at(log, i, figure);
        if (isnan(value))
            continue;
        if (record)
            *record = i;
        return value;
    }
    return NAN;
}

double mim_train_log_least(const mim_train_log *log, mim_log_figure figure, size_t *record)
{
    double least = NAN;
    for (size_t i = 0; i < log->n; i++) {
        const double value = mim_train_log_at(log, i, figure);
        if (!(value < least) && !(isnan(least) && !isnan(value)))
            continue;
        least = value;
        if (record)
            *record = i;
    }
    return least;
}
