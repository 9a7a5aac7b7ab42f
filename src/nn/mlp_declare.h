/* Included by nn/mlp.h once per precision; see there. Not guarded. */

typedef struct MIM_MLP MIM_MLP;

/* `first`: as mim_mlp_add_tensors() gave it for `layout`. MIM_ENOMEM. */
int MIM_NN(mim_mlp_create)(const mim_mlp_shape *shape, const mim_tensors *layout, size_t first,
                           const mim_mlp_options *options, MIM_MLP **mlp);
void MIM_NN(mim_mlp_destroy)(MIM_MLP **mlp);
size_t MIM_NN(mim_mlp_n_bytes)(const MIM_MLP *mlp); /* of memory taken */

/* values: all of the layout. x: [n_rows][in]; y: [n_rows][out], set or added to; not x. */
void MIM_NN(mim_mlp_forward)(MIM_MLP *mlp, const MIM_REAL *values, size_t n_rows, const MIM_REAL *x,
                             mim_into into, MIM_REAL *y);
/* After forward with the same values and x: adds to grads (all of the layout). dx: set, NULL: not
 * wanted. */
void MIM_NN(mim_mlp_backward)(MIM_MLP *mlp, const MIM_REAL *values, size_t n_rows,
                              const MIM_REAL *x, const MIM_REAL *dy, MIM_REAL *dx, MIM_REAL *grads);
