#include "diffusion/sampler.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

static const char *const solver_names[MIM_N_SOLVERS] = {"ddpm", "ddim", "dpm++"};

/* Draws of a sample: row 0 its first state, row 1 + t the noise added at timestep t. */
static void fill_noise(uint64_t seed, uint64_t id, size_t row, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)mim_rng_normal(seed, MIM_STREAM_GENERATE, id, (uint32_t)row, (uint32_t)i);
}

/* One solve under way. */
typedef struct walk {
    const mim_schedule *schedule;
    const mim_sampling *sampling;
    size_t n_samples, n_values;
    const uint64_t *ids;
    float *x;      /* [n_samples][n_values] */
    float *x0;     /* the same: what x is taken to end at */
    float *before; /* the same: x0 of the step before */
    float *noise;  /* [n_values] */
} walk;

void mim_diffusion_guide(size_t n, double w, const float *conditional, const float *unconditional,
                         float *guided)
{
    for (size_t i = 0; i < n; i++)
        guided[i] = unconditional[i] + (float)w * (conditional[i] - unconditional[i]);
}

void mim_diffusion_step_back(const mim_schedule *s, size_t t, size_t n, const float *x0,
                             const float *noise, float *x)
{
    const double sigma = t > 0 ? exp(0.5 * s->posterior_log_variance[t]) : 0;
    for (size_t i = 0; i < n; i++) {
        double next = s->posterior_mean_0[t] * (double)x0[i];
        next += s->posterior_mean_t[t] * (double)x[i];
        x[i] = (float)(t > 0 ? next + sigma * (double)noise[i] : next);
    }
}

static void step_ddpm(walk *w, size_t t)
{
    for (size_t j = 0; j < w->n_samples; j++) {
        if (t > 0)
            fill_noise(w->sampling->seed, w->ids[j], 1 + t, w->n_values, w->noise);
        mim_diffusion_step_back(w->schedule, t, w->n_values, w->x0 + j * w->n_values, w->noise,
                                w->x + j * w->n_values);
    }
}

static void step_ddim(walk *w, size_t t, size_t next)
{
    const mim_schedule *s = w->schedule;
    const double ratio = s->sqrt_one_minus_alpha_hat[next] / s->sqrt_one_minus_alpha_hat[t];
    const double from_0 = s->sqrt_alpha_hat[next] - ratio * s->sqrt_alpha_hat[t];
    for (size_t i = 0; i < w->n_samples * w->n_values; i++)
        w->x[i] = (float)(ratio * (double)w->x[i] + from_0 * (double)w->x0[i]);
}

/* Half the logarithm of the signal-to-noise ratio. */
static double lambda_at(const mim_schedule *s, size_t t)
{
    return log(s->sqrt_alpha_hat[t] / s->sqrt_one_minus_alpha_hat[t]);
}

/* From t to `next`; `last` is the timestep before t, SIZE_MAX at the start (first order then). */
static void step_dpmpp(walk *w, size_t last, size_t t, size_t next)
{
    const mim_schedule *s = w->schedule;
    const double h = lambda_at(s, next) - lambda_at(s, t);
    const double ratio = s->sqrt_one_minus_alpha_hat[next] / s->sqrt_one_minus_alpha_hat[t];
    const double from_0 = -s->sqrt_alpha_hat[next] * expm1(-h);
    double extra = 0;
    if (last != SIZE_MAX)
        extra = 0.5 * h / (lambda_at(s, t) - lambda_at(s, last));
    for (size_t i = 0; i < w->n_samples * w->n_values; i++) {
        double x0 = (double)w->x0[i];
        if (last != SIZE_MAX)
            x0 += extra * (x0 - (double)w->before[i]);
        w->x[i] = (float)(ratio * (double)w->x[i] + from_0 * x0);
    }
    memcpy(w->before, w->x0, w->n_samples * w->n_values * sizeof *w->before);
}

static int walk_back(walk *w, mim_prediction prediction, const size_t *timesteps, size_t n_steps,
                     mim_predict predict, void *context)
{
    const size_t n = w->n_samples * w->n_values;
    for (size_t i = 0; i < n_steps; i++) {
        const size_t t = timesteps[i];
        int rc = predict(context, t, w->x, w->x0);
        if (rc != MIM_OK)
            return rc;
        mim_schedule_x0(w->schedule, prediction, t, n, w->x, w->x0, w->x0);
        if (w->sampling->solver == MIM_SOLVER_DDPM)
            step_ddpm(w, t);
        else if (i + 1 == n_steps)
            memcpy(w->x, w->x0, n * sizeof *w->x);
        else if (w->sampling->solver == MIM_SOLVER_DDIM)
            step_ddim(w, t, timesteps[i + 1]);
        else
            step_dpmpp(w, i > 0 ? timesteps[i - 1] : SIZE_MAX, t, timesteps[i + 1]);
    }
    return MIM_OK;
}

/* The timestep after `first` whose lambda is closest to the wanted one; lambda falls with t. */
static size_t closest_timestep(const mim_schedule *s, double wanted)
{
    size_t low = 0, high = s->n_steps - 1; /* lambda(low) >= wanted, or low is 0 */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (lambda_at(s, middle) >= wanted)
            low = middle;
        else
            high = middle;
    }
    return wanted - lambda_at(s, high) < lambda_at(s, low) - wanted ? high : low;
}

size_t mim_diffusion_timesteps(const mim_schedule *schedule, mim_solver solver, size_t n_steps,
                               size_t *timesteps)
{
    const size_t last = schedule->n_steps - 1;
    const double top = lambda_at(schedule, 0), bottom = fmax(lambda_at(schedule, last), -4);
    size_t n = 0;
    timesteps[n++] = last;
    for (size_t i = 1; i < n_steps && last > 0; i++) {
        const double share = (double)i / (double)(n_steps - 1);
        const size_t t = solver == MIM_SOLVER_DPMPP
                             ? closest_timestep(schedule, bottom + share * (top - bottom))
                             : last - (2 * i * last + n_steps - 1) / (2 * (n_steps - 1));
        if (t < timesteps[n - 1])
            timesteps[n++] = t;
    }
    return n;
}

int mim_diffusion_solve(const mim_schedule *schedule, mim_prediction prediction,
                        const mim_sampling *sampling, size_t n_samples, size_t n_values,
                        const uint64_t *ids, mim_predict predict, void *context, float *x)
{
    const bool is_ddpm = sampling->solver == MIM_SOLVER_DDPM;
    const size_t n = n_samples * n_values;
    size_t n_steps = is_ddpm ? schedule->n_steps : sampling->n_steps;
    if (n_steps < 1 || n_steps > schedule->n_steps)
        return mim_fail(MIM_EINVAL, "sampler: expected 1 to %zu steps, found %zu",
                        schedule->n_steps, n_steps);
    if (n == 0)
        return MIM_OK;
    int rc = MIM_OK;
    walk w = {.schedule = schedule,
              .sampling = sampling,
              .n_samples = n_samples,
              .n_values = n_values,
              .ids = ids,
              .x = x};
    size_t *timesteps = calloc(n_steps, sizeof *timesteps);
    w.x0 = calloc(n, sizeof *w.x0);
    w.before = calloc(n, sizeof *w.before);
    w.noise = calloc(n_values, sizeof *w.noise);
    if (!timesteps || !w.x0 || !w.before || !w.noise) {
        rc = mim_fail(MIM_ENOMEM, "%zu samples of %zu values", n_samples, n_values);
        goto done;
    }
    n_steps = mim_diffusion_timesteps(schedule, sampling->solver, n_steps, timesteps);
    for (size_t j = 0; j < n_samples; j++)
        fill_noise(sampling->seed, ids[j], 0, n_values, x + j * n_values);
    rc = walk_back(&w, prediction, timesteps, n_steps, predict, context);
done:
    free(timesteps);
    free(w.x0);
    free(w.before);
    free(w.noise);
    return rc;
}

void mim_diffusion_weights(size_t n_stressors, const float *x, double smallest, double *weights)
{
    double sum = 0;
    for (size_t s = 0; s < n_stressors; s++) {
        const double share = 0.5 * ((double)x[s] + 1);
        weights[s] = share >= smallest ? fmin(1, fmax(0, share)) : 0;
        sum += weights[s];
    }
    if (!(sum > 1))
        return;
    const double scale = (1 - (double)n_stressors * DBL_EPSILON) / sum;
    for (size_t s = 0; s < n_stressors; s++)
        weights[s] = weights[s] * scale >= smallest ? weights[s] * scale : 0;
}

const char *mim_solver_name(mim_solver solver) { return solver_names[solver]; }

int mim_solver_find(const char *name, mim_solver *solver)
{
    for (int i = 0; i < MIM_N_SOLVERS; i++) {
        if (strcmp(name, solver_names[i]) == 0) {
            *solver = (mim_solver)i;
            return MIM_OK;
        }
    }
    return mim_fail(MIM_EDATA, "solver: expected ddpm, ddim or dpm++, found %s", name);
}
