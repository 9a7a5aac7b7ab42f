/* In what numbers the matrix products of a network run. Everything else (weights that are trained,
 * norms, softmax, sums, optimiser) is float in both. */
#ifndef MIM_NN_PRECISION_H
#define MIM_NN_PRECISION_H

#include <stdint.h>

#include "core/error.h"

typedef enum {
    MIM_PRECISION_F32,
    MIM_PRECISION_BF16, /* operands, and what a product leaves for a pass, rounded to bf16; sums in
                           float */
} mim_precision;

typedef uint16_t mim_bf16; /* upper half of a float: 8 bits of exponent, 8 of mantissa */

/* "f32", "bf16"; of another word MIM_EUSAGE, with the words. */
int mim_precision_find(const char *word, mim_precision *precision);
const char *mim_precision_name(mim_precision precision);

#endif
