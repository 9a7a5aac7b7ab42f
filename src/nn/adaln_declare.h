/* Included by nn/adaln.h once per precision; see there. Not guarded. */

/* What joins the tokens: y as the product left it, without its bias. */
typedef struct MIM_NN(mim_adaln_branch) {
    const MIM_HALF *y;
    const MIM_REAL *bias, *gate;
    const mim_dropout *dropout; /* NULL or rate 0: none */
} MIM_NN(mim_adaln_branch);

/* branch NULL: sum is x (and the argument not used). n may be the branch's y, with ld_half = width.
 * stats [n_tokens of all samples][2] keeps mean and 1 / sqrt(variance + eps) of sum. */
void MIM_NN(mim_adaln_forward)(const mim_adaln *shape, const MIM_REAL *x,
                               const MIM_NN(mim_adaln_branch) * branch, MIM_REAL *sum,
                               const MIM_REAL *scale, const MIM_REAL *shift, MIM_HALF *n,
                               MIM_REAL *stats);

/* Where the gradients of a branch go: dy set, dgate set, dbias [width] added to. */
typedef struct MIM_NN(mim_adaln_gradient) {
    MIM_HALF *dy;
    MIM_REAL *dgate, *dbias;
} MIM_NN(mim_adaln_gradient);

/* dn: of n. dx: of sum, and of the former x too; set, or with MIM_ADD (a residual's gradient) added
 * to what is there. n_again (NULL: not wanted) becomes n as forward made it. With a branch, dx as
 * it then is goes on to its gradients. */
void MIM_NN(mim_adaln_backward)(const mim_adaln *shape, const MIM_REAL *sum, const MIM_REAL *stats,
                                const MIM_REAL *scale, const MIM_REAL *shift, const MIM_HALF *dn,
                                mim_into into, MIM_REAL *dx, MIM_HALF *n_again, MIM_REAL *dscale,
                                MIM_REAL *dshift, const MIM_NN(mim_adaln_branch) * branch,
                                const MIM_NN(mim_adaln_gradient) * gradient, MIM_REAL *work);
