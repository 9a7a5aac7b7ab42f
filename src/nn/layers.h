/* Layers of networks: forward and backward, in float (_f) and double (_d); nn/as_float.h says how.
 *
 * Conventions of all of them:
 * - Arrays are row-major and dense unless an ld_ (elements from row to row) is given. A linear
 * weight is [n_out, n_in].
 * - The caller gives all memory (a product's library takes its own scratch). Nothing fails or
 * prints; sizes are the caller's promise (assert), values are not looked at: NaN comes out where
 * NaN went in.
 * - Gradients of parameters (and of what is shared by many rows: scale, shift, gate) are ADDED to
 *   what is there. Gradients of inputs are set or added as `into` says; where it is not asked they
 *   are set. A NULL gradient is not wanted and not computed.
 * - Sums over many rows or a row's statistics are formed in double where they are no matrix
 * product. Formulas: specification of the model, and the papers named at the functions. */
#ifndef MIM_NN_LAYERS_H
#define MIM_NN_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/gemm.h"

typedef enum { MIM_SET, MIM_ADD } mim_into;

typedef enum {
    MIM_IDENTITY,
    MIM_RELU,
    MIM_LEAKY_RELU, /* slope 0.01 below 0 */
    MIM_TANH,
    MIM_SIGMOID,
    MIM_SILU, /* x sigmoid(x) */
    MIM_GELU, /* x Phi(x), the exact form with erf */
    MIM_MISH, /* x tanh(log(1 + exp x)) */
} mim_activation;

/* What decides which elements fall: never rank, thread or call order. Element e of local sample i
 * is kept where half e % 2 of draw e / 2 of (seed, MIM_STREAM_DROPOUT, step << 32 | samples[i],
 * site) is at least rate 2^16. site: a number of its own for each place in the network that drops.
 */
typedef struct mim_dropout {
    double rate; /* [0, 1): share of elements set to 0; the others are scaled by 1 / (1 - rate) */
    uint64_t seed;
    uint32_t step, site;
    const uint32_t *samples; /* [n_samples] numbers in the global batch */
} mim_dropout;

/* Multi-head scaled dot-product attention. Of sample s, query i's head h is the head_width numbers
 * at q[(s n_queries + i) ld_q + h head_width]; keys, values and outputs alike, so a packed
 * projection [.., 3 width] is read in place (q, q + width, q + 2 width, all ld = 3 width). */
typedef struct mim_attention {
    size_t n_samples, n_heads, head_width, n_queries, n_keys;
    size_t ld_q, ld_k, ld_v, ld_y;
    bool is_causal;              /* query i sees keys 0..i only */
    const unsigned char *is_key; /* [n_samples, n_keys], 0 = nobody sees it; NULL = all are seen */
    const mim_dropout *dropout;  /* on the probabilities; NULL or rate 0 = none */
} mim_attention;

/* Numbers of the array `probs` (kept from forward for backward), and as many of `work` (free
 * after).
 */
size_t mim_attention_n_probs(const mim_attention *shape);

#include "nn/as_float.h"
#include "nn/layers_declare.h"

#include "nn/as_double.h"
#include "nn/layers_declare.h"

#endif
