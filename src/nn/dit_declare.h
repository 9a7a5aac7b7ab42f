/* Included by nn/dit.h once per type of number; see there. Not guarded. */

typedef struct MIM_DIT MIM_DIT;

/* `first`: as mim_dit_add_tensors() gave it for `layout`. MIM_EINVAL, MIM_ENOMEM. */
int MIM_NN(mim_dit_create)(const mim_dit_shape *shape, const mim_tensors *layout, size_t first,
                           const mim_dit_options *options, MIM_DIT **dit);
void MIM_NN(mim_dit_destroy)(MIM_DIT **dit);
size_t MIM_NN(mim_dit_n_bytes)(const MIM_DIT *dit); /* of memory taken */

/* Where the tokens [n_samples n_tokens][width] are to be written before forward, and where the
 * gradient of the answer, as long, before backward (NULL without is_training). */
MIM_REAL *MIM_NN(mim_dit_tokens)(MIM_DIT *dit);
MIM_REAL *MIM_NN(mim_dit_d_answer)(MIM_DIT *dit);
/* The answer of the last call of forward. */
const MIM_REAL *MIM_NN(mim_dit_answer)(const MIM_DIT *dit);

/* values: all of the layout. condition: [n_samples n_conditions][condition_width]. Gives the
 * answer [n_samples n_tokens][width], which lasts until the next call of forward. */
const MIM_REAL *MIM_NN(mim_dit_forward)(MIM_DIT *dit, const MIM_REAL *values,
                                        const mim_dit_call *call, const MIM_REAL *condition);

/* After forward with the same arguments: adds to grads (all of the layout), sets d_condition
 * [n_samples n_conditions][condition_width] and gives the gradient of the tokens, which lasts
 * until the next call. The gradient of the answer is used up. */
const MIM_REAL *MIM_NN(mim_dit_backward)(MIM_DIT *dit, const MIM_REAL *values,
                                         const mim_dit_call *call, const MIM_REAL *condition,
                                         MIM_REAL *grads, MIM_REAL *d_condition);
