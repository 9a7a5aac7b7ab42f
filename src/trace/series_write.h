/* A series as a file for other programs; written atomically. */
#ifndef MIM_TRACE_SERIES_WRITE_H
#define MIM_TRACE_SERIES_WRITE_H

#include "trace/series.h"

/* One line of names, "start_s,length_s,metric [unit],...", then one line a slot; an absent value is
 * an empty field. Numbers read back exactly. */
int mim_series_write_csv(const mim_series *series, const char *path);

/* HDF5, schema mimesys_series: values [slot][metric] (NaN = absent), start_s [slot], length_s
 * [slot], and for each metric metric_names, metric_units, metric_families; attribute hostname. */
int mim_series_write_h5(const mim_series *series, const char *path);

#endif
