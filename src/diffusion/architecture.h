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
    MIM_NETWORK_THREAD_TOKEN, /* diffusion/network_thread_token.c */
    MIM_NETWORK_CELL_TOKEN,   /* diffusion/network_cell_token.c */
    MIM_NETWORK_UNET,         /* diffusion/network_unet.c */
    MIM_N_NETWORKS
} mim_network_name;

/* What makes a context of metrics and the slot before; diffusion/context.h. */
typedef enum {
    MIM_CONTEXT_METRICS_ONLY,
    MIM_CONTEXT_CONCAT,
    MIM_CONTEXT_CONCAT_SYM,
    MIM_CONTEXT_PREV_SUMS,
    MIM_CONTEXT_RESIDUAL_PREV,
    MIM_CONTEXT_ADDITION,
    MIM_CONTEXT_GATED,
    MIM_CONTEXT_FILM,
    MIM_CONTEXT_PER_POSITION,
    MIM_CONTEXT_TRANSFORMER_METRICS_ONLY,
    MIM_CONTEXT_TRANSFORMER,
    MIM_CONTEXT_TRANSFORMER_FULL,
    MIM_CONTEXT_TRANSFORMER_TOKENS,
    MIM_CONTEXT_CONCAT_TRANSFORMER,
    MIM_N_CONTEXTS
} mim_context_name;

/* How the slot before is told to tokens, beside the context. */
typedef enum { MIM_PREVIOUS_NONE, MIM_PREVIOUS_TOKEN } mim_previous_mode;

/* How a thread's own CPU metric is told to its tokens, beside the context. */
typedef enum {
    MIM_THREAD_NONE,
    MIM_THREAD_BIAS,    /* added to the tokens; U-Net: metrics are channels beside the threads' */
    MIM_THREAD_FILM,    /* added to the context, which is then one a thread */
    MIM_THREAD_FILM_ENC /* the encoder per_position gives one context a thread */
} mim_thread_mode;

enum {
    MIM_NETWORK_MAX_WIDTH = 4096,
    MIM_NETWORK_MAX_BLOCKS = 64,
    MIM_NETWORK_MAX_RATIO = 16,
    MIM_NETWORK_MAX_TEXT = 96,
    MIM_ARCHITECTURE_TEXT_BYTES = 128, /* that a field's value as text takes at most */
};

typedef struct mim_architecture {
    mim_network_name kind;
    /* Of the domain. */
    size_t n_stressors, n_threads, n_node_metrics, n_sockets;
    /* Of a transformer's blocks, or a U-Net's levels. */
    size_t width, n_blocks, n_heads; /* width: numbers of a token, or channels of a U-Net */
    size_t mlp_ratio;                /* hidden width of a block's MLP over width */
    double dropout;                  /* rate: probabilities of attention and MLPs; activations */
    size_t head_width;
    char multipliers[MIM_NETWORK_MAX_TEXT]; /* channels over width, a level each: "1,2,4" */
    bool is_pointwise; /* convolutions see one position, and levels have the same positions */
    /* Of the context. */
    mim_context_name encoder;
    size_t encoder_width, context_width;                 /* between its layers, of what it gives */
    size_t encoder_blocks, encoder_heads, encoder_ratio; /* of encoders with transformer layers */
    double encoder_dropout;
    /* Inputs. */
    bool has_masks; /* inputs tell which metrics are known and whether there is a slot before */
    mim_previous_mode previous;
    bool is_previous_frozen; /* whatever the slot before was, none is told */
    mim_thread_mode thread;
    /* Stressors whose tokens are not told the thread's CPU metric, as "8-14" or "0,3,5-7"; they
     * hear of it by attention only. */
    char quiet_rows[MIM_NETWORK_MAX_TEXT];
} mim_architecture;

/* The fields by number. Names are those of settings in the section [model]: "kind", "width"; of
 * what follows from the domain "stressors", "threads", "node_metrics", "sockets". */
size_t mim_architecture_n_fields(void);
const char *mim_architecture_field(size_t field);
bool mim_architecture_is_of_domain(size_t field);
/* Whether networks of the kind look at the field; others leave it at 0. */
bool mim_architecture_is_of_kind(size_t field, mim_network_name kind);
/* Its value as text that mim_architecture_set() takes. */
void mim_architecture_text(const mim_architecture *architecture, size_t field,
                           char text[MIM_ARCHITECTURE_TEXT_BYTES]);
/* MIM_EDATA: no field of that name, or no value of its type. Ranges are the network's matter. */
int mim_architecture_set(mim_architecture *architecture, const char *name, const char *text);
/* The first field whose values differ, SIZE_MAX when none does. */
size_t mim_architecture_difference(const mim_architecture *a, const mim_architecture *b);

/* Which of n rows a text like "8-14" or "0,3,5-7" names: is_named[i] becomes 0 or 1 ("": none). A
 * NULL is_named only checks. MIM_EINVAL: not such a text, or a row beyond n - 1. */
int mim_architecture_rows(const char *text, size_t n, unsigned char *is_named);

#endif
