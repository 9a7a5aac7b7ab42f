/* mpi/gather_file: a file of every rank comes to rank 0, byte for byte, or none of it. */
#define _GNU_SOURCE /* memfd_create */
#include "tests/support/mpi_test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "mpi/gather_file.h"

enum { MIB = 1 << 20 };
static const size_t sizes[] = {0, 1, MIB, MIB + 1, 3 * MIB + 7, MIB - 1, 5, 2 * MIB};

static size_t size_of_rank(int rank, size_t shift)
{
    return sizes[((size_t)rank + shift) % (sizeof sizes / sizeof *sizes)];
}

static unsigned char byte_of(int rank, size_t i)
{
    return (unsigned char)(i * 131 + (size_t)rank * 7);
}

/* A file in memory of this rank's bytes, and some more that must not come along. */
static int make_fd(int rank, size_t n)
{
    static const char more[] = "more";
    const int fd = memfd_create("test", MFD_CLOEXEC);
    unsigned char *bytes = malloc(n + sizeof more);
    for (size_t i = 0; bytes && i < n; i++)
        bytes[i] = byte_of(rank, i);
    if (bytes)
        memcpy(bytes + n, more, sizeof more);
    const bool is_written =
        fd >= 0 && bytes && pwrite(fd, bytes, n + sizeof more, 0) == (ssize_t)(n + sizeof more);
    free(bytes);
    return is_written ? fd : -1;
}

static bool is_right(const char *path, int rank, size_t n)
{
    char *bytes = NULL;
    size_t n_bytes = 0;
    bool is_same = mim_read_file(path, (size_t)8 * MIB, &bytes, &n_bytes) == MIM_OK && n_bytes == n;
    for (size_t i = 0; is_same && i < n; i++)
        is_same = (unsigned char)bytes[i] == byte_of(rank, i);
    free(bytes);
    return is_same;
}

static void path_of(const char *folder, int rank, char path[96])
{
    snprintf(path, 96, "%s/rank-%d", folder, rank);
}

static char folder[64];

/* n_more: bytes promised beyond those that are there, by the last rank. */
static int gather(MPI_Comm comm, size_t shift, size_t n_more, int wanted)
{
    int rank = 0, n_ranks = 0, n_there = 0;
    char path[96];
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    const size_t n = size_of_rank(rank, shift);
    const int fd = make_fd(rank, n);
    mpi_check(comm, fd >= 0);
    path_of(folder, rank, path);
    const size_t n_told = rank == n_ranks - 1 ? n + n_more : n;
    mpi_check(comm, mim_gather_file(comm, fd, n_told, path) == wanted);
    close(fd);
    for (int r = 0; rank == 0 && r < n_ranks; r++) {
        path_of(folder, r, path);
        const bool is_bad = r == n_ranks - 1 && wanted != MIM_OK;
        n_there += is_bad ? access(path, F_OK) != 0 : is_right(path, r, size_of_rank(r, shift));
        unlink(path);
    }
    mpi_check(comm, rank > 0 || n_there == n_ranks);
    return 0;
}

static int files_of_all_sizes(MPI_Comm comm)
{
    for (size_t shift = 0; shift < sizeof sizes / sizeof *sizes; shift++)
        if (gather(comm, shift, 0, MIM_OK))
            return 1;
    return 0;
}

static int one_that_is_too_short(MPI_Comm comm)
{
    for (size_t shift = 0; shift < sizeof sizes / sizeof *sizes; shift++) {
        if (gather(comm, shift, 2 * MIB, MIM_EIO))
            return 1;
        mpi_check(comm, strstr(mim_error(), "cannot be read: it is too short") != NULL);
    }
    return 0;
}

static int nowhere_to_put_them(MPI_Comm comm)
{
    int rank = 0;
    char path[96];
    MPI_Comm_rank(comm, &rank);
    const int fd = make_fd(rank, 3 * MIB);
    mpi_check(comm, fd >= 0);
    path_of("/proc/no-such-folder", rank, path);
    mpi_check(comm, mim_gather_file(comm, fd, 3 * MIB, path) == MIM_EIO);
    mpi_check(comm, strstr(mim_error(), "/proc/no-such-folder/rank-0: ") == mim_error());
    close(fd);
    return 0;
}

static int make_folder(MPI_Comm comm)
{
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    strcpy(folder, "/tmp/mimesys-gather-XXXXXX");
    mpi_check(comm, rank > 0 || mkdtemp(folder) != NULL);
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, comm);
    return 0;
}

static int remove_folder(MPI_Comm comm)
{
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    mpi_check(comm, rank > 0 || rmdir(folder) == 0); /* nothing is left in it */
    return 0;
}

int main(int argc, char **argv)
{
    const mpi_test tests[] = {
        {"a folder", make_folder},
        {"files of all sizes", files_of_all_sizes},
        {"one that is too short does not come, the others do", one_that_is_too_short},
        {"nowhere to put them", nowhere_to_put_them},
        {"nothing else is left", remove_folder},
    };
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
