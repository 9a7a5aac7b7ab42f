/* Elementwise functions and their slopes. */
#include "nn/layers.h"
#include "nn/vector_internal.h"

#include "nn/activation_internal.h"
#include "nn/as_float.h"

#include "nn/activation_internal.h"
#include "nn/as_double.h"
