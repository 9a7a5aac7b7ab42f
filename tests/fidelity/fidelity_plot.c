/* The page of curves behind the figures: from the lines of fidelity to a PNG.
 * usage: fidelity_plot LINES.jsonl PAGE.png
 * Exit status: 0 drawn, 1 failed, 2 usage, 5 not such lines. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/error.h"
#include "core/text.h"
#include "report/chart.h"

enum { N_COLUMNS = 2, MAX_CHARTS = 32, STROKES = 70, MAX_POINTS = 100000 };
/* Of the distance between two places that all bars of one take together. */
static const double bars_width = 0.7;

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

/* NaN where null stands. The caller frees it. */
static double *numbers_of(const json_t *array, size_t n)
{
    double *values = malloc((n ? n : 1) * sizeof *values);
    for (size_t i = 0; values && i < n; i++) {
        const json_t *value = json_array_get(array, i);
        values[i] = json_is_number(value) ? json_number_value(value) : NAN;
    }
    return values;
}

/* Curves are lines only: a bar is one that goes up and down until it is full. */
static int add_bars(mim_chart *chart, const char *label, size_t n, const double *x, const double *y,
                    size_t k, size_t n_curves)
{
    const size_t per_bar = 2 * STROKES + 1;
    const double width = bars_width / (double)n_curves;
    double *points = malloc((n * per_bar + 1) * 2 * sizeof *points);
    if (!points)
        return mim_fail(MIM_ENOMEM, "%zu bars", n);
    double *up = points + n * per_bar + 1;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < per_bar; j++) {
            const double along = (double)(j / 2) / STROKES;
            points[i * per_bar + j] = x[i] - bars_width / 2.0 + width * ((double)k + 0.9 * along);
            up[i * per_bar + j] = j + 1 == per_bar ? NAN : (j + j / 2) % 2 ? y[i] : 0.0;
        }
    int rc = mim_chart_curve(chart, label, n * per_bar, points, up);
    free(points);
    return rc;
}

static int add_curve(mim_chart *chart, const json_t *line, size_t k, size_t n_curves)
{
    const json_t *curve = json_array_get(json_object_get(line, "curves"), k);
    const json_t *xs = json_object_get(curve, "x"), *ys = json_object_get(curve, "y");
    const size_t n = json_array_size(xs);
    if (json_array_size(ys) != n || n > MAX_POINTS)
        return mim_fail(MIM_EDATA, "%s: %zu and %zu points", text_of(curve, "label"), n,
                        json_array_size(ys));
    double *x = numbers_of(xs, n), *y = numbers_of(ys, n);
    int rc = x && y ? MIM_OK : mim_fail(MIM_ENOMEM, "%zu points", n);
    if (rc == MIM_OK)
        rc = json_is_true(json_object_get(line, "is_bars"))
                 ? add_bars(chart, text_of(curve, "label"), n, x, y, k, n_curves)
                 : mim_chart_curve(chart, text_of(curve, "label"), n, x, y);
    free(x);
    free(y);
    return rc;
}

static int add_panel(mim_chart *chart, const json_t *line)
{
    const size_t n_curves = json_array_size(json_object_get(line, "curves"));
    int rc = mim_chart_panel(chart, text_of(line, "panel"), text_of(line, "y_label"), 0.0, 0.0);
    for (size_t k = 0; rc == MIM_OK && k < n_curves; k++)
        rc = add_curve(chart, line, k, n_curves);
    return rc;
}

/* A line below the title: the figure, its goal and whether it was met. */
static char *note_of(const json_t *line)
{
    const json_t *value = json_object_get(line, "value");
    const char *bench = text_of(line, "bench"), *prefix = "fidelity: ";
    if (strncmp(bench, prefix, strlen(prefix)) == 0)
        bench += strlen(prefix);
    if (!json_is_number(value))
        return mim_format("%s: %s", bench, text_of(line, "verdict"));
    return mim_format("%s: %.3g %s, goal %s, %s", bench, json_number_value(value),
                      text_of(line, "unit"), text_of(line, "goal"), text_of(line, "verdict"));
}

static char *title_of(const json_t *lines, size_t first)
{
    const char *name = text_of(json_array_get(lines, first), "chart");
    char *title = mim_strdup(name);
    for (size_t i = first; title && i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (strcmp(text_of(line, "chart"), name) != 0)
            continue;
        char *note = note_of(line), *longer = note ? mim_format("%s\n%s", title, note) : NULL;
        free(note);
        free(title);
        title = longer;
    }
    return title;
}

/* All panels of the chart whose first line this is. */
static int make_chart(const json_t *lines, size_t first, mim_chart **chart)
{
    const json_t *begin = json_array_get(lines, first);
    char *title = title_of(lines, first);
    int rc = title ? mim_chart_create(title, text_of(begin, "x_label"), chart)
                   : mim_fail(MIM_ENOMEM, "title");
    for (size_t i = first; rc == MIM_OK && i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (strcmp(text_of(line, "chart"), text_of(begin, "chart")) == 0)
            rc = add_panel(*chart, line);
    }
    free(title);
    return rc;
}

static bool is_first_of_chart(const json_t *lines, size_t i)
{
    const char *name = text_of(json_array_get(lines, i), "chart");
    for (size_t k = 0; k < i; k++)
        if (strcmp(text_of(json_array_get(lines, k), "chart"), name) == 0)
            return false;
    return *name != '\0';
}

static int draw(const json_t *lines, const char *path)
{
    mim_chart *charts[MAX_CHARTS] = {NULL};
    size_t n = 0;
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < json_array_size(lines) && n < MAX_CHARTS; i++)
        if (is_first_of_chart(lines, i))
            rc = make_chart(lines, i, &charts[n++]);
    if (rc == MIM_OK && n > 0) /* without curves there is nothing to draw */
        rc = mim_chart_write_page(n, charts, N_COLUMNS, path);
    for (size_t i = 0; i < n; i++)
        mim_chart_destroy(&charts[i]);
    return rc;
}

static int read_lines(const char *path, json_t **lines)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t n_bytes = 0;
    int rc = file ? MIM_OK : mim_fail(MIM_EIO, "%s: cannot be read", path);
    *lines = json_array();
    for (size_t number = 1; rc == MIM_OK && getline(&text, &n_bytes, file) > 0; number++) {
        json_error_t error;
        json_t *line = json_loads(text, 0, &error);
        if (line)
            json_array_append_new(*lines, line);
        else
            rc = mim_fail(MIM_EDATA, "%s:%zu: %s", path, number, error.text);
    }
    free(text);
    if (rc == MIM_OK && json_array_size(*lines) == 0)
        rc = mim_fail(MIM_EDATA, "%s: expected the lines of fidelity", path);
    if (file)
        fclose(file);
    return rc;
}

int main(int argc, char **argv)
{
    json_t *lines = NULL;
    int rc = argc == 3 ? read_lines(argv[1], &lines)
                       : mim_fail(MIM_EUSAGE, "expected LINES.jsonl PAGE.png");
    if (rc == MIM_OK)
        rc = draw(lines, argv[2]);
    if (rc != MIM_OK)
        fprintf(stderr, "fidelity_plot: %s\n", mim_error());
    json_decref(lines);
    return mim_exit_status(rc);
}
