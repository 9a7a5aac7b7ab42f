/* Turns the JSON of mimesys_compare, one file a trace, into one line a trace and method and one a
 * method for the mean over the traces, as make imitate prints; with --table into a table for
 * people.
 * usage: imitate_lines [--table] COMPARE.json... */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/text.h"
#include "trace/metric.h"

enum { NAME_BYTES = 256 };

/* NaN = not known. */
typedef struct result {
    const char *label; /* of the file's JSON */
    double nl1, spread, floor, families[MIM_N_FAMILIES];
    double n, n_accepted; /* n: runs or traces */
    bool is_measurable;   /* true where the runs do not tell */
} result;

typedef struct mean {
    double sum, n;
} mean;

static void mean_add(mean *m, double value)
{
    if (isnan(value))
        return;
    m->sum += value;
    m->n += 1.0;
}

static double mean_of(mean m) { return m.n > 0.0 ? m.sum / m.n : NAN; }

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The labels' entry at this key, NULL when the comparison has no such label. */
static bool result_of(const json_t *root, const char *label, result *r)
{
    const json_t *entry = json_object_get(json_object_get(root, "labels"), label);
    *r = (result){.label = label,
                  .nl1 = number(entry, "nl1_mean"),
                  .spread = number(entry, "spread"),
                  .floor = number(entry, "floor_mean"),
                  .n = number(entry, "n_runs"),
                  .n_accepted = number(entry, "n_accepted")};
    for (size_t f = 0; f < MIM_N_FAMILIES; f++)
        r->families[f] = number(
            json_object_get(json_object_get(entry, "families"), mim_family_name((mim_family)f)),
            "nl1");
    r->is_measurable = !json_is_false(json_object_get(entry, "is_measurable"));
    return entry != NULL;
}

static bool is_accepted_only(const json_t *root)
{
    return json_is_true(json_object_get(root, "accepted_only"));
}

/* Whether every label of the trace can be judged by the slots that are counted. */
static bool is_measurable(const json_t *root)
{
    const char *label;
    json_t *entry;
    bool is = true;
    json_object_foreach(json_object_get(root, "labels"), label, entry)
    {
        result r;
        is = is && result_of(root, label, &r) && (!is_accepted_only(root) || r.is_measurable);
    }
    return is;
}

/* The i-th run of a label, NaN when there is none. */
static double nl1_of_run(const json_t *root, const char *label, size_t i)
{
    size_t k;
    const json_t *file;
    json_array_foreach(json_object_get(root, "files"), k, file)
    {
        if (strcmp(json_string_value(json_object_get(file, "label")), label) == 0 && i-- == 0)
            return number(file, "nl1_mean");
    }
    return NAN;
}

/* Largest minus smallest mean over traces among the repetitions that all traces have. */
static double spread_of_means(size_t n, json_t *const *roots, const char *label)
{
    double low = INFINITY, high = -INFINITY;
    size_t n_runs = 0;
    for (;; n_runs++) {
        mean m = {0};
        for (size_t i = 0; i < n; i++)
            mean_add(&m, is_measurable(roots[i]) ? nl1_of_run(roots[i], label, n_runs) : NAN);
        size_t n_counted = 0;
        for (size_t i = 0; i < n; i++)
            n_counted += is_measurable(roots[i]);
        if (m.n < (double)n_counted || n_counted == 0)
            break;
        low = fmin(low, mean_of(m));
        high = fmax(high, mean_of(m));
    }
    return n_runs > 1 ? high - low : NAN;
}

/* Over the traces in which all labels can be judged, so that the means are of the same traces. */
static result mean_over_traces(size_t n, json_t *const *roots, const char *label)
{
    mean nl1 = {0}, floor = {0}, families[MIM_N_FAMILIES] = {{0}};
    result all = {.label = label, .n_accepted = NAN, .is_measurable = true};
    for (size_t i = 0; i < n; i++) {
        result r;
        if (!is_measurable(roots[i]) || !result_of(roots[i], label, &r))
            continue;
        all.n += 1.0;
        mean_add(&nl1, r.nl1);
        mean_add(&floor, r.floor);
        for (size_t f = 0; f < MIM_N_FAMILIES; f++)
            mean_add(&families[f], r.families[f]);
    }
    all.nl1 = mean_of(nl1);
    all.floor = mean_of(floor);
    all.spread = spread_of_means(n, roots, label);
    for (size_t f = 0; f < MIM_N_FAMILIES; f++)
        all.families[f] = mean_of(families[f]);
    return all;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *count_or_null(double value)
{
    return isfinite(value) ? json_integer((json_int_t)value) : json_null();
}

static void print_line(const char *what, const result *r, bool is_accepted)
{
    char bench[NAME_BYTES], peer[NAME_BYTES];
    json_t *line = json_object(), *families = json_object();
    snprintf(bench, sizeof bench, "imitate: %s: %s: %s slots", what, r->label,
             is_accepted ? "accepted" : "all");
    snprintf(peer, sizeof peer, "noise floor: %.4f", r->floor);
    for (size_t f = 0; f < MIM_N_FAMILIES; f++)
        if (mim_family_is_target((mim_family)f))
            json_object_set_new(families, mim_family_name((mim_family)f),
                                number_or_null(r->families[f]));
    json_object_set_new(line, "bench", json_string(bench));
    json_object_set_new(line, "value", number_or_null(r->nl1));
    json_object_set_new(line, "unit", json_string("normalised L1"));
    json_object_set_new(line, "peer", isfinite(r->floor) ? json_string(peer) : json_null());
    json_object_set_new(line, "ratio", number_or_null(r->nl1 / r->floor));
    json_object_set_new(line, "n", count_or_null(r->n));
    json_object_set_new(line, "spread", number_or_null(r->spread));
    json_object_set_new(line, "families", families);
    json_object_set_new(line, "floor", number_or_null(r->floor));
    json_object_set_new(line, "n_accepted", count_or_null(r->n_accepted));
    json_object_set_new(line, "is_measurable", json_boolean(r->is_measurable || !is_accepted));
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5));
    putchar('\n');
    json_decref(line);
}

/* "stats-sort.txt" is sort. */
static void trace_name(const json_t *root, char name[NAME_BYTES])
{
    const char *wanted = mim_basename(json_string_value(json_object_get(root, "wanted")));
    if (strncmp(wanted, "stats-", strlen("stats-")) == 0)
        wanted += strlen("stats-");
    size_t n = strlen(wanted);
    if (mim_has_suffix(wanted, ".txt"))
        n -= strlen(".txt");
    snprintf(name, NAME_BYTES, "%.*s", (int)n, wanted);
}

static void print_lines(size_t n, json_t *const *roots)
{
    char what[NAME_BYTES];
    const char *label;
    json_t *entry;
    for (size_t i = 0; i < n; i++) {
        trace_name(roots[i], what);
        json_object_foreach(json_object_get(roots[i], "labels"), label, entry)
        {
            result r;
            if (result_of(roots[i], label, &r))
                print_line(what, &r, is_accepted_only(roots[i]));
        }
    }
    json_object_foreach(json_object_get(roots[0], "labels"), label, entry)
    {
        const result r = mean_over_traces(n, roots, label);
        snprintf(what, sizeof what, "mean over %.0f trace%s", r.n, r.n == 1.0 ? "" : "s");
        if (r.n > 0.0)
            print_line(what, &r, is_accepted_only(roots[0]));
    }
}

/* ---- table ---------------------------------------------------------------------------------- */

static void cell(double value)
{
    if (isfinite(value))
        printf(" %8.4f", value);
    else
        printf(" %8s", "-");
}

static void print_table(size_t n, json_t *const *roots)
{
    const char *label;
    json_t *entry;
    printf("%-12s %6s", "label", "traces");
    for (size_t f = 0; f < MIM_N_FAMILIES; f++)
        if (mim_family_is_target((mim_family)f))
            printf(" %8s", mim_family_name((mim_family)f));
    printf(" %8s %8s %8s\n", "mean", "spread", "floor");
    json_object_foreach(json_object_get(roots[0], "labels"), label, entry)
    {
        const result r = mean_over_traces(n, roots, label);
        printf("%-12s %6.0f", label, r.n);
        for (size_t f = 0; f < MIM_N_FAMILIES; f++)
            if (mim_family_is_target((mim_family)f))
                cell(r.families[f]);
        cell(r.nl1);
        cell(r.spread);
        cell(r.floor);
        putchar('\n');
    }
}

static int read_comparison(const char *path, json_t **root)
{
    json_error_t error;
    *root = json_load_file(path, 0, &error);
    if (*root && json_is_object(json_object_get(*root, "labels")) &&
        json_is_string(json_object_get(*root, "wanted")))
        return 0;
    fprintf(stderr, "imitate_lines: %s: expected the JSON of mimesys_compare\n", path);
    return 1;
}

int main(int argc, char **argv)
{
    const bool is_table = argc > 1 && strcmp(argv[1], "--table") == 0;
    const size_t first = is_table ? 2 : 1, n = (size_t)argc > first ? (size_t)argc - first : 0;
    json_t **roots = calloc(n ? n : 1, sizeof *roots);
    int rc = n && roots ? 0 : 2;
    if (!n)
        fprintf(stderr, "usage: imitate_lines [--table] COMPARE.json...\n");
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = read_comparison(argv[first + i], &roots[i]);
    if (rc == 0 && is_table)
        print_table(n, roots);
    else if (rc == 0)
        print_lines(n, roots);
    for (size_t i = 0; roots && i < n; i++)
        json_decref(roots[i]);
    free(roots);
    return rc;
}
