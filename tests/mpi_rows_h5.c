/* mpi/rows_h5: the rows of all ranks come into one file, in their order, whether ranks see each
 * other's files or not. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "tests/support/mpi_test.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"
#include "mpi/rows_h5.h"

enum { N_COLUMNS = 3, WIDE = 70000 };

static const mim_column columns[N_COLUMNS] = {
    {"number", MIM_H5_U32, 1, {0, 0, 0}, "", "row", "a number a row"},
    {"pair", MIM_H5_F64, 3, {0, 2, 1}, "s", "row a b", "two a row"},
    {"wide", MIM_H5_F64, 2, {0, WIDE}, "", "row c", "more than a block holds of 10 rows"},
};

/* Row i of rank r, as it must be in the file. */
static uint32_t number_of(int rank, size_t i) { return (uint32_t)(1000 * rank) + (uint32_t)i; }
static size_t n_rows_of(int rank, bool is_empty)
{
    static const size_t n[] = {3, 0, 23, 1};
    return is_empty ? 0 : n[rank % 4];
}

typedef struct table {
    size_t n;
    uint32_t *number;
    double *pair, *wide;
    void *buffers[N_COLUMNS];
} table;

static bool make_table(int rank, bool is_empty, table *t)
{
    const size_t n = n_rows_of(rank, is_empty);
    *t = (table){.n = n,
                 .number = calloc(n + 1, sizeof *t->number),
                 .pair = calloc(n + 1, 2 * sizeof *t->pair),
                 .wide = calloc(n + 1, WIDE * sizeof *t->wide)};
    if (!t->number || !t->pair || !t->wide)
        return false;
    for (size_t i = 0; i < n; i++) {
        t->number[i] = number_of(rank, i);
        t->pair[2 * i] = t->number[i] + 0.25;
        t->pair[2 * i + 1] = t->number[i] + 0.5;
        for (size_t k = 0; k < WIDE; k++)
            t->wide[i * WIDE + k] = t->number[i] + (double)k;
    }
    t->buffers[0] = t->number;
    t->buffers[1] = t->pair;
    t->buffers[2] = t->wide;
    return true;
}

static void free_table(table *t)
{
    free(t->number);
    free(t->pair);
    free(t->wide);
}

static int make_file(void *context, const char *part, size_t total_rows)
{
    mim_h5 *file = NULL;
    if (*(const bool *)context)
        return mim_fail(MIM_EUNSUP, "no such form");
    int rc = mim_h5_create_in_place(part, "test_rows", 1, "", &file);
    if (rc == MIM_OK)
        rc = mim_table_reserve(file, N_COLUMNS, columns, total_rows);
    if (rc == MIM_OK)
        rc = mim_h5_commit(&file);
    mim_h5_destroy(&file);
    return rc;
}

/* A folder that all ranks know, below it one of each rank's own, where it is then. */
static char folder[64];
static int enter_folder(MPI_Comm comm)
{
    int rank = 0, is_there = 1;
    MPI_Comm_rank(comm, &rank);
    strcpy(folder, "/tmp/mimesys-rows-XXXXXX");
    if (rank == 0)
        is_there = mkdtemp(folder) != NULL;
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, comm);
    char own[96];
    snprintf(own, sizeof own, "%s/%d", folder, rank);
    mpi_check(comm, is_there);
    mpi_check(comm, mkdir(own, 0700) == 0 && chdir(own) == 0);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

static int leave_folder(MPI_Comm comm)
{
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    const int rc = chdir("/");
    MPI_Barrier(comm);
    return rank == 0 ? rc + nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) : rc;
}

static bool is_row(uint32_t wanted, uint64_t number, const double *pair, const double *wide)
{
    const double value = wanted;
    return number == wanted && pair[0] == value + 0.25 && pair[1] == value + 0.5 &&
           wide[17] == value + 17.0 && wide[WIDE - 1] == value + WIDE - 1.0;
}

/* On rank 0: every row of every rank is there, in order. */
static bool is_whole(const char *path, int n_ranks, bool is_empty)
{
    mim_h5 *file = NULL;
    size_t shape[MIM_H5_MAX_RANK] = {0}, at = 0;
    uint64_t *numbers = NULL;
    double *pairs = NULL, *wides = NULL;
    bool is_right = mim_h5_open(path, &file) == MIM_OK &&
                    mim_h5_get_count(file, "number", 1, 1000, shape, &numbers) == MIM_OK &&
                    mim_h5_get_real(file, "pair", 3, 1000, shape, &pairs) == MIM_OK &&
                    mim_h5_get_real(file, "wide", 2, 100 * WIDE, shape, &wides) == MIM_OK;
    for (int r = 0; is_right && r < n_ranks; r++)
        for (size_t i = 0; is_right && i < n_rows_of(r, is_empty); i++, at++)
            is_right = is_row(number_of(r, i), numbers[at], pairs + 2 * at, wides + at * WIDE);
    is_right = is_right && shape[0] == at;
    free(numbers);
    free(pairs);
    free(wides);
    mim_h5_destroy(&file);
    return is_right;
}

/* One folder for all, or of the same name on each rank but not the same. */
static int write_and_look(MPI_Comm comm, bool is_shared, bool is_empty)
{
    int rank = 0, n_ranks = 0;
    table t;
    bool is_refused = false;
    char path[96];
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    if (enter_folder(comm))
        return 1;
    mpi_check(comm, make_table(rank, is_empty, &t));
    snprintf(path, sizeof path, is_shared ? "%s/rows.h5" : "rows.h5", folder);
    const mim_rows_h5 rows = {N_COLUMNS, columns, t.n, t.buffers};
    double write_s = -1;
    mpi_check(comm,
              mim_rows_h5_write(comm, path, &rows, make_file, &is_refused, &write_s) == MIM_OK);
    mpi_check(comm, rank > 0 || is_whole(path, n_ranks, is_empty));
    mpi_check(comm, write_s >= 0);
    mpi_check(comm, is_shared || rank == 0 || access(path, F_OK) != 0);
    /* a refusal leaves the old file and nothing beside it */
    is_refused = true;
    mpi_check(comm,
              mim_rows_h5_write(comm, path, &rows, make_file, &is_refused, NULL) == MIM_EUNSUP);
    mpi_check(comm, strcmp(mim_error(), "no such form") == 0);
    mpi_check(comm, rank > 0 || is_whole(path, n_ranks, is_empty));
    free_table(&t);
    mpi_check(comm, leave_folder(comm) == 0); /* fails when anything else lies there */
    return 0;
}

static int shared(MPI_Comm comm) { return write_and_look(comm, true, false); }
static int not_shared(MPI_Comm comm) { return write_and_look(comm, false, false); }
static int no_rows(MPI_Comm comm) { return write_and_look(comm, true, true); }
static int no_rows_not_shared(MPI_Comm comm) { return write_and_look(comm, false, true); }

static int rows_too_large(MPI_Comm comm)
{
    const mim_column large = {"large", MIM_H5_F64, 2, {0, (size_t)1 << 28}, "", "row c", ""};
    void *none[1] = {NULL};
    const mim_rows_h5 rows = {1, &large, 0, none};
    mpi_check(comm, mim_rows_h5_fill(comm, "nowhere", &rows) == MIM_EINVAL);
    mpi_check(comm, strstr(mim_error(), "a row of large") != NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const mpi_test tests[] = {
        {"rows of all ranks, in a folder that all see", shared},
        {"rows of all ranks, in a folder that rank 0 alone sees", not_shared},
        {"no row at all", no_rows},
        {"no row at all, in a folder that rank 0 alone sees", no_rows_not_shared},
        {"rows that no message holds are refused", rows_too_large},
    };
    return mpi_test_main(argc, argv, sizeof tests / sizeof *tests, tests);
}
