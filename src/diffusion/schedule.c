#include "diffusion/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_ARRAYS = 11 };

static const char *const schedule_names[MIM_N_SCHEDULES] = {"cosine", "linear", "flow"};
static const char *const prediction_names[MIM_N_PREDICTIONS] = {"x0", "v", "eps", "flow"};

static double cosine_level(size_t i, size_t n_steps)
{
    const double s = 0.008, half_pi = 1.57079632679489661923;
    const double c = cos(((double)i / (double)n_steps + s) / (1 + s) * half_pi);
    return c * c;
}

static double beta_at(mim_schedule_kind kind, size_t t, size_t n_steps)
{
    double beta;
    if (kind == MIM_SCHEDULE_COSINE) {
        beta = 1 - cosine_level(t + 1, n_steps) / cosine_level(t, n_steps);
    } else {
        const double scale = 1000.0 / (double)n_steps;
        const double share = n_steps > 1 ? (double)t / (double)(n_steps - 1) : 1;
        beta = scale * (1e-4 + share * (0.02 - 1e-4));
    }
    return fmin(0.999, fmax(0, beta));
}

static void fill_flow(mim_schedule *s)
{
    for (size_t t = 0; t < s->n_steps; t++) {
        const double u = (double)(t + 1) / (double)s->n_steps, signal = 1 - u;
        s->alpha_hat[t] = signal * signal;
        s->alpha_hat_prev[t] = t ? s->alpha_hat[t - 1] : 1;
        s->sqrt_alpha_hat[t] = signal;
        s->sqrt_one_minus_alpha_hat[t] = u;
        s->sqrt_recip_alpha_hat[t] = 1 / signal;
        s->sqrt_recip_alpha_hat_m1[t] = u / signal;
        s->beta[t] = s->posterior_mean_0[t] = s->posterior_mean_t[t] = NAN;
        s->posterior_variance[t] = s->posterior_log_variance[t] = NAN;
    }
}

static void fill(mim_schedule *s)
{
    double hat = 1;
    for (size_t t = 0; t < s->n_steps; t++) {
        const double beta = beta_at(s->kind, t, s->n_steps), before = hat;
        hat *= 1 - beta;
        s->beta[t] = beta;
        s->alpha_hat[t] = hat;
        s->alpha_hat_prev[t] = before;
        s->sqrt_alpha_hat[t] = sqrt(hat);
        s->sqrt_one_minus_alpha_hat[t] = sqrt(1 - hat);
        s->sqrt_recip_alpha_hat[t] = sqrt(1 / hat);
        s->sqrt_recip_alpha_hat_m1[t] = sqrt(1 / hat - 1);
        s->posterior_mean_0[t] = sqrt(before) * beta / (1 - hat);
        s->posterior_mean_t[t] = sqrt(1 - beta) * (1 - before) / (1 - hat);
        s->posterior_variance[t] = (1 - before) / (1 - hat) * beta;
        s->posterior_log_variance[t] = log(fmax(s->posterior_variance[t], 1e-20));
    }
    s->posterior_mean_0[0] = 1; /* without the rounding of 1 - hat against beta */
}

int mim_schedule_create(mim_schedule_kind kind, size_t n_steps, mim_schedule **schedule)
{
    if (n_steps < 1 || n_steps > MIM_SCHEDULE_MAX_STEPS || (unsigned)kind >= MIM_N_SCHEDULES)
        return mim_fail(MIM_EINVAL, "schedule: expected 1 to %d timesteps, found %zu",
                        MIM_SCHEDULE_MAX_STEPS, n_steps);
    mim_schedule *made = calloc(1, sizeof *made);
    double *values = calloc(N_ARRAYS * n_steps, sizeof *values);
    if (!made || !values) {
        free(made);
        free(values);
        return mim_fail(MIM_ENOMEM, "schedule of %zu timesteps", n_steps);
    }
    made->kind = kind;
    made->n_steps = n_steps;
    double **const arrays[N_ARRAYS] = {&made->beta,
                                       &made->alpha_hat,
                                       &made->alpha_hat_prev,
                                       &made->sqrt_alpha_hat,
                                       &made->sqrt_one_minus_alpha_hat,
                                       &made->sqrt_recip_alpha_hat,
                                       &made->sqrt_recip_alpha_hat_m1,
                                       &made->posterior_mean_0,
                                       &made->posterior_mean_t,
                                       &made->posterior_variance,
                                       &made->posterior_log_variance};
    for (size_t i = 0; i < N_ARRAYS; i++)
        *arrays[i] = values + i * n_steps;
    if (kind == MIM_SCHEDULE_FLOW)
        fill_flow(made);
    else
        fill(made);
    *schedule = made;
    return MIM_OK;
}

void mim_schedule_destroy(mim_schedule **schedule)
{
    if (!*schedule)
        return;
    free((*schedule)->beta);
    free(*schedule);
    *schedule = NULL;
}

bool mim_schedule_fits(mim_schedule_kind kind, mim_prediction prediction)
{
    return (kind == MIM_SCHEDULE_FLOW) == (prediction == MIM_PREDICT_FLOW);
}

double mim_schedule_snr(const mim_schedule *s, size_t t)
{
    const double ratio = s->sqrt_alpha_hat[t] / s->sqrt_one_minus_alpha_hat[t];
    return ratio * ratio;
}

void mim_schedule_noise(const mim_schedule *s, size_t t, size_t n, const float *x0,
                        const float *eps, float *xt)
{
    const float a = (float)s->sqrt_alpha_hat[t], b = (float)s->sqrt_one_minus_alpha_hat[t];
    for (size_t i = 0; i < n; i++)
        xt[i] = a * x0[i] + b * eps[i];
}

mim_target_formula mim_schedule_target_formula(const mim_schedule *s, mim_prediction prediction,
                                               size_t t)
{
    switch (prediction) {
    case MIM_PREDICT_X0:
        return (mim_target_formula){1, 0};
    case MIM_PREDICT_V:
        return (mim_target_formula){-s->sqrt_one_minus_alpha_hat[t], s->sqrt_alpha_hat[t]};
    case MIM_PREDICT_FLOW:
        return (mim_target_formula){-1, 1};
    default:
        return (mim_target_formula){0, 1};
    }
}

void mim_schedule_target(const mim_schedule *s, mim_prediction prediction, size_t t, size_t n,
                         const float *x0, const float *eps, float *target)
{
    const mim_target_formula f = mim_schedule_target_formula(s, prediction, t);
    const float a = (float)f.from_0, b = (float)f.from_eps;
    for (size_t i = 0; i < n; i++)
        target[i] = a * x0[i] + b * eps[i];
}

mim_x0_formula mim_schedule_x0_formula(const mim_schedule *s, mim_prediction prediction, size_t t)
{
    switch (prediction) {
    case MIM_PREDICT_V:
        return (mim_x0_formula){s->sqrt_alpha_hat[t], -s->sqrt_one_minus_alpha_hat[t]};
    case MIM_PREDICT_EPS:
        return (mim_x0_formula){s->sqrt_recip_alpha_hat[t], -s->sqrt_recip_alpha_hat_m1[t]};
    case MIM_PREDICT_FLOW:
        return (mim_x0_formula){1, -s->sqrt_one_minus_alpha_hat[t]};
    default:
        return (mim_x0_formula){0, 1};
    }
}

void mim_schedule_x0(const mim_schedule *s, mim_prediction prediction, size_t t, size_t n,
                     const float *xt, const float *predicted, float *x0)
{
    const mim_x0_formula f = mim_schedule_x0_formula(s, prediction, t);
    for (size_t i = 0; i < n; i++) {
        const double value = f.from_x * (double)xt[i] + f.from_y * (double)predicted[i];
        x0[i] = (float)fmin(1, fmax(-1, value));
    }
}

const char *mim_schedule_name(mim_schedule_kind kind) { return schedule_names[kind]; }

const char *mim_prediction_name(mim_prediction prediction) { return prediction_names[prediction]; }

int mim_schedule_find(const char *name, mim_schedule_kind *kind)
{
    for (int i = 0; i < MIM_N_SCHEDULES; i++) {
        if (strcmp(name, schedule_names[i]) == 0) {
            *kind = (mim_schedule_kind)i;
            return MIM_OK;
        }
    }
    return mim_fail(MIM_EDATA, "schedule: expected cosine, linear or flow, found %s", name);
}

int mim_prediction_find(const char *name, mim_prediction *prediction)
{
    for (int i = 0; i < MIM_N_PREDICTIONS; i++) {
        if (strcmp(name, prediction_names[i]) == 0) {
            *prediction = (mim_prediction)i;
            return MIM_OK;
        }
    }
    return mim_fail(MIM_EDATA, "prediction: expected x0, v, eps or flow, found %s", name);
}
