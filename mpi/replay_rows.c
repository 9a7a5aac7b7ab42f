#include "mpi/replay_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/agree.h"

typedef enum { DISTURBED = 0, ACCEPTED = 1, NOT_TOLD = 2 } acceptance;

/* ---- axes ------------------------------------------------------------------------------------ */

/* Cuts lines in place. */
static int cut(char *text, size_t *n, char ***lines)
{
    size_t n_lines = 0, i = 0;
    for (const char *at = text; *at; at++)
        n_lines += *at == '\n';
    char **made = calloc(n_lines + 1, sizeof *made);
    if (!made)
        return mim_fail(MIM_ENOMEM, "%zu names", n_lines);
    for (char *line = text, *end; i < n_lines; line = end + 1) {
        made[i++] = line;
        end = strchr(line, '\n');
        *end = 0;
    }
    *n = n_lines;
    *lines = made;
    return MIM_OK;
}

/* Name i of a list, and what stands behind it. */
typedef const char *name_of(const mim_replay *r, size_t i, const char **more);

static const char *stressor_name(const mim_replay *r, size_t i, const char **more)
{
    *more = "";
    return mim_actions_name(mim_plan_actions(r->loaded.plan), i);
}

static const char *metric_name(const mim_replay *r, size_t i, const char **more)
{
    *more = r->series->metrics[i].unit ? r->series->metrics[i].unit : "";
    return r->series->metrics[i].name;
}

/* "name\tmore\n" of all names, in one new text. */
static int join(const mim_replay *r, size_t n, name_of *name, char **text)
{
    size_t n_bytes = 1;
    const char *more = "";
    for (size_t i = 0; i < n; i++)
        n_bytes += strlen(name(r, i, &more)) + strlen(more) + 2;
    char *made = malloc(n_bytes), *at = made;
    if (!made)
        return mim_fail(MIM_ENOMEM, "%zu names", n);
    *at = 0;
    for (size_t i = 0; i < n; i++) {
        const char *first = name(r, i, &more);
        at += sprintf(at, "%s\t%s\n", first, more);
    }
    *text = made;
    return MIM_OK;
}

/* The names of all ranks, each in a line of *text, cut into *names and what stands behind them. */
static int unite(const mim_replay *r, size_t n_own, name_of *name, char **text, size_t *n,
                 char ***names)
{
    char *own = NULL;
    int rc = mim_agree(r->comm, join(r, n_own, name, &own));
    if (rc == MIM_OK)
        rc = mim_union_lines(r->comm, own, text);
    free(own);
    return rc == MIM_OK ? mim_agree(r->comm, cut(*text, n, names)) : rc;
}

static void make_columns(mim_replay_axes *x)
{
    const size_t t = x->n_threads, s = x->n_stressors;
    const mim_column columns[MIM_REPLAY_N_COLUMNS] = {
        {"slot_node", MIM_H5_U32, 1, {0}, "", "row", "node of the row, index into host"},
        {"slot", MIM_H5_U32, 1, {0}, "", "row", "number of the slot on that node"},
        {"slot_start",
         MIM_H5_F64,
         1,
         {0},
         "s",
         "row",
         "begin of the slot, seconds since the epoch by the node's clock"},
        {"acceptance",
         MIM_H5_U8,
         1,
         {0},
         "",
         "row",
         "1: accepted, 0: others disturbed the slot, 2: cannot be told"},
        {"planned_share",
         MIM_H5_F64,
         3,
         {0, t, s},
         "1",
         "row thread stressor",
         "weight in the plan"},
        {"share",
         MIM_H5_F64,
         3,
         {0, t, s},
         "1",
         "row thread stressor",
         "share of the slot that was given"},
        {"planned_ops",
         MIM_H5_F64,
         3,
         {0, t, s},
         "operations",
         "row thread stressor",
         "operations due in the slot"},
        {"ops", MIM_H5_F64, 3, {0, t, s}, "operations", "row thread stressor", "operations done"},
        {"bytes", MIM_H5_F64, 3, {0, t, s}, "B", "row thread stressor", "bytes moved"},
        {"start_late",
         MIM_H5_F64,
         2,
         {0, t},
         "s",
         "row thread",
         "start of work after the slot's begin"},
        {"overshoot", MIM_H5_F64, 2, {0, t}, "s", "row thread", "end of work after the slot's end"},
        {"cpu_time",
         MIM_H5_F64,
         2,
         {0, t},
         "s",
         "row thread",
         "CPU time of the thread's stressors"},
        {"metric",
         MIM_H5_F64,
         2,
         {0, x->n_metrics},
         "",
         "row metric",
         "measured in the slot, in metric_units"},
    };
    memcpy(x->columns, columns, sizeof columns);
    x->n_columns = MIM_REPLAY_N_COLUMNS - (x->n_metrics == 0);
}

int mim_replay_axes_create(const mim_replay *r, mim_replay_axes *axes)
{
    unsigned long long n_threads = r->result->n_rows;
    mim_replay_axes made = {0};
    MPI_Allreduce(MPI_IN_PLACE, &n_threads, 1, MPI_UNSIGNED_LONG_LONG, MPI_MAX, r->comm);
    made.n_threads = (size_t)n_threads;
    int rc = unite(r, r->result->n_stressors, stressor_name, &made.stressor_text, &made.n_stressors,
                   &made.stressors);
    if (rc == MIM_OK)
        rc = unite(r, r->series ? r->series->n_metrics : 0, metric_name, &made.metric_text,
                   &made.n_metrics, &made.metrics);
    if (rc == MIM_OK && !(made.units = calloc(made.n_metrics + 1, sizeof *made.units)))
        rc = mim_fail(MIM_ENOMEM, "%zu units", made.n_metrics);
    for (size_t i = 0; rc == MIM_OK && i < made.n_stressors; i++)
        made.stressors[i][strcspn(made.stressors[i], "\t")] = 0;
    for (size_t i = 0; rc == MIM_OK && i < made.n_metrics; i++) {
        made.units[i] = made.metrics[i] + strcspn(made.metrics[i], "\t") + 1;
        made.units[i][-1] = 0;
    }
    make_columns(&made);
    if ((rc = mim_agree(r->comm, rc)) == MIM_OK)
        *axes = made;
    else
        mim_replay_axes_clear(&made);
    return rc;
}

void mim_replay_axes_clear(mim_replay_axes *axes)
{
    free(axes->stressors);
    free(axes->stressor_text);
    free(axes->metrics);
    free(axes->metric_text);
    free(axes->units);
    *axes = (mim_replay_axes){0};
}

/* ---- this node's rows ------------------------------------------------------------------------ */

static size_t index_of(char *const *names, size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static double *nans(size_t n)
{
    double *made = malloc((n ? n : 1) * sizeof *made);
    for (size_t i = 0; made && i < n; i++)
        made[i] = NAN;
    return made;
}

static int make_rows(const mim_replay_axes *x, size_t n, mim_replay_rows *w)
{
    const size_t n_lanes = n * x->n_threads, n_cells = n_lanes * x->n_stressors;
    size_t b = 0;
    bool has_memory = true;
    *w = (mim_replay_rows){.n = n};
    w->buffers[b++] = w->node = calloc(n + 1, sizeof *w->node);
    w->buffers[b++] = w->slot = calloc(n + 1, sizeof *w->slot);
    w->buffers[b++] = w->start_s = nans(n);
    w->buffers[b++] = w->acceptance = calloc(n + 1, sizeof *w->acceptance);
    for (size_t i = 0; i < sizeof w->cells / sizeof *w->cells; i++)
        w->buffers[b++] = w->cells[i] = nans(n_cells);
    for (size_t i = 0; i < sizeof w->lanes / sizeof *w->lanes; i++)
        w->buffers[b++] = w->lanes[i] = nans(n_lanes);
    w->buffers[b++] = w->metrics = nans(n * x->n_metrics);
    for (size_t i = 0; i < b; i++)
        has_memory = has_memory && w->buffers[i];
    return has_memory ? MIM_OK : mim_fail(MIM_ENOMEM, "result of %zu slots", n);
}

void mim_replay_rows_clear(mim_replay_rows *w)
{
    for (size_t i = 0; i < MIM_REPLAY_N_COLUMNS; i++)
        free(w->buffers[i]);
}

static void fill_slots(const mim_replay *r, mim_replay_rows *w)
{
    for (size_t i = 0; i < w->n; i++) {
        w->node[i] = (uint32_t)r->rank;
        w->slot[i] = (uint32_t)i;
        if (r->series)
            w->start_s[i] = r->series->start_s[i];
        w->acceptance[i] = !r->accept || !r->accept->is_known ? NOT_TOLD
                           : r->accept->is_accepted[i]        ? ACCEPTED
                                                              : DISTURBED;
    }
}

static void fill_threads(const mim_replay *r, const mim_replay_axes *x, mim_replay_rows *w)
{
    const mim_run_result *result = r->result;
    const double *cells[] = {result->planned_share, result->share, result->planned_ops, result->ops,
                             result->bytes};
    const double *lanes[] = {result->start_late_s, result->overshoot_s, result->cpu_s};
    const mim_actions *actions = mim_plan_actions(r->loaded.plan);
    for (size_t s = 0; s < result->n_stressors; s++) {
        const size_t at = index_of(x->stressors, x->n_stressors, mim_actions_name(actions, s));
        for (size_t i = 0; i < w->n; i++)
            for (size_t t = 0; t < result->n_rows; t++)
                for (size_t c = 0; c < sizeof cells / sizeof *cells; c++)
                    w->cells[c][(i * x->n_threads + t) * x->n_stressors + at] =
                        cells[c][(i * result->n_rows + t) * result->n_stressors + s];
    }
    for (size_t i = 0; i < w->n; i++)
        for (size_t t = 0; t < result->n_rows; t++)
            for (size_t c = 0; c < sizeof lanes / sizeof *lanes; c++)
                w->lanes[c][i * x->n_threads + t] = lanes[c][i * result->n_rows + t];
}

static void fill_metrics(const mim_replay *r, const mim_replay_axes *x, mim_replay_rows *w)
{
    const mim_series *series = r->series;
    for (size_t m = 0; series && m < series->n_metrics; m++) {
        const char *unit = series->metrics[m].unit ? series->metrics[m].unit : "";
        size_t at = 0; /* the same name in another unit is another metric */
        while (strcmp(x->metrics[at], series->metrics[m].name) != 0 ||
               strcmp(x->units[at], unit) != 0)
            at++;
        for (size_t i = 0; i < w->n; i++)
            w->metrics[i * x->n_metrics + at] = mim_series_at(series, i, m);
    }
}

int mim_replay_rows_create(const mim_replay *r, const mim_replay_axes *axes, mim_replay_rows *rows)
{
    mim_replay_rows made;
    int rc = make_rows(axes, r->result->n_slots, &made);
    if (rc != MIM_OK) {
        mim_replay_rows_clear(&made);
        return rc;
    }
    fill_slots(r, &made);
    fill_threads(r, axes, &made);
    fill_metrics(r, axes, &made);
    *rows = made;
    return MIM_OK;
}
