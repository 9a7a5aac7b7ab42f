#include "mpi/gather_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/fault.h"
#include "mpi/agree.h"
#include "mpi/asleep.h"

enum { TAG_TURN = 131, TAG_SIZE = 132, TAG_BYTES = 133 };
enum { BLOCK_BYTES = 1 << 20 };

/* n bytes at `offset`. */
static int read_block(int fd, uint64_t offset, size_t n, const char *path, char *block)
{
    int rc = mim_fault(path);
    for (size_t at = 0; rc == MIM_OK && at < n;) {
        const ssize_t got = pread(fd, block + at, n - at, (off_t)(offset + at));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            rc = mim_fail(MIM_EIO, "%s: what was gathered for it cannot be read: %s", path,
                          got < 0 ? strerror(errno) : "it is too short");
        else
            at += (size_t)got;
    }
    return rc;
}

static size_t block_at(uint64_t n_bytes, uint64_t at)
{
    return n_bytes - at < BLOCK_BYTES ? (size_t)(n_bytes - at) : BLOCK_BYTES;
}

/* When rank 0 asks. A block that cannot be read goes as an empty message, the last one. */
static int hand_over(MPI_Comm comm, int fd, uint64_t n_bytes, const char *path, char *block)
{
    MPI_Status status;
    int rc = MIM_OK;
    mim_probe_asleep(comm, 0, TAG_TURN, &status);
    MPI_Recv(NULL, 0, MPI_BYTE, 0, TAG_TURN, comm, MPI_STATUS_IGNORE);
    MPI_Send(&n_bytes, 1, MPI_UINT64_T, 0, TAG_SIZE, comm);
    for (uint64_t at = 0; rc == MIM_OK && at < n_bytes; at += BLOCK_BYTES) {
        const size_t n = block_at(n_bytes, at);
        rc = read_block(fd, at, n, path, block);
        MPI_Send(block, rc == MIM_OK ? (int)n : 0, MPI_BYTE, 0, TAG_BYTES, comm);
    }
    return rc;
}

static int put(mim_atomic_file *file, const char *path, const char *block, size_t n)
{
    if (fwrite(block, 1, n, mim_atomic_file_stream(file)) != n)
        return mim_fail(MIM_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return MIM_OK;
}

/* Another rank's file; its blocks are received whatever becomes of them, and that is all when
 * `path` is NULL. */
static int take_over(MPI_Comm comm, int rank, const char *path, char *block)
{
    mim_atomic_file *file = NULL;
    uint64_t n_bytes = 0;
    bool is_whole = true;
    int rc = path ? mim_atomic_file_open(path, &file) : MIM_OK;
    MPI_Send(NULL, 0, MPI_BYTE, rank, TAG_TURN, comm);
    MPI_Recv(&n_bytes, 1, MPI_UINT64_T, rank, TAG_SIZE, comm, MPI_STATUS_IGNORE);
    for (uint64_t at = 0; is_whole && at < n_bytes; at += BLOCK_BYTES) {
        const size_t n = block_at(n_bytes, at);
        MPI_Status status;
        int got = 0;
        MPI_Recv(block, (int)n, MPI_BYTE, rank, TAG_BYTES, comm, &status);
        MPI_Get_count(&status, MPI_BYTE, &got);
        is_whole = (size_t)got == n;
        if (file && rc == MIM_OK && is_whole)
            rc = put(file, path, block, n);
    }
    if (file && rc == MIM_OK && is_whole) /* else the other rank says why */
        rc = mim_atomic_file_commit(&file);
    mim_atomic_file_destroy(&file);
    return rc;
}

static int copy_own(int fd, uint64_t n_bytes, const char *path, char *block)
{
    mim_atomic_file *file = NULL;
    int rc = mim_atomic_file_open(path, &file);
    for (uint64_t at = 0; rc == MIM_OK && at < n_bytes; at += BLOCK_BYTES) {
        const size_t n = block_at(n_bytes, at);
        rc = read_block(fd, at, n, path, block);
        if (rc == MIM_OK)
            rc = put(file, path, block, n);
    }
    if (rc == MIM_OK)
        rc = mim_atomic_file_commit(&file);
    mim_atomic_file_destroy(&file);
    return rc;
}

int mim_gather_file(MPI_Comm comm, int fd, uint64_t n_bytes, const char *path)
{
    int rank = 0, n_ranks = 0;
    char **paths = NULL, *block = malloc(BLOCK_BYTES);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int rc = mim_agree(comm, block ? MIM_OK : mim_fail(MIM_ENOMEM, "a block of %s", path));
    if (rc == MIM_OK)
        rc = mim_gather_texts(comm, path, &paths);
    if (rc == MIM_OK && rank > 0)
        rc = hand_over(comm, fd, n_bytes, path, block);
    else if (rc == MIM_OK)
        rc = copy_own(fd, n_bytes, path, block);
    for (int r = 1; paths && r < n_ranks; r++) {
        const int took = take_over(comm, r, rc == MIM_OK ? paths[r] : NULL, block);
        rc = rc == MIM_OK ? took : rc; /* with the sentence of the first failure */
    }
    for (int r = 0; paths && r < n_ranks; r++)
        free(paths[r]);
    free(paths);
    free(block);
    return mim_agree(comm, rc);
}
