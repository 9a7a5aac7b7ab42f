/* What a trace asks for, translated to what another node can be asked for.
 *
 * Rates keep their KB/s where the node's measured ceiling allows, else the whole metric is scaled
 * by ceiling / (largest value in the trace) and a note says so. Another core count: per-core
 * utilisation is resampled by rank order within sockets (sorted, interpolated at the node's ranks,
 * so that the mean and the shape of the imbalance stay). Generating and comparing both go through
 * here, so that they mean the same by "wanted". */
#ifndef MIM_TRACE_ADAPT_H
#define MIM_TRACE_ADAPT_H

#include "trace/series.h"

typedef struct mim_node_limits {
    size_t n_cores, n_sockets;                /* cores a plan may use; n_sockets >= 1 */
    double io_read_max_kbs, io_write_max_kbs; /* NaN or <= 0: unknown, nothing is scaled */
} mim_node_limits;

typedef struct mim_adaptation {
    mim_series *series; /* the wanted metrics on the node */
    size_t n_notes;
    char **notes; /* one sentence each */
} mim_adaptation;

int mim_adapt(const mim_series *wanted, const mim_node_limits *limits, mim_adaptation **adaptation);
void mim_adaptation_destroy(mim_adaptation **adaptation);

#endif
