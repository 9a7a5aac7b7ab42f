/* What a chart holds, shared by chart.c (builds it) and chart_draw.c (draws it). Not for others. */
#ifndef MIM_REPORT_CHART_MODEL_H
#define MIM_REPORT_CHART_MODEL_H

#include <stdbool.h>

#include <cairo.h>

#include "report/chart.h"

enum { MIM_CHART_WIDTH = 1200, MIM_CHART_MAX_PANELS = 64 };

/* Larger magnitudes are treated as gaps: sums and differences of what is left stay finite. */
#define MIM_CHART_LARGEST 1e100

typedef struct mim_chart_line {
    size_t label;   /* index into the chart's labels */
    bool is_repeat; /* the label is already in the panel */
    size_t n;
    double *x, *y; /* [n] each, one allocation owned by x; y of a log panel: log10 of the value */
} mim_chart_line;

typedef struct mim_chart_box {
    char *title, *unit;
    double y_min, y_max;
    bool is_log;
    size_t n_lines;
    mim_chart_line *lines;
} mim_chart_box;

struct mim_chart {
    char *title, *x_label;
    size_t n_labels, n_panels;
    char **labels;
    mim_chart_box *panels;
};

/* What the whole chart is drawn on, so many pixels large: a new surface. */
typedef cairo_surface_t *mim_chart_canvas(void *context, double width, double height);
/* The caller destroys the surface. */
int mim_chart_draw(const mim_chart *chart, mim_chart_canvas *canvas, void *context,
                   cairo_surface_t **surface);

#endif
