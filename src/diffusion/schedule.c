#include "diffusion/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_ARRAYS = 11 };

static const char *const schedule_names[MIM_N_SCHEDULES] = {"cosine", "linear"};
static const char *const prediction_names[MIM_N_PREDICTIONS] = {"x0", "v", "eps"};

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

void mim_schedule_noise(const mim_schedule *s, size_t t, size_t n, const float *x0,
                        const float *eps, float *xt)
{
    const float a = (float)s->sqrt_alpha_hat[t], b = (float)s->sqrt_one_minus_alpha_hat[t];
    for (size_t i = 0; i < n; i++)
        xt[i] = a * x0[i] + b * eps[i];
}

void mim_schedule_target(const mim_schedule *s, mim_prediction prediction, size_t t, size_t n,
                         const float *x0, const float *eps, float *target)
{
    const float a = (float)s->sqrt_alpha_hat[t], b = (float)s->sqrt_one_minus_alpha_hat[t];
    for (size_t i = 0; i < n; i++)
        target[i] = prediction == MIM_PREDICT_X0  ? x0[i]
                    : prediction == MIM_PREDICT_V ? a * eps[i] - b * x0[i]
                                                  : eps[i];
}

void mim_schedule_x0(const mim_schedule *s, mim_prediction prediction, size_t t, size_t n,
                     const float *xt, const float *predicted, float *x0)
{
    double from_x = 0, from_y = 1;
    if (prediction == MIM_PREDICT_V) {
        from_x = s->sqrt_alpha_hat[t];
        from_y = -s->sqrt_one_minus_alpha_hat[t];
    } else if (prediction == MIM_PREDICT_EPS) {
        from_x = s->sqrt_recip_alpha_hat[t];
        from_y = -s->sqrt_recip_alpha_hat_m1[t];
    }
    for (size_t i = 0; i < n; i++) {
        const double value = from_x * (double)xt[i] + from_y * (double)predicted[i];
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
    return mim_fail(MIM_EDATA, "schedule: expected cosine or linear, found %s", name);
}

int mim_prediction_find(const char *name, mim_prediction *prediction)
{
    for (int i = 0; i < MIM_N_PREDICTIONS; i++) {
        if (strcmp(name, prediction_names[i]) == 0) {
            *prediction = (mim_prediction)i;
            return MIM_OK;
        }
    }
    return mim_fail(MIM_EDATA, "prediction: expected x0, v or eps, found %s", name);
}
