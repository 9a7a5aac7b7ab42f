/* mpi/start_agreement: clocks that are wrong by known amounts are found out, all ranks start at one
 * true instant, and what is reported of the start is what happened. All ranks of these tests share
 * one true clock, so bounds hold however busy the machine is. */
#include "tests/support/mpi_test.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "mpi/start_agreement.h"

/* Shows the true time plus `offset_ns`, and gains `drift` seconds a second since `origin_ns`. */
typedef struct wrong_clock {
    int64_t origin_ns, offset_ns;
    double drift;
    int64_t leap_ns; /* with every look */
} wrong_clock;

static const int64_t second_ns = 1000000000;
static const double slack_s = 5e-6; /* of a drift within one exchange */

static int64_t wrong_of(const wrong_clock *w, int64_t true_ns)
{
    return true_ns + w->offset_ns + (int64_t)((double)(true_ns - w->origin_ns) * w->drift);
}

static int64_t look(void *context)
{
    wrong_clock *w = context;
    w->offset_ns += w->leap_ns;
    return wrong_of(w, mim_clock_mono_ns());
}

/* When such a clock shows `shown_ns`, in true seconds since the origin. */
static double true_since_s(const wrong_clock *w, int64_t shown_ns)
{
    return (double)(shown_ns - w->offset_ns - w->origin_ns) * 1e-9 / (1.0 + w->drift);
}

static int rank_of(MPI_Comm comm)
{
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    return rank;
}

/* The same origin on all ranks, and what rank 0's clock is like. */
static void share(MPI_Comm comm, wrong_clock *own, wrong_clock *root)
{
    own->origin_ns = mim_clock_mono_ns();
    MPI_Bcast(&own->origin_ns, 1, MPI_INT64_T, 0, comm);
    *root = *own;
    MPI_Bcast(root, (int)sizeof *root, MPI_BYTE, 0, comm);
}

static const struct {
    double offset_s; /* of rank r: (r + 1) times that */
    double drift;
} wrongs[] = {{0, 0}, {3, 0}, {-3, 0}, {1e8, 0}, {0.0004, 0}, {3, 2e-4}, {-3, -2e-4}, {-5, 1e-4}};

static wrong_clock make_wrong(size_t i, int rank)
{
    return (wrong_clock){.offset_ns = (int64_t)(wrongs[i].offset_s * (rank + 1) * 1e9),
                         .drift = wrongs[i].drift * (rank + 1)};
}

static int offsets_are_found(MPI_Comm comm)
{
    const int rank = rank_of(comm);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        wrong_clock own = make_wrong(i, rank), root;
        mim_clock_offset found = {0, 0, -1};
        share(comm, &own, &root);
        mim_clock_offset_find(comm, &(mim_start_clock){look, &own}, 20, &found);
        const double at_s = true_since_s(&root, found.at_ns);
        const int64_t at_ns = own.origin_ns + (int64_t)(at_s * 1e9);
        const double error_s =
            (double)(found.offset_ns + found.at_ns - wrong_of(&own, at_ns)) * 1e-9;
        mpi_check(comm, fabs(error_s) <= (double)found.uncertainty_ns * 1e-9 + slack_s);
        mpi_check(comm, rank == 0 ? found.uncertainty_ns == 0 : found.uncertainty_ns > 0);
        mpi_check(comm, found.uncertainty_ns < second_ns);
        mpi_check(comm,
                  mim_clock_offset_to_local(&found, found.at_ns) == found.at_ns + found.offset_ns);
    }
    return 0;
}

/* Rank 0's clock takes 2 ms to tell the time it read: the messages' way to the others is the longer
 * one, and the true offset is at the bound of what can be told. */
static int64_t slow_look(void *context)
{
    const int64_t now_ns = look(context);
    mim_clock_sleep_until(mim_clock_mono_ns() + 2000000);
    return now_ns;
}

static int delays_of_one_way(MPI_Comm comm)
{
    const int rank = rank_of(comm);
    wrong_clock own = make_wrong(1, rank), root;
    mim_clock_offset found = {0, 0, 0};
    share(comm, &own, &root);
    mim_clock_offset_find(comm, &(mim_start_clock){rank == 0 ? slow_look : look, &own}, 5, &found);
    const int64_t true_ns = own.offset_ns - root.offset_ns;
    const double error_s = (double)(found.offset_ns - true_ns) * 1e-9;
    mpi_check(comm, fabs(error_s) <= (double)found.uncertainty_ns * 1e-9 + 1e-9);
    mpi_check(comm, rank == 0 || found.uncertainty_ns >= 1000000);
    return 0;
}

static int all_start_at_one_instant(MPI_Comm comm)
{
    const int rank = rank_of(comm);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        wrong_clock own = make_wrong(i, rank), root;
        mim_start start = {0};
        share(comm, &own, &root);
        mpi_check(comm, mim_start_agree(comm, &(mim_start_clock){look, &own}, MIM_OK, 0.05,
                                        &start) == MIM_OK);
        int64_t root_ns = start.root_ns;
        MPI_Bcast(&root_ns, 1, MPI_INT64_T, 0, comm);
        mpi_check(comm, start.root_ns == root_ns);
        mpi_check(comm, start.ready_ns < start.local_ns);
        const double off_s = true_since_s(&own, start.local_ns) - true_since_s(&root, root_ns);
        /* between the look at the clocks and the start they drift apart by what 0.001 bounds */
        mpi_check(comm, fabs(off_s) < 0.001 + (double)start.before.uncertainty_ns * 1e-9);
    }
    return 0;
}

/* Ranks "begin" a known time after the start each; what is told is that, and the drift. */
static int the_report_is_true(MPI_Comm comm)
{
    const int rank = rank_of(comm);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        wrong_clock own = make_wrong(i, rank), root;
        mim_start_clock clock = {look, &own};
        mim_start start = {0};
        mim_start_report report;
        share(comm, &own, &root);
        mpi_check(comm, mim_start_agree(comm, &clock, MIM_OK, 0.05, &start) == MIM_OK);
        const double agreed_s = true_since_s(&root, start.root_ns);
        const double first_s = 0.002 * rank, last_s = first_s + 0.01;
        mim_clock_sleep_until(mim_clock_mono_ns() + second_ns / 4);
        const int64_t first_ns = own.origin_ns + (int64_t)((agreed_s + first_s) * 1e9);
        const int64_t last_ns = own.origin_ns + (int64_t)((agreed_s + last_s) * 1e9);
        mpi_check(comm, mim_start_measure(comm, &clock, &start, wrong_of(&own, first_ns),
                                          wrong_of(&own, last_ns), &report) == MIM_OK);
        const mim_start_row *row = &report.rows[rank];
        const double bound_s = row->uncertainty_s + slack_s, rate = 1.0 + root.drift;
        const double drift = (1.0 + own.drift) / rate - 1.0;
        double all_s = first_s;
        MPI_Allreduce(MPI_IN_PLACE, &all_s, 1, MPI_DOUBLE, MPI_MAX, comm);
        mpi_check(comm, fabs(row->first_s - first_s * rate) <= bound_s);
        mpi_check(comm, fabs(row->last_s - last_s * rate) <= bound_s);
        mpi_check(comm, row->ready_s < 0.0);
        mpi_check(comm, fabs(row->drift - drift) <= row->drift_uncertainty + 2e-5);
        mpi_check(comm, fabs(report.skew_s - all_s * rate) <= 2 * report.uncertainty_s + slack_s);
        mpi_check(comm, report.skew_most_s >= all_s * rate - slack_s);
        mpi_check(comm, report.spread_s >= report.skew_s + 0.009);
        mpi_check(comm, report.uncertainty_s >= row->uncertainty_s);
        mim_start_report_clear(&report);
        mpi_check(comm, report.rows == NULL);
    }
    return 0;
}

static int one_fails_and_nobody_starts(MPI_Comm comm)
{
    int n_ranks = 0;
    MPI_Comm_size(comm, &n_ranks);
    for (int who = 0; who < n_ranks; who++) {
        char wanted[64];
        mim_start start = {.root_ns = -1};
        snprintf(wanted, sizeof wanted, "rank %d has no disk", who);
        mim_fail(MIM_EIO, "an old failure");
        const int rc = rank_of(comm) == who ? mim_fail(MIM_EUNSUP, "%s", wanted) : MIM_OK;
        mpi_check(comm, mim_start_agree(comm, NULL, rc, 0.05, &start) == MIM_EUNSUP);
        mpi_check(comm, strcmp(mim_error(), wanted) == 0);
        mpi_check(comm, start.root_ns == -1);
    }
    return 0;
}

static int one_did_not_begin(MPI_Comm comm)
{
    const int rank = rank_of(comm);
    mim_start start;
    mim_start_report report;
    int n_ranks = 0;
    MPI_Comm_size(comm, &n_ranks);
    mpi_check(comm, mim_start_agree(comm, NULL, MIM_OK, 0.05, &start) == MIM_OK);
    const int64_t began_ns = rank == n_ranks - 1 ? INT64_MIN : start.local_ns;
    mpi_check(comm, mim_start_measure(comm, NULL, &start, began_ns, began_ns, &report) == MIM_OK);
    for (int r = 0; r < n_ranks; r++)
        mpi_check(comm, (bool)isnan(report.rows[r].first_s) == (r == n_ranks - 1));
    mpi_check(comm, isnan(report.skew_s) && isnan(report.skew_most_s) && isnan(report.spread_s));
    mim_start_report_clear(&report);
    return 0;
}

/* Rank 0's clock is ahead of any instant it names. */
static int word_that_comes_too_late(MPI_Comm comm)
{
    wrong_clock leaping = {.leap_ns = rank_of(comm) == 0 ? 1000 * second_ns : 0};
    mim_start start = {.root_ns = -1};
    mpi_check(comm, mim_start_agree(comm, &(mim_start_clock){look, &leaping}, MIM_OK, 0.01,
                                    &start) == MIM_EIO);
    mpi_check(comm, strstr(mim_error(), "no common start") && start.root_ns == -1);
    return 0;
}

/* The others' CPU time while rank 0 keeps them waiting. */
static int waiting_is_sleeping(MPI_Comm comm)
{
    mim_start start;
    const int64_t before_ns = mim_clock_process_cpu_ns();
    if (rank_of(comm) == 0)
        mim_clock_sleep_until(mim_clock_mono_ns() + 2 * second_ns);
    mpi_check(comm, mim_start_agree(comm, NULL, MIM_OK, 0.01, &start) == MIM_OK);
    const int64_t used_ns = mim_clock_process_cpu_ns() - before_ns;
    mpi_check(comm, used_ns < second_ns / 5);
    return 0;
}

int main(int argc, char **argv)
{
    const mpi_test tests[] = {
        {"clocks' offsets are found within their uncertainty", offsets_are_found},
        {"delays of one way stay within the uncertainty", delays_of_one_way},
        {"all ranks start at one true instant", all_start_at_one_instant},
        {"start and drift are reported as they were", the_report_is_true},
        {"one that fails in set-up ends all", one_fails_and_nobody_starts},
        {"a rank that did not begin leaves the skew open", one_did_not_begin},
        {"word that comes too late is an error", word_that_comes_too_late},
        {"waiting for others is sleeping", waiting_is_sleeping},
    };
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
