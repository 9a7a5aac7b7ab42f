/* One instant for all ranks: how the clocks of their hosts differ, when all begin, and how well
 * that went.
 *
 * Instants are nanoseconds of a monotonic clock, which counts from another origin on every host.
 * Rank 0's clock is the common one. What another rank's clock shows more than rank 0's is found by
 * exchanges of messages: its reading was taken between rank 0's sending and receiving, so half of
 * the fastest round trip bounds the error, whatever way the messages took. Ranks are asked one
 * after the other, and all the others sleep meanwhile. */
#ifndef MIM_MPI_START_AGREEMENT_H
#define MIM_MPI_START_AGREEMENT_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* A rank's clock; tests give one that is wrong by a known amount. */
typedef struct mim_start_clock {
    int64_t (*now_ns)(void *context); /* NULL: mim_clock_mono_ns */
    void *context;
} mim_start_clock;

int64_t mim_start_now_ns(const mim_start_clock *clock);

typedef struct mim_clock_offset {
    int64_t at_ns;          /* when it was found, by rank 0's clock */
    int64_t offset_ns;      /* this rank's clock minus rank 0's */
    int64_t uncertainty_ns; /* the true one differs by at most so much; 0 on rank 0 */
} mim_clock_offset;

/* Collective. The best of n_exchanges (at least 1) with each rank. */
void mim_clock_offset_find(MPI_Comm comm, const mim_start_clock *clock, size_t n_exchanges,
                           mim_clock_offset *offset);

/* An instant of rank 0's clock by this rank's, as far as `offset` holds. */
int64_t mim_clock_offset_to_local(const mim_clock_offset *offset, int64_t root_ns);

typedef struct mim_start {
    int64_t root_ns;  /* the agreed instant by rank 0's clock */
    int64_t local_ns; /* the same by this rank's */
    int64_t ready_ns; /* when this rank was ready, by its own clock */
    mim_clock_offset before;
} mim_start;

/* Collective. Waits asleep until all ranks are here; `rc` is what came of this rank's set-up. When
 * any failed nobody starts: all return the code and sentence of the first that did (mpi/agree.h).
 * The instant is lead_s after all are here and their clocks are compared; longer when word of it
 * would come too late to some rank. MIM_EIO when that does not help. */
int mim_start_agree(MPI_Comm comm, const mim_start_clock *clock, int rc, double lead_s,
                    mim_start *start);

/* How a rank started; instants in seconds of rank 0's clock after the agreed one. */
typedef struct mim_start_row {
    double ready_s;           /* below 0; waited from then on */
    double first_s, last_s;   /* its first and its last thread began; NaN: did not begin */
    double offset_s;          /* its clock minus rank 0's, at the start */
    double uncertainty_s;     /* of the above */
    double drift;             /* seconds its clock gains on rank 0's in a second */
    double drift_uncertainty; /* the uncertainties over the time between the two looks */
} mim_start_row;

typedef struct mim_start_report {
    size_t n;             /* ranks */
    mim_start_row *rows;  /* [n] */
    double skew_s;        /* between the first threads of the first and of the last rank; NaN when
                           * not all began, as for the others */
    double skew_most_s;   /* the same if all clocks were wrong in the worst way */
    double spread_s;      /* from the first thread of the first rank to the last one of the last */
    double uncertainty_s; /* of the rank with the largest */
} mim_start_report;

/* Collective, after the run: compares the clocks once more, so that their drift is known, and tells
 * when every rank began. first_ns, last_ns: by this rank's clock; INT64_MIN: it did not begin. The
 * result, which mim_start_report_clear frees, is the same on all ranks, and agreed. */
int mim_start_measure(MPI_Comm comm, const mim_start_clock *clock, const mim_start *start,
                      int64_t first_ns, int64_t last_ns, mim_start_report *report);
void mim_start_report_clear(mim_start_report *report);

#endif
