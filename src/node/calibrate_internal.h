/* Shared by calibrate.c (the list) and spot_check.c: measuring one stressor. */
#ifndef MIM_NODE_CALIBRATE_INTERNAL_H
#define MIM_NODE_CALIBRATE_INTERNAL_H

#include "node/calibration.h"
#include "node/quiet.h"
#include "node/steady.h"

typedef struct mim_measured {
    mim_steady steady;
    mim_quiet quiet; /* over all of it */
    double device_ratio,
        own_ratio; /* bytes of the device and of this process / asked for; or NaN */
} mim_measured;

/* One stressor alone on one CPU, until its repeats agree or the options' patience ends. MIM_EUNSUP:
 * this build has no kernel for it. */
int mim_calibrate_one(const mim_stressor *stressor, int cpu, mim_scratch *scratch,
                      const mim_calibrate_options *options, mim_measured *measured);

bool mim_calibrate_is_io(const mim_stressor *stressor);

#endif
