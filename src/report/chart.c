#include "report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cairo-pdf.h>
#include <cairo-svg.h>

#include "core/atomic_file.h"
#include "core/text.h"
#include "report/chart_model.h"

/* Cairo goes into an error state on text that is not UTF-8; names of files and hosts may be any
 * bytes. Broken sequences and control characters (but '\n') become '?'. */
static void make_printable(char *text)
{
    unsigned char *p = (unsigned char *)text;
    while (*p) {
        size_t n = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
        bool is_good =
            *p < 0x80 ? (*p >= 0x20 && *p != 0x7f) || *p == '\n' : *p >= 0xc2 && *p <= 0xf4;
        for (size_t i = 1; is_good && i < n; i++)
            is_good = (p[i] & 0xc0) == 0x80; /* stops at the ending 0, too */
        if (is_good && ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
                        (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)))
            is_good = false; /* overlong, surrogate or beyond U+10FFFF */
        if (!is_good) {
            *p = '?';
            n = 1;
        }
        p += n;
    }
}

static char *printable_copy(const char *text)
{
    char *copy = mim_strdup(text ? text : "");
    if (copy)
        make_printable(copy);
    return copy;
}

int mim_chart_create(const char *title, const char *x_label, mim_chart **chart)
{
    mim_chart *c = calloc(1, sizeof *c);
    if (!c)
        return mim_fail(MIM_ENOMEM, "a chart");
    c->title = printable_copy(title);
    c->x_label = printable_copy(x_label);
    if (!c->title || !c->x_label) {
        mim_chart_destroy(&c);
        return mim_fail(MIM_ENOMEM, "a chart");
    }
    *chart = c;
    return MIM_OK;
}

void mim_chart_destroy(mim_chart **chart)
{
    if (!chart || !*chart)
        return;
    mim_chart *c = *chart;
    for (size_t i = 0; i < c->n_panels; i++) {
        for (size_t k = 0; k < c->panels[i].n_lines; k++)
            free(c->panels[i].lines[k].x);
        free(c->panels[i].lines);
        free(c->panels[i].title);
        free(c->panels[i].unit);
    }
    for (size_t i = 0; i < c->n_labels; i++)
        free(c->labels[i]);
    free(c->labels);
    free(c->panels);
    free(c->title);
    free(c->x_label);
    free(c);
    *chart = NULL;
}

int mim_chart_panel(mim_chart *chart, const char *title, const char *y_label, double y_min,
                    double y_max)
{
    if (chart->n_panels == MIM_CHART_MAX_PANELS)
        return mim_fail(MIM_EINVAL, "a chart holds at most %d panels", MIM_CHART_MAX_PANELS);
    mim_chart_box *grown = realloc(chart->panels, (chart->n_panels + 1) * sizeof *grown);
    if (!grown)
        return mim_fail(MIM_ENOMEM, "a chart's panel");
    chart->panels = grown;
    mim_chart_box panel = {.title = printable_copy(title), .unit = printable_copy(y_label)};
    if (!panel.title || !panel.unit) {
        free(panel.title);
        free(panel.unit);
        return mim_fail(MIM_ENOMEM, "a chart's panel");
    }
    if (fabs(y_min) <= MIM_CHART_LARGEST && fabs(y_max) <= MIM_CHART_LARGEST && y_max > y_min) {
        panel.y_min = y_min;
        panel.y_max = y_max;
    }
    chart->panels[chart->n_panels++] = panel;
    return MIM_OK;
}

int mim_chart_panel_log(mim_chart *chart, const char *title, const char *y_label)
{
    const int rc = mim_chart_panel(chart, title, y_label, 0, 0);
    if (rc == MIM_OK)
        chart->panels[chart->n_panels - 1].is_log = true;
    return rc;
}

static int find_or_add_label(mim_chart *chart, const char *label, size_t *index)
{
    char *copy = printable_copy(label);
    if (!copy)
        return mim_fail(MIM_ENOMEM, "a curve's label");
    for (size_t i = 0; i < chart->n_labels; i++)
        if (!strcmp(chart->labels[i], copy)) {
            free(copy);
            *index = i;
            return MIM_OK;
        }
    char **grown = realloc(chart->labels, (chart->n_labels + 1) * sizeof *grown);
    if (!grown) {
        free(copy);
        return mim_fail(MIM_ENOMEM, "a curve's label");
    }
    chart->labels = grown;
    *index = chart->n_labels;
    chart->labels[chart->n_labels++] = copy;
    return MIM_OK;
}

int mim_chart_curve(mim_chart *chart, const char *label, size_t n, const double *x, const double *y)
{
    if (!chart->n_panels)
        return mim_fail(MIM_EINVAL, "a curve needs a panel first");
    mim_chart_box *panel = &chart->panels[chart->n_panels - 1];
    mim_chart_line line = {.n = n};
    int rc = find_or_add_label(chart, label, &line.label);
    if (rc != MIM_OK)
        return rc;
    for (size_t i = 0; i < panel->n_lines; i++)
        line.is_repeat = line.is_repeat || panel->lines[i].label == line.label;

    mim_chart_line *grown = realloc(panel->lines, (panel->n_lines + 1) * sizeof *grown);
    if (grown)
        panel->lines = grown;
    if (!grown || n > SIZE_MAX / 2 / sizeof *line.x ||
        !(line.x = malloc((n ? n : 1) * 2 * sizeof *line.x)))
        return mim_fail(MIM_ENOMEM, "a curve of %zu points", n);
    line.y = line.x + n;
    if (n) {
        memcpy(line.x, x, n * sizeof *x);
        memcpy(line.y, y, n * sizeof *y);
    }
    for (size_t i = 0; i < n && panel->is_log; i++)
        line.y[i] = y[i] > 0 && y[i] <= MIM_CHART_LARGEST ? log10(y[i]) : (double)NAN;
    panel->lines[panel->n_lines++] = line;
    return MIM_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

typedef struct file_bytes {
    unsigned char *bytes;
    size_t n, capacity;
} file_bytes;

static cairo_status_t gather(void *context, const unsigned char *data, unsigned int length)
{
    file_bytes *file = context;
    if (file->n + length > file->capacity) {
        size_t capacity = 2 * (file->n + length);
        unsigned char *grown = realloc(file->bytes, capacity);
        if (!grown)
            return CAIRO_STATUS_NO_MEMORY;
        file->bytes = grown;
        file->capacity = capacity;
    }
    memcpy(file->bytes + file->n, data, length);
    file->n += length;
    return CAIRO_STATUS_SUCCESS;
}

static cairo_surface_t *png_canvas(void *context, double width, double height)
{
    (void)context;
    return cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
}

static cairo_surface_t *svg_canvas(void *context, double width, double height)
{
    cairo_surface_t *surface = cairo_svg_surface_create_for_stream(gather, context, width, height);
    cairo_svg_surface_set_document_unit(surface, CAIRO_SVG_UNIT_PX);
    return surface;
}

static cairo_surface_t *pdf_canvas(void *context, double width, double height)
{
    return cairo_pdf_surface_create_for_stream(gather, context, width, height);
}

static const struct form {
    const char *suffix;
    mim_chart_canvas *canvas;
    bool is_image; /* still to be encoded */
} forms[] = {{".png", png_canvas, true}, {".svg", svg_canvas, false}, {".pdf", pdf_canvas, false}};

static const struct form *form_of(const char *path)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (mim_has_suffix(path, forms[i].suffix))
            return &forms[i];
    return NULL;
}

bool mim_chart_has_form(const char *path) { return form_of(path) != NULL; }

/* What was drawn on a canvas of `form`, which is destroyed; `file` holds what was gathered so far
 * and is used up. */
static int publish(cairo_surface_t *surface, const struct form *form, file_bytes *file,
                   const char *path)
{
    int rc;
    cairo_status_t status = CAIRO_STATUS_SUCCESS;
    if (form->is_image)
        status = cairo_surface_write_to_png_stream(surface, gather, file);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    if (status != CAIRO_STATUS_SUCCESS)
        rc = mim_fail(MIM_ENOMEM, "%s: no figure: %s", path, cairo_status_to_string(status));
    else
        rc = mim_atomic_write(path, file->bytes, file->n);
    cairo_surface_destroy(surface);
    free(file->bytes);
    return rc;
}

int mim_chart_write(const mim_chart *chart, const char *path)
{
    const struct form *form = form_of(path);
    file_bytes file = {0};
    cairo_surface_t *surface = NULL;
    if (!form)
        form = &forms[0];
    const int rc = mim_chart_draw(chart, form->canvas, &file, &surface);
    if (rc != MIM_OK) {
        free(file.bytes);
        return mim_fail_in(rc, "%s", path);
    }
    return publish(surface, form, &file, path);
}

/* ---- pages ---------------------------------------------------------------------------------- */

/* The lower edge of each row of surfaces; returns the page's height. */
static int row_bottoms(size_t n, cairo_surface_t *const *surfaces, size_t n_columns, int *bottoms)
{
    int bottom = 0;
    for (size_t first = 0; first < n; first += n_columns) {
        int height = 0;
        for (size_t i = first; i < n && i < first + n_columns; i++) {
            const int own = cairo_image_surface_get_height(surfaces[i]);
            height = own > height ? own : height;
        }
        bottom += height;
        bottoms[first / n_columns] = bottom;
    }
    return bottom;
}

static cairo_surface_t *paste(size_t n, cairo_surface_t *const *surfaces, size_t n_columns,
                              int *bottoms)
{
    const int height = row_bottoms(n, surfaces, n_columns, bottoms);
    const int width = (int)(n < n_columns ? n : n_columns) * MIM_CHART_WIDTH;
    cairo_surface_t *page = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    cairo_t *cr = cairo_create(page);
    cairo_set_source_rgb(cr, 1.0, 1.0, 1.0);
    cairo_paint(cr);
    for (size_t i = 0; i < n; i++) {
        const size_t row = i / n_columns;
        cairo_set_source_surface(cr, surfaces[i], (double)(i % n_columns * MIM_CHART_WIDTH),
                                 row ? bottoms[row - 1] : 0.0);
        cairo_paint(cr);
    }
    cairo_destroy(cr);
    return page;
}

int mim_chart_write_page(size_t n, mim_chart *const *charts, size_t n_columns, const char *path)
{
    if (n == 0 || n_columns == 0)
        return mim_fail(MIM_EINVAL, "%s: a page needs a chart and a column", path);
    cairo_surface_t **surfaces = calloc(n, sizeof *surfaces);
    int *bottoms = calloc(n, sizeof *bottoms);
    file_bytes file = {0};
    int rc = surfaces && bottoms ? MIM_OK : mim_fail(MIM_ENOMEM, "a page of %zu charts", n);
    for (size_t i = 0; rc == MIM_OK && i < n; i++)
        rc = mim_chart_draw(charts[i], png_canvas, NULL, &surfaces[i]);
    if (rc == MIM_OK)
        rc = publish(paste(n, surfaces, n_columns, bottoms), &forms[0], &file, path);
    for (size_t i = 0; surfaces && i < n; i++)
        if (surfaces[i])
            cairo_surface_destroy(surfaces[i]);
    free(surfaces);
    free(bottoms);
    return rc;
}
