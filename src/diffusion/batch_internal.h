/* Training examples as a network takes them: normalised, noised, partly hidden, their threads
 * changed about. All draws are functions of (seed, step, number in the batch). For
 * diffusion/train.c. */
#ifndef MIM_DIFFUSION_BATCH_INTERNAL_H
#define MIM_DIFFUSION_BATCH_INTERNAL_H

#include "diffusion/model.h"
#include "diffusion/train.h"

/* Arrays for up to n examples; T, S, G as in the domain. */
typedef struct mim_batch {
    size_t n, n_cells, n_sockets;                                 /* n_cells: T S */
    float *x0, *eps, *noisy, *previous, *predicted, *d_predicted; /* [n][T][S] */
    float *cpu, *cpu_mask, *idle;                                 /* [n][T] */
    float *node, *node_mask;                                      /* [n][G] */
    float *has_previous, *is_conditional;                         /* [n] */
    double *time;                                                 /* [n] */
    size_t *t;                                                    /* [n] timesteps */
    uint32_t *numbers;                                            /* [n] in the whole batch */
    uint32_t *socket;                                             /* [T] */
    /* Work space. */
    size_t n_memory;
    float *memory;           /* [n_memory] behind the floats */
    double *metrics;         /* [D] of one example */
    size_t *source;          /* [T] which of its threads stands where */
    size_t *by_socket;       /* [T] threads, socket after socket */
    size_t *first_of_socket; /* [n_sockets + 1] in by_socket */
    size_t *sockets;         /* [n_sockets] which socket's threads stand where */
} mim_batch;

int mim_batch_create(const mim_domain *domain, size_t n, mim_batch **batch);
void mim_batch_destroy(mim_batch **batch);
size_t mim_batch_n_bytes(const mim_batch *batch);

/* A view of its examples from `first` on, without the work space; nothing of it is to be freed. */
mim_batch mim_batch_from(const mim_batch *batch, const mim_domain *domain, size_t first);

/* Whether all sockets have as many threads, so that they can change places. */
bool mim_batch_can_swap_sockets(const mim_batch *batch);

/* What decides the draws of an example. */
typedef struct mim_batch_place {
    uint64_t step;
    uint32_t number; /* in the whole batch */
    size_t slot;     /* in the arrays */
    size_t t;        /* timestep */
} mim_batch_place;

/* Example e of `examples` becomes that of the place. options: NULL = as it is, with its noise. */
void mim_batch_put(mim_batch *batch, const mim_model *model, const mim_schedule *schedule,
                   const mim_train_options *options, const mim_examples *examples, size_t e,
                   const mim_batch_place *place);

/* Where the threads of an example go: fills batch->source. */
void mim_batch_shuffle(mim_batch *batch, const mim_train_options *options, uint64_t seed,
                       const mim_batch_place *place);

#endif
