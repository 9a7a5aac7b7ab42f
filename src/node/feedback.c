#include "node/feedback.h"

#include <assert.h>
#include <math.h>

void mim_feedback_start(mim_feedback *feedback, double gain)
{
    assert(gain > 0.0 && gain <= 1.0);
    *feedback = (mim_feedback){.gain = gain};
}

void mim_feedback_take(mim_feedback *feedback, double utilisation, double own)
{
    if (!isfinite(utilisation) || !isfinite(own))
        return;
    double seen = fmin(fmax(utilisation - own, -MIM_FEEDBACK_MAX_UNSEEN), 1.0);
    feedback->others += feedback->gain * (seen - feedback->others);
}

double mim_feedback_share(const mim_feedback *feedback, double planned)
{
    if (!(planned > 0.0))
        return 0.0;
    return fmin(fmax(planned - feedback->others, 0.0), 1.0);
}
