/* What the parts of mimesys_collect share: the job of one rank.
 *
 * Rank 0 hands out plan ids and is the only one that writes the store; it measures plans itself,
 * too. All wait asleep: a rank that spins in MPI would be seen in what is measured beside it. */
#ifndef MIM_MPI_COLLECT_H
#define MIM_MPI_COLLECT_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/args.h"
#include "core/log.h"
#include "core/summary.h"
#include "explore/propose.h"
#include "fleet/measure.h"
#include "fleet/settings.h"
#include "node/limits.h"
#include "node/machine.h"

typedef struct mim_collect {
    MPI_Comm comm;
    int rank, n_ranks;
    const mim_args *args;
    const mim_config *config;
    mim_log *log;

    mim_limits limits;
    const mim_fleet_kind *fleet_kind;
    mim_simulated_options simulated; /* of that fleet kind */
    mim_machine *machine;
    mim_actions *actions;
    mim_calibration *calibration;
    mim_capacity *capacity;
    mim_proposer proposer;
    mim_fleet *fleet;
    mim_layout *layout;
    mim_measure_options measure;

    /* rank 0 only */
    const char *path; /* of the store */
    mim_campaign *campaign;
    mim_summary *summary;
    uint64_t n_plans; /* wanted in all; UINT64_MAX: as many as there is time for */
    uint64_t next_id; /* smallest that may not have been handed out */
    uint64_t n_new;   /* plans stored by this start */
    size_t n_tries, n_accepted, n_disturbed, n_failed; /* tries, windows of this start */
    size_t n_failed_in_a_row;
    double written_bytes;
    int64_t begin_ns;
    const char *ended_by; /* what ended it before all plans were there; NULL if nothing did */
} mim_collect;

/* Not collective: what the settings alone say. Counts of the proposer need the capacity. */
int mim_collect_read_settings(mim_collect *c);
bool mim_collect_is_simulated(const mim_collect *c);
/* Not collective. The machine that plans are for: this one, or a simulated one. */
int mim_collect_find_machine(mim_collect *c);
/* Collective. Machine, calibration, fleet; what this kind of node measures (a trial run of idle
 * slots on every rank) and so the layout, the same on all ranks. MIM_EUSAGE: ranks on different
 * kinds of hosts. */
int mim_collect_prepare(mim_collect *c);
/* Collective. Hands out, measures, stores until all is done or a stop was asked for. */
int mim_collect_loop(mim_collect *c);
/* Collective. A barrier asleep, before collective calls that would spin. */
void mim_collect_wait(MPI_Comm comm);
/* Frees all but what it borrows. */
void mim_collect_clear(mim_collect *c);

#endif
