#include "diffusion/objective.h"

#include <math.h>

int mim_objective_check(const mim_objective_weights *w, mim_prediction prediction)
{
    const struct {
        const char *what;
        double value;
    } parts[] = {{"the gamma of min-SNR weights", w->snr_gamma},
                 {"weight of the variance", w->variance},
                 {"weight of row sums", w->row_sum},
                 {"weight of sparsity", w->sparsity}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!(parts[i].value >= 0 && isfinite(parts[i].value)))
            return mim_fail(MIM_EINVAL, "objective: %s: expected 0 or more, found %g",
                            parts[i].what, parts[i].value);
    if (w->snr_gamma > 0 && prediction == MIM_PREDICT_FLOW)
        return mim_fail(MIM_EINVAL, "objective: min-SNR weights are for predictions of x0, v and "
                                    "eps, not of flow");
    return MIM_OK;
}

/* What the network's answer is taken for. */
static mim_prediction quantity_of(const mim_objective *o)
{
    return o->output == MIM_OUTPUT_SIMPLEX ? MIM_PREDICT_X0 : o->prediction;
}

/* How much wronger the predicted quantity is than the x_0 it comes from, squared. */
static double enlargement(const mim_objective *o, size_t t)
{
    const double snr = mim_schedule_snr(o->schedule, t);
    const double u = o->schedule->sqrt_one_minus_alpha_hat[t];
    switch (o->prediction) {
    case MIM_PREDICT_EPS:
        return snr;
    case MIM_PREDICT_V:
        return snr + 1;
    case MIM_PREDICT_FLOW:
        return 1 / (u * u);
    default:
        return 1;
    }
}

double mim_objective_weight(const mim_objective *o, size_t t)
{
    double weight = o->output == MIM_OUTPUT_SIMPLEX ? enlargement(o, t) : 1;
    if (o->weights.snr_gamma > 0)
        weight *= fmin(mim_schedule_snr(o->schedule, t), o->weights.snr_gamma) / enlargement(o, t);
    return weight;
}

/* The share that a value of x_0, or a normalised metric, stands for. */
static double clamp(double value) { return fmin(1, fmax(0, 0.5 * (value + 1))); }

#include "nn/as_float.h"

#include "diffusion/objective_internal.h"

#include "nn/as_double.h"

#include "diffusion/objective_internal.h"
