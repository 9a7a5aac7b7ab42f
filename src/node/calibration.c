#include "node/calibration.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/atomic_file.h"
#include "core/summary.h"
#include "core/text.h"

static const char schema[] = "mimesys_calibration", original_sizes[] = "original",
                  node_sizes[] = "node";
/* Version 2 adds `sizes`, the memory figures and `is_unstable`. */
enum { SCHEMA_VERSION = 2, MAX_BYTES = 16 << 20, MAX_COSTS = 4096 };

/* What a machine can have measured; figures beyond would make a plan of nonsense. */
typedef struct number_range {
    const char *key;
    double min, max; /* min DBL_MIN: above 0 */
} number_range;

/* The numbers of a cost with their JSON keys and ranges. */
static double *cost_number(mim_cost *cost, size_t i, const number_range **range)
{
    static const number_range ranges[] = {
        {"op_s", DBL_MIN, 3600},   {"ops_per_s", DBL_MIN, 1e9},      {"bytes_per_s", 0, 1e13},
        {"cpu_s_per_op", 0, 3600}, {"device_bytes_per_op", 0, 1e12}, {"spread", 0, 1e9},
    };
    double *const values[] = {&cost->op_s,         &cost->ops_per_s,           &cost->bytes_per_s,
                              &cost->cpu_s_per_op, &cost->device_bytes_per_op, &cost->spread};
    if (i >= sizeof ranges / sizeof *ranges)
        return NULL;
    *range = &ranges[i];
    return values[i];
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static int get_text(const json_t *object, const char *path, const char *key, size_t n_bytes,
                    char *text)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value) || json_string_length(value) >= n_bytes)
        return mim_fail(MIM_EDATA, "%s: %s: expected a text of less than %zu bytes", path, key,
                        n_bytes);
    memcpy(text, json_string_value(value), json_string_length(value) + 1);
    return MIM_OK;
}

/* A number in its range, or null for "not measured". */
static int get_real(const json_t *object, const char *path, const number_range *range, double *real)
{
    const json_t *value = json_object_get(object, range->key);
    const double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (!json_is_null(value) && !(number >= range->min && number <= range->max))
        return mim_fail(MIM_EDATA, "%s: %s: expected null or a number %s %g up to %g", path,
                        range->key, range->min == DBL_MIN ? "above" : "from",
                        range->min == DBL_MIN ? 0.0 : range->min, range->max);
    *real = json_is_null(value) ? NAN : json_number_value(value);
    return MIM_OK;
}

static int get_count(const json_t *object, const char *path, const char *key, json_int_t min,
                     json_int_t max, size_t *count)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return mim_fail(MIM_EDATA, "%s: %s: expected a whole number from %lld to %lld", path, key,
                        (long long)min, (long long)max);
    *count = (size_t)json_integer_value(value);
    return MIM_OK;
}

static int get_bool(const json_t *object, const char *path, const char *key, bool *value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_boolean(found))
        return mim_fail(MIM_EDATA, "%s: %s: expected true or false", path, key);
    *value = json_boolean_value(found);
    return MIM_OK;
}

static int get_cost(const json_t *object, const char *path, size_t version, mim_cost *cost)
{
    const number_range *range = NULL;
    double *value;
    if (!json_is_object(object))
        return mim_fail(MIM_EDATA, "%s: stressors: expected objects", path);
    int rc = get_text(object, path, "stressor", sizeof cost->stressor, cost->stressor);
    if (rc != MIM_OK)
        return rc;
    char *where = mim_format("%s: %s", path, cost->stressor);
    if (!where)
        return mim_fail(MIM_ENOMEM, "%s", path);
    rc = get_count(object, where, "n_repeats", 1, 1000000, &cost->n_repeats);
    for (size_t i = 0; rc == MIM_OK && (value = cost_number(cost, i, &range)); i++)
        rc = get_real(object, where, range, value);
    if (rc == MIM_OK && version > 1)
        rc = get_bool(object, where, "is_unstable", &cost->is_unstable);
    free(where);
    return rc;
}

static int get_costs(const json_t *root, const char *path, size_t version,
                     mim_calibration *calibration)
{
    const json_t *array = json_object_get(root, "stressors");
    if (!json_is_array(array) || json_array_size(array) > MAX_COSTS)
        return mim_fail(MIM_EDATA, "%s: stressors: expected an array of at most %d", path,
                        MAX_COSTS);
    size_t n = json_array_size(array);
    calibration->costs = calloc(n ? n : 1, sizeof *calibration->costs);
    if (!calibration->costs)
        return mim_fail(MIM_ENOMEM, "%s: %zu stressors", path, n);
    int rc = MIM_OK;
    for (; rc == MIM_OK && calibration->n_costs < n; calibration->n_costs++) {
        mim_cost *cost = &calibration->costs[calibration->n_costs];
        rc = get_cost(json_array_get(array, calibration->n_costs), path, version, cost);
        if (rc == MIM_OK && mim_calibration_cost(calibration, cost->stressor))
            rc = mim_fail(MIM_EDATA, "%s: %s: stands twice", path, cost->stressor);
    }
    return rc;
}

/* Not in all files of version 1: there was no choice at first. */
static int get_sizes(const json_t *root, const char *path, size_t version, mim_calibration *c)
{
    int rc = MIM_OK;
    if (version >= 2 || json_object_get(root, "sizes"))
        rc = get_text(root, path, "sizes", sizeof c->sizes, c->sizes);
    else
        strcpy(c->sizes, original_sizes);
    if (rc == MIM_OK && (rc = mim_actions_check_sizes(c->sizes)) != MIM_OK)
        rc = mim_fail_in(rc, "%s: sizes", path);
    return rc;
}

/* What version 1 did not have. */
static int get_added(const json_t *root, const char *path, size_t version, mim_calibration *c)
{
    static const number_range read_max = {"memory_read_max_gb_s", 1e-3, 1e6},
                              write_max = {"memory_write_max_gb_s", 1e-3, 1e6};
    int rc = get_sizes(root, path, version, c);
    c->memory_read_max_gb_s = c->memory_write_max_gb_s = NAN;
    if (rc != MIM_OK || version < 2)
        return rc;
    rc = get_real(root, path, &read_max, &c->memory_read_max_gb_s);
    if (rc == MIM_OK)
        rc = get_real(root, path, &write_max, &c->memory_write_max_gb_s);
    return rc;
}

static int get_all(const json_t *root, const char *path, mim_calibration *c)
{
    static const number_range when = {"measured_real_s", 0, 1e12},
                              read_max = {"io_read_max_kbs", 1, 1e12},
                              write_max = {"io_write_max_kbs", 1, 1e12};
    char found[32] = "";
    size_t version = 0;
    if (!json_is_object(root) || get_text(root, path, "schema", sizeof found, found) != MIM_OK ||
        strcmp(found, schema) != 0)
        return mim_fail(MIM_EDATA, "%s: expected schema %s", path, schema);
    int rc = get_count(root, path, "schema_version", 1, SCHEMA_VERSION, &version);
    if (rc == MIM_OK)
        rc = get_text(root, path, "machine_key", sizeof c->machine_key, c->machine_key);
    if (rc == MIM_OK)
        rc = get_text(root, path, "cpu_model", sizeof c->cpu_model, c->cpu_model);
    if (rc == MIM_OK)
        rc = get_text(root, path, "kernel", sizeof c->kernel, c->kernel);
    if (rc == MIM_OK)
        rc = get_text(root, path, "scratch_folder", sizeof c->scratch_folder, c->scratch_folder);
    if (rc == MIM_OK)
        rc = get_text(root, path, "io_mode", sizeof c->io_mode, c->io_mode);
    if (rc == MIM_OK && strcmp(c->io_mode, "direct") != 0 && strcmp(c->io_mode, "buffered") != 0)
        rc = mim_fail(MIM_EDATA, "%s: io_mode: expected direct or buffered, found %s", path,
                      c->io_mode);
    if (rc == MIM_OK)
        rc = get_real(root, path, &when, &c->measured_real_s);
    if (rc == MIM_OK)
        rc = get_count(root, path, "n_cpus", 1, 1 << 20, &c->n_cpus);
    if (rc == MIM_OK)
        rc = get_count(root, path, "n_sockets", 1, (json_int_t)c->n_cpus, &c->n_sockets);
    if (rc == MIM_OK)
        rc = get_real(root, path, &read_max, &c->io_read_max_kbs);
    if (rc == MIM_OK)
        rc = get_real(root, path, &write_max, &c->io_write_max_kbs);
    if (rc == MIM_OK)
        rc = get_added(root, path, version, c);
    if (rc == MIM_OK)
        rc = get_costs(root, path, version, c);
    return rc;
}

int mim_calibration_read(const char *path, mim_calibration **calibration)
{
    char *text = NULL;
    size_t n_bytes = 0;
    json_error_t error;
    json_t *root = NULL;
    mim_calibration *made = NULL;
    int rc = mim_read_file(path, MAX_BYTES, &text, &n_bytes);
    if (rc != MIM_OK)
        return rc;
    if (!(root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &error))) {
        rc = mim_fail(MIM_EDATA, "%s:%d: not JSON: %s", path, error.line, error.text);
        goto done;
    }
    if (!(made = calloc(1, sizeof *made))) {
        rc = mim_fail(MIM_ENOMEM, "%s: calibration", path);
        goto done;
    }
    rc = get_all(root, path, made);
    if (rc == MIM_OK) {
        *calibration = made;
        made = NULL;
    }
done:
    free(text);
    json_decref(root);
    mim_calibration_destroy(&made);
    return rc;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static json_t *cost_json(const mim_cost *cost)
{
    mim_cost copy = *cost;
    const number_range *range = NULL;
    double *value;
    json_t *object = json_pack("{s:s, s:I}", "stressor", cost->stressor, "n_repeats",
                               (json_int_t)cost->n_repeats);
    for (size_t i = 0; object && (value = cost_number(&copy, i, &range)); i++)
        json_object_set_new(object, range->key, mim_json_real(*value));
    json_object_set_new(object, "is_unstable", json_boolean(cost->is_unstable));
    return object;
}

int mim_calibration_write(const mim_calibration *c, const char *path)
{
    int rc = MIM_OK;
    char *text = NULL;
    json_t *costs = json_array();
    json_t *root = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}",
        "schema", schema, "schema_version", SCHEMA_VERSION, "machine_key", c->machine_key,
        "cpu_model", c->cpu_model, "kernel", c->kernel, "scratch_folder", c->scratch_folder,
        "io_mode", c->io_mode, "sizes", c->sizes[0] ? c->sizes : original_sizes, "n_cpus",
        (json_int_t)c->n_cpus, "n_sockets", (json_int_t)c->n_sockets, "measured_real_s",
        mim_json_real(c->measured_real_s), "io_read_max_kbs", mim_json_real(c->io_read_max_kbs),
        "io_write_max_kbs", mim_json_real(c->io_write_max_kbs), "memory_read_max_gb_s",
        mim_json_real(c->memory_read_max_gb_s), "memory_write_max_gb_s",
        mim_json_real(c->memory_write_max_gb_s), "stressors", costs);
    for (size_t i = 0; root && i < c->n_costs; i++)
        json_array_append_new(costs, cost_json(&c->costs[i]));
    if (root)
        text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    rc = text ? mim_atomic_write(path, text, strlen(text)) : mim_fail(MIM_ENOMEM, "%s: text", path);
    free(text);
    json_decref(root);
    return rc;
}

void mim_calibration_destroy(mim_calibration **calibration)
{
    if (!*calibration)
        return;
    free((*calibration)->costs);
    free(*calibration);
    *calibration = NULL;
}

const mim_cost *mim_calibration_cost(const mim_calibration *calibration, const char *stressor)
{
    for (size_t i = 0; i < calibration->n_costs; i++)
        if (strcmp(calibration->costs[i].stressor, stressor) == 0)
            return &calibration->costs[i];
    return NULL;
}

int mim_calibration_path(const mim_machine *machine, char **path)
{
    char *usual = NULL, *other = NULL;
    int rc = mim_calibration_path_of(machine, original_sizes, &usual);
    if (rc == MIM_OK && access(usual, F_OK) != 0)
        rc = mim_calibration_path_of(machine, node_sizes, &other);
    if (rc == MIM_OK) {
        char **chosen = other && access(other, F_OK) == 0 ? &other : &usual;
        *path = *chosen;
        *chosen = NULL;
    }
    free(usual);
    free(other);
    return rc;
}

int mim_calibration_path_of(const mim_machine *machine, const char *sizes, char **path)
{
    const char *mark = strcmp(sizes, original_sizes) == 0 ? "" : "-", *shown = *mark ? sizes : "";
    const char *named = getenv("MIMESYS_CALIBRATION"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    char *made = NULL;
    if (named && *named)
        made = mim_strdup(named);
    else if (cache && *cache)
        made = mim_format("%s/mimesys/calibration-%s-%zucpus%s%s.json", cache, machine->key,
                          machine->n_cpus, mark, shown);
    else if (home && *home)
        made = mim_format("%s/.cache/mimesys/calibration-%s-%zucpus%s%s.json", home, machine->key,
                          machine->n_cpus, mark, shown);
    else
        return mim_fail(MIM_EUSAGE, "calibration: none of MIMESYS_CALIBRATION, XDG_CACHE_HOME and "
                                    "HOME is set; name the file");
    if (!made)
        return mim_fail(MIM_ENOMEM, "calibration path");
    *path = made;
    return MIM_OK;
}
