/* Included by diffusion/network.h once per precision; see there. Not guarded. */

/* B samples of T threads, S stressors, G node metrics; all values in [-1, 1], masks 0 or 1; an
 * unknown metric has mask 0 and value 0. Borrowed. */
typedef struct MIM_NETWORK_INPUT {
    size_t n_samples, n_threads;
    const MIM_REAL *noisy;              /* [B][T][S] */
    const MIM_REAL *previous;           /* [B][T][S], -1 everywhere without a previous slot */
    const MIM_REAL *cpu;                /* [B][T] */
    const MIM_REAL *cpu_mask;           /* [B][T] */
    const MIM_REAL *node;               /* [B][G] */
    const MIM_REAL *node_mask;          /* [B][G] */
    const MIM_REAL *has_previous;       /* [B] 0 or 1 */
    const MIM_REAL *is_conditional;     /* [B] 0 or 1; NULL: all are */
    const double *time;                 /* [B] timestep */
    const uint32_t *socket;             /* [T] below n_sockets */
    const mim_network_dropout *dropout; /* NULL: nothing falls */
    const mim_grads_ready *ready;       /* NULL, or told by backward as far as a kind can */
} MIM_NETWORK_INPUT;

typedef struct MIM_NETWORK MIM_NETWORK;

/* Takes all memory: the other functions cannot fail. MIM_EINVAL, MIM_EUNSUP, MIM_ENOMEM. */
int MIM_NN(mim_network_create)(const mim_architecture *architecture,
                               const mim_network_options *options, MIM_NETWORK **network);
void MIM_NN(mim_network_destroy)(MIM_NETWORK **network);
size_t MIM_NN(mim_network_n_bytes)(const MIM_NETWORK *network); /* of memory taken */

/* values: [n_values] of the layout. predicted: [B][T][S]. */
void MIM_NN(mim_network_forward)(MIM_NETWORK *network, const MIM_REAL *values,
                                 const MIM_NETWORK_INPUT *input, MIM_REAL *predicted);
/* After the forward call with the same values and input: adds to grads [n_values].
 * d_predicted: [B][T][S]. */
void MIM_NN(mim_network_backward)(MIM_NETWORK *network, const MIM_REAL *values,
                                  const MIM_NETWORK_INPUT *input, const MIM_REAL *d_predicted,
                                  MIM_REAL *grads);
