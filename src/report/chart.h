/* Line charts as PNG, SVG or PDF (cairo): a column of panels sharing an axis of time or steps.
 *
 * 1200 pixels wide; the height follows from the panels. Curves labelled "wanted" are dark, every
 * other label gets a colour of a palette that colour-blind readers can tell apart. */
#ifndef MIM_REPORT_CHART_H
#define MIM_REPORT_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

typedef struct mim_chart mim_chart;

/* The title's first line is large, the lines after it (after '\n') are small. Copies. */
int mim_chart_create(const char *title, const char *x_label, mim_chart **chart);
void mim_chart_destroy(mim_chart **chart);
/* Starts a new panel below the last one; at most 64 (MIM_EINVAL). `y_label` is the unit; KB/s, KB
 * and MB are shown in the larger unit that keeps the numbers short. y_max <= y_min: from the data,
 * with 0 in view. */
int mim_chart_panel(mim_chart *chart, const char *title, const char *y_label, double y_min,
                    double y_max);
/* The same with a logarithmic axis, whose ends are whole powers of ten around the data. Values of 0
 * and below break its curves. */
int mim_chart_panel_log(mim_chart *chart, const char *title, const char *y_label);
/* A curve in the newest panel (MIM_EINVAL when there is none); x, y: [n], NaN, infinite or above
 * 1e100 breaks the line. The same label has the same colour in every panel; the same label again in
 * one panel is a repetition, drawn thinner and lighter. Copies. */
int mim_chart_curve(mim_chart *chart, const char *label, size_t n, const double *x,
                    const double *y);
/* Whether a file of that name can be written: it ends in .png, .svg or .pdf. */
bool mim_chart_has_form(const char *path);
/* In the form of its ending, PNG with any other. Written atomically. */
int mim_chart_write(const mim_chart *chart, const char *path);
/* Several charts, each with its own axis, on one page: row by row, n_columns a row. MIM_EINVAL: no
 * chart or no column. */
int mim_chart_write_page(size_t n, mim_chart *const *charts, size_t n_columns, const char *path);

#endif
