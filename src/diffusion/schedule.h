/* Noise schedules and the quantities a network can predict.
 *
 * Of a diffusion: x_t = sqrt(ah_t) x_0 + sqrt(1 - ah_t) eps, ah_t the product of alpha_0 ..
 * alpha_t, alpha = 1 - beta (Ho et al. 2020, eq. 4). Of a rectified flow (Liu et al. 2023; Lipman
 * et al. 2023): x_t = (1 - u) x_0 + u eps, u = (t + 1) / n_steps, so that the noisiest is noise
 * alone. Timestep 0 is the least noisy, n_steps - 1 the noisiest. */
#ifndef MIM_DIFFUSION_SCHEDULE_H
#define MIM_DIFFUSION_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

typedef enum {
    MIM_SCHEDULE_COSINE, /* Nichol and Dhariwal 2021, eq. 17, s = 0.008, beta <= 0.999 */
    MIM_SCHEDULE_LINEAR, /* Ho et al. 2020: 1e-4 to 0.02 at 1000 steps, scaled to n_steps */
    MIM_SCHEDULE_FLOW,   /* the straight path, with MIM_PREDICT_FLOW and no other */
    MIM_N_SCHEDULES
} mim_schedule_kind;

typedef enum {
    MIM_PREDICT_X0,
    MIM_PREDICT_V, /* sqrt(ah) eps - sqrt(1 - ah) x_0 (Salimans and Ho 2022) */
    MIM_PREDICT_EPS,
    MIM_PREDICT_FLOW, /* eps - x_0, the velocity of the straight path */
    MIM_N_PREDICTIONS
} mim_prediction;

enum { MIM_SCHEDULE_MAX_STEPS = 10000 };

/* All arrays: [n_steps], dimensionless. posterior: of x_{t-1} given x_t and x_0 (eqs. 6, 7). Of a
 * flow sqrt_alpha_hat is 1 - u, sqrt_one_minus_alpha_hat u and alpha_hat (1 - u)^2; the sqrt_recip
 * ones are infinite at the noisiest, and beta and posterior, which it has not, NaN. */
typedef struct mim_schedule {
    size_t n_steps;
    mim_schedule_kind kind;
    double *beta, *alpha_hat, *alpha_hat_prev;
    double *sqrt_alpha_hat, *sqrt_one_minus_alpha_hat;
    double *sqrt_recip_alpha_hat, *sqrt_recip_alpha_hat_m1; /* sqrt(1/ah), sqrt(1/ah - 1) */
    double *posterior_mean_0, *posterior_mean_t;            /* factors of x_0 and of x_t */
    double *posterior_variance, *posterior_log_variance;    /* the log clipped at log(1e-20) */
} mim_schedule;

/* n_steps: 1 to MIM_SCHEDULE_MAX_STEPS, else MIM_EINVAL. */
int mim_schedule_create(mim_schedule_kind kind, size_t n_steps, mim_schedule **schedule);
void mim_schedule_destroy(mim_schedule **schedule);
/* Whether they go together. */
bool mim_schedule_fits(mim_schedule_kind kind, mim_prediction prediction);
/* Signal to noise at t: the square of the factor of x_0 over that of eps. */
double mim_schedule_snr(const mim_schedule *schedule, size_t t);

/* x_t of n values; may alias x0. t < n_steps. */
void mim_schedule_noise(const mim_schedule *schedule, size_t t, size_t n, const float *x0,
                        const float *eps, float *xt);
/* What the network shall predict for (x0, eps) at t; may alias either. */
void mim_schedule_target(const mim_schedule *schedule, mim_prediction prediction, size_t t,
                         size_t n, const float *x0, const float *eps, float *target);
/* What is predicted = from_0 x_0 + from_eps eps. */
typedef struct mim_target_formula {
    double from_0, from_eps;
} mim_target_formula;
mim_target_formula mim_schedule_target_formula(const mim_schedule *schedule,
                                               mim_prediction prediction, size_t t);
/* x_0 = from_x x_t + from_y y for what is predicted, y. */
typedef struct mim_x0_formula {
    double from_x, from_y;
} mim_x0_formula;
mim_x0_formula mim_schedule_x0_formula(const mim_schedule *schedule, mim_prediction prediction,
                                       size_t t);
/* The x_0 that a prediction means, clamped to [-1, 1]; may alias `predicted`. */
void mim_schedule_x0(const mim_schedule *schedule, mim_prediction prediction, size_t t, size_t n,
                     const float *xt, const float *predicted, float *x0);

const char *mim_schedule_name(mim_schedule_kind kind);      /* "cosine", "linear", "flow" */
const char *mim_prediction_name(mim_prediction prediction); /* "x0", "v", "eps", "flow" */
/* MIM_EDATA for another word. */
int mim_schedule_find(const char *name, mim_schedule_kind *kind);
int mim_prediction_find(const char *name, mim_prediction *prediction);

#endif
