/* mimesys_replay: what all nodes did, in one HDF5 file, their stats texts, and the summary. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/text.h"
#include "mpi/agree.h"
#include "mpi/gather_file.h"
#include "mpi/replay_rows.h"

enum { RESULT_VERSION = 1 };
static const char result_name[] = "result.h5", summary_name[] = "summary.json";

/* A node as all ranks, the file and the summary know it. */
typedef struct node {
    double n_threads, n_slots, n_accepted, n_failed;
    mim_run_figures figures;
} node;

/* What the file and the summary tell. */
typedef struct outcome {
    const mim_replay *r;
    mim_replay_axes axes;
    node *nodes;           /* [n_ranks] */
    char **plans, **notes; /* [n_ranks], rank 0; a note is "" when there is none */
    bool is_stopped;       /* some node's run */
} outcome;

static const char *status_of(const outcome *o) { return o->is_stopped ? "stopped" : "done"; }

/* ---- this node ------------------------------------------------------------------------------- */

/* The metrics of the slots that ran to their end. */
static int evaluate(mim_replay *r)
{
    mim_stats *stats = NULL;
    const size_t n_bytes = (size_t)r->result->stats_bytes;
    if (r->result->n_slots == 0)
        return MIM_OK;
    char *text = mmap(NULL, n_bytes, PROT_READ, MAP_PRIVATE, fileno(r->stats), 0);
    if (text == MAP_FAILED)
        return mim_fail(MIM_ENOMEM, "stats text of %zu bytes", n_bytes);
    int rc = mim_stats_parse("stats text", text, n_bytes, &stats);
    if (rc == MIM_OK)
        rc = mim_series_create(stats, NULL, &r->series);
    if (rc == MIM_OK && r->series->n_slots != r->result->n_slots) {
        mim_log_warn(r->log, "replay",
                     "%s: the records give %zu slots of %zu: metrics are left out",
                     r->hosts.names[r->rank], r->series->n_slots, r->result->n_slots);
        mim_series_destroy(&r->series);
    }
    if (rc == MIM_OK && r->series)
        rc = mim_accept_create(r->series, &r->accept);
    mim_stats_destroy(&stats);
    munmap(text, n_bytes);
    return rc;
}

static int describe_node(const mim_replay *r, node *own)
{
    *own = (node){
        .n_threads = (double)r->result->n_rows,
        .n_slots = (double)r->result->n_slots,
        .n_accepted = r->accept && r->accept->is_known ? (double)r->accept->n_accepted : NAN,
        .n_failed = (double)r->result->n_failed,
    };
    return mim_run_result_figures(r->result, r->loaded.plan, &own->figures);
}

/* First and last thread's begin of slot 0 by this rank's clock. */
static void find_begin(const mim_replay *r, int64_t *first_ns, int64_t *last_ns)
{
    double first_s = INFINITY, last_s = 0;
    *first_ns = *last_ns = INT64_MIN;
    if (r->result->n_slots == 0)
        return;
    for (size_t row = 0; row < r->result->n_rows; row++) {
        first_s = fmin(first_s, r->result->start_late_s[row]);
        last_s = fmax(last_s, r->result->start_late_s[row]);
    }
    *first_ns = r->start.local_ns + (int64_t)(first_s * 1e9);
    *last_ns = r->start.local_ns + (int64_t)(last_s * 1e9);
}

/* ---- the file -------------------------------------------------------------------------------- */

#define FIGURE(name, key, units, text)                                                             \
    {                                                                                              \
        name, units, text, offsetof(node, figures.key)                                             \
    }
static const struct {
    const char *name, *units, *long_name;
    size_t offset;
} node_figures[] = {
    {"n_threads", "", "threads of the node's plan", offsetof(node, n_threads)},
    {"n_slots", "", "slots that ran to their end", offsetof(node, n_slots)},
    {"n_accepted", "", "of these, slots that nobody else disturbed", offsetof(node, n_accepted)},
    {"n_failed", "", "stressors that failed", offsetof(node, n_failed)},
    FIGURE("share_error_mean", share_error_mean, "1", "mean error of a thread's CPU shares"),
    FIGURE("share_error_p95", share_error_p95, "1", "its 95 % quantile"),
    FIGURE("ops_ratio", ops_ratio, "1", "I/O operations done / due"),
    FIGURE("overshoot_p99", overshoot_p99, "1", "end of work past the slot's end, share of it"),
    FIGURE("overshoot_max", overshoot_max, "1", "its maximum"),
    FIGURE("drift_s", drift_s, "s", "start of the last slot against the schedule"),
    FIGURE("cpu_s", cpu_s, "s", "CPU time of all stressors"),
    FIGURE("written_bytes", written_bytes, "B", "bytes written by stressors"),
};

#define START(name, key, units, text)                                                              \
    {                                                                                              \
        name, units, text, offsetof(mim_start_row, key)                                            \
    }
static const struct {
    const char *name, *units, *long_name;
    size_t offset;
} start_figures[] = {
    START("ready_s", ready_s, "s", "ready to start, after the agreed instant by node 0's clock"),
    START("first_begin_s", first_s, "s",
          "first thread's begin, after the agreed instant by node 0's clock"),
    START("last_begin_s", last_s, "s", "last thread's begin, likewise"),
    START("clock_offset_s", offset_s, "s", "the node's monotonic clock minus node 0's"),
    START("clock_uncertainty_s", uncertainty_s, "s", "how far off that may be"),
    START("clock_drift", drift, "1", "seconds that clock gains on node 0's in a second"),
    START("clock_drift_uncertainty", drift_uncertainty, "1", "how far off that may be"),
};
enum {
    N_NODE_FIGURES = sizeof node_figures / sizeof *node_figures,
    N_START_FIGURES = sizeof start_figures / sizeof *start_figures,
};

static double figure_at(const void *base, size_t offset)
{
    double value;
    memcpy(&value, (const char *)base + offset, sizeof value);
    return value;
}

static int put_figure(mim_h5 *file, const outcome *o, const char *name, const void *first,
                      size_t stride, size_t offset, const char *units, const char *long_name)
{
    const size_t n = (size_t)o->r->n_ranks;
    char *full = mim_format("node_%s", name);
    double *values = malloc(n * sizeof *values);
    int rc = full && values ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu nodes", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        values[i] = figure_at((const char *)first + i * stride, offset);
    if (rc == MIM_OK)
        rc = mim_h5_put_real(file, full, 1, &n, values, units, "node", long_name);
    free(values);
    free(full);
    return rc;
}

static int put_nodes(mim_h5 *file, const outcome *o)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < N_NODE_FIGURES; i++)
        rc = put_figure(file, o, node_figures[i].name, o->nodes, sizeof *o->nodes,
                        node_figures[i].offset, node_figures[i].units, node_figures[i].long_name);
    for (size_t i = 0; rc == MIM_OK && i < N_START_FIGURES; i++)
        rc =
            put_figure(file, o, start_figures[i].name, o->r->report.rows, sizeof *o->r->report.rows,
                       start_figures[i].offset, start_figures[i].units, start_figures[i].long_name);
    return rc;
}

static int put_attributes(mim_h5 *file, const outcome *o)
{
    const mim_start_report *report = &o->r->report;
    const struct {
        const char *name;
        double value;
    } reals[] = {
        {"slot_s", o->r->loaded.slot_s},
        {"seed", (double)mim_config_int(o->r->config, "replay.seed")},
        {"skew_s", report->skew_s},
        {"skew_most_s", report->skew_most_s},
        {"spread_s", report->spread_s},
        {"clock_uncertainty_s", report->uncertainty_s},
    };
    int rc = mim_h5_put_attribute_text(file, NULL, "status", status_of(o));
    for (size_t i = 0; rc == MIM_OK && i < sizeof reals / sizeof *reals; i++)
        rc = mim_h5_put_attribute_real(file, NULL, reals[i].name, reals[i].value);
    return rc;
}

static int put_names(mim_h5 *file, const outcome *o)
{
    const size_t n = (size_t)o->r->n_ranks;
    const mim_replay_axes *x = &o->axes;
    const char **hosts = calloc(n, sizeof *hosts);
    if (!hosts)
        return mim_fail(MIM_ENOMEM, "%zu nodes", n);
    for (size_t i = 0; i < n; i++)
        hosts[i] = o->r->hosts.names[i];
    const struct {
        const char *name;
        size_t n;
        const char *const *texts;
        const char *dims, *long_name;
    } lists[] = {
        {"host", n, hosts, "node", "names of the hosts"},
        {"plan", n, (const char *const *)o->plans, "node", "the plans' files"},
        {"action_names", x->n_stressors, (const char *const *)x->stressors, "stressor",
         "names of the stressors"},
        {"metric_names", x->n_metrics, (const char *const *)x->metrics, "metric",
         "names of the metrics"},
        {"metric_units", x->n_metrics, (const char *const *)x->units, "metric",
         "units of the metrics"},
    };
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < sizeof lists / sizeof *lists; i++)
        if (lists[i].n > 0)
            rc = mim_h5_put_texts(file, lists[i].name, lists[i].n, lists[i].texts, lists[i].dims,
                                  lists[i].long_name);
    free(hosts);
    return rc;
}

/* On rank 0: all but the slots' rows, for which there is room. */
static int make_file(void *context, const char *part, size_t n_rows)
{
    const outcome *o = context;
    mim_h5 *file = NULL;
    char *ini = mim_config_text_ini(o->r->config);
    int rc = ini ? MIM_OK : mim_fail(MIM_ENOMEM, "configuration text");
    if (rc == MIM_OK)
        rc = mim_h5_create_in_place(part, "mimesys_replay_result", RESULT_VERSION, ini, &file);
    free(ini);
    if (rc == MIM_OK)
        rc = put_attributes(file, o);
    if (rc == MIM_OK)
        rc = put_names(file, o);
    if (rc == MIM_OK)
        rc = put_nodes(file, o);
    if (rc == MIM_OK)
        rc = mim_table_reserve(file, o->axes.n_columns, o->axes.columns, n_rows);
    if (rc == MIM_OK)
        rc = mim_h5_commit(&file);
    mim_h5_destroy(&file);
    return rc;
}

static int store_result(const mim_replay *r, outcome *o)
{
    mim_replay_rows rows = {0};
    char *path = mim_join_path(r->folder, result_name);
    char *summary = mim_join_path(r->folder, summary_name);
    int rc = path && summary ? mim_replay_rows_create(r, &o->axes, &rows)
                             : mim_fail(MIM_ENOMEM, "a path");
    if (rc == MIM_OK && r->rank == 0)
        unlink(summary); /* of an earlier run: it comes last and tells that all is there */
    free(summary);
    if ((rc = mim_agree(r->comm, rc)) == MIM_OK) {
        const mim_rows_h5 all = {o->axes.n_columns, o->axes.columns, rows.n, rows.buffers};
        rc = mim_rows_h5_write(r->comm, path, &all, make_file, o, NULL);
    }
    mim_replay_rows_clear(&rows);
    free(path);
    return rc;
}

/* ---- the texts ------------------------------------------------------------------------------- */

/* New text: the stats file's name of a rank. Several ranks of a host are numbered. */
static char *stats_name(const mim_replay *r, int rank)
{
    const char *host = r->hosts.names[rank];
    int n_here = 0, index = 0;
    for (int i = 0; i < r->n_ranks; i++) {
        const bool is_here = strcmp(r->hosts.names[i], host) == 0;
        n_here += is_here;
        index += is_here && i < rank;
    }
    char *name =
        n_here > 1 ? mim_format("stats-%s-%d.txt", host, index) : mim_format("stats-%s.txt", host);
    for (char *at = name; at && *at; at++)
        if (*at == '/')
            *at = '_';
    return name;
}

static int store_stats(const mim_replay *r)
{
    char *name = stats_name(r, r->rank);
    char *path = name ? mim_join_path(r->folder, name) : NULL;
    int rc = mim_agree(r->comm, path ? MIM_OK : mim_fail(MIM_ENOMEM, "a path"));
    if (rc == MIM_OK)
        rc = mim_gather_file(r->comm, fileno(r->stats), (uint64_t)r->result->stats_bytes, path);
    free(path);
    free(name);
    return rc;
}

/* ---- the summary ----------------------------------------------------------------------------- */

static json_t *node_json(const outcome *o, int rank)
{
    char *stats = stats_name(o->r, rank);
    json_t *json = json_pack("{s:s, s:s, s:s}", "host", o->r->hosts.names[rank], "plan",
                             o->plans[rank], "stats", stats ? stats : "");
    free(stats);
    for (size_t i = 0; json && i < N_NODE_FIGURES; i++) {
        const double value = figure_at(&o->nodes[rank], node_figures[i].offset);
        const bool is_count = strncmp(node_figures[i].name, "n_", 2) == 0 && isfinite(value);
        json_object_set_new(json, node_figures[i].name,
                            is_count ? json_integer((json_int_t)value) : mim_json_real(value));
    }
    for (size_t i = 0; json && i < N_START_FIGURES; i++)
        json_object_set_new(
            json, start_figures[i].name,
            mim_json_real(figure_at(&o->r->report.rows[rank], start_figures[i].offset)));
    if (json)
        json_object_set_new(json, "note",
                            *o->notes[rank] ? json_string(o->notes[rank]) : json_null());
    return json;
}

static int add_figures(const outcome *o)
{
    const mim_start_report *report = &o->r->report;
    json_t *figures = mim_summary_figures(o->r->summary), *nodes = json_array();
    double n_slots = INFINITY;
    for (int i = 0; i < o->r->n_ranks; i++) {
        n_slots = fmin(n_slots, o->nodes[i].n_slots);
        if (json_array_append_new(nodes, node_json(o, i)) != 0) {
            json_decref(nodes);
            return mim_fail(MIM_EDATA, "rank %d: a name that is no UTF-8 text", i);
        }
    }
    json_object_set_new(figures, "n_nodes", json_integer(o->r->n_ranks));
    json_object_set_new(figures, "n_slots", json_integer((json_int_t)n_slots));
    json_object_set_new(figures, "slot_s", mim_json_real(o->r->loaded.slot_s));
    json_object_set_new(figures, "skew_s", mim_json_real(report->skew_s));
    json_object_set_new(figures, "skew_most_s", mim_json_real(report->skew_most_s));
    json_object_set_new(figures, "spread_s", mim_json_real(report->spread_s));
    json_object_set_new(figures, "clock_uncertainty_s", mim_json_real(report->uncertainty_s));
    json_object_set_new(figures, "nodes", nodes);
    json_object_set_new(figures, "result", json_string(result_name));
    return MIM_OK;
}

/* A column of the table; "-" for what is not known. */
static void print_number(int width, int digits, double value)
{
    if (isnan(value))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, value);
}

static void print_nodes(const outcome *o)
{
    const mim_start_report *report = &o->r->report;
    printf("%-20s %-20s %7s %8s %10s %10s %14s %9s\n", "host", "plan", "slots", "accepted",
           "begin us", "+- us", "clock s", "drift ppm");
    for (int i = 0; i < o->r->n_ranks; i++) {
        const mim_start_row *row = &report->rows[i];
        printf("%-20s %-20s", o->r->hosts.names[i], mim_basename(o->plans[i]));
        print_number(7, 0, o->nodes[i].n_slots);
        print_number(8, 0, o->nodes[i].n_accepted);
        print_number(10, 1, 1e6 * row->first_s);
        print_number(10, 1, 1e6 * row->uncertainty_s);
        print_number(14, 6, row->offset_s);
        print_number(9, 2, 1e6 * row->drift);
        printf("\n");
    }
    if (isnan(report->skew_s))
        printf("skew not known: not all nodes came to the end of their first slot\n");
    else
        printf("skew %.1f us, at most %.1f us; all threads within %.1f us\n", 1e6 * report->skew_s,
               1e6 * report->skew_most_s, 1e6 * report->spread_s);
}

static int store_summary(const mim_replay *r, const outcome *o)
{
    const char *status = status_of(o);
    char *path = mim_join_path(r->folder, summary_name);
    int rc = path ? add_figures(o) : mim_fail(MIM_ENOMEM, "a path");
    if (rc == MIM_OK)
        rc = mim_summary_write(r->summary, status, path);
    free(path);
    if (rc == MIM_OK && mim_args_has(r->args, "json"))
        return mim_summary_print(r->summary, status, stdout);
    if (rc == MIM_OK) {
        print_nodes(o);
        printf("%s: %d nodes, slots of %g s, in %s\n", status, r->n_ranks, r->loaded.slot_s,
               r->folder);
    }
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* What rank 0 must know of all nodes. */
static int gather(mim_replay *r, outcome *o)
{
    node own;
    int is_stopped = r->result->is_stopped;
    int rc = evaluate(r);
    if (rc == MIM_OK)
        rc = describe_node(r, &own);
    if (rc == MIM_OK && !(o->nodes = calloc((size_t)r->n_ranks, sizeof *o->nodes)))
        rc = mim_fail(MIM_ENOMEM, "%d nodes", r->n_ranks);
    if ((rc = mim_agree(r->comm, rc)) != MIM_OK)
        return rc;
    MPI_Allgather(&own, (int)sizeof own, MPI_BYTE, o->nodes, (int)sizeof own, MPI_BYTE, r->comm);
    MPI_Allreduce(MPI_IN_PLACE, &is_stopped, 1, MPI_INT, MPI_MAX, r->comm);
    o->is_stopped = is_stopped;
    rc = mim_gather_texts(r->comm, r->plan_path, &o->plans);
    if (rc == MIM_OK)
        rc = mim_gather_texts(r->comm, r->result->note ? r->result->note : "", &o->notes);
    return rc == MIM_OK ? mim_replay_axes_create(r, &o->axes) : rc;
}

static void clear_texts(int n, char **texts)
{
    for (int i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

int mim_replay_store(mim_replay *r)
{
    outcome o = {.r = r};
    int64_t first_ns = 0, last_ns = 0;
    find_begin(r, &first_ns, &last_ns);
    int rc = mim_start_measure(r->comm, NULL, &r->start, first_ns, last_ns, &r->report);
    if (rc == MIM_OK)
        rc = gather(r, &o);
    if (rc == MIM_OK)
        rc = store_result(r, &o);
    if (rc == MIM_OK)
        rc = store_stats(r);
    if (rc == MIM_OK)
        rc = mim_agree(r->comm, r->rank == 0 ? store_summary(r, &o) : MIM_OK);
    clear_texts(r->n_ranks, o.plans);
    clear_texts(r->n_ranks, o.notes);
    mim_replay_axes_clear(&o.axes);
    free(o.nodes);
    return rc;
}
