/* mpi/hosts and mpi/replay_map: who shares a host, with which CPUs, and which plan it replays. */
#include "tests/support/mpi_test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/hosts.h"
#include "mpi/replay_map.h"

static void place(MPI_Comm comm, int *rank, int *n_ranks)
{
    MPI_Comm_rank(comm, rank);
    MPI_Comm_size(comm, n_ranks);
}

static int all_alone(MPI_Comm comm)
{
    int rank = 0, n_ranks = 0;
    char name[16];
    mim_hosts hosts;
    place(comm, &rank, &n_ranks);
    snprintf(name, sizeof name, "n%d\n", rank);
    mpi_check(comm, mim_hosts_create(comm, name, &hosts) == MIM_OK);
    mpi_check(comm, hosts.n_here == 1 && hosts.index == 0 && hosts.n_ranks == n_ranks);
    for (int r = 0; r < n_ranks; r++) {
        snprintf(name, sizeof name, "n%d?", r);
        mpi_check(comm, strcmp(hosts.names[r], name) == 0);
    }
    mpi_check(comm, mim_hosts_check_alone(&hosts) == MIM_OK);
    mim_hosts_clear(&hosts);
    return 0;
}

/* Even ranks are on one host, odd ranks on another. */
static int two_hosts(MPI_Comm comm)
{
    int rank = 0, n_ranks = 0;
    mim_hosts hosts;
    place(comm, &rank, &n_ranks);
    mpi_check(comm, mim_hosts_create(comm, rank % 2 ? "odd" : "even", &hosts) == MIM_OK);
    mpi_check(comm, hosts.index == (size_t)rank / 2);
    mpi_check(comm, hosts.n_here == (size_t)(n_ranks + 1 - rank % 2) / 2);
    if (n_ranks < 3)
        mpi_check(comm, mim_hosts_check_alone(&hosts) == MIM_OK);
    else
        mpi_check(comm, mim_hosts_check_alone(&hosts) == MIM_EUSAGE &&
                            strstr(mim_error(), "two ranks are on host even"));
    mim_hosts_clear(&hosts);
    return 0;
}

/* Shares of one machine: all of it, nothing twice, unless there are fewer CPUs than ranks. */
static int cpus_are_shared_out(MPI_Comm comm)
{
    int rank = 0, n_ranks = 0, n_cpus = 0;
    mim_hosts hosts;
    mim_machine *all = NULL, *mine = NULL;
    place(comm, &rank, &n_ranks);
    mim_hosts_leave_core();
    mpi_check(comm, mim_machine_create(0, &all) == MIM_OK);
    mpi_check(comm, mim_hosts_create(comm, "one", &hosts) == MIM_OK);
    mpi_check(comm, mim_hosts_machine(&hosts, 0, &mine) == MIM_OK);
    int *used = calloc(all->n_cpus, sizeof *used);
    mpi_check(comm, used != NULL);
    for (size_t i = 0; i < mine->n_cpus; i++)
        for (size_t k = 0; k < all->n_cpus; k++)
            used[k] += all->cpus[k].os_index == mine->cpus[i].os_index;
    n_cpus = (int)mine->n_cpus;
    MPI_Allreduce(MPI_IN_PLACE, used, (int)all->n_cpus, MPI_INT, MPI_SUM, comm);
    MPI_Allreduce(MPI_IN_PLACE, &n_cpus, 1, MPI_INT, MPI_SUM, comm);
    int least = used[0], most = used[0];
    for (size_t k = 1; k < all->n_cpus; k++) {
        least = used[k] < least ? used[k] : least;
        most = used[k] > most ? used[k] : most;
    }
    mpi_check(comm, n_cpus == ((size_t)n_ranks > all->n_cpus ? n_ranks : (int)all->n_cpus));
    mpi_check(comm, most - least <= 1 && least >= 1);
    mpi_check(comm, mine->memory_available_bytes <= mine->memory_bytes / (size_t)n_ranks);
    free(used);
    mim_machine_destroy(&mine);
    mpi_check(comm, mim_hosts_machine(&hosts, 1, &mine) == MIM_OK && mine->n_cpus == 1);
    mim_machine_destroy(&mine);
    mim_machine_destroy(&all);
    mim_hosts_clear(&hosts);
    return 0;
}

/* ---- maps; every rank does the same, for 4 invented ranks ------------------------------------ */

static char names[4][MIM_HOST_BYTES] = {"n1", "n2.cluster", "n2.cluster", "7up"};
static const mim_hosts invented = {.n_ranks = 4, .names = names};

static int maps_are_read(MPI_Comm comm)
{
    static const struct {
        const char *text, *plans[4];
        size_t lines[4];
    } cases[] = {
        {"0 a.h5\n1 b.h5\n2 c.h5\n3 d.h5\n", {"a.h5", "b.h5", "c.h5", "d.h5"}, {1, 2, 3, 4}},
        {"3 d\n2 c\n1 b\n0 a", {"a", "b", "c", "d"}, {4, 3, 2, 1}},
        {"n1 a\nn2 b\n7up c\n", {"a", "b", "b", "c"}, {1, 2, 2, 3}},
        {"n1 a\n2 c\nn2.cluster b\n7up d\nn99 x\n", {"a", "b", "c", "d"}, {1, 3, 2, 4}},
        {"# all\n\n \t\nn1\ta b.h5 \r\n  n2   b\n7up c # d\n",
         {"a b.h5", "b", "b", "c # d"},
         {4, 5, 5, 6}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_replay_map *map = NULL;
        mpi_check(comm, mim_replay_map_create("m", cases[i].text, &map) == MIM_OK);
        for (int r = 0; r < 4; r++) {
            size_t entry = SIZE_MAX;
            mpi_check(comm, mim_replay_map_choose(map, &invented, r, &entry) == MIM_OK);
            mpi_check(comm, strcmp(mim_replay_map_plan(map, entry), cases[i].plans[r]) == 0);
            mpi_check(comm, mim_replay_map_line(map, entry) == cases[i].lines[r]);
        }
        mim_replay_map_destroy(&map);
        mpi_check(comm, map == NULL);
    }
    return 0;
}

static int bad_maps_are_refused(MPI_Comm comm)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "m: expected lines \"RANK-OR-HOST PLAN\", found none"},
        {"# nothing\n\n", "m: expected lines"},
        {"0 a\nn1\n", "m:2: expected a rank or host and its plan, found \"n1\""},
        {"0 a\n1 b \n  2  \n", "m:3: expected a rank or host and its plan, found \"2\""},
        {"0 a\n1 b\n0 c\n", "m:3: 0 has a plan in line 1 already"},
        {"n1 a\n\nn1 a\n", "m:3: n1 has a plan in line 1 already"},
        {"0 a\n1 b\n2 c\n3 d\n4 e\n", "m:5: there is no rank 4 among 4"},
        {"99999999999999999999 a\n", "m:1: no job has a rank 99999999999999999999"},
        {"0 a\n00 a\n", "m:2: no job has a rank 00"},
        {"n1 a\n7up b\nn2.clust c\n", "m: no plan for rank 1 on host n2.cluster"},
        {"n1 a\n1 b\n3 c\n", "m: no plan for rank 2 on host n2.cluster"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mim_replay_map *map = NULL;
        size_t entry = SIZE_MAX;
        int rc = mim_replay_map_create("m", cases[i].text, &map);
        if (rc == MIM_OK)
            rc = mim_replay_map_choose(map, &invented, 0, &entry);
        mpi_check(comm, rc == MIM_EUSAGE && entry == SIZE_MAX);
        mpi_check(comm, strncmp(mim_error(), cases[i].part, strlen(cases[i].part)) == 0);
        mim_replay_map_destroy(&map);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const mpi_test tests[] = {
        {"a host a rank", all_alone},
        {"two hosts", two_hosts},
        {"CPUs and memory are shared out among the ranks of a host", cpus_are_shared_out},
        {"maps are read", maps_are_read},
        {"bad maps are refused with line and reason", bad_maps_are_refused},
    };
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
