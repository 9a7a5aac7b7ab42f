/* Writes one HDF5 file from all ranks collectively, reads it back on every rank and tells on how
 * many hosts the ranks were. For tests/slurm_testbed.sh. usage: slurm_hdf5 FILE */
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW = 1000 };

static int value(int rank, int column) { return rank * 7919 + column; }

static hid_t open_in_parallel(const char *path, unsigned flags)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
    hid_t file = flags == H5F_ACC_TRUNC ? H5Fcreate(path, flags, H5P_DEFAULT, access)
                                        : H5Fopen(path, flags, access);
    H5Pclose(access);
    return file;
}

/* Row `rank` of a table of size rows. */
static int write_row(const char *path, int rank, int size)
{
    const hsize_t shape[2] = {(hsize_t)size, ROW}, first[2] = {(hsize_t)rank, 0}, one[2] = {1, ROW};
    int row[ROW];
    for (int i = 0; i < ROW; i++)
        row[i] = value(rank, i);
    hid_t file = open_in_parallel(path, H5F_ACC_TRUNC);
    hid_t space = H5Screate_simple(2, shape, NULL), memory = H5Screate_simple(2, one, NULL);
    hid_t table =
        H5Dcreate2(file, "rows", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t transfer = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, one, NULL);
    int bad = H5Dwrite(table, H5T_NATIVE_INT, memory, space, transfer, row) < 0;
    H5Pclose(transfer);
    H5Dclose(table);
    H5Sclose(memory);
    H5Sclose(space);
    return bad | (H5Fclose(file) < 0);
}

static int check_rows(const char *path, int size)
{
    int *rows = calloc((size_t)size, ROW * sizeof *rows);
    hid_t file = open_in_parallel(path, H5F_ACC_RDONLY),
          table = H5Dopen2(file, "rows", H5P_DEFAULT);
    int bad = !rows || H5Dread(table, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0;
    for (int rank = 0; !bad && rank < size; rank++)
        for (int i = 0; i < ROW; i++)
            bad |= rows[rank * ROW + i] != value(rank, i);
    H5Dclose(table);
    H5Fclose(file);
    free(rows);
    return bad;
}

static int count_hosts(int size)
{
    char mine[MPI_MAX_PROCESSOR_NAME] = "";
    char(*names)[MPI_MAX_PROCESSOR_NAME] = calloc((size_t)size, sizeof *names);
    int length, n = 0;
    if (!names)
        return 0;
    MPI_Get_processor_name(mine, &length);
    MPI_Allgather(mine, sizeof mine, MPI_CHAR, names, sizeof mine, MPI_CHAR, MPI_COMM_WORLD);
    for (int i = 0; i < size; i++) {
        int is_new = 1;
        for (int j = 0; j < i; j++)
            is_new &= strcmp(names[i], names[j]) != 0;
        n += is_new;
    }
    free(names);
    return n;
}

int main(int argc, char **argv)
{
    int rank, size, bad, any_bad;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    bad = argc != 2 || write_row(argv[1], rank, size) || check_rows(argv[1], size);
    MPI_Allreduce(&bad, &any_bad, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    int n_hosts = count_hosts(size);
    if (rank == 0)
        printf("%s: %d ranks on %d hosts\n", any_bad ? "bad" : "good", size, n_hosts);
    MPI_Finalize();
    return any_bad;
}
