#include "mpi/program_mpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hdf5.h>

#include "cmd/program_main.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/signals.h"
#include "core/text.h"
#include "mpi/agree.h"

/* The rank a launcher gave this process, before MPI runs; 0 without a launcher. */
static long launched_rank(void)
{
    static const char *const names[] = {"PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK",
                                        "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return strtol(getenv(names[i]), NULL, 10);
    return 0;
}

/* Started by Slurm, ranks of Open MPI 4.1 and 5.0 may leave MPI_Init while another is still in it,
 * cannot receive yet, and crashes at the first message (open-mpi/ompi issue 12495): seen in 2 of
 * 125 starts of 4 nodes on a loaded machine. So nobody sends at once. */
static void let_all_arrive(void)
{
    static const int64_t rest_ns = 200000000;
    int n_ranks = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    if (n_ranks > 1 && getenv("SLURM_PROCID"))
        mim_clock_sleep_until(mim_clock_mono_ns() + rest_ns);
}

static bool has_flag(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], flag) == 0)
            return true;
    return false;
}

/* One of the questions that are answered without MPI is among the flags. */
static bool asks(int argc, char **argv)
{
    static const char *const flags[] = {"-h",    "--help",       "--version",
                                        "--man", "--completion", "--print-config"};
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
        if (has_flag(argc, argv, flags[k]))
            return true;
    return false;
}

/* Ranks of one job that were told different things would go different ways. */
static int check_same(MPI_Comm comm, int argc, char **argv, const mim_args *args)
{
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    char *ini = mim_config_text_ini(mim_args_config(args));
    int rc = mim_agree(comm, ini ? MIM_OK : mim_fail(MIM_ENOMEM, "configuration text"));
    if (rc != MIM_OK) {
        free(ini);
        return rc;
    }
    unsigned long long hash = mim_hash_text(MIM_HASH_START, ini, strlen(ini)), first;
    for (int i = 1; i < argc; i++)
        hash = mim_hash_text(hash, argv[i], strlen(argv[i]) + 1);
    free(ini);
    first = hash;
    MPI_Bcast(&first, 1, MPI_UNSIGNED_LONG_LONG, 0, comm);
    if (hash != first)
        rc = mim_fail(MIM_EUSAGE, "rank %d has other arguments or settings than rank 0", rank);
    return mim_agree(comm, rc);
}

/* `begun`: what came of the steps before MPI ran. */
static int run_agreed(const mim_program *program, int argc, char **argv, MPI_Comm comm, int begun,
                      int (*run)(MPI_Comm comm, const mim_args *args, mim_log *log))
{
    int rank = 0, n_ranks = 0;
    mim_args *args = NULL;
    mim_log *log = NULL;
    mim_log_level level = MIM_LOG_INFO;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    int rc = begun;
    if (rc == MIM_OK)
        rc = mim_args_create(program, argc, argv, &args);
    if (rc == MIM_OK)
        rc = mim_program_log_level(args, &level);
    if (rc == MIM_OK)
        rc = mim_fault_start((uint32_t)rank);
    if (rc == MIM_OK)
        rc = mim_log_create(stderr, level, rank, n_ranks, &log);
    rc = mim_agree(comm, rc);
    if (rc == MIM_OK)
        rc = check_same(comm, argc, argv, args);
    if (rc == MIM_OK)
        rc = mim_agree(comm, run(comm, args, log));
    if (rc == MIM_OK && rank == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = mim_fail(MIM_EIO, "standard output: cannot be written: %s", strerror(errno));
    rc = mim_agree(comm, rc);
    if (rc != MIM_OK && rank == 0)
        fprintf(stderr, "%s: %s\n", program->name, mim_error());
    mim_log_destroy(&log);
    mim_args_destroy(&args);
    return rc;
}

/* A file that the HDF5 library could not close, as on a full disk, stays open within it, and it
 * crashes when MPI_Finalize() has it close all. Where any rank has one, all end without; what they
 * had to say is said. Collective. */
static void leave_if_files_are_open(MPI_Comm comm, int rc)
{
    int has_open = H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) > 0;
    MPI_Allreduce(MPI_IN_PLACE, &has_open, 1, MPI_INT, MPI_MAX, comm);
    if (!has_open)
        return;
    fflush(NULL);
    MPI_Barrier(comm);
    _exit(mim_exit_status(rc));
}

int mim_program_mpi_main(const mim_program *program, int argc, char **argv,
                         int (*run)(MPI_Comm comm, const mim_args *args, mim_log *log))
{
    return mim_program_mpi_main_dry(program, argc, argv, run, NULL);
}

int mim_program_mpi_main_dry(const mim_program *program, int argc, char **argv,
                             int (*run)(MPI_Comm comm, const mim_args *args, mim_log *log),
                             int (*dry_run)(const mim_args *args, mim_log *log))
{
    mim_program_fill_streams();
    if (asks(argc, argv) || (dry_run && has_flag(argc, argv, "--dry-run")))
        return launched_rank() == 0 ? mim_program_main(program, argc, argv, dry_run) : 0;
    int provided = 0;
    MPI_Comm comm;
    /* First: starting takes a while, and Slurm's early signal may come at once when a job's time
     * limit is short. */
    const int begun = mim_signals_install();
    mim_signals_block(); /* for MPI's own threads: handlers run in this one */
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    mim_signals_unblock();
    let_all_arrive();
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    int rc = run_agreed(program, argc, argv, comm, begun, run);
    if (rc != MIM_OK)
        leave_if_files_are_open(comm, rc);
    MPI_Comm_free(&comm);
    MPI_Finalize();
    return mim_exit_status(rc);
}
