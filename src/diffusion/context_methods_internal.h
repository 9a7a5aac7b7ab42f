/* Included by diffusion/context_kind_internal.h once per precision. Not guarded. */

typedef struct MIM_NN(mim_context_methods) {
    size_t size; /* of the kind's own struct */
    void (*carve)(MIM_CONTEXT *context, mim_carver *c);
    /* Parts that are objects of their own; adds to n_bytes. */
    int (*open)(MIM_CONTEXT *context, const mim_tensors *layout, size_t first);
    void (*close)(MIM_CONTEXT *context); /* what `open` made, or half of it */
    void (*forward)(MIM_CONTEXT *context, const MIM_REAL *values, const MIM_NETWORK_INPUT *input,
                    MIM_REAL *y);
    void (*backward)(MIM_CONTEXT *context, const MIM_REAL *values, const MIM_NETWORK_INPUT *input,
                     const MIM_REAL *dy, MIM_REAL *grads);
} MIM_NN(mim_context_methods);

/* First member of a kind's own struct. */
struct MIM_CONTEXT {
    const MIM_NN(mim_context_methods) * methods;
    mim_architecture a;
    mim_context_options o; /* with a gemm */
    size_t n_bytes;
    char *memory; /* behind what `carve` gave places */
};

/* An MLP of the encoder, for n_rows rows a sample, from tensor `first` on; its memory is the
 * encoder's. The caller destroys it. */
int MIM_NN(mim_context_open_mlp)(MIM_CONTEXT *context, const mim_mlp_shape *shape,
                                 const mim_tensors *layout, size_t first, size_t n_rows,
                                 MIM_NN(mim_mlp) * *mlp);
/* Fill rows of B samples, ld numbers apart: the known numbers, p, and its sums over stressors, then
 * over threads. */
void MIM_NN(mim_context_put_known)(const mim_architecture *architecture,
                                   const MIM_NETWORK_INPUT *input, MIM_REAL *rows, size_t ld);
void MIM_NN(mim_context_put_previous)(const mim_architecture *architecture,
                                      const MIM_NETWORK_INPUT *input, MIM_REAL *rows, size_t ld);
void MIM_NN(mim_context_put_sums)(const mim_architecture *architecture,
                                  const MIM_NETWORK_INPUT *input, MIM_REAL *rows, size_t ld);
/* What thread t of sample b is told of stressor s in the slot before. */
static inline MIM_REAL MIM_NN(mim_context_previous)(const mim_architecture *a,
                                                    const MIM_NETWORK_INPUT *in, size_t b, size_t t,
                                                    size_t s)
{
    return a->is_previous_frozen ? -1 : in->previous[(b * a->n_threads + t) * a->n_stressors + s];
}
