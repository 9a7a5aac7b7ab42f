/* What turns numbers into tokens, and dropout. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/vector.h"
#include "nn/dropout_internal.h"
#include "nn/layers.h"

#include "nn/as_float.h"
#include "nn/tokens_internal.h"

#include "nn/as_double.h"
#include "nn/tokens_internal.h"
