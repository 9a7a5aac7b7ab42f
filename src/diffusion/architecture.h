/* What fixes the parameters of a denoising network: its kind, what follows from the domain, and the
 * sizes and choices of the kind. Each kind reads the fields it needs (its descriptor names them)
 * and leaves the others alone.
 *
 * The fields are listed in one table, by which settings are read, checkpoints written and two
 * architectures compared: a field of that table is all it takes to have one more. Zero is a field's
 * value where nobody set it, and in files that were written before there was such a field. */
#ifndef MIM_DIFFUSION_ARCHITECTURE_H
#define MIM_DIFFUSION_ARCHITECTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

/* Kinds of networks; their descriptors are listed in diffusion/network.c. */
typedef enum {
    MIM_NETWORK_THREAD_TOKEN, /* diffusion/denoiser.h */
    MIM_N_NETWORKS
} mim_network_name;

typedef struct mim_architecture {
    mim_network_name kind;
    /* Of the domain. */
    size_t n_stressors, n_threads, n_node_metrics, n_sockets;
    /* Of a transformer's blocks. */
    size_t width, n_blocks, n_heads; /* width: numbers of a token */
    size_t mlp_ratio;                /* hidden width of a block's MLP over width */
} mim_architecture;

enum {
    MIM_NETWORK_MAX_WIDTH = 4096,
    MIM_NETWORK_MAX_BLOCKS = 64,
    MIM_NETWORK_MAX_RATIO = 16,
    MIM_ARCHITECTURE_TEXT_BYTES = 128, /* that a field's value as text takes at most */
};

/* The fields by number. Names are those of settings in the section [model]: "kind", "width"; of
 * what follows from the domain "stressors", "threads", "node_metrics", "sockets". */
size_t mim_architecture_n_fields(void);
const char *mim_architecture_field(size_t field);
bool mim_architecture_is_of_domain(size_t field);
/* Its value as text that mim_architecture_set() takes. */
void mim_architecture_text(const mim_architecture *architecture, size_t field,
                           char text[MIM_ARCHITECTURE_TEXT_BYTES]);
/* MIM_EDATA: no field of that name, or no value of its type. Ranges are the network's matter. */
int mim_architecture_set(mim_architecture *architecture, const char *name, const char *text);
/* The first field whose values differ, SIZE_MAX when none does. */
size_t mim_architecture_difference(const mim_architecture *a, const mim_architecture *b);

#endif
