/* What the main of every MPI program does around its own work.
 *
 * --help, --version, --man, --completion and --print-config are answered by rank 0 alone, without
 * starting MPI. Otherwise MPI is started (MPI_THREAD_FUNNELED), every rank parses the same command
 * line and settings, and a rank that reads other ones than rank 0 is an error. Errors are printed
 * once, by rank 0; all ranks exit with the same documented status. */
#ifndef MIM_MPI_PROGRAM_MPI_H
#define MIM_MPI_PROGRAM_MPI_H

#include <mpi.h>

#include "core/args.h"
#include "core/log.h"

/* Collective. `run` is called on all ranks with a duplicate of MPI_COMM_WORLD and a log on stderr
 * that knows its rank; it returns MIM_OK or a code with its sentence. It must call mim_agree after
 * steps that can fail on one rank; what it returns is agreed once more. */
int mim_program_mpi_main(const mim_program *program, int argc, char **argv,
                         int (*run)(MPI_Comm comm, const mim_args *args, mim_log *log));

/* The same for a program whose --dry-run needs no other rank: rank 0 answers it with `dry_run`,
 * without starting MPI; the other ranks, if a launcher made any, end at once. */
int mim_program_mpi_main_dry(const mim_program *program, int argc, char **argv,
                             int (*run)(MPI_Comm comm, const mim_args *args, mim_log *log),
                             int (*dry_run)(const mim_args *args, mim_log *log));

#endif
