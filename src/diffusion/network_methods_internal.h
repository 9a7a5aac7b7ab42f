/* Included by diffusion/network_kind_internal.h once per precision. Not guarded. */

typedef struct MIM_NN(mim_network_methods) {
    void (*destroy)(MIM_NETWORK *network); /* what `create` made, or half of it */
    void (*forward)(MIM_NETWORK *network, const MIM_REAL *values, const MIM_NETWORK_INPUT *input,
                    MIM_REAL *predicted);
    void (*backward)(MIM_NETWORK *network, const MIM_REAL *values, const MIM_NETWORK_INPUT *input,
                     const MIM_REAL *d_predicted, MIM_REAL *grads);
} MIM_NN(mim_network_methods);

/* First member of a kind's own struct. */
struct MIM_NETWORK {
    const MIM_NN(mim_network_methods) * methods;
    size_t n_bytes;
};
