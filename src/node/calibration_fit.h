/* Does a stored calibration speak of this machine, this scratch folder and this time? */
#ifndef MIM_NODE_CALIBRATION_FIT_H
#define MIM_NODE_CALIBRATION_FIT_H

#include "node/calibration.h"

/* What it is wanted for. */
typedef struct mim_calibration_use {
    const mim_machine *machine;
    mim_scratch *scratch;       /* NULL: no scratch files are used */
    const mim_actions *actions; /* fitted to the machine */
} mim_calibration_use;

/* It has every paced stressor of the list that can be run here (in `scratch`, NULL: not known). */
bool mim_calibration_is_missing(const mim_calibration *calibration, const mim_stressor *stressor,
                                mim_scratch *scratch);
bool mim_calibration_covers(const mim_calibration *calibration, const mim_actions *actions,
                            mim_scratch *scratch);

enum { MIM_DIFFERENCE_BYTES = 640 };
/* "kernel 6.1.0, this is 6.1.9": what it was measured with and what there is; false: nothing
 * differs. */
bool mim_calibration_differs(const mim_calibration *calibration, const mim_calibration_use *use,
                             char text[MIM_DIFFERENCE_BYTES]);
/* Days since it was measured; NaN when it does not tell, 0 when that lies ahead. */
double mim_calibration_age_days(const mim_calibration *calibration);

/* A stressor measured again. */
typedef struct mim_spot {
    char stressor[128];
    double stored_s, found_s; /* of an operation */
    double allowed;           /* |found / stored - 1|: the stored spread and 0.1 */
} mim_spot;

typedef enum {
    MIM_SPOT_HOLDS,
    MIM_SPOT_CHANGED,
    MIM_SPOT_UNKNOWN /* others disturbed it, or there is nothing to compare */
} mim_spot_verdict;

typedef struct mim_spot_check {
    mim_spot_verdict verdict;
    size_t n_spots; /* at most one stressor of the CPU and one of I/O */
    mim_spot spots[2];
    char text[MIM_DIFFERENCE_BYTES]; /* one line: what changed, or why it is not known */
} mim_spot_check;

/* Some 0.3 s, a second more when a scratch file has to be made, and the same again before anything
 * is called changed. Errors are those of the stressors. */
int mim_calibration_spot_check(const mim_calibration *calibration, const mim_calibration_use *use,
                               mim_spot_check *check);

/* Older than options->max_age_days, or older than options->check_after_h and a spot check finds it
 * changed: `text` says so. What cannot be told now is not stale; the log says that, too. */
int mim_calibration_is_stale(const mim_calibration *calibration, const mim_calibration_use *use,
                             const mim_calibrate_options *options, mim_log *log, bool *is_stale,
                             char text[MIM_DIFFERENCE_BYTES]);

#endif
