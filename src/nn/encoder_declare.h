/* Included by nn/encoder.h once per precision; see there. Not guarded. */

typedef struct MIM_ENCODER MIM_ENCODER;

/* `first`: as mim_encoder_add_tensors() gave it for `layout`. MIM_EINVAL, MIM_ENOMEM. */
int MIM_NN(mim_encoder_create)(const mim_encoder_shape *shape, const mim_tensors *layout,
                               size_t first, const mim_encoder_options *options,
                               MIM_ENCODER **encoder);
void MIM_NN(mim_encoder_destroy)(MIM_ENCODER **encoder);
size_t MIM_NN(mim_encoder_n_bytes)(const MIM_ENCODER *encoder); /* of memory taken */

/* Where the tokens [n_samples n_tokens][width] are to be written before forward, and where the
 * gradient of the answer, as long, before backward (NULL without is_training). */
MIM_REAL *MIM_NN(mim_encoder_tokens)(MIM_ENCODER *encoder);
MIM_REAL *MIM_NN(mim_encoder_d_answer)(MIM_ENCODER *encoder);

/* values: all of the layout. Gives the answer [n_samples n_tokens][width], which lasts until the
 * next call of forward. */
const MIM_REAL *MIM_NN(mim_encoder_forward)(MIM_ENCODER *encoder, const MIM_REAL *values,
                                            const mim_encoder_call *call);

/* After forward with the same arguments: adds to grads (all of the layout) and gives the gradient
 * of the tokens, which lasts until the next call. The gradient of the answer is used up. */
const MIM_REAL *MIM_NN(mim_encoder_backward)(MIM_ENCODER *encoder, const MIM_REAL *values,
                                             const mim_encoder_call *call, MIM_REAL *grads);
