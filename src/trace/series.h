/* Metrics per slot: the form in which a trace is imitated and compared.
 *
 * Slots of a stats file: a record closer than a quarter of the median interval to the one before
 * it replaces that one (at the start of the file it is dropped); each pair of kept records is a
 * slot. Counters: difference modulo 2^width when a width is declared; otherwise a step back by at
 * most 5 units keeps the highest value, a larger one marks the metric absent in that slot, and so
 * does growth that no device can do: per second and one second more, 1e9 KB of a disk or interface,
 * twice the time that passed of a CPU, 1e5 GB of a memory controller, 1e12 other events. What the
 * file does not hold is absent (NaN), never 0. A sum over devices is absent in a slot at whose ends
 * the devices are not the same; a gauge (memory in use) is that of the slot's end.
 *
 * Of our own hardware types: pqos_ipc = instructions / cycles over all CPUs; pqos_misses, a second
 * (the original's are of the time since its last poll: the same in slots of a second); pqos_llc_kb
 * at the slot's end; l3_cache_usage = lookups; memory_bandwidth_read, _write in % of the peak that
 * the header line `$x_peak_bandwidth_gb_s` gives, without it in GB/s; energy_w of whole packages. A
 * perf_event counter that ran for part of a slot is scaled by (time enabled / time running); one
 * that did not run is absent. */
#ifndef MIM_TRACE_SERIES_H
#define MIM_TRACE_SERIES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "trace/metric.h"
#include "trace/stats.h"

typedef struct mim_series {
    size_t n_slots, n_metrics;
    mim_metric *metrics; /* [n_metrics], sorted by name */
    double *values;      /* [n_slots][n_metrics], NaN = absent */
    double *start_s;     /* [n_slots] since the epoch */
    double *length_s;    /* [n_slots] */
    char *hostname;
    size_t n_records; /* in the file, before the slot rules */
    /* What ran a plan tells which CPU each of its rows ran on; none in other files. */
    size_t n_rows;
    int *row_cpus; /* [n_rows] numbers of CPUs, 0 to 65535; NULL without rows */
} mim_series;

typedef struct mim_series_options {
    /* Comma-separated block devices to count, NULL = every whole disk: device-mapper and md
     * devices, partitions, paths of multipath disks, ram, loop and zram are left out. MIM_EUSAGE
     * for a device that the file does not have. */
    const char *disks;
    /* 0 = what the file's header says, else by its uncore types and CPU count (see the source) */
    double peak_bandwidth_gb_s;
} mim_series_options;

/* For who fills it: values are absent, the rest is 0. MIM_EDATA when there are more than 2^27
 * values.
 */
int mim_series_allocate(size_t n_slots, size_t n_metrics, const char *hostname,
                        mim_series **series);
/* `options` may be NULL. MIM_EDATA when the file has fewer than two records. */
int mim_series_create(const mim_stats *stats, const mim_series_options *options,
                      mim_series **series);
int mim_series_read(const char *path, const mim_series_options *options, mim_series **series);
void mim_series_destroy(mim_series **series);
/* Slots [first, first + n) as a new series; n is cut at the end. */
int mim_series_cut(const mim_series *series, size_t first, size_t n, mim_series **cut);
/* The same for --first and --slots of a program: MIM_EUSAGE, naming `path`, when `first` is behind
 * the last slot. */
int mim_series_window(const mim_series *series, const char *path, size_t first, size_t n,
                      mim_series **window);

size_t mim_series_find(const mim_series *series, const char *metric); /* SIZE_MAX if none */
size_t mim_series_n_cores(const mim_series *series);    /* number of per-core metrics */
size_t mim_series_n_row_cpus(const mim_series *series); /* different CPUs that rows ran on */
double mim_series_median_length_s(const mim_series *series);
/* A new sentence when slots are longer than 1.5 times the median, as where a recording paused; NULL
 * when none is. The caller frees it. */
int mim_series_gap_note(const mim_series *series, char **note);
double mim_series_at(const mim_series *series, size_t slot, size_t metric);

typedef struct mim_metric_figures {
    double mean, min, max; /* over present slots, NaN when none; mean weighted by slot length */
    size_t n_absent;
} mim_metric_figures;
mim_metric_figures mim_series_figures(const mim_series *series, size_t metric);

#endif
