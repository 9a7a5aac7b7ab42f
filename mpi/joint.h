/* Work that all ranks begin at one instant and end together: a plan, a trace of I/O, a network job.
 *
 * The work has a thread of its own; the rank's main thread speaks for it with the others, asleep
 * but for a look every 100 ms. A signal to stop that comes to any rank ends the work on all ranks
 * at the same edge of its slots, and so does work that fails. A rank that dies is the launcher's to
 * notice, which then ends the job. */
#ifndef MIM_MPI_JOINT_H
#define MIM_MPI_JOINT_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "mpi/start_agreement.h"

typedef struct mim_joint_options {
    mim_start_clock clock; /* the one that the work goes by */
    double lead_s;         /* as in mim_start_agree */
    double slot_s;         /* a stop takes place at the end of a slot, slots counted from the start,
                            * but not later than 10 s; 0: as soon as all know of it */
} mim_joint_options;

typedef struct mim_joint mim_joint;

/* Collective, from the main thread, with core/signals.h installed and its signals blocked in MPI's
 * own threads. `work` runs in a new thread with the signals blocked. It calls mim_joint_start once,
 * ends when mim_signals_stop says so, and returns MIM_OK or a code with its sentence.
 * The code of the start's agreement is returned when nobody started (also when work ended before it
 * asked for the start, MIM_EINVAL if it was well), the same on all ranks; then *has_started is
 * false. Else this rank's own code of the work, to be agreed by the caller after saving what is
 * there; mim_signals_stop tells whether there was a stop, the same on all ranks whose work had not
 * ended by then. */
int mim_joint_run(MPI_Comm comm, const mim_joint_options *options,
                  int (*work)(void *context, mim_joint *joint), void *context, mim_start *start,
                  bool *has_started);

/* From the work's thread, when it is ready, or with what went wrong: waits for all ranks; gives the
 * agreed instant by this rank's clock. `joint` is the mim_joint: fits the executor's agree_start.
 */
int mim_joint_start(void *joint, int rc, int64_t *start_ns);

#endif
