/* Included by nn/adaln.h once per type of number; see there. Not guarded. */

/* What joins the tokens: y as the product left it, without its bias. */
typedef struct MIM_NN(mim_adaln_branch) {
    const MIM_REAL *y, *bias, *gate;
    const mim_dropout *dropout; /* NULL or rate 0: none */
} MIM_NN(mim_adaln_branch);
