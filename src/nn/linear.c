/* Linear layers. */
#include <string.h>

#include "nn/layers.h"
#include "nn/vector_internal.h"

#include "nn/as_float.h"
#include "nn/linear_internal.h"

#include "nn/as_double.h"
#include "nn/linear_internal.h"
