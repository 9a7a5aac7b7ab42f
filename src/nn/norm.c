/* Layer norm, plain, affine and modulated by a condition, and gated residuals. */
#include <assert.h>

#include "nn/layers.h"
#include "nn/vector_internal.h"

enum {
    n_lanes = 8,    /* partial sums of a row */
    n_columns = 64, /* sums over rows that are formed together */
};

#include "nn/as_float.h"
#include "nn/norm_internal.h"

#include "nn/as_double.h"
#include "nn/norm_internal.h"
