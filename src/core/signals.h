/* Stop requests. SIGUSR1, SIGTERM, SIGINT and SIGHUP mean: finish the step, save, end. A second
 * SIGTERM or SIGINT ends the process at once; SIGUSR1 and SIGHUP do not count, as Slurm sends
 * SIGUSR1 early and SIGTERM at the limit. A SIGHUP ignored by the parent (nohup) stays ignored. */
#ifndef MIM_CORE_SIGNALS_H
#define MIM_CORE_SIGNALS_H

#include "core/error.h"

/* From the main thread: handlers run there, on a stack of their own. */
int mim_signals_install(void);
int mim_signals_stop(void); /* the signal number that asked to stop, 0 if none */
/* Blocks these signals in the calling thread (workers: the main thread shall get them). */
void mim_signals_block(void);
void mim_signals_unblock(void);
/* With the signals blocked in all threads: sleeps up to timeout_s or until one comes, which is
 * taken out; its number, else 0. A second SIGTERM or SIGINT ends the process at once here, too.
 * mim_signals_stop tells of it only after mim_signals_ask_stop. */
int mim_signals_wait(double timeout_s);
/* As if SIGUSR1 had come; the signals are unblocked in the calling thread. */
void mim_signals_ask_stop(void);

#endif
