/* Line charts as PNG (cairo): a column of panels sharing a time axis. */
#ifndef MIM_REPORT_CHART_H
#define MIM_REPORT_CHART_H

#include <stddef.h>

#include "core/error.h"

typedef struct mim_chart mim_chart;

int mim_chart_create(const char *title, const char *x_label, mim_chart **chart);
void mim_chart_destroy(mim_chart **chart);
/* Starts a new panel below the last one. y_max <= y_min: from the data. */
int mim_chart_panel(mim_chart *chart, const char *title, const char *y_label, double y_min,
                    double y_max);
/* A curve in the newest panel; x, y: [n], NaN breaks the line. The same label has the same colour
 * in every panel. Copies. */
int mim_chart_curve(mim_chart *chart, const char *label, size_t n, const double *x, const double *y);
/* Written atomically. */
int mim_chart_write(const mim_chart *chart, const char *path);

#endif
