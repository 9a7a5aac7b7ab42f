/* What the main of every program does around its own work: parse, --help and friends, print the
 * error sentence, turn codes into the documented exit status. */
#ifndef MIM_CMD_PROGRAM_MAIN_H
#define MIM_CMD_PROGRAM_MAIN_H

#include "core/args.h"
#include "core/log.h"

/* --log-level; `level` is left as it is without it. MIM_EUSAGE. */
int mim_program_log_level(const mim_args *args, mim_log_level *level);

/* With a standard stream closed, the first file opened would get its number, and what is printed
 * would go into that file. These stand-ins fail when they are used. */
void mim_program_fill_streams(void);

/* `run` gets parsed arguments and a log on stderr, and returns MIM_OK or a code with its sentence.
 */
int mim_program_main(const mim_program *program, int argc, char **argv,
                     int (*run)(const mim_args *args, mim_log *log));

#endif
