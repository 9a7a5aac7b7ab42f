/* Softmax and multi-head attention. */
#include "nn/layers.h"
#include "nn/vector_internal.h"

enum { n_lanes = 4 }; /* partial results of a row */

static bool is_dropping(const mim_attention *s) { return s->dropout && s->dropout->rate > 0; }

size_t mim_attention_n_probs(const mim_attention *s)
{
    return s->n_samples * s->n_heads * s->n_queries * s->n_keys;
}

#include "nn/as_float.h"
#include "nn/attention_internal.h"

#include "nn/as_double.h"
#include "nn/attention_internal.h"
