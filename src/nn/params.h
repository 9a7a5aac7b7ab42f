/* The numbers of a network in one piece.
 *
 * A layout is a table of tensors (name, shape, how to start, decayed or not) that follow each other
 * without gaps, in the order in which they were added. A set of parameters holds arrays of one
 * layout side by side: values and gradients in one allocation, what only updating them takes in
 * another (Adam's two moments, and the moving average of the values). Optimiser, all-reduce and
 * checkpoint each walk whole arrays [n_values]; layers ask for a tensor's place once, by the index
 * that adding it gave.
 *
 * Several instances that hold the same values may share the updates out: each keeps the second
 * allocation for its part of the values only (ZeRO, stage 1; Rajbhandari et al. 2020), and they
 * hand each other the updated values.
 *
 * mim_params_f is for training, mim_params_d for finite differences (nn/as_float.h). */
#ifndef MIM_NN_PARAMS_H
#define MIM_NN_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum { MIM_TENSOR_MAX_RANK = 4, MIM_TENSOR_MAX_NAME = 64 };

typedef enum {
    MIM_INIT_ZERO,
    MIM_INIT_ONE,
    MIM_INIT_UNIFORM, /* +- scale, scale > 0: of linear layers 1 / sqrt(fan in) */
    MIM_INIT_NORMAL,  /* mean 0, deviation scale > 0 */
} mim_init;

typedef struct mim_tensor {
    char name[MIM_TENSOR_MAX_NAME]; /* unique in the layout, e.g. "block0.mlp1.weight" */
    size_t rank, shape[MIM_TENSOR_MAX_RANK];
    size_t offset, n_values;
    mim_init init;
    double scale;
    bool is_decayed; /* subject to weight decay */
} mim_tensor;

typedef struct mim_tensors {
    size_t n_tensors, n_values;
    mim_tensor *tensors; /* [n_tensors], in order of offset */
} mim_tensors;

int mim_tensors_create(mim_tensors **layout);
void mim_tensors_destroy(mim_tensors **layout);

/* Adds a tensor; `index` (may be NULL) is its place in `tensors`. MIM_EINVAL: name empty, too long
 * or taken, rank 0 or above MIM_TENSOR_MAX_RANK, an extent of 0, too many values, bad scale. */
int mim_tensors_add(mim_tensors *layout, const char *name, size_t rank, const size_t *shape,
                    mim_init init, double scale, bool is_decayed, size_t *index);

/* "NAME.weight" [n_out, n_in] (decayed) at `index` and "NAME.bias" [n_out] at index + 1. Both start
 * uniform within +- 1 / sqrt(n_in), or both at zero. */
int mim_tensors_add_linear(mim_tensors *layout, const char *name, size_t n_in, size_t n_out,
                           bool is_zero, size_t *index);

/* Index of a tensor, SIZE_MAX when there is none of that name. */
size_t mim_tensors_find(const mim_tensors *layout, const char *name);

/* The same names with the same shapes, in whatever order; else MIM_EDATA, with the first
 * difference. */
int mim_tensors_match(const mim_tensors *expected, const mim_tensors *found);

/* One of n_parts parts that follow each other, index < n_parts. */
typedef struct mim_part {
    size_t index, n_parts;
} mim_part;

/* Of n_values the part's: [*first, *first + *n). Sizes differ by at most 16 values, first is a
 * multiple of 16 or n_values. */
void mim_part_range(const mim_part *part, size_t n_values, size_t *first, size_t *n);

/* Told by a backward call, while it goes on, of gradients that it adds nothing more to: values
 * first to first + n - 1, n > 0, of none twice. Which ranges, and in which order, follows from the
 * network alone. Those that it does not tell of are ready when the call returns. */
typedef struct mim_grads_ready {
    void (*tell)(void *context, size_t first, size_t n);
    void *context;
} mim_grads_ready;

#include "nn/as_float.h"
#include "nn/params_declare.h"

#include "nn/as_double.h"
#include "nn/params_declare.h"

#endif
