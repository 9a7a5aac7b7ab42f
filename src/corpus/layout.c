#include "corpus/layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/h5.h"
#include "core/text.h"
#include "corpus/table_internal.h"

static const char core_prefix[] = "avg_cpu_utilizations_core_";

static void free_texts(size_t n, char **texts)
{
    for (size_t i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

void mim_layout_destroy(mim_layout **layout)
{
    mim_layout *l = *layout;
    if (!l)
        return;
    free_texts(l->n_stressors, l->action_names);
    free_texts(l->n_metrics, l->metric_names);
    free_texts(l->n_metrics, l->metric_units);
    free(l->thread_cpus);
    free(l->thread_sockets);
    free(l->host_class);
    free(l->sizes);
    free(l);
    *layout = NULL;
}

static int check_sizes(size_t n_threads, size_t n_stressors, size_t n_metrics)
{
    if (n_threads < 1 || n_threads > MIM_LAYOUT_MAX_THREADS || n_stressors < 1 ||
        n_stressors > MIM_LAYOUT_MAX_STRESSORS || n_metrics < 1 ||
        n_metrics > MIM_LAYOUT_MAX_METRICS)
        return mim_fail(MIM_EINVAL,
                        "%zu threads, %zu stressors and %zu metrics: expected 1 to %d, %d and %d",
                        n_threads, n_stressors, n_metrics, MIM_LAYOUT_MAX_THREADS,
                        MIM_LAYOUT_MAX_STRESSORS, MIM_LAYOUT_MAX_METRICS);
    return MIM_OK;
}

/* Texts all NULL, CPUs counted, sockets 0, sizes the original ones. */
static int allocate(size_t n_threads, size_t n_stressors, size_t n_metrics, double slot_s,
                    const char *host_class, mim_layout **layout)
{
    int rc = check_sizes(n_threads, n_stressors, n_metrics);
    if (rc == MIM_OK && !(slot_s >= 0.0 && slot_s <= 1e6))
        rc = mim_fail(MIM_EINVAL, "slot_s is %g, expected 0 to 1e6", slot_s);
    if (rc != MIM_OK)
        return rc;
    mim_layout *l = calloc(1, sizeof *l);
    if (!l)
        return mim_fail(MIM_ENOMEM, "layout");
    l->n_threads = n_threads;
    l->n_stressors = n_stressors;
    l->n_metrics = n_metrics;
    l->slot_s = slot_s;
    l->action_names = calloc(n_stressors, sizeof *l->action_names);
    l->metric_names = calloc(n_metrics, sizeof *l->metric_names);
    l->metric_units = calloc(n_metrics, sizeof *l->metric_units);
    l->thread_cpus = calloc(n_threads, sizeof *l->thread_cpus);
    l->thread_sockets = calloc(n_threads, sizeof *l->thread_sockets);
    l->host_class = mim_strdup(host_class ? host_class : "");
    l->sizes = mim_strdup("original");
    if (!l->action_names || !l->metric_names || !l->metric_units || !l->thread_cpus ||
        !l->thread_sockets || !l->host_class || !l->sizes) {
        mim_layout_destroy(&l);
        return mim_fail(MIM_ENOMEM, "layout");
    }
    for (size_t t = 0; t < n_threads; t++)
        l->thread_cpus[t] = t;
    *layout = l;
    return MIM_OK;
}

/* Names that files and comparisons rely on. */
static int check_names(const mim_layout *l)
{
    for (size_t i = 0; i < l->n_stressors; i++)
        if (!l->action_names[i] || !*l->action_names[i])
            return mim_fail(MIM_EINVAL, "stressor %zu has no name", i);
    for (size_t i = 0; i < l->n_metrics; i++) {
        if (!l->metric_names[i] || !*l->metric_names[i] || !l->metric_units[i] ||
            strlen(l->metric_names[i]) >= MIM_METRIC_NAME_BYTES)
            return mim_fail(MIM_EINVAL, "metric %zu has no name of 1 to %d bytes, or no unit", i,
                            MIM_METRIC_NAME_BYTES - 1);
        if (i > 0 && strcmp(l->metric_names[i - 1], l->metric_names[i]) >= 0)
            return mim_fail(MIM_EINVAL, "metrics are not sorted by name: %s stands before %s",
                            l->metric_names[i - 1], l->metric_names[i]);
    }
    return MIM_OK;
}

int mim_layout_create(size_t n_threads, const mim_actions *actions, size_t n_metrics,
                      const mim_metric *metrics, double slot_s, const char *host_class,
                      mim_layout **layout)
{
    mim_layout *l = NULL;
    const size_t n_stressors = mim_actions_n(actions);
    int rc = allocate(n_threads, n_stressors, n_metrics, slot_s, host_class, &l);
    bool has_memory = true;
    for (size_t i = 0; rc == MIM_OK && i < n_stressors; i++)
        has_memory &= !!(l->action_names[i] = mim_strdup(mim_actions_name(actions, i)));
    for (size_t i = 0; rc == MIM_OK && i < n_metrics; i++) {
        has_memory &= !!(l->metric_names[i] = mim_strdup(metrics[i].name));
        has_memory &= !!(l->metric_units[i] = mim_strdup(metrics[i].unit ? metrics[i].unit : ""));
    }
    if (rc == MIM_OK)
        rc = has_memory ? check_names(l) : mim_fail(MIM_ENOMEM, "names of a layout");
    if (rc == MIM_OK)
        rc = mim_layout_set_sizes(l, mim_actions_sizes(actions));
    if (rc == MIM_OK) {
        *layout = l;
        l = NULL;
    }
    mim_layout_destroy(&l);
    return rc;
}

int mim_layout_copy(const mim_layout *layout, mim_layout **copy)
{
    char *text = NULL;
    int rc = mim_layout_to_text(layout, &text);
    if (rc == MIM_OK)
        rc = mim_layout_from_text(text, copy);
    free(text);
    return rc;
}

int mim_layout_set_sizes(mim_layout *layout, const char *sizes)
{
    int rc = mim_actions_check_sizes(sizes);
    char *copy = rc == MIM_OK ? mim_strdup(sizes) : NULL;
    if (rc == MIM_OK && !copy)
        rc = mim_fail(MIM_ENOMEM, "layout");
    if (rc != MIM_OK)
        return rc;
    free(layout->sizes);
    layout->sizes = copy;
    return MIM_OK;
}

/* ---- comparing ------------------------------------------------------------------------------ */

static int compare_texts(const char *what, const char *kind, size_t n, char *const *expected,
                         char *const *found)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(expected[i], found[i]) != 0)
            return mim_fail(MIM_EDATA, "%s: %s %zu is \"%.200s\", expected \"%.200s\"", what, kind,
                            i, found[i], expected[i]);
    return MIM_OK;
}

static int compare_counts(const char *what, const char *kind, size_t n, const uint64_t *expected,
                          const uint64_t *found)
{
    for (size_t i = 0; i < n; i++)
        if (expected[i] != found[i])
            return mim_fail(MIM_EDATA, "%s: %s of thread %zu is %llu, expected %llu", what, kind, i,
                            (unsigned long long)found[i], (unsigned long long)expected[i]);
    return MIM_OK;
}

int mim_layout_compare_columns(const mim_layout *expected, const mim_layout *found,
                               const char *what, bool with_host)
{
    const mim_layout *e = expected, *f = found;
    if (e->n_threads != f->n_threads || e->n_stressors != f->n_stressors ||
        e->n_metrics != f->n_metrics)
        return mim_fail(MIM_EDATA,
                        "%s: has %zu threads, %zu stressors and %zu metrics, expected %zu, %zu and "
                        "%zu",
                        what, f->n_threads, f->n_stressors, f->n_metrics, e->n_threads,
                        e->n_stressors, e->n_metrics);
    int rc = compare_texts(what, "stressor", e->n_stressors, e->action_names, f->action_names);
    if (rc == MIM_OK && strcmp(e->sizes, f->sizes) != 0)
        rc = mim_fail(MIM_EDATA, "%s: stressors have working sets \"%s\", expected \"%s\"", what,
                      f->sizes, e->sizes);
    if (rc == MIM_OK)
        rc = compare_texts(what, "metric", e->n_metrics, e->metric_names, f->metric_names);
    if (rc == MIM_OK)
        rc = compare_texts(what, "unit of metric", e->n_metrics, e->metric_units, f->metric_units);
    if (rc == MIM_OK && with_host && strcmp(e->host_class, f->host_class) != 0)
        rc = mim_fail(MIM_EDATA,
                      "%s: was measured on another kind of host, \"%.300s\", expected \"%.300s\"",
                      what, f->host_class, e->host_class);
    if (rc == MIM_OK)
        rc = compare_counts(what, "the CPU", e->n_threads, e->thread_cpus, f->thread_cpus);
    if (rc == MIM_OK)
        rc = compare_counts(what, "the socket", e->n_threads, e->thread_sockets, f->thread_sockets);
    return rc;
}

static int compare_slots(const mim_layout *expected, const mim_layout *found, const char *what,
                         double most)
{
    if (fabs(expected->slot_s - found->slot_s) <= most)
        return MIM_OK;
    return mim_fail(MIM_EDATA, "%s: has slots of %g s, expected %g s", what, found->slot_s,
                    expected->slot_s);
}

int mim_layout_compare_slots(const mim_layout *expected, const mim_layout *found, const char *what)
{
    return compare_slots(expected, found, what, MIM_LAYOUT_SLOT_TOLERANCE * expected->slot_s);
}

int mim_layout_compare(const mim_layout *expected, const mim_layout *found, const char *what,
                       bool with_host)
{
    const int rc = mim_layout_compare_columns(expected, found, what, with_host);
    return rc == MIM_OK ? compare_slots(expected, found, what, 1e-9 * fmax(1.0, expected->slot_s))
                        : rc;
}

/* ---- as a text ------------------------------------------------------------------------------ */

static json_t *texts_json(size_t n, char *const *texts)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_string_nocheck(texts[i]));
    return array;
}

static json_t *counts_json(size_t n, const uint64_t *counts)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_integer((json_int_t)counts[i]));
    return array;
}

int mim_layout_to_text(const mim_layout *l, char **text)
{
    json_t *all =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o}", "action_names",
                  texts_json(l->n_stressors, l->action_names), "metric_names",
                  texts_json(l->n_metrics, l->metric_names), "metric_units",
                  texts_json(l->n_metrics, l->metric_units), "thread_cpus",
                  counts_json(l->n_threads, l->thread_cpus), "thread_sockets",
                  counts_json(l->n_threads, l->thread_sockets), "slot_s", l->slot_s, "host_class",
                  json_string_nocheck(l->host_class), "sizes", json_string_nocheck(l->sizes));
    char *made = all ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    if (!made)
        return mim_fail(MIM_EINVAL, "a layout of these names cannot be told as JSON");
    *text = made;
    return MIM_OK;
}

static bool take_texts(const json_t *all, const char *key, size_t n, char **texts)
{
    const json_t *array = json_object_get(all, key);
    if (json_array_size(array) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (!text || !(texts[i] = mim_strdup(text)))
            return false;
    }
    return true;
}

static bool take_counts(const json_t *all, const char *key, size_t n, uint64_t *counts)
{
    const json_t *array = json_object_get(all, key);
    if (json_array_size(array) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return false;
        counts[i] = (uint64_t)json_integer_value(value);
    }
    return true;
}

int mim_layout_from_text(const char *text, mim_layout **layout)
{
    mim_layout *l = NULL;
    json_t *all = json_loads(text, 0, NULL);
    const char *host = json_string_value(json_object_get(all, "host_class"));
    const char *sizes = json_string_value(json_object_get(all, "sizes"));
    int rc = allocate(json_array_size(json_object_get(all, "thread_cpus")),
                      json_array_size(json_object_get(all, "action_names")),
                      json_array_size(json_object_get(all, "metric_names")),
                      json_number_value(json_object_get(all, "slot_s")), host, &l);
    if (rc == MIM_OK &&
        (!host || !sizes || !take_texts(all, "action_names", l->n_stressors, l->action_names) ||
         !take_texts(all, "metric_names", l->n_metrics, l->metric_names) ||
         !take_texts(all, "metric_units", l->n_metrics, l->metric_units) ||
         !take_counts(all, "thread_cpus", l->n_threads, l->thread_cpus) ||
         !take_counts(all, "thread_sockets", l->n_threads, l->thread_sockets)))
        rc = mim_fail(MIM_EDATA, "not a layout, or no memory for it");
    if (rc == MIM_OK)
        rc = check_names(l);
    if (rc == MIM_OK)
        rc = mim_layout_set_sizes(l, sizes);
    json_decref(all);
    if (rc == MIM_OK) {
        *layout = l;
        l = NULL;
    }
    mim_layout_destroy(&l);
    return rc == MIM_EINVAL ? MIM_EDATA : rc;
}

/* ---- in a file ------------------------------------------------------------------------------ */

int mim_layout_put(const mim_layout *l, mim_h5 *file)
{
    int rc =
        mim_h5_put_texts(file, "action_names", l->n_stressors, (const char *const *)l->action_names,
                         "stressor", "names of the stressors");
    if (rc == MIM_OK)
        rc = mim_h5_put_texts(file, "metric_names", l->n_metrics,
                              (const char *const *)l->metric_names, "metric",
                              "names of the metrics");
    if (rc == MIM_OK)
        rc = mim_h5_put_texts(file, "metric_units", l->n_metrics,
                              (const char *const *)l->metric_units, "metric",
                              "units of the metrics");
    if (rc == MIM_OK)
        rc = mim_h5_put_count(file, "thread_cpus", 1, &l->n_threads, l->thread_cpus, "", "thread",
                              "number of the CPU a plan row runs on");
    if (rc == MIM_OK)
        rc = mim_h5_put_count(file, "thread_sockets", 1, &l->n_threads, l->thread_sockets, "",
                              "thread", "socket of that CPU");
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_real(file, NULL, "slot_s", l->slot_s);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "host_class", l->host_class);
    if (rc == MIM_OK)
        rc = mim_h5_put_attribute_text(file, NULL, "stressor_sizes", l->sizes);
    return rc;
}

/* Texts of a known number into an array that has room for them. */
static int get_texts(mim_h5 *file, const char *path, const char *name, size_t n, char **texts)
{
    char **found = NULL;
    size_t n_found = 0;
    int rc = mim_h5_get_texts(file, name, n, &n_found, &found);
    if (rc == MIM_OK && n_found != n)
        rc = mim_fail(MIM_EDATA, "%s: %s has %zu entries, expected %zu", path, name, n_found, n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++) {
        texts[i] = found[i];
        found[i] = NULL;
    }
    mim_h5_free_texts(n_found, &found);
    return rc;
}

static int get_counts(mim_h5 *file, const char *path, const char *name, size_t n, uint64_t *counts)
{
    uint64_t *found = NULL;
    size_t n_found = 0;
    int rc = mim_h5_get_count(file, name, 1, n, &n_found, &found);
    if (rc == MIM_OK && n_found != n)
        rc = mim_fail(MIM_EDATA, "%s: %s has %zu entries, expected %zu", path, name, n_found, n);
    if (rc == MIM_OK)
        memcpy(counts, found, n * sizeof *counts);
    free(found);
    return rc;
}

static int get_size(mim_h5 *file, const char *path, const char *name, size_t *n)
{
    size_t rank = 0, shape[MIM_H5_MAX_RANK] = {0};
    int rc = mim_h5_get_shape(file, name, &rank, shape);
    if (rc == MIM_OK && rank != 1)
        rc = mim_fail(MIM_EDATA, "%s: %s has rank %zu, expected 1", path, name, rank);
    *n = shape[0];
    return rc;
}

/* Older files do not have them. */
static int get_sizes(mim_h5 *file, const char *path, mim_layout *l)
{
    char *sizes = NULL;
    int rc = mim_h5_get_attribute_text(file, NULL, "stressor_sizes", &sizes);
    if (rc == MIM_OK && sizes && (rc = mim_layout_set_sizes(l, sizes)) != MIM_OK)
        rc = mim_fail_in(rc, "%s: stressor_sizes", path);
    free(sizes);
    return rc;
}

int mim_layout_get(mim_h5 *file, const char *path, mim_layout **layout)
{
    size_t n_threads = 0, n_stressors = 0, n_metrics = 0;
    bool has_slot = false;
    double slot_s = 0.0;
    char *host = NULL;
    mim_layout *l = NULL;
    int rc = get_size(file, path, "thread_cpus", &n_threads);
    if (rc == MIM_OK)
        rc = get_size(file, path, "action_names", &n_stressors);
    if (rc == MIM_OK)
        rc = get_size(file, path, "metric_names", &n_metrics);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_real(file, NULL, "slot_s", &has_slot, &slot_s);
    if (rc == MIM_OK)
        rc = mim_h5_get_attribute_text(file, NULL, "host_class", &host);
    if (rc == MIM_OK &&
        (rc = allocate(n_threads, n_stressors, n_metrics, slot_s, host, &l)) != MIM_OK)
        rc = mim_fail_in(MIM_EDATA, "%s", path);
    if (rc == MIM_OK)
        rc = get_texts(file, path, "action_names", n_stressors, l->action_names);
    if (rc == MIM_OK)
        rc = get_texts(file, path, "metric_names", n_metrics, l->metric_names);
    if (rc == MIM_OK)
        rc = get_texts(file, path, "metric_units", n_metrics, l->metric_units);
    if (rc == MIM_OK)
        rc = get_counts(file, path, "thread_cpus", n_threads, l->thread_cpus);
    if (rc == MIM_OK)
        rc = get_counts(file, path, "thread_sockets", n_threads, l->thread_sockets);
    if (rc == MIM_OK)
        rc = get_sizes(file, path, l);
    if (rc == MIM_OK && check_names(l) != MIM_OK)
        rc = mim_fail_in(MIM_EDATA, "%s", path);
    free(host);
    if (rc == MIM_OK) {
        *layout = l;
        l = NULL;
    }
    mim_layout_destroy(&l);
    return rc;
}

/* ---- asking --------------------------------------------------------------------------------- */

size_t mim_layout_find_metric(const mim_layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->n_metrics; i++)
        if (strcmp(layout->metric_names[i], name) == 0)
            return i;
    return SIZE_MAX;
}

int mim_layout_metric_core(const mim_layout *layout, size_t metric)
{
    const char *name = layout->metric_names[metric];
    const size_t n = sizeof core_prefix - 1;
    int64_t core = 0;
    if (strncmp(name, core_prefix, n) != 0)
        return -1;
    for (const char *at = name + n; *at; at++) {
        if (*at < '0' || *at > '9' || at - name - (long)n >= 6)
            return -1;
        core = core * 10 + (*at - '0');
    }
    return name[n] ? (int)core : -1;
}

size_t mim_layout_core_metric(const mim_layout *layout, size_t thread)
{
    for (size_t i = 0; i < layout->n_metrics; i++) {
        const int core = mim_layout_metric_core(layout, i);
        if (core >= 0 && (uint64_t)core == layout->thread_cpus[thread])
            return i;
    }
    return SIZE_MAX;
}
