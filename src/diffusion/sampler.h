/* From noise to weights: solvers of the reverse process, guidance, and the map to a plan's rows. */
#ifndef MIM_DIFFUSION_SAMPLER_H
#define MIM_DIFFUSION_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "diffusion/schedule.h"

typedef enum {
    MIM_SOLVER_DDPM,  /* ancestral sampling over every timestep (Ho et al. 2020, algorithm 2) */
    MIM_SOLVER_DDIM,  /* deterministic, eta = 0 (Song et al. 2021, eq. 12) */
    MIM_SOLVER_DPMPP, /* DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) */
    MIM_N_SOLVERS
} mim_solver;

typedef struct mim_sampling {
    mim_solver solver;
    size_t n_steps; /* network calls of DDIM and DPM-Solver++; at most the schedule's steps */
    uint64_t seed;
} mim_sampling;

/* The network at timestep t for n_samples states x, each of n_values; fills predicted. */
typedef int (*mim_predict)(void *context, size_t t, const float *x, float *predicted);

/* x: [n_samples][n_values], filled with x_0 in [-1, 1]. Sample i starts from the noise of id
 * ids[i], whatever is sampled beside it. */
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

/* The timesteps that are visited, from the noisiest to 0; their number, at most n_steps. Evenly in
 * t, but for DPM-Solver++ evenly in the logarithm of the signal-to-noise ratio from e^-8 on: evenly
 * in t its extrapolation is wrong by more than it gains. */
size_t mim_diffusion_timesteps(const mim_schedule *schedule, mim_solver solver, size_t n_steps,
                               size_t *timesteps);

/* One row: x in [-1, 1] -> weights in [0, 1] with a sum of at most 1; weights below `smallest` are
 * exactly 0. */
void mim_diffusion_weights(size_t n_stressors, const float *x, double smallest, double *weights);

const char *mim_solver_name(mim_solver solver); /* "ddpm", "ddim", "dpm++" */
int mim_solver_find(const char *name, mim_solver *solver);

#endif
