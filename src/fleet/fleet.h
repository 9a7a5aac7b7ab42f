/* Where plans run: one interface, one const descriptor a kind of place.
 *
 * A task is a plan with an id; its result is keyed by that id. Submit tasks, poll for the next
 * result that is ready, close. Whatever happens to a task (a crash, a deadline, a kill from
 * outside) costs this task only: its result tells, the fleet goes on.
 * One thread uses a fleet. Its processes end with the one that opened it, whatever ends that. */
#ifndef MIM_FLEET_FLEET_H
#define MIM_FLEET_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/log.h"
#include "node/calibration.h"
#include "node/limits.h"
#include "node/machine.h"
#include "node/simulated.h"
#include "plan/plan.h"
#include "trace/series.h"

typedef struct mim_fleet_task {
    uint64_t id;
    const mim_plan *plan; /* borrowed until submit returns */
    double slot_s;        /* >= 0.01 */
    size_t n_iters;       /* passes over the plan's windows, >= 1 */
    uint64_t seed;        /* of buffer contents and offsets */
} mim_fleet_task;

typedef enum {
    MIM_FLEET_DONE,     /* ran to its end */
    MIM_FLEET_REFUSED,  /* a ceiling of the node or an input that cannot be run; again: the same */
    MIM_FLEET_FAILED,   /* ended early, or with failed, unverified or refused operations */
    MIM_FLEET_STOPPED,  /* a stop was asked for before it began */
    MIM_FLEET_CRASHED,  /* its process died by a signal */
    MIM_FLEET_TIMED_OUT /* did not end in time and was killed */
} mim_fleet_status;

typedef struct mim_fleet_result {
    uint64_t task_id;
    mim_fleet_status status;
    char *error; /* sentence; NULL when done */
    char *note;  /* what the executor warned of; NULL if nothing */
    char host[128];
    /* The rest only when done. */
    /* [n_stats_bytes] and a 0 byte; records at every slot edge. NULL from a simulated node, which
     * gives the series alone. */
    char *stats_text;
    size_t n_stats_bytes;
    mim_series *series; /* of that text, a slot per window and pass: slot = pass * n_windows + w */
    bool *is_accepted;  /* [series->n_slots] undisturbed slots (trace/accept.h) */
    /* Shares that were given instead of planned, [n_slots][n_threads][n_stressors]. */
    size_t n_slots, n_threads, n_stressors;
    double *given_share;
    double written_bytes; /* by the stressors and for their files */
    double wall_s;        /* from the host's lock to the end */
} mim_fleet_result;

void mim_fleet_result_destroy(mim_fleet_result **result);
const char *mim_fleet_status_name(mim_fleet_status status); /* "done", "timed out", ... */
mim_fleet_status mim_fleet_status_of(int rc); /* of a task that ended with this code */

typedef struct mim_fleet_options {
    const mim_machine *machine;         /* these three: kept (borrowed) until close */
    const mim_calibration *calibration; /* NULL: only plans without paced stressors */
    mim_log *log;
    mim_limits limits;          /* of one task; a task beyond them is refused */
    const char *scratch_folder; /* copied */
    mim_io_mode io_mode;
    const char *host_lock; /* copied; NULL: the one of all programs of this user */
    /* A task may take the time of its slots, half of it more, and this; it is killed then. Waiting
     * for the host does not count. */
    double grace_s;
    mim_simulated_options simulated; /* of kind simulated, which needs nothing else of these */
} mim_fleet_options;

typedef struct mim_fleet mim_fleet;

typedef struct mim_fleet_kind {
    const char *name;
    const char *help;
    int (*open)(const mim_fleet_options *options, void **state);
    /* MIM_OK: accepted, exactly one result will follow. */
    int (*submit)(void *state, const mim_fleet_task *task);
    int (*poll)(void *state, mim_fleet_result **result);
    void (*close)(void *state);
} mim_fleet_kind;

extern const mim_fleet_kind mim_fleet_local;     /* processes on this node, one running at a time */
extern const mim_fleet_kind mim_fleet_simulated; /* a simulated node: nothing runs, any number at
                                                    a time, results in order of submission */

const mim_fleet_kind *mim_fleet_find(const char *name); /* NULL if there is none */

int mim_fleet_open(const mim_fleet_kind *kind, const mim_fleet_options *options, mim_fleet **fleet);
/* Copies what it needs of the task. MIM_EINVAL: a slot or number of passes out of range, or a plan
 * that begins idle and goes on (mim_plan_keep_idle_start mends that). */
int mim_fleet_submit(mim_fleet *fleet, const mim_fleet_task *task);
size_t mim_fleet_n_pending(const mim_fleet *fleet); /* submitted, result not handed out yet */
/* The next result that is ready; `*result` is NULL when none is within timeout_s. Waits asleep, so
 * that it does not disturb what is measured. The caller destroys the result. */
int mim_fleet_poll(mim_fleet *fleet, double timeout_s, mim_fleet_result **result);
void mim_fleet_close(mim_fleet **fleet); /* ends what still runs; its results are lost */

#endif
