/* Included by diffusion/objective.h once per precision; see there. Not guarded. */

/* B examples of T threads and S stressors. Borrowed. */
typedef struct MIM_OBJECTIVE_BATCH {
    size_t n_samples, n_threads, n_stressors;
    size_t n_batch;                 /* examples over which means go: of the whole batch */
    const size_t *t;                /* [B] timesteps */
    const MIM_REAL *x0, *eps;       /* [B][T][S] */
    const MIM_REAL *noisy;          /* [B][T][S] x_t */
    const MIM_REAL *cpu, *cpu_mask; /* [B][T] */
    const MIM_REAL *is_conditional; /* [B] 0 or 1 */
    MIM_REAL *idle;                 /* [B][T] work space */
} MIM_OBJECTIVE_BATCH;

/* These examples' part of the batch's mean. predicted: [B][T][S] the network's answer, with simplex
 * it becomes x_0; d_predicted: [B][T][S] the gradient of that answer. */
double MIM_NN(mim_objective)(const mim_objective *objective, const MIM_OBJECTIVE_BATCH *batch,
                             MIM_REAL *predicted, MIM_REAL *d_predicted);
