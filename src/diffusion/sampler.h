/* From noise to weights: solvers of the reverse process, guidance, and the map to a plan's rows. */
#ifndef MIM_DIFFUSION_SAMPLER_H
#define MIM_DIFFUSION_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "diffusion/schedule.h"

typedef enum {
    MIM_SOLVER_DDPM,  /* ancestral sampling over every timestep (Ho et al. 2020, algorithm 2) */
    MIM_SOLVER_DDIM,  /* deterministic, eta = 0 (Song et al. 2021, eq. 12) */
    MIM_SOLVER_DPMPP, /* DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) */
    MIM_SOLVER_EULER, /* dx / du = velocity, first order; of flows */
    MIM_SOLVER_HEUN,  /* the same, second order: two network calls a step, one in the last */
    MIM_N_SOLVERS
} mim_solver;

typedef struct mim_sampling {
    mim_solver solver;
    size_t n_steps; /* not of DDPM, which visits all; at most the schedule's steps */
    uint64_t seed;
} mim_sampling;

/* The network at timestep t for n_samples states x, each of n_values; fills predicted. */
typedef int (*mim_predict)(void *context, size_t t, const float *x, float *predicted);

/* x: [n_samples][n_values], filled with x_0 in [-1, 1]. Sample i starts from the noise of id
 * ids[i], whatever is sampled beside it. MIM_EINVAL: steps out of range, DDPM of a flow, or a
 * flow's solver of anything else. */
int mim_diffusion_solve(const mim_schedule *schedule, mim_prediction prediction,
                        const mim_sampling *sampling, size_t n_samples, size_t n_values,
                        const uint64_t *ids, mim_predict predict, void *context, float *x);

/* Classifier-free guidance: unconditional + w (conditional - unconditional); may alias either. */
void mim_diffusion_guide(size_t n, double w, const float *conditional, const float *unconditional,
                         float *guided);

/* One ancestral step of n values, x_t -> x_{t-1} in place (Ho et al. 2020, eq. 7). noise: [n]
 * standard normal, not looked at when t = 0. */
void mim_diffusion_step_back(const mim_schedule *schedule, size_t t, size_t n, const float *x0,
                             const float *noise, float *x);

/* The mean over n values of the logarithm of the density of x_{t-1} = `next`, given x_t = x and the
 * x_0 it is taken to end at: normal, with the mean of mim_diffusion_step_back() and a deviation of
 * at least 1e-6. Not of flows. */
double mim_diffusion_log_probability(const mim_schedule *schedule, size_t t, size_t n,
                                     const float *x0, const float *x, const float *next);

/* Ancestral sampling that keeps what policy gradients need (Black et al. 2023). As
 * mim_diffusion_solve() with DDPM, but that the last step, too, adds noise, of 1e-6.
 * chain: [n_steps + 1][n_samples][n_values], from noise to plans; log_probabilities:
 * [n_steps][n_samples], of each step as mim_diffusion_log_probability() has it, the first being
 * that at timestep n_steps - 1; n_steps: the schedule's. */
int mim_diffusion_solve_logged(const mim_schedule *schedule, mim_prediction prediction,
                               uint64_t seed, size_t n_samples, size_t n_values,
                               const uint64_t *ids, mim_predict predict, void *context,
                               float *chain, double *log_probabilities);

/* The timesteps that are visited, from the noisiest on to 0; their number, at most n_steps. Evenly
 * in t, but for DPM-Solver++ evenly in the logarithm of the signal-to-noise ratio from e^-8 on:
 * evenly in t its extrapolation is wrong by more than it gains. Those of a flow's solvers part u
 * from 1 to 0 evenly, so the last is above 0. */
size_t mim_diffusion_timesteps(const mim_schedule *schedule, mim_solver solver, size_t n_steps,
                               size_t *timesteps);

/* One row: x in [-1, 1] -> weights in [0, 1] with a sum of at most 1; weights below `smallest` are
 * exactly 0. */
void mim_diffusion_weights(size_t n_stressors, const float *x, double smallest, double *weights);

/* Whether a solver is for models of this schedule. */
bool mim_solver_fits(mim_solver solver, mim_schedule_kind kind);
const char *mim_solver_name(mim_solver solver); /* "ddpm", "ddim", "dpm++", "euler", "heun" */
int mim_solver_find(const char *name, mim_solver *solver);

#endif
