/* Noise schedules of a diffusion and the three quantities a network can predict.
 *
 * x_t = sqrt(ah_t) x_0 + sqrt(1 - ah_t) eps, ah_t the product of alpha_0 .. alpha_t, alpha = 1 -
 * beta (Ho et al. 2020, eq. 4). Timestep 0 is the least noisy, n_steps - 1 the noisiest. */
#ifndef MIM_DIFFUSION_SCHEDULE_H
#define MIM_DIFFUSION_SCHEDULE_H

#include <stddef.h>

#include "core/error.h"

typedef enum {
    MIM_SCHEDULE_COSINE, /* Nichol and Dhariwal 2021, eq. 17, s = 0.008, beta <= 0.999 */
    MIM_SCHEDULE_LINEAR, /* Ho et al. 2020: 1e-4 to 0.02 at 1000 steps, scaled to n_steps */
    MIM_N_SCHEDULES
} mim_schedule_kind;

typedef enum {
    MIM_PREDICT_X0,
    MIM_PREDICT_V, /* sqrt(ah) eps - sqrt(1 - ah) x_0 (Salimans and Ho 2022) */
    MIM_PREDICT_EPS,
    MIM_N_PREDICTIONS
} mim_prediction;

enum { MIM_SCHEDULE_MAX_STEPS = 10000 };

/* All arrays: [n_steps], dimensionless. posterior: of x_{t-1} given x_t and x_0 (eqs. 6, 7). */
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

/* x_t of n values; may alias x0. t < n_steps. */
void mim_schedule_noise(const mim_schedule *schedule, size_t t, size_t n, const float *x0,
                        const float *eps, float *xt);
/* What the network shall predict for (x0, eps) at t; may alias either. */
void mim_schedule_target(const mim_schedule *schedule, mim_prediction prediction, size_t t,
                         size_t n, const float *x0, const float *eps, float *target);
/* The x_0 that a prediction means, clamped to [-1, 1]; may alias `predicted`. */
void mim_schedule_x0(const mim_schedule *schedule, mim_prediction prediction, size_t t, size_t n,
                     const float *xt, const float *predicted, float *x0);

const char *mim_schedule_name(mim_schedule_kind kind);      /* "cosine", "linear" */
const char *mim_prediction_name(mim_prediction prediction); /* "x0", "v", "eps" */
/* MIM_EDATA for another word. */
int mim_schedule_find(const char *name, mim_schedule_kind *kind);
int mim_prediction_find(const char *name, mim_prediction *prediction);

#endif
