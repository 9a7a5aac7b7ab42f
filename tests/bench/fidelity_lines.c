/* Turns the JSON of mimesys_compare into one line a label and family, as make fidelity prints.
 * usage: fidelity_lines TRACE COMPARE.json */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "trace/metric.h"

typedef struct tally {
    double sum, low, high;
    size_t n;
} tally;

static void add(tally *t, double value)
{
    t->low = t->n ? fmin(t->low, value) : value;
    t->high = t->n ? fmax(t->high, value) : value;
    t->sum += value;
    t->n++;
}

/* The normalised L1 of one family over all runs of a label; `family` NULL: the mean over families.
 */
static tally collect(const json_t *files, const char *label, const char *family)
{
    tally t = {0.0, 0.0, 0.0, 0};
    size_t i;
    const json_t *file;
    json_array_foreach(files, i, file)
    {
        if (strcmp(json_string_value(json_object_get(file, "label")), label) != 0)
            continue;
        const json_t *value =
            family
                ? json_object_get(json_object_get(json_object_get(file, "families"), family), "nl1")
                : json_object_get(file, "nl1_mean");
        if (json_is_number(value))
            add(&t, json_number_value(value));
    }
    return t;
}

static void print_line(const char *trace, const char *label, const char *family, tally t,
                       const json_t *floor)
{
    if (t.n == 0)
        return;
    double value = t.sum / (double)t.n;
    json_t *line =
        json_pack("{s:f, s:s, s:n, s:n, s:I, s:f}", "value", value, "unit", "normalised L1", "peer",
                  "ratio", "n", (json_int_t)t.n, "spread", t.high - t.low);
    char text[256];
    snprintf(text, sizeof text, "fidelity: %s: %s: %s", trace, label, family);
    json_object_set_new(line, "bench", json_string(text));
    if (json_is_number(floor)) {
        snprintf(text, sizeof text, "noise floor: %.4f", json_number_value(floor));
        json_object_set_new(line, "peer", json_string(text));
        if (json_number_value(floor) > 0.0)
            json_object_set_new(line, "ratio", json_real(value / json_number_value(floor)));
    }
    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(5) | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(line);
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *root = argc == 3 ? json_load_file(argv[2], 0, &error) : NULL;
    if (!root) {
        fprintf(stderr, "fidelity_lines: expected TRACE COMPARE.json\n");
        return 2;
    }
    const char *label;
    json_t *entry;
    json_object_foreach(json_object_get(root, "labels"), label, entry)
    {
        const json_t *files = json_object_get(root, "files");
        const json_t *floors = json_object_get(entry, "floor");
        for (size_t f = 0; f < MIM_N_FAMILIES; f++) {
            const char *family = mim_family_name((mim_family)f);
            if (mim_family_is_target((mim_family)f))
                print_line(argv[1], label, family, collect(files, label, family),
                           json_object_get(floors, family));
        }
        print_line(argv[1], label, "all families", collect(files, label, NULL),
                   json_object_get(entry, "floor_mean"));
    }
    json_decref(root);
    return 0;
}
