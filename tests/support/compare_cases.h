/* Hand-made series for the tests of report/compare, and reading its result by path. */
#ifndef TESTS_SUPPORT_COMPARE_CASES_H
#define TESTS_SUPPORT_COMPARE_CASES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/text.h"
#include "report/compare.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
enum { N_SLOTS = 10 };

/* ---- hand-made series ----------------------------------------------------------------------- */

typedef struct column {
    const char *name, *unit;
    mim_family family;
    int core;
} column;

static const column cpu0 = {"avg_cpu_utilizations_core_00", "%", MIM_FAMILY_CPU, 0};
static const column cpu1 = {"avg_cpu_utilizations_core_01", "%", MIM_FAMILY_CPU, 1};
static const column io_read = {"io_read", "KB/s", MIM_FAMILY_IO_READ, -1};
static const column io_write = {"io_write", "KB/s", MIM_FAMILY_IO_WRITE, -1};

/* All values 0; columns must come sorted by name. */
static inline mim_series *make_series(size_t n_slots, size_t n, const column *columns)
{
    mim_series *s = calloc(1, sizeof *s);
    s->n_slots = n_slots;
    s->n_metrics = n;
    s->n_records = n_slots + 1;
    s->metrics = calloc(n, sizeof *s->metrics);
    s->values = calloc(n_slots * n, sizeof *s->values);
    s->start_s = calloc(n_slots, sizeof *s->start_s);
    s->length_s = calloc(n_slots, sizeof *s->length_s);
    s->hostname = mim_strdup("node-a");
    for (size_t m = 0; m < n; m++) {
        snprintf(s->metrics[m].name, sizeof s->metrics[m].name, "%s", columns[m].name);
        s->metrics[m].unit = columns[m].unit;
        s->metrics[m].family = columns[m].family;
        s->metrics[m].tier = MIM_TIER_PROC;
        s->metrics[m].core = columns[m].core;
    }
    for (size_t i = 0; i < n_slots; i++) {
        s->start_s[i] = 1700000000.0 + (double)i;
        s->length_s[i] = 1.0;
    }
    return s;
}

static inline mim_series *make_standard(size_t n_slots)
{
    const column columns[] = {cpu0, cpu1, io_read, io_write};
    return make_series(n_slots, N_OF(columns), columns);
}

static inline void set(mim_series *s, size_t slot, const char *name, double value)
{
    size_t m = mim_series_find(s, name);
    assert_true(m != SIZE_MAX && slot < s->n_slots);
    s->values[slot * s->n_metrics + m] = value;
}

static inline void fill(mim_series *s, const char *name, double value)
{
    for (size_t i = 0; i < s->n_slots; i++)
        set(s, i, name, value);
}

static const mim_node_limits node = {
    .n_cores = 2, .n_sockets = 1, .io_read_max_kbs = 1000.0, .io_write_max_kbs = 2000.0};

static inline mim_compare *make_compare(const mim_series *wanted, const mim_node_limits *limits)
{
    mim_compare *compare = NULL;
    assert_int_equal(mim_compare_create(wanted, "wanted.txt", limits, &compare), MIM_OK);
    return compare;
}

static inline void add(mim_compare *compare, const mim_series *measured, const char *label)
{
    assert_int_equal(mim_compare_add(compare, measured, "measured.txt", label), MIM_OK);
}

/* ---- reading the result --------------------------------------------------------------------- */

static inline json_t *result(const mim_compare *compare)
{
    json_t *json = NULL;
    assert_int_equal(mim_compare_json(compare, &json), MIM_OK);
    return json;
}

/* A value by path, parts separated by '/'; whole numbers index arrays. */
static inline json_t *at(json_t *json, const char *path)
{
    char *copy = mim_strdup(path), *save = NULL;
    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        json = json_is_array(json) ? json_array_get(json, strtoul(part, NULL, 10))
                                   : json_object_get(json, part);
        if (!json)
            fail_msg("%s: nothing at %s", path, part);
    }
    free(copy);
    return json;
}

static inline void assert_number(json_t *json, const char *path, double expected)
{
    json_t *found = at(json, path);
    if (!json_is_number(found) || fabs(json_number_value(found) - expected) > 1e-12)
        fail_msg("%s: expected %.15g, found %.15g", path, expected, json_number_value(found));
}

static inline void assert_null_at(json_t *json, const char *path)
{
    if (!json_is_null(at(json, path)))
        fail_msg("%s: expected null", path);
}

static inline bool has_note(json_t *json, const char *part)
{
    size_t i;
    json_t *note;
    json_array_foreach(json_object_get(json, "notes"), i, note)
    {
        if (strstr(json_string_value(note), part))
            return true;
    }
    return false;
}

#endif
