/* Included by diffusion/context.h once per precision; see there. Not guarded. */

typedef struct MIM_CONTEXT MIM_CONTEXT;

/* `first`: as mim_context_add_tensors() gave it for `layout`. MIM_EINVAL, MIM_ENOMEM. */
int MIM_NN(mim_context_create)(const mim_architecture *architecture, const mim_tensors *layout,
                               size_t first, const mim_context_options *options,
                               MIM_CONTEXT **context);
void MIM_NN(mim_context_destroy)(MIM_CONTEXT **context);
size_t MIM_NN(mim_context_n_bytes)(const MIM_CONTEXT *context); /* of memory taken */

/* values: all of the layout. y: [B][context_width], or [B][T][context_width] where there is a row a
 * thread. is_conditional is not looked at. */
void MIM_NN(mim_context_forward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *input, MIM_REAL *y);
/* After forward with the same values and input: adds to grads (all of the layout). dy: as y. */
void MIM_NN(mim_context_backward)(MIM_CONTEXT *context, const MIM_REAL *values,
                                  const MIM_NETWORK_INPUT *input, const MIM_REAL *dy,
                                  MIM_REAL *grads);
