/* What else the machine did in each slot of a run, of the run's own stats text: CPU time stolen by
 * the hypervisor, used by others, and stalls (PSI); and whether the slot counts (trace/accept.h).
 */
#ifndef MIM_NODE_DISTURBANCE_H
#define MIM_NODE_DISTURBANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "trace/stats.h"

enum { MIM_DISTURBANCE_N_FIGURES = 8 };
/* "steal_pct", "others_cpu_pct", "psi_cpu_some" ...: metrics of trace/series.h. */
extern const char *const mim_disturbance_figures[MIM_DISTURBANCE_N_FIGURES];

typedef struct mim_disturbance {
    size_t n_slots;
    bool is_known;     /* false: the text does not tell, and no slot is accepted */
    bool *is_accepted; /* [n_slots] */
    size_t n_accepted;
    double *figures[MIM_DISTURBANCE_N_FIGURES]; /* each [n_slots], %; NaN = absent */
} mim_disturbance;

/* The first n_slots slots of the text. Where its slots are not those of the run (a record that
 * cannot be told from a repetition of another), all is unknown. */
int mim_disturbance_read(const mim_stats *stats, size_t n_slots, mim_disturbance **disturbance);
void mim_disturbance_destroy(mim_disturbance **disturbance);

/* Windows that have no accepted slot yet: clears lacks[w] [n_windows] for those with one in this
 * run, and gives how many are left. slot_windows: [n_slots] window of each slot, SIZE_MAX = an idle
 * slot. Who asks sets lacks[w] for the windows that run, and may ask of several runs in turn. */
size_t mim_disturbance_lacking(const mim_disturbance *disturbance, const size_t *slot_windows,
                               size_t n_windows, bool *lacks);

#endif
