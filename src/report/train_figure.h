/* A figure of trainings over their steps: loss, validation, normalised L1 of tried plans,
 * throughput, learning rate, norm of the gradient; a panel each, for those that any of them has. */
#ifndef MIM_REPORT_TRAIN_FIGURE_H
#define MIM_REPORT_TRAIN_FIGURE_H

#include "report/train_log.h"

/* A curve a training in every panel; logs, labels: [n], labels differ. In the form that the ending
 * of `path` says (report/chart.h). */
int mim_train_figure(size_t n, const mim_train_log *const *logs, const char *const *labels,
                     const char *path);

#endif
