/* Included by diffusion/denoiser.h once per precision; see there. Not guarded. */

/* B samples of T threads; all values in [-1, 1], masks 0 or 1. Borrowed. */
typedef struct MIM_DENOISER_INPUT {
    size_t n_samples, n_threads;
    const MIM_REAL *noisy;        /* [B][T][S] */
    const MIM_REAL *previous;     /* [B][T][S], -1 everywhere without a previous slot */
    const MIM_REAL *cpu;          /* [B][T] */
    const MIM_REAL *cpu_mask;     /* [B][T] */
    const MIM_REAL *node;         /* [B][G] */
    const MIM_REAL *node_mask;    /* [B][G] */
    const MIM_REAL *has_previous; /* [B] 0 or 1 */
    const double *time;           /* [B] timestep */
    const uint32_t *socket;       /* [T] below n_sockets */
    bool has_same_values; /* the parameters are those of the call before, so what was made of them
                             for it (bf16 copies) still holds */
    const mim_grads_ready *ready; /* NULL, or told by backward */
} MIM_DENOISER_INPUT;

typedef struct MIM_DENOISER MIM_DENOISER;

/* Takes all memory. MIM_EINVAL, MIM_ENOMEM. */
int MIM_NN(mim_denoiser_create)(const mim_denoiser_shape *architecture,
                                const mim_denoiser_options *options, MIM_DENOISER **denoiser);
void MIM_NN(mim_denoiser_destroy)(MIM_DENOISER **denoiser);
size_t MIM_NN(mim_denoiser_n_bytes)(const MIM_DENOISER *denoiser); /* of memory taken */

/* values: [n_values] of the layout. predicted: [B][T][S]. */
void MIM_NN(mim_denoiser_forward)(MIM_DENOISER *denoiser, const MIM_REAL *values,
                                  const MIM_DENOISER_INPUT *input, MIM_REAL *predicted);
/* After the forward call with the same values and input: adds to grads [n_values].
 * d_predicted: [B][T][S]. */
void MIM_NN(mim_denoiser_backward)(MIM_DENOISER *denoiser, const MIM_REAL *values,
                                   const MIM_DENOISER_INPUT *input, const MIM_REAL *d_predicted,
                                   MIM_REAL *grads);
