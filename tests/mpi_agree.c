/* mpi/agree: who failed first decides for all, on every rank. */
#include "tests/support/mpi_test.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "mpi/agree.h"

static int rank_of(MPI_Comm comm)
{
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    return rank;
}

static int size_of(MPI_Comm comm)
{
    int n = 0;
    MPI_Comm_size(comm, &n);
    return n;
}

static int all_well(MPI_Comm comm)
{
    mim_fail(MIM_EIO, "an old failure that was dealt with");
    mpi_check(comm, mim_agree(comm, MIM_OK) == MIM_OK);
    return 0;
}

/* Each rank in turn fails alone; its sentence is everyone's. */
static int one_fails(MPI_Comm comm)
{
    for (int who = 0; who < size_of(comm); who++) {
        char wanted[64];
        int local = MIM_OK;
        snprintf(wanted, sizeof wanted, "plan %d of rank %d is bad", who * 7, who);
        mim_fail(MIM_EIO, "an old failure");
        if (rank_of(comm) == who)
            local = mim_fail(MIM_EDATA, "%s", wanted);
        mpi_check(comm, mim_agree(comm, local) == MIM_EDATA);
        mpi_check(comm, strcmp(mim_error(), wanted) == 0);
    }
    return 0;
}

/* All fail, each with a code of its own: the lowest rank's counts, whatever the codes are. */
static int all_fail(MPI_Comm comm)
{
    const int rank = rank_of(comm);
    int local = mim_fail(rank == 0 ? MIM_EINVAL : MIM_EDATA, "from rank %d", rank);
    mpi_check(comm, mim_agree(comm, local) == MIM_EINVAL);
    mpi_check(comm, strcmp(mim_error(), "from rank 0") == 0);
    return 0;
}

/* A stop is no failure: the failure of a higher rank decides. */
static int stop_yields(MPI_Comm comm)
{
    const int rank = rank_of(comm), last = size_of(comm) - 1;
    int local = rank == last ? mim_fail(MIM_EIO, "full disk") : mim_fail(MIM_ESTOPPED, "stopped");
    mpi_check(comm, mim_agree(comm, local) == MIM_EIO);
    mpi_check(comm, strcmp(mim_error(), "full disk") == 0);
    local = rank == last ? mim_fail(MIM_ESTOPPED, "by rank %d", rank) : MIM_OK;
    mpi_check(comm, mim_agree(comm, local) == MIM_ESTOPPED);
    return 0;
}

static int percent_signs_stay(MPI_Comm comm)
{
    mpi_check(comm, mim_agree(comm, mim_fail(MIM_EIO, "%s", "100%s of %n")) == MIM_EIO);
    mpi_check(comm, strcmp(mim_error(), "100%s of %n") == 0);
    return 0;
}

static int texts_are_shared(MPI_Comm comm)
{
    for (int root = 0; root < size_of(comm); root++) {
        char *text = rank_of(comm) == root ? mim_format("text of %d", root) : NULL;
        char wanted[32];
        snprintf(wanted, sizeof wanted, "text of %d", root);
        mpi_check(comm, mim_share_text(comm, root, &text) == MIM_OK);
        mpi_check(comm, text && strcmp(text, wanted) == 0);
        free(text);
    }
    return 0;
}

/* The shares are in order, whole and level, also with fewer items than ranks. */
static int shares_cover(MPI_Comm comm)
{
    for (size_t n = 0; n < 20; n++) {
        size_t next = 0, least = n, most = 0;
        for (int rank = 0; rank < 7; rank++) {
            size_t first = 99, count = 99;
            mim_share_of(n, rank, 7, &first, &count);
            mpi_check(comm, first == next);
            next = first + count;
            least = count < least ? count : least;
            most = count > most ? count : most;
        }
        mpi_check(comm, next == n && most - least <= 1);
    }
    return 0;
}

/* Rank r has lines r to r + 2, then one that all have, and rank 1 nothing at all. */
static int lines_are_united(MPI_Comm comm)
{
    const int rank = rank_of(comm), n_ranks = size_of(comm);
    char text[64] = "", wanted[64] = "", *lines = NULL;
    if (rank != 1)
        snprintf(text, sizeof text, "%d\n%d\n%d\nshared", rank, rank + 1, rank + 2);
    mpi_check(comm, mim_union_lines(comm, text, &lines) == MIM_OK);
    static const char *const by_ranks[] = {"0\n1\n2\nshared\n", "0\n1\n2\nshared\n",
                                           "0\n1\n2\nshared\n3\n4\n", "0\n1\n2\nshared\n3\n4\n5\n"};
    snprintf(wanted, sizeof wanted, "%s", by_ranks[n_ranks - 1]);
    mpi_check(comm, strcmp(lines, wanted) == 0);
    free(lines);
    return 0;
}

int main(int argc, char **argv)
{
    static const mpi_test tests[] = {
        {"all_well", all_well},
        {"one_fails", one_fails},
        {"all_fail", all_fail},
        {"stop_yields", stop_yields},
        {"percent_signs_stay", percent_signs_stay},
        {"texts_are_shared", texts_are_shared},
        {"shares_cover", shares_cover},
        {"lines_are_united", lines_are_united},
    };
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
