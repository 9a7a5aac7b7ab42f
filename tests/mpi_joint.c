/* mpi/joint: work of all ranks begins at one instant, ends together, and fails together. */
#include "tests/support/mpi_test.h"

#include <stdbool.h>
#include <string.h>

#include "core/clock.h"
#include "core/signals.h"
#include "mpi/joint.h"

typedef enum { WELL, FAILS_BEFORE, FAILS_AT_START, FORGETS_START, FAILS_LATER } behaviour;

static const struct {
    int code;
    const char *sentence; /* behind "rank R " */
} ends[] = {
    [FAILS_BEFORE] = {MIM_EUNSUP, "knows no such stressor"},
    [FAILS_AT_START] = {MIM_EDATA, "got ready badly"},
    [FAILS_LATER] = {MIM_EIO, "lost its disk"},
};

static const double slot_s = 0.4;

typedef struct job {
    int rank;
    behaviour how;
    double work_s;
    int64_t start_ns, end_ns;
    bool was_started, was_stopped;
} job;

static int fail(const job *j)
{
    return mim_fail(ends[j->how].code, "rank %d %s", j->rank, ends[j->how].sentence);
}

static int after_start(job *j)
{
    const int64_t until_ns = j->start_ns + (int64_t)(j->work_s * 1e9);
    while (mim_clock_mono_ns() < until_ns && !mim_signals_stop())
        mim_clock_sleep_until(mim_clock_mono_ns() + 2000000);
    j->end_ns = mim_clock_mono_ns();
    j->was_stopped = mim_signals_stop() != 0;
    return j->how == FAILS_LATER ? fail(j) : MIM_OK;
}

static int work(void *context, mim_joint *joint)
{
    job *j = context;
    if (j->how == FAILS_BEFORE)
        return fail(j);
    if (j->how == FORGETS_START)
        return MIM_OK;
    int rc = j->how == FAILS_AT_START ? fail(j) : MIM_OK;
    rc = mim_joint_start(joint, rc, &j->start_ns);
    j->was_started = rc == MIM_OK;
    return rc == MIM_OK ? after_start(j) : rc;
}

static void set_up(MPI_Comm comm, job *j, int *n_ranks)
{
    *j = (job){.how = WELL, .work_s = 0.2};
    MPI_Comm_rank(comm, &j->rank);
    MPI_Comm_size(comm, n_ranks);
}

static const mim_joint_options options = {.lead_s = 0.05, .slot_s = slot_s};

static int all_begin_and_end(MPI_Comm comm)
{
    job j;
    int n_ranks = 0;
    mim_start start = {0};
    bool has_started = false;
    set_up(comm, &j, &n_ranks);
    j.work_s = 0.1 * (j.rank + 1); /* who is ready waits for the others */
    mpi_check(comm, mim_joint_run(comm, &options, work, &j, &start, &has_started) == MIM_OK);
    const int64_t over_ns = mim_clock_mono_ns();
    mpi_check(comm, has_started && j.was_started && !j.was_stopped);
    mpi_check(comm, j.start_ns == start.local_ns);
    mpi_check(comm, over_ns >= start.local_ns + n_ranks * (int64_t)100000000);
    return 0;
}

/* Rank `who` is not ready: its code and sentence are everyone's, and nobody's work goes on. */
static int not_ready(MPI_Comm comm, behaviour how, int who, int code, const char *sentence)
{
    job j;
    int n_ranks = 0;
    mim_start start = {0};
    bool has_started = true;
    set_up(comm, &j, &n_ranks);
    j.how = j.rank == who ? how : WELL;
    mpi_check(comm, mim_joint_run(comm, &options, work, &j, &start, &has_started) == code);
    mpi_check(comm, !has_started && !j.was_started);
    mpi_check(comm, strcmp(mim_error(), sentence) == 0);
    return 0;
}

static int nobody_starts(MPI_Comm comm)
{
    int n_ranks = 0, n_bad = 0;
    MPI_Comm_size(comm, &n_ranks);
    for (int who = 0; who < n_ranks; who++) {
        for (behaviour how = FAILS_BEFORE; how <= FAILS_AT_START; how++) {
            char sentence[64];
            snprintf(sentence, sizeof sentence, "rank %d %s", who, ends[how].sentence);
            n_bad += not_ready(comm, how, who, ends[how].code, sentence);
        }
        n_bad += not_ready(comm, FORGETS_START, who, MIM_EINVAL,
                           "the work ended before it asked for its start");
    }
    return n_bad;
}

/* The last test, as a stop is for good: the work of the last rank fails on its way. */
static int one_fails_and_all_stop(MPI_Comm comm)
{
    job j;
    int n_ranks = 0;
    mim_start start;
    bool has_started = false;
    set_up(comm, &j, &n_ranks);
    const bool is_last = j.rank == n_ranks - 1;
    j.how = is_last ? FAILS_LATER : WELL;
    j.work_s = is_last ? 0.1 : 30;
    const int rc = mim_joint_run(comm, &options, work, &j, &start, &has_started);
    mpi_check(comm, has_started);
    mpi_check(comm, rc == (is_last ? MIM_EIO : MIM_OK));
    mpi_check(comm, !is_last || strstr(mim_error(), "lost its disk"));
    mpi_check(comm, is_last || j.was_stopped);
    mpi_check(comm, is_last || mim_signals_stop() != 0);
    /* told of at 0.1 s or later: at an edge that all can have heard of, the second or a later one
     */
    const double after_s = (double)(j.end_ns - start.local_ns) * 1e-9;
    mpi_check(comm, is_last || after_s >= 2 * slot_s);
    mpi_check(comm, is_last || after_s < 25);
    return 0;
}

int main(int argc, char **argv)
{
    const mpi_test tests[] = {
        {"all begin at one instant and wait for the last", all_begin_and_end},
        {"one that is not ready ends all before the start", nobody_starts},
        {"one that fails later stops all at an edge", one_fails_and_all_stop},
    };
    if (mim_signals_install() != MIM_OK)
        return 1;
    mim_signals_block();
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
