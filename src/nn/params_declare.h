/* Included by nn/params.h once per precision; see there. Not guarded. */

typedef struct MIM_NN(mim_params) {
    mim_tensors *layout; /* a copy of the one given */
    size_t n_values;
    MIM_REAL *values, *grads;                /* [n_values]; layers add to grads */
    size_t first_own, n_own;                 /* values that are updated here, usually all */
    MIM_REAL *moment_1, *moment_2, *own_ema; /* [n_own], of value first_own on */
    /* [n_values] the same as own_ema where all values are one's own. Else memory that it shares
     * with grads, for who puts all parts of the average together while there are no gradients. */
    MIM_REAL *ema;
} MIM_NN(mim_params);

/* All arrays start at zero. */
int MIM_NN(mim_params_create)(const mim_tensors *layout, MIM_PARAMS **params);
void MIM_NN(mim_params_destroy)(MIM_PARAMS **params);

/* Frees the moments and the moving average of all values but the part's, which alone are updated
 * from here on. All values were one's own. MIM_ENOMEM: nothing has changed. */
int MIM_NN(mim_params_keep_part)(const mim_part *part, MIM_PARAMS *params);

/* Starts the values as the layout says, from (seed, MIM_STREAM_INIT, name of the tensor, element):
 * a tensor's numbers do not depend on what else is in the layout. The moving average becomes a
 * copy; gradients and moments become zero. */
void MIM_NN(mim_params_init)(MIM_PARAMS *params, uint64_t seed);

/* A tensor's place in values, ema or grads. `index` < n_tensors. */
const MIM_REAL *MIM_NN(mim_params_value)(const MIM_PARAMS *params, size_t index);
const MIM_REAL *MIM_NN(mim_params_ema)(const MIM_PARAMS *params, size_t index);
MIM_REAL *MIM_NN(mim_params_grad)(const MIM_PARAMS *params, size_t index);

void MIM_NN(mim_params_zero_grads)(MIM_PARAMS *params);
