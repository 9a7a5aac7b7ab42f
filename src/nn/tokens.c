/* What turns numbers into tokens, and dropout. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "nn/layers.h"

enum { n_draws = 256 }; /* random numbers at a time */

#include "nn/as_float.h"
#include "nn/tokens_internal.h"

#include "nn/as_double.h"
#include "nn/tokens_internal.h"
