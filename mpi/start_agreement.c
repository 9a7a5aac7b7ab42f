#include "mpi/start_agreement.h"

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/clock.h"
#include "mpi/agree.h"
#include "mpi/asleep.h"

enum { TAG_TURN = 101, TAG_ASK = 102, TAG_READING = 103, TAG_FOUND = 104 };
/* Round trips vary by what else the hosts do; among so many some are undisturbed. */
enum { N_EXCHANGES = 64, MAX_TRIES = 6 };

int64_t mim_start_now_ns(const mim_start_clock *clock)
{
    return clock && clock->now_ns ? clock->now_ns(clock->context) : mim_clock_mono_ns();
}

/* ---- offsets of clocks ----------------------------------------------------------------------- */

/* Awake, for the sake of time, but leaving the CPU to the other rank where both are on one: else
 * the answer would come no sooner than the scheduler takes the CPU away. */
static void receive(MPI_Comm comm, void *bytes, int n, int rank, int tag)
{
    MPI_Request request;
    int is_there = 0;
    MPI_Irecv(bytes, n, MPI_BYTE, rank, tag, comm, &request);
    for (MPI_Test(&request, &is_there, MPI_STATUS_IGNORE); !is_there;
         MPI_Test(&request, &is_there, MPI_STATUS_IGNORE))
        sched_yield();
}

/* Rank 0's side; `rank` is in its own. */
static void ask(MPI_Comm comm, const mim_start_clock *clock, int rank, size_t n)
{
    mim_clock_offset best = {.uncertainty_ns = INT64_MAX};
    int64_t reading = 0;
    unsigned long long count = n;
    MPI_Send(&count, (int)sizeof count, MPI_BYTE, rank, TAG_TURN, comm);
    receive(comm, &reading, (int)sizeof reading, rank, TAG_READING); /* it is awake */
    for (size_t i = 0; i < n; i++) {
        const int64_t sent_ns = mim_start_now_ns(clock);
        MPI_Send(NULL, 0, MPI_BYTE, rank, TAG_ASK, comm);
        receive(comm, &reading, (int)sizeof reading, rank, TAG_READING);
        const int64_t round_ns = mim_start_now_ns(clock) - sent_ns;
        const int64_t half_ns = round_ns / 2;
        if (round_ns - half_ns >= best.uncertainty_ns)
            continue;
        best.at_ns = sent_ns + half_ns;
        best.offset_ns = reading - best.at_ns;
        best.uncertainty_ns = round_ns - half_ns;
    }
    MPI_Send(&best, (int)sizeof best, MPI_BYTE, rank, TAG_FOUND, comm);
}

static void answer(MPI_Comm comm, const mim_start_clock *clock, mim_clock_offset *found)
{
    unsigned long long n = 0;
    int64_t reading = 0;
    MPI_Status status;
    mim_probe_asleep(comm, 0, TAG_TURN, &status);
    receive(comm, &n, (int)sizeof n, 0, TAG_TURN);
    MPI_Send(&reading, (int)sizeof reading, MPI_BYTE, 0, TAG_READING, comm);
    for (; n > 0; n--) {
        receive(comm, NULL, 0, 0, TAG_ASK);
        reading = mim_start_now_ns(clock);
        MPI_Send(&reading, (int)sizeof reading, MPI_BYTE, 0, TAG_READING, comm);
    }
    receive(comm, found, (int)sizeof *found, 0, TAG_FOUND);
}

void mim_clock_offset_find(MPI_Comm comm, const mim_start_clock *clock, size_t n_exchanges,
                           mim_clock_offset *offset)
{
    int rank = 0, n_ranks = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    if (rank > 0)
        answer(comm, clock, offset);
    else
        *offset = (mim_clock_offset){.at_ns = mim_start_now_ns(clock)};
    for (int r = 1; rank == 0 && r < n_ranks; r++)
        ask(comm, clock, r, n_exchanges);
    mim_barrier_asleep(comm); /* who is done shall not spin beside those who are not */
}

int64_t mim_clock_offset_to_local(const mim_clock_offset *offset, int64_t root_ns)
{
    return root_ns + offset->offset_ns;
}

/* ---- the start ------------------------------------------------------------------------------- */

/* Rank 0 names an instant; false when some rank heard of it after half of the lead or later. */
static bool propose(MPI_Comm comm, const mim_start_clock *clock, int64_t lead_ns, mim_start *start)
{
    int64_t instant_ns = mim_start_now_ns(clock) + lead_ns;
    MPI_Bcast(&instant_ns, 1, MPI_INT64_T, 0, comm);
    start->root_ns = instant_ns;
    start->local_ns = mim_clock_offset_to_local(&start->before, instant_ns);
    int in_time = start->local_ns - mim_start_now_ns(clock) > lead_ns / 2;
    MPI_Allreduce(MPI_IN_PLACE, &in_time, 1, MPI_INT, MPI_LAND, comm);
    return in_time;
}

int mim_start_agree(MPI_Comm comm, const mim_start_clock *clock, int rc, double lead_s,
                    mim_start *start)
{
    mim_start made = {.ready_ns = mim_start_now_ns(clock)};
    int64_t lead_ns = (int64_t)(lead_s * 1e9);
    bool is_agreed = false;
    mim_barrier_asleep(comm);
    if ((rc = mim_agree(comm, rc)) != MIM_OK)
        return rc;
    mim_clock_offset_find(comm, clock, N_EXCHANGES, &made.before);
    for (int tries = 0; !is_agreed && tries < MAX_TRIES; tries++, lead_ns *= 2)
        is_agreed = propose(comm, clock, lead_ns, &made);
    if (!is_agreed) /* the same on all ranks */
        return mim_fail(MIM_EIO, "no common start: some rank hears of it more than %.3g s late",
                        (double)lead_ns * 0.25e-9);
    *start = made;
    return MIM_OK;
}

/* ---- what came of it ------------------------------------------------------------------------- */

/* Seconds after the agreed instant on rank 0's clock of an instant on this rank's, which gained
 * `drift` a second since the first look. Differences first: instants have too many digits. */
static double after_start_s(const mim_start *start, double drift, int64_t local_ns)
{
    const int64_t look_ns = mim_clock_offset_to_local(&start->before, start->before.at_ns);
    const double since_look_s = (double)(local_ns - look_ns) * 1e-9 / (1.0 + drift);
    return since_look_s - (double)(start->root_ns - start->before.at_ns) * 1e-9;
}

static mim_start_row make_row(const mim_start *start, const mim_clock_offset *after,
                              int64_t first_ns, int64_t last_ns)
{
    const mim_clock_offset *before = &start->before;
    const double apart_s = (double)(after->at_ns - before->at_ns) * 1e-9;
    const double until_start_s = (double)(start->root_ns - before->at_ns) * 1e-9;
    const double u0 = (double)before->uncertainty_ns * 1e-9;
    const double u1 = (double)after->uncertainty_ns * 1e-9;
    mim_start_row row = {.first_s = NAN, .last_s = NAN};
    double part = 0.0; /* of the way from the first look to the second; a line between both */
    if (apart_s > 0.0) {
        row.drift = (double)(after->offset_ns - before->offset_ns) * 1e-9 / apart_s;
        row.drift_uncertainty = (u0 + u1) / apart_s;
        part = fmin(until_start_s / apart_s, 1.0);
    }
    row.offset_s = (double)before->offset_ns * 1e-9 + row.drift * until_start_s;
    row.uncertainty_s = (1.0 - part) * u0 + part * u1;
    row.ready_s = after_start_s(start, row.drift, start->ready_ns);
    if (first_ns != INT64_MIN) {
        row.first_s = after_start_s(start, row.drift, first_ns);
        row.last_s = after_start_s(start, row.drift, last_ns);
    }
    return row;
}

static void add_up(mim_start_report *r)
{
    double first = INFINITY, last = -INFINITY, first_least = INFINITY, last_most = -INFINITY;
    double end = -INFINITY;
    bool all_began = true;
    for (size_t i = 0; i < r->n; i++) {
        const mim_start_row *row = &r->rows[i];
        all_began = all_began && !isnan(row->first_s);
        first = fmin(first, row->first_s);
        last = fmax(last, row->first_s);
        first_least = fmin(first_least, row->first_s - row->uncertainty_s);
        last_most = fmax(last_most, row->first_s + row->uncertainty_s);
        end = fmax(end, row->last_s);
        r->uncertainty_s = fmax(r->uncertainty_s, row->uncertainty_s);
    }
    r->skew_s = all_began ? last - first : NAN;
    r->skew_most_s = !all_began ? NAN : r->n > 1 ? last_most - first_least : 0.0;
    r->spread_s = all_began ? end - first : NAN;
}

int mim_start_measure(MPI_Comm comm, const mim_start_clock *clock, const mim_start *start,
                      int64_t first_ns, int64_t last_ns, mim_start_report *report)
{
    int n_ranks = 0;
    mim_clock_offset after;
    MPI_Comm_size(comm, &n_ranks);
    mim_start_report made = {.n = (size_t)n_ranks};
    made.rows = malloc(made.n * sizeof *made.rows);
    mim_barrier_asleep(comm);
    int rc = mim_agree(comm, made.rows ? MIM_OK : mim_fail(MIM_ENOMEM, "%d ranks", n_ranks));
    if (rc != MIM_OK) {
        free(made.rows);
        return rc;
    }
    mim_clock_offset_find(comm, clock, N_EXCHANGES, &after);
    const mim_start_row row = make_row(start, &after, first_ns, last_ns);
    MPI_Allgather(&row, (int)sizeof row, MPI_BYTE, made.rows, (int)sizeof row, MPI_BYTE, comm);
    add_up(&made);
    *report = made;
    return MIM_OK;
}

void mim_start_report_clear(mim_start_report *report)
{
    free(report->rows);
    *report = (mim_start_report){0};
}
