/* What a kind of network is: one const descriptor, in a file of its own (network_KIND.c). */
#ifndef MIM_DIFFUSION_NETWORK_KIND_INTERNAL_H
#define MIM_DIFFUSION_NETWORK_KIND_INTERNAL_H

#include "diffusion/network.h"

#include "nn/as_float.h"

#include "diffusion/network_methods_internal.h"

#include "nn/as_double.h"

#include "diffusion/network_methods_internal.h"

/* Functions as in diffusion/network.h; they are called with an architecture that `check` passed,
 * and creation with options that hold a gemm and as many threads as a network that is made for them
 * has.
 */
typedef struct mim_network_kind {
    bool is_for_its_threads; /* the parameters are of so many threads */
    const char *only_f32;    /* its name where products run in f32 only; NULL: in bf16, too */
    int (*check)(const mim_architecture *architecture);
    int (*layout)(const mim_architecture *architecture, mim_tensors **layout);
    double (*flop)(const mim_architecture *architecture, size_t n_samples, size_t n_threads);
    size_t (*n_rows)(const mim_architecture *architecture, size_t n_threads);
    int (*create_f)(const mim_architecture *architecture, const mim_network_options *options,
                    mim_network_f **network);
    int (*create_d)(const mim_architecture *architecture, const mim_network_options *options,
                    mim_network_d **network);
} mim_network_kind;

extern const mim_network_kind mim_network_thread_token, mim_network_cell_token, mim_network_unet;

#endif
