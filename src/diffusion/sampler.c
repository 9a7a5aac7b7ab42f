#include "diffusion/sampler.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

static const char *const solver_names[MIM_N_SOLVERS] = {"ddpm", "ddim", "dpm++", "euler", "heun"};

/* What a density is at least as wide as. */
static const double least_deviation = 1e-6;

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
    float *before; /* the same: x0 of the step before, or with Heun's method at this step's end */
    float *noise;  /* [n_values] */
    float *ahead;  /* as x: with Heun's method where Euler's would get */
    mim_prediction prediction;
    mim_predict predict;
    void *context;
} walk;

void mim_diffusion_guide(size_t n, double w, const float *conditional, const float *unconditional,
                         float *guided)
{
    for (size_t i = 0; i < n; i++)
        guided[i] = unconditional[i] + (float)w * (conditional[i] - unconditional[i]);
}

/* Mean of x_{t-1}. */
static double mean_before(const mim_schedule *s, size_t t, float x0, float x)
{
    return s->posterior_mean_0[t] * (double)x0 + s->posterior_mean_t[t] * (double)x;
}

static double deviation_at(const mim_schedule *s, size_t t)
{
    return exp(0.5 * s->posterior_log_variance[t]);
}

void mim_diffusion_step_back(const mim_schedule *s, size_t t, size_t n, const float *x0,
                             const float *noise, float *x)
{
    const double sigma = t > 0 ? deviation_at(s, t) : 0;
    for (size_t i = 0; i < n; i++) {
        const double next = mean_before(s, t, x0[i], x[i]);
        x[i] = (float)(t > 0 ? next + sigma * (double)noise[i] : next);
    }
}

double mim_diffusion_log_probability(const mim_schedule *s, size_t t, size_t n, const float *x0,
                                     const float *x, const float *next)
{
    const double sigma = fmax(deviation_at(s, t), least_deviation);
    const double half_log_two_pi = 0.91893853320467274178;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double away = ((double)next[i] - mean_before(s, t, x0[i], x[i])) / sigma;
        sum -= 0.5 * away * away;
    }
    return sum / (double)n - log(sigma) - half_log_two_pi;
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

/* One step of a flow from t to `next` (SIZE_MAX: to the end), first or second order. */
static int step_flow(walk *w, size_t t, size_t next)
{
    const mim_schedule *s = w->schedule;
    const size_t n = w->n_samples * w->n_values;
    if (next == SIZE_MAX) { /* u = 0 */
        memcpy(w->x, w->x0, n * sizeof *w->x);
        return MIM_OK;
    }
    const double u = s->sqrt_one_minus_alpha_hat[t], end = s->sqrt_one_minus_alpha_hat[next];
    for (size_t i = 0; i < n; i++)
        w->ahead[i] =
            (float)((double)w->x[i] + (end - u) * ((double)w->x[i] - (double)w->x0[i]) / u);
    if (w->sampling->solver == MIM_SOLVER_EULER) {
        memcpy(w->x, w->ahead, n * sizeof *w->x);
        return MIM_OK;
    }
    const int rc = w->predict(w->context, next, w->ahead, w->before);
    if (rc != MIM_OK)
        return rc;
    mim_schedule_x0(s, w->prediction, next, n, w->ahead, w->before, w->before);
    for (size_t i = 0; i < n; i++) {
        const double velocity = ((double)w->x[i] - (double)w->x0[i]) / u;
        const double there = ((double)w->ahead[i] - (double)w->before[i]) / end;
        w->x[i] = (float)((double)w->x[i] + (end - u) * 0.5 * (velocity + there));
    }
    return MIM_OK;
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

static int step(walk *w, const size_t *timesteps, size_t n_steps, size_t i)
{
    const size_t t = timesteps[i], next = i + 1 < n_steps ? timesteps[i + 1] : SIZE_MAX;
    switch (w->sampling->solver) {
    case MIM_SOLVER_EULER:
    case MIM_SOLVER_HEUN:
        return step_flow(w, t, next);
    case MIM_SOLVER_DDPM:
        step_ddpm(w, t);
        return MIM_OK;
    default:
        break;
    }
    if (next == SIZE_MAX)
        memcpy(w->x, w->x0, w->n_samples * w->n_values * sizeof *w->x);
    else if (w->sampling->solver == MIM_SOLVER_DDIM)
        step_ddim(w, t, next);
    else
        step_dpmpp(w, i > 0 ? timesteps[i - 1] : SIZE_MAX, t, next);
    return MIM_OK;
}

static int walk_back(walk *w, const size_t *timesteps, size_t n_steps)
{
    int rc = MIM_OK;
    for (size_t i = 0; rc == MIM_OK && i < n_steps; i++) {
        rc = w->predict(w->context, timesteps[i], w->x, w->x0);
        if (rc != MIM_OK)
            return rc;
        mim_schedule_x0(w->schedule, w->prediction, timesteps[i], w->n_samples * w->n_values, w->x,
                        w->x0, w->x0);
        rc = step(w, timesteps, n_steps, i);
    }
    return rc;
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

static bool is_of_flows(mim_solver solver)
{
    return solver == MIM_SOLVER_EULER || solver == MIM_SOLVER_HEUN;
}

size_t mim_diffusion_timesteps(const mim_schedule *schedule, mim_solver solver, size_t n_steps,
                               size_t *timesteps)
{
    if (is_of_flows(solver)) {
        for (size_t i = 0; i < n_steps; i++)
            timesteps[i] = (2 * (n_steps - i) * schedule->n_steps + n_steps) / (2 * n_steps) - 1;
        return n_steps;
    }
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

static int check(const mim_schedule *schedule, mim_prediction prediction, mim_solver solver,
                 size_t n_steps)
{
    const bool is_flow = schedule->kind == MIM_SCHEDULE_FLOW;
    if (!mim_schedule_fits(schedule->kind, prediction) && prediction != MIM_PREDICT_X0)
        return mim_fail(MIM_EINVAL, "sampler: a schedule %s and a prediction of %s",
                        mim_schedule_name(schedule->kind), mim_prediction_name(prediction));
    if (!mim_solver_fits(solver, schedule->kind))
        return mim_fail(MIM_EINVAL, "sampler: solver %s is %s", mim_solver_name(solver),
                        is_flow ? "not for models that predict flow"
                                : "for models that predict flow");
    if (n_steps < 1 || n_steps > schedule->n_steps)
        return mim_fail(MIM_EINVAL, "sampler: expected 1 to %zu steps, found %zu",
                        schedule->n_steps, n_steps);
    return MIM_OK;
}

int mim_diffusion_solve(const mim_schedule *schedule, mim_prediction prediction,
                        const mim_sampling *sampling, size_t n_samples, size_t n_values,
                        const uint64_t *ids, mim_predict predict, void *context, float *x)
{
    const bool is_ddpm = sampling->solver == MIM_SOLVER_DDPM;
    const size_t n = n_samples * n_values;
    size_t n_steps = is_ddpm ? schedule->n_steps : sampling->n_steps;
    int rc = check(schedule, prediction, sampling->solver, n_steps);
    if (rc != MIM_OK || n == 0)
        return rc;
    walk w = {.schedule = schedule,
              .sampling = sampling,
              .n_samples = n_samples,
              .n_values = n_values,
              .ids = ids,
              .x = x,
              .prediction = prediction,
              .predict = predict,
              .context = context};
    size_t *timesteps = calloc(n_steps, sizeof *timesteps);
    w.x0 = calloc(3 * n + n_values, sizeof *w.x0);
    if (!timesteps || !w.x0) {
        rc = mim_fail(MIM_ENOMEM, "%zu samples of %zu values", n_samples, n_values);
        goto done;
    }
    w.before = w.x0 + n;
    w.ahead = w.before + n;
    w.noise = w.ahead + n;
    n_steps = mim_diffusion_timesteps(schedule, sampling->solver, n_steps, timesteps);
    for (size_t j = 0; j < n_samples; j++)
        fill_noise(sampling->seed, ids[j], 0, n_values, x + j * n_values);
    rc = walk_back(&w, timesteps, n_steps);
done:
    free(timesteps);
    free(w.x0);
    return rc;
}

int mim_diffusion_solve_logged(const mim_schedule *s, mim_prediction prediction, uint64_t seed,
                               size_t n_samples, size_t n_values, const uint64_t *ids,
                               mim_predict predict, void *context, float *chain,
                               double *log_probabilities)
{
    const size_t n = n_samples * n_values;
    int rc = check(s, prediction, MIM_SOLVER_DDPM, s->n_steps);
    if (rc != MIM_OK || n == 0)
        return rc;
    float *x0 = calloc(n, sizeof *x0);
    if (!x0)
        return mim_fail(MIM_ENOMEM, "%zu samples of %zu values", n_samples, n_values);
    for (size_t j = 0; j < n_samples; j++)
        fill_noise(seed, ids[j], 0, n_values, chain + j * n_values);
    for (size_t i = 0; rc == MIM_OK && i < s->n_steps; i++) {
        const size_t t = s->n_steps - 1 - i;
        const double sigma = fmax(deviation_at(s, t), least_deviation);
        const float *x = chain + i * n;
        float *next = chain + (i + 1) * n;
        rc = predict(context, t, x, x0);
        if (rc == MIM_OK)
            mim_schedule_x0(s, prediction, t, n, x, x0, x0);
        for (size_t j = 0; rc == MIM_OK && j < n_samples; j++) {
            const size_t at = j * n_values;
            fill_noise(seed, ids[j], 1 + t, n_values, next + at);
            for (size_t k = at; k < at + n_values; k++)
                next[k] = (float)(mean_before(s, t, x0[k], x[k]) + sigma * (double)next[k]);
            log_probabilities[i * n_samples + j] =
                mim_diffusion_log_probability(s, t, n_values, x0 + at, x + at, next + at);
        }
    }
    free(x0);
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

bool mim_solver_fits(mim_solver solver, mim_schedule_kind kind)
{
    return kind == MIM_SCHEDULE_FLOW ? solver != MIM_SOLVER_DDPM : !is_of_flows(solver);
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
    return mim_fail(MIM_EDATA, "solver: expected ddpm, ddim, dpm++, euler or heun, found %s", name);
}
