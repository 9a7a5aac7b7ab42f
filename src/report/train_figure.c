#include "report/train_figure.h"

#include <math.h>
#include <stdlib.h>

#include "core/text.h"
#include "report/chart.h"

/* second: drawn lighter in the same panel, MIM_N_LOG: none. */
static const struct {
    const char *title, *unit;
    mim_log_figure first, second;
    bool is_log; /* what falls by powers of ten */
} panels[] = {
    {"Loss", "", MIM_LOG_LOSS, MIM_N_LOG, true},
    {"Loss of validation (light: without the moving average)", "", MIM_LOG_VALIDATION,
     MIM_LOG_VALIDATION_LIVE, true},
    {"Normalised L1 of tried plans", "", MIM_LOG_NL1, MIM_N_LOG, false},
    {"Throughput", "examples/s", MIM_LOG_EXAMPLES_PER_S, MIM_N_LOG, false},
    {"Learning rate", "", MIM_LOG_RATE, MIM_N_LOG, false},
    {"Norm of the gradient", "", MIM_LOG_NORM, MIM_N_LOG, true},
};

static bool has_figure(size_t n, const mim_train_log *const *logs, mim_log_figure figure)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(mim_train_log_last(logs[i], figure, NULL)))
            return true;
    return false;
}

/* Only steps that have it: between two validations there is a line, not a gap. */
static int add_curve(mim_chart *chart, const mim_train_log *log, const char *label,
                     mim_log_figure figure)
{
    size_t n = 0;
    double *x = malloc((2 * log->n + 1) * sizeof *x);
    if (!x)
        return mim_fail(MIM_ENOMEM, "a curve of %zu points", log->n);
    double *y = x + log->n;
    for (size_t i = 0; i < log->n; i++) {
        const double value = mim_train_log_at(log, i, figure);
        if (isnan(value))
            continue;
        x[n] = log->step[i];
        y[n++] = value;
    }
    const int rc = mim_chart_curve(chart, label, n, x, y);
    free(x);
    return rc;
}

int mim_train_figure(size_t n, const mim_train_log *const *logs, const char *const *labels,
                     const char *path)
{
    mim_chart *chart = NULL;
    char *title = n == 1 ? mim_format("Training of %s", labels[0]) : mim_format("%zu trainings", n);
    int rc = title ? mim_chart_create(title, "step", &chart) : mim_fail(MIM_ENOMEM, "%s", path);
    for (size_t p = 0; rc == MIM_OK && p < sizeof panels / sizeof *panels; p++) {
        if (!has_figure(n, logs, panels[p].first))
            continue;
        rc = panels[p].is_log ? mim_chart_panel_log(chart, panels[p].title, panels[p].unit)
                              : mim_chart_panel(chart, panels[p].title, panels[p].unit, 0, 0);
        for (size_t i = 0; rc == MIM_OK && i < n; i++) {
            rc = add_curve(chart, logs[i], labels[i], panels[p].first);
            if (rc == MIM_OK && panels[p].second != MIM_N_LOG)
                rc = add_curve(chart, logs[i], labels[i], panels[p].second);
        }
    }
    if (rc == MIM_OK)
        rc = mim_chart_write(chart, path);
    mim_chart_destroy(&chart);
    free(title);
    return rc;
}
