/* Included by nn/optim.h once per precision; see there. Not guarded. */

/* Step number `n_step` (the first is 1) with the gradients as they are. This and
 * mim_ema_update() are for parameters that are all one's own. */
void MIM_NN(mim_adam_step)(const mim_adam *adam, double lr, uint64_t n_step, MIM_PARAMS *params);

/* Euclidean norm of all gradients, summed in double. NaN or infinite where a gradient is. */
double MIM_NN(mim_grad_norm)(const MIM_PARAMS *params);
/* Gradients times max_norm / (norm + 1e-6) where that is below 1 (PyTorch's clip_grad_norm_).
 * Gives the norm before. A norm that is not finite leaves the gradients alone: the caller skips the
 * step or ends. max_norm <= 0: no clipping. */
double MIM_NN(mim_clip_grads)(double max_norm, MIM_PARAMS *params);

/* ema = beta ema + (1 - beta) values, beta = mim_ema_beta_at(). */
void MIM_NN(mim_ema_update)(const mim_ema *ema, uint64_t n_updates, MIM_PARAMS *params);

/* ---- a whole step, its passes shared out to OpenMP's threads ----------------------------------
 */

/* sums [n] become (is_added: grow by) the n_from grads of one element, one after the other, and
 * these 0: grads[k] + first and sums + first, n elements each. */
void MIM_NN(mim_grads_move)(size_t first, size_t n, size_t n_from, MIM_REAL *const *grads,
                            bool is_added, double *sums);

/* A step's gradient where it is: sums in double, or what is summed, in double, as it is read. */
typedef struct MIM_NN(mim_gradient) {
    const double *sums;     /* [n_values]; NULL: the parts */
    MIM_REAL *const *parts; /* [n_parts][n_values] one after the other; an update leaves them 0 */
    size_t n_parts;
} MIM_NN(mim_gradient);

/* mim_grad_norm(), to the bit, of the n sums rounded to gradients. */
double MIM_NN(mim_gradient_norm)(size_t n, const MIM_NN(mim_gradient) * gradient);
/* Parts become 0, from `first` on n values. */
void MIM_NN(mim_gradient_clear)(size_t first, size_t n, const MIM_NN(mim_gradient) * gradient);
/* The same to the bit as mim_clip_grads(), mim_adam_step() and mim_ema_update(), for the values
 * that are updated here (of parts: all of them); the parameters' own gradients are not touched. */
void MIM_NN(mim_update_step)(const mim_update *update, const MIM_NN(mim_gradient) * gradient,
                             MIM_PARAMS *params);
